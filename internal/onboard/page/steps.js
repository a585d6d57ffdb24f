// The steps up to the quote: facts, consent, photo, or the age instead.

import { h, paragraphs } from './dom.js';
import { has, local, number, t } from './texts.js';
import * as api from './api.js';
import * as picture from './picture.js';
import * as state from './state.js';
import { Camera } from './camera.js';
import { checkbox, showErrors, text } from './forms.js';
import { DateForm, FactsForm } from './facts.js';

/** form is a form whose button cannot be pressed twice; send may throw a Problem. */
export function form(app, props, send, ...children) {
  let busy = false;
  const f = h('form', {
    novalidate: true, ...props, on: {
      submit: async (e) => {
        e.preventDefault();
        if (busy) return;
        busy = true;
        const button = f.querySelector('[type=submit]');
        button.setAttribute('aria-busy', 'true');
        try {
          await send(f);
        } catch (error) {
          const fields = (error.fields || []).map((x) => [x.field, has(`error.field.${x.field}`) ? t(`error.field.${x.field}`) : x.sentence]);
          if (fields.length > 0) showErrors(f, fields);
          else app.fail(error);
        } finally {
          busy = false;
          button.removeAttribute('aria-busy');
        }
      },
    },
  }, ...children);
  return f;
}

export const submit = (words, extra = '') => h('button', { type: 'submit', class: `button ${extra}` }, words);

export const button = (words, click, kind = 'button second') => h('button', { type: 'button', class: kind, on: { click } }, words);

/** facts is the first step, and the correction of facts once there is a case. */
function facts(app) {
  const entered = new FactsForm(state.terms, state.draft);
  return {
    step: 'facts', title: t('facts.title'),
    body: [h('p', { class: 'lead' }, t('facts.lead')),
      form(app, { id: 'facts', class: 'card' }, (f) => {
        const { facts, errors } = entered.read();
        showErrors(f, errors);
        if (errors.length > 0) return;
        state.setDraft(facts);
        app.go('consent');
      }, entered.element, h('div', { class: 'actions' }, submit(t('continue'))))],
  };
}

function reads() {
  return h('div', { class: 'reads' },
    h('div', {}, h('h2', {}, t('reads.yes')), h('ul', { class: 'ticks' }, h('li', {}, t('reads.age')))),
    h('div', {}, h('h2', {}, t('reads.no')), h('ul', { class: 'crosses' }, ['sex', 'origin', 'health', 'identity', 'live'].map((k) => h('li', {}, t(`reads.not.${k}`))))));
}

/** consent asks once, before a photo; later too, of who stated the age at first. */
function consent(app) {
  const c = state.terms.consent;
  return {
    step: 'consent', title: t('consent.title'),
    body: [h('p', { class: 'lead' }, t(state.current ? 'consent.later' : 'consent.lead')), reads(),
      form(app, { id: 'consent', class: 'card' }, async (f) => {
        const agreed = f.querySelector('#agree').checked;
        showErrors(f, agreed ? [] : [['agree', t('error.agree')]]);
        if (!agreed) return;
        app.say(t('wait.moment'));
        const given = { version: c.version, hash: c.hash, purpose: c.purpose, days: c.days };
        if (state.current) await state.consent(given);
        else await state.open(given);
        app.go('photo');
      },
      h('h2', {}, t('consent.text')),
      h('div', { class: 'consent-text' }, paragraphs(local(c.text))),
      h('p', { class: 'hint' }, t('consent.version', { version: c.version, days: number(c.days) })),
      checkbox('agree', t('consent.agree')),
      h('div', { class: 'actions' }, submit(t('consent.submit')), state.status?.quote
        ? button(t('cancel'), () => app.outcome())
        : button(t('consent.without'), () => app.go('age'))))],
  };
}

