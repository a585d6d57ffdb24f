// The page's frame: who is signed in, which view the address asks for, and what
// the keys do.

import { h } from './dom.js';
import * as texts from './texts.js';
import { t } from './texts.js';
import * as api from './api.js';
import * as auth from './auth.js';
import * as keys from './keys.js';
import { sentence, when } from './words.js';
import { Queue } from './queue.js';
import { Case } from './case.js';
import { agreementView } from './agreement.js';

const main = document.getElementById('main');
const WARN_BEFORE = 2 * 60_000; // milliseconds before the sign-in runs out

const app = {
  me: null, // who is signed in, with role and rights
  reasons: { codes: [], actions: [], ratings: [] }, // closed lists for the forms
  queue: null,
  case: null,

  /** can tells whether the person may do this at all. */
  can: (what) => app.me?.may.includes(what) ?? false,

  /** say tells a screen reader what happened, without moving the focus. */
  say(text) {
    const status = document.getElementById('status');
    status.textContent = ''; // so that the same words twice are said twice
    requestAnimationFrame(() => { status.textContent = text; });
  },

  /** notice shows a message above the panes until the next one. */
  notice(text, { kind = 'good', action, id = 'notice' } = {}) {
    const box = document.getElementById('notices');
    const close = h('button', { type: 'button', class: 'quiet', on: { click: () => box.replaceChildren() } }, t('close'));
    box.replaceChildren(h('div', { class: `notice ${kind}`, id, role: kind === 'bad' ? 'alert' : null },
      h('p', {}, text), h('div', { class: 'buttons' }, action && h('button', { type: 'button', on: { click: action.click } }, action.words), close)));
    if (kind !== 'bad') app.say(text);
  },

  clearNotice() { document.getElementById('notices').replaceChildren(); },

  /** fail shows what went wrong, and lets an expired person sign in again. */
  fail(error) {
    if (error instanceof api.Problem && error.status === 401) {
      askToSignIn(t('problem.unauthorized'));
      return;
    }
    if (!(error instanceof api.Problem || error instanceof auth.Failed)) console.error(error);
    app.notice(sentence(error), { kind: 'bad' });
  },

  /** go follows a link of the page's own. */
  go(hash) {
    if (location.hash === hash) route();
    else location.hash = hash;
  },
};

function askToSignIn(words) {
  app.notice(words, { kind: 'bad', id: 'expired', action: { words: t('signin'), click: () => auth.signIn().catch(app.fail) } });
  document.querySelector('#expired button')?.focus();
}

function drawFrame() {
  document.getElementById('skip').textContent = t('skip');
  document.getElementById('skip').onclick = (e) => { e.preventDefault(); main.focus(); };
  const here = (name) => (main.dataset.view === name ? 'page' : null);
  document.getElementById('top').replaceChildren(
    h('h1', { class: 'brand' }, t('brand'), ' ', h('span', {}, t('brand.review'))),
    ...(app.me ? [
      h('nav', { 'aria-label': t('nav') },
        h('a', { href: '#/', 'aria-current': here('queue') || here('case') }, t('queue.title')),
        h('a', { href: '#/agreement', 'aria-current': here('agreement') }, t('agreement.link'))),
      h('div', { class: 'who' },
        h('span', { id: 'who' }, auth.name() || app.me.sub), h('span', { class: 'badge', id: 'role' }, t(`role.${app.me.role}`)),
        h('button', { type: 'button', class: 'quiet', id: 'help', on: { click: () => keys.help(app) } }, t('keys.title'), h('kbd', {}, '?')),
        h('button', { type: 'button', class: 'quiet', id: 'signout', on: { click: () => auth.signOut() } }, t('signout'))),
    ] : []));
}

function view(name, title, ...content) {
  main.dataset.view = name;
  document.title = `${title} – ${t('brand')} ${t('brand.review')}`;
  if (content.length > 0) main.replaceChildren(...content);
  drawFrame();
}

function signInView(problem) {
  const button = h('button', { type: 'button', class: 'main', id: 'signin', on: { click: () => auth.signIn().catch(app.fail) } }, t('signin'));
  view('signin', t('signin'), h('div', { class: 'single' }, h('h2', {}, t('signin.title')), h('p', {}, t('signin.text')), h('p', {}, button)));
  if (problem) app.fail(problem);
  else button.focus();
}

/** panes puts queue and case side by side; a phone shows one of them. */
function panes() {
  if (main.contains(app.queue.element)) return;
  main.replaceChildren(app.queue.element, app.case.element);
}

async function route() {
  if (!app.me) return;
  const [, name, id] = location.hash.split('/');
  if (name === 'agreement') {
    view('agreement', t('agreement.title'), agreementView(app));
    main.querySelector('h2').focus();
    return;
  }
  panes();
  if (name === 'cases' && id) {
    view('case', t('case.title', { id: id.slice(0, 8) }));
    app.queue.mark(id);
    await app.case.open(decodeURIComponent(id));
  } else {
    view('queue', t('queue.title'));
    app.queue.mark(null);
    app.case.clear();
  }
  await app.queue.loaded();
}

function watchExpiry() {
  const left = auth.expires() - Date.now();
  if (left === Infinity) return;
  setTimeout(() => askToSignIn(t('signin.ending', { time: when(new Date(auth.expires()).toISOString()) })), Math.max(0, left - WARN_BEFORE));
}

async function start() {
  await texts.use('en');
  drawFrame();
  let signedIn;
  try {
    signedIn = await auth.start();
  } catch (error) {
    signInView(error);
    return;
  }
  if (!signedIn) {
    signInView();
    return;
  }
  try {
    const [me, reasons] = await Promise.all([api.me(), api.reasons()]);
    app.me = me;
    app.reasons = reasons;
  } catch (error) {
    if (error.status === 403) view('signin', t('signin'), h('div', { class: 'single' }, h('h2', {}, t('signin.norole')), h('p', {}, t('signin.norole.text')), h('p', {}, h('button', { type: 'button', on: { click: () => auth.signOut() } }, t('signout')))));
    else signInView(error);
    return;
  }
  app.queue = new Queue(app);
  app.case = new Case(app);
  keys.listen(app);
  watchExpiry();
  window.addEventListener('hashchange', () => { app.clearNotice(); route().catch(app.fail); });
  await route();
}

start().catch(app.fail);
