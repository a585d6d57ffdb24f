// The page's frame: language, the case in the address, and which step shows.

import { h } from './dom.js';
import * as texts from './texts.js';
import { t } from './texts.js';
import * as api from './api.js';
import * as state from './state.js';
import { steps } from './steps.js';
import { outcomes } from './outcomes.js';

const views = { ...steps, ...outcomes };
const main = document.getElementById('main');
let leave = () => {}; // what the present view wants done before another shows

/** fitting is the view to show for one that Back or a reload asks for. */
function fitting(name) {
  if (!state.current) return name in outcomes && name !== 'receipt' ? 'facts' : name;
  return name === 'facts' ? 'correct' : name; // the facts of a case are corrected, not entered anew
}

/** show replaces the step. The heading gets the focus, so that a screen reader starts there. */
function show(asked, options = {}) {
  leave();
  leave = () => {};
  const name = fitting(asked);
  const view = views[name](app, options);
  leave = view.leave || (() => {});
  main.replaceChildren(...[
    view.step && progress(view.step),
    state.takeFlash(),
    h('h1', { tabindex: '-1', id: 'title' }, view.title),
    view.body,
  ].flat(Infinity).filter(Boolean));
  main.dataset.view = name;
  document.title = `${view.title} – ${t('brand')}`;
  if (options.focus !== false) {
    document.getElementById('title').focus({ preventScroll: true });
    window.scrollTo(0, 0);
  }
  view.shown?.();
}

const app = {
  /** go shows a step and makes the browser's Back lead to the one before. */
  go(name, options = {}) {
    app.say('');
    history[options.replace ? 'replaceState' : 'pushState']({ view: name }, '');
    show(name, options);
  },

  /** outcome shows what the status says. */
  outcome(options = {}) { app.go(views.forStatus(state.status), options); },

  /** say tells a screen reader what happens, without moving the focus. */
  say(text) { document.getElementById('status').textContent = text; },

  /** fail shows a problem above the step and keeps what was entered. */
  fail(error) {
    if (!(error instanceof api.Problem)) console.error(error);
    main.querySelector('.problem')?.remove();
    const box = h('div', { class: 'notice bad problem', role: 'alert', tabindex: '-1' }, h('p', {}, state.sentence(error)));
    document.getElementById('title').after(box);
    box.focus();
  },
};

function progress(step) {
  const names = ['facts', 'consent', 'photo', 'quote'];
  const at = names.indexOf(step);
  return h('nav', { 'aria-label': t('progress'), class: 'progress' },
    h('ol', {}, names.map((name, i) => h('li', { class: i < at ? 'done' : i === at ? 'now' : '', 'aria-current': i === at && 'step' },
      h('span', { class: 'dot', 'aria-hidden': 'true' }, i < at ? '✓' : String(i + 1)),
      h('span', { class: 'name' }, t(`progress.${name}`), i < at && h('span', { class: 'hidden' }, ` (${t('progress.done')})`))))));
}

function drawFrame() {
  const skip = document.getElementById('skip');
  skip.textContent = t('skip');
  // As a plain link it would take the case out of the address.
  skip.onclick = (e) => { e.preventDefault(); main.focus(); };
  document.getElementById('brand').textContent = t('brand');
  const nav = document.getElementById('languages');
  nav.setAttribute('aria-label', t('language'));
  nav.replaceChildren(...texts.LANGUAGES.map((l) => h('button', {
    type: 'button', lang: l, class: 'language', 'aria-pressed': String(l === texts.lang()), on: { click: () => change(l) },
  }, t(`language.${l}`))));
  document.getElementById('foot').replaceChildren(
    h('h2', {}, t('foot.title')),
    h('ul', {}, ['notice.indicative', 'notice.read', 'notice.liveness', 'notice.network'].map((k) => h('li', {}, t(k)))));
}

async function change(l) {
  await texts.use(l);
  const address = new URL(location.href);
  address.searchParams.set('lang', l);
  history.replaceState(history.state, '', address);
  drawFrame();
  show(main.dataset.view, { focus: false });
  document.querySelector(`.language[lang=${l}]`).focus();
}

async function start() {
  await texts.use(texts.pick());
  drawFrame();
  state.restore();
  try {
    state.setTerms(await api.terms());
    if (!state.current) {
      app.go('facts', { replace: true, focus: false });
      return;
    }
    await state.refresh();
    app.outcome({ replace: true, focus: false });
  } catch (error) {
    const gone = error.status === 404 || error.status === 410;
    main.replaceChildren(h('h1', { tabindex: '-1', id: 'title' }, t(gone ? 'resume.none' : 'brand')));
    main.dataset.view = 'facts';
    if (gone) {
      main.append(h('p', {}, t(error.status === 410 ? 'problem.deleted' : 'resume.none.text')), h('p', {}, h('a', { class: 'button', href: location.pathname + location.search }, t('start.over'))));
      return;
    }
    app.fail(error);
  }
}

window.addEventListener('popstate', (e) => { if (e.state?.view) show(e.state.view); });
window.addEventListener('hashchange', () => location.reload()); // another case's link was pasted
start();