/** photo takes a picture by camera or from a file, shows it, and sends it. */
function photo(app) {
  if (!state.status?.consent) return consent(app);
  const refused = state.status?.state === 'another_photo' && state.status.photo?.code;
  const camera = new Camera();
  const stage = h('div', { class: 'stage' });
  const file = h('input', { type: 'file', id: 'file', class: 'hidden', accept: 'image/*,.heic,.heif', on: { change: () => choose(file.files[0]) } });

  const say = (words) => { stage.querySelector('.stage-error')?.remove(); stage.append(h('p', { class: 'notice bad stage-error', role: 'alert' }, words)); };

  function start() {
    camera.stop();
    stage.replaceChildren(
      h('div', { class: 'aim', 'aria-hidden': 'true' }, h('div', { class: 'aim-oval' })),
      h('ul', { class: 'tips' }, ['tip.light', 'tip.front', 'tip.alone'].map((k) => h('li', {}, t(k)))),
      h('div', { class: 'actions' },
        button(t('photo.camera'), openCamera, 'button'),
        h('label', { for: 'file', class: 'button second' }, t('photo.file'))));
    stage.prepend(file); // stays focusable: the label is its button
  }

  async function openCamera() {
    try {
      await camera.start();
    } catch (e) {
      camera.stop();
      say(t(e.name === 'NotAllowedError' ? 'camera.denied' : 'camera.none'));
      return;
    }
    const take = button(t('photo.take'), () => { const c = camera.take(); camera.stop(); preview(c); }, 'button');
    stage.replaceChildren(camera.element, h('div', { class: 'actions' }, take, button(t('cancel'), start)));
    take.focus();
  }

  async function choose(chosen) {
    file.value = '';
    if (!chosen) return;
    try {
      preview(await picture.open(chosen));
    } catch (e) {
      if (!(e instanceof picture.Unreadable)) throw e;
      say(t(e.code));
    }
  }

  function preview(canvas) {
    const hint = picture.look(canvas, canvas.width, canvas.height);
    canvas.className = 'preview';
    canvas.setAttribute('role', 'img');
    canvas.setAttribute('aria-label', t('photo.preview'));
    const send = button(t('photo.send'), () => upload(canvas, send), 'button');
    stage.replaceChildren(h('div', { class: 'preview-frame' }, canvas),
      h('p', { class: 'camera-hint static', 'data-hint': hint, role: 'status' }, t(hint === 'good' ? 'hint.ready' : `hint.${hint}`)),
      h('div', { class: 'actions' }, send, button(t('photo.other'), start)));
    send.focus();
  }

  async function upload(canvas, send) {
    if (send.getAttribute('aria-busy')) return;
    send.setAttribute('aria-busy', 'true');
    const bar = h('progress', { max: 1, value: 0, 'aria-label': t('photo.sending') });
    bar.value = 0;
    const line = h('div', { class: 'sending' }, h('p', {}, t('photo.sending')), bar);
    stage.querySelector('.stage-error')?.remove();
    stage.append(line);
    app.say(t('photo.sending'));
    try {
      const jpeg = await picture.encode(canvas);
      const place = await state.current.photo(jpeg.type, jpeg.size);
      await api.upload(place, jpeg, (share) => { bar.value = share; });
      app.go('wait', { photo: place.n, settled: state.photoSettled(place.n) });
    } catch (error) {
      line.remove();
      send.removeAttribute('aria-busy');
      say(state.sentence(error));
    }
  }

  start();
  return {
    step: 'photo',
    title: t(refused ? 'photo.again' : 'photo.title'),
    body: [refused
      ? h('div', { class: 'notice warn', id: 'refusal', 'data-code': refused }, h('p', {}, h('strong', {}, t(refused === 'ok' ? 'photo.asked' : `photo.${refused}`))))
      : h('p', { class: 'lead' }, t('photo.lead')),
    h('section', { class: 'card', 'aria-label': t('photo.title') }, stage,
      h('p', { class: 'hint privacy' }, t('photo.private'))),
    h('p', { class: 'instead' }, t('photo.instead'), ' ', h('button', { type: 'button', class: 'link', id: 'instead', on: { click: () => app.go('age') } }, t('photo.instead.link')))],
    leave: () => camera.stop(),
  };
}

/** dateFields is the date of birth, or the age in years for who will not give it. */
export function dateFields() {
  const date = new DateForm();
  const years = text('age', t('age.years'), { inputmode: 'numeric', size: 3, class: 'w3' });
  const element = h('div', {}, date.element, h('details', {}, h('summary', {}, t('age.rather')), years));
  return {
    element,
    /** read returns {stated: {birth_date}|{age}, errors}. */
    read() {
      const typed = years.querySelector('input').value.trim();
      if (typed === '') {
        const { date: d, errors } = date.read();
        return { stated: { birth_date: d }, errors };
      }
      const n = /^\d{1,3}$/.test(typed) ? Number(typed) : NaN;
      return n <= 130 ? { stated: { age: n }, errors: [] } : { errors: [['age', t('error.age')]] };
    },
  };
}

/** sendAge states the age, making the case first where there is none. */
export async function sendAge(app, f, fields) {
  const { stated, errors } = fields.read();
  showErrors(f, errors);
  if (errors.length > 0) return;
  app.say(t('wait.moment'));
  if (!state.current) await state.open(null);
  const before = state.status?.quote?.cause ?? '';
  await state.current.age(stated);
  app.go('wait', { settled: state.factsSettled(before) });
}

function age(app) {
  const fields = dateFields();
  return {
    step: 'photo', title: t('age.title'),
    body: [h('p', { class: 'lead' }, t('age.lead')),
      form(app, { id: 'age-form', class: 'card' }, (f) => sendAge(app, f, fields), fields.element,
        h('div', { class: 'actions' }, submit(t('age.submit')), button(t('back'), () => history.back())))],
  };
}

/** wait tells what happens while the photo is read. */
function wait(app, { photo, settled }) {
  const stop = new AbortController();
  const late = h('p', { class: 'notice', hidden: true }, t('wait.late'));
  async function follow() {
    try {
      const done = await state.settle(settled || ((s) => s.state !== 'reading'), { photo, signal: stop.signal });
      if (stop.signal.aborted) return;
      if (done) app.outcome({ replace: true });
      else late.hidden = false;
    } catch (error) {
      if (!stop.signal.aborted) app.fail(error);
    }
  }
  return {
    step: 'photo', title: t('wait.title'),
    body: [h('section', { class: 'card' },
      h('div', { class: 'spinner', 'aria-hidden': 'true' }),
      h('p', { class: 'lead' }, t('wait.lead')),
      h('ol', { class: 'next' }, ['wait.1', 'wait.2', 'wait.3'].map((k) => h('li', {}, t(k)))),
      late, h('p', { class: 'hint' }, t('wait.close')))],
    shown: () => { app.say(t('wait.lead')); follow(); },
    leave: () => stop.abort(),
  };
}

export const steps = { facts, consent, photo, age, wait };
