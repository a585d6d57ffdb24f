// What became of the application: the quote, or why there is none yet, and all
// that a customer may do then.

import { h } from './dom.js';
import { day, has, lang, local, money, number, percent, t, wholeMoney } from './texts.js';
import * as state from './state.js';
import { chart } from './chart.js';
import { showErrors } from './forms.js';
import { FactsForm } from './facts.js';
import { button, dateFields, form, sendAge, submit } from './steps.js';

const MOST_REASONS = 4; // to a customer; an underwriter sees all

/** forStatus names the view of a status. */
function forStatus(status) {
  switch (status.state) {
    case 'waiting':
    case 'another_photo': return 'photo';
    case 'reading': return 'wait';
    case 'quoted': return 'quoted';
    case 'with_a_person': return 'person';
    case 'postponed': return 'postponed';
    case 'declined': return 'declined';
    case 'proof_of_age': return 'proof';
    case 'evidence': return 'evidence';
    default: return 'person';
  }
}

const reasonText = (r) => (has(`reason.${r.code}`) ? t(`reason.${r.code}`) : r.sentence);

function reasons(quote) {
  const all = (quote?.principal?.length ? quote.principal : quote?.reasons) || [];
  const words = [...new Set(all.map((r) => (typeof r === 'string' ? reasonText({ code: r, sentence: r }) : reasonText(r))))].slice(0, MOST_REASONS);
  if (words.length === 0) return null;
  return h('section', { class: 'card', id: 'reasons' }, h('h2', {}, t('reasons.title')), h('ul', {}, words.map((w) => h('li', {}, w))));
}

const modeOf = (q) => (has(`mode.per.${q.mode}`) ? q.mode : 'annual');

function premium(q, amounts) {
  return amounts.modal_cents === null || amounts.modal_cents === undefined ? t('quote.none') : money(amounts.modal_cents, q.currency);
}

/** charged says which premium is quoted: at the declared, estimated or high age, or the expected one. */
const charged = (q) => q.basis?.charged || (q.basis?.price_age_source === 'estimate' ? 'estimated' : 'declared');

/** price is the premium itself with what it is for. */
function price(q) {
  const sum = q.basis?.sum_cents ?? state.status.facts?.sum_cents;
  const term = q.basis?.term_years ?? state.status.facts?.term_years;
  return h('section', { class: 'card price', 'aria-labelledby': 'price-title' },
    h('h2', { id: 'price-title' }, t(`quote.price.${charged(q)}`, { age: q.basis?.price_age })),
    h('p', { class: 'amount', id: 'premium' }, h('strong', {}, premium(q, q)), ' ', h('span', {}, t(`mode.per.${modeOf(q)}`))),
    modeOf(q) !== 'annual' && q.gross_annual_cents !== null && h('p', { class: 'hint' }, t('quote.year', { amount: money(q.gross_annual_cents, q.currency) })),
    h('p', {}, t('quote.cover', { sum: wholeMoney(sum, q.currency), years: number(term) })),
    h('dl', { class: 'facts' },
      q.class && [h('dt', {}, t('quote.class')), h('dd', {}, q.class)],
      h('dt', {}, t('quote.expires')), h('dd', { id: 'expires' }, day(q.expires))));
}

const ends = (i) => ({ low: number(i.low), high: number(i.high), coverage: percent(i.coverage ?? 0.9) });

/** check says what the photo was used for beside a stated age: a check. */
function check(i) {
  return h('section', { class: 'card' }, h('h2', {}, t('check.title')), h('p', { id: 'check' }, t('check.words', ends(i))));
}

/** range is the interval in words, as a picture and as a table. */
function range(q) {
  const i = q.interval;
  if (!i) return null;
  if (q.basis?.price_age_source !== 'estimate' || !q.at) return check(i);
  const average = charged(q) === 'expected';
  const points = [['low', q.at.low], ['estimated', q.at.estimated], ['high', q.at.high]];
  const priced = points.map(([, x]) => x).filter((x) => x.modal_cents !== null && x.modal_cents !== undefined);
  const title = priced.length > 1
    ? t('chart.title', { low: premium(q, priced[0]), lowAge: priced[0].age, high: premium(q, priced.at(-1)), highAge: priced.at(-1).age, per: t(`mode.per.${modeOf(q)}`) })
    : t('chart.title.one');
  return h('section', { class: 'card', 'aria-labelledby': 'range-title' },
    h('h2', { id: 'range-title' }, t('range.title')),
    h('p', { id: 'interval' }, t('range.words', { age: number(i.age), ...ends(i) })),
    h('figure', {}, chart(points.map(([name, x]) => ({
      age: t('chart.age', { age: x.age }), amount: x.modal_cents ?? null, label: premium(q, x), name: t(`chart.${name}`), main: name === charged(q),
    })), title, average ? q.modal_cents : null), average && h('figcaption', {}, t('range.average'))),
    h('details', {}, h('summary', {}, t('range.table')),
      h('table', {},
        h('caption', { class: 'hidden' }, t('range.table')),
        h('thead', {}, h('tr', {}, ['range.col.age', 'range.col.premium', 'range.col.year'].map((k) => h('th', { scope: 'col' }, t(k))))),
        h('tbody', {}, points.map(([name, x]) => h('tr', {},
          h('th', { scope: 'row' }, t('chart.age', { age: x.age }), ' ', h('span', { class: 'hint' }, t(`chart.${name}`))),
          h('td', {}, premium(q, x)),
          h('td', {}, x.gross_annual_cents === null || x.gross_annual_cents === undefined ? reasonText({ code: x.reason, sentence: t('quote.none') }) : money(x.gross_annual_cents, q.currency))))))),
    !average && typeof q.expected_gross_annual_cents === 'number' && h('p', { class: 'hint' }, t('range.expected', { amount: money(q.expected_gross_annual_cents, q.currency) })));
}

/** onePrice asks for the date of birth beside the range that the photo gives. */
function onePrice(app, q) {
  if (q.basis?.price_age_source !== 'estimate') return null;
  const fields = dateFields();
  return form(app, { id: 'one-price', class: 'card accent', 'aria-labelledby': 'one-title' }, (f) => sendAge(app, f, fields),
    h('h2', { id: 'one-title' }, t('one.title')), h('p', {}, t('one.text')), fields.element,
    h('div', { class: 'actions' }, submit(t('one.submit'))));
}

function notices(q) {
  return h('section', { class: 'card quiet' }, h('h2', {}, t('notices.title')),
    h('ul', {}, ['notice.indicative', 'notice.read', 'notice.liveness'].map((k) => h('li', {}, t(k))),
      q?.model_use === 'research' && h('li', {}, t('notice.research'))),
    q?.notices?.length > 0 && h('details', {}, h('summary', {}, t('notices.product')), h('ul', { lang: 'en' }, q.notices.map((n) => h('li', {}, n)))));
}

/** record lists the photos with what became of each. */
function record() {
  const { photos } = state.status;
  if (photos.length === 0) return null;
  return h('section', { class: 'card', id: 'record' }, h('h2', {}, t('record.title')),
    h('ol', {}, photos.map((p) => h('li', { 'data-code': p.code }, h('strong', {}, t('record.photo', { n: p.n })), ' ', t(`photo.${p.code}`)))));
}

/** actions are all that can be done now; the quote asks for the age beside its range. */
function actions(app, { askAge = false } = {}) {
  const { facts } = state.status;
  const stated = facts.birth_date || typeof facts.age === 'number';
  const items = [
    askAge && !stated && ['age', () => app.go('age')],
    ['correct', () => app.go('correct')],
    ['another', () => app.go('photo')],
    ['letter', () => app.go('letter')],
    ['person', () => app.go('ask')],
    ['complain', () => app.go('complain')],
    ['remove', () => app.go('remove')],
  ].filter(Boolean);
  return h('section', { class: 'card', id: 'actions' }, h('h2', {}, t('actions.title')),
    h('ul', { class: 'menu' }, items.map(([name, click]) => h('li', {}, h('button', { type: 'button', id: `do-${name}`, class: 'menu-item', on: { click } },
      h('span', {}, t(`action.${name}`)), h('span', { class: 'hint' }, t(`action.${name}.hint`)))))));
}

function keepLink(app) {
  const done = h('span', { class: 'copied', 'aria-hidden': 'true' });
  return h('section', { class: 'card quiet', id: 'keep' }, h('h2', {}, t('link.title')), h('p', {}, t('link.text')),
    h('div', { class: 'actions' }, button(t('link.copy'), async () => {
      let words = t('link.copied');
      try { await navigator.clipboard.writeText(state.link()); } catch { words = t('link.failed'); }
      done.textContent = words;
      app.say(words);
    }), done));
}

function quoted(app) {
  const q = state.status.quote;
  return {
    step: 'quote', title: t('quote.title'),
    body: [h('p', { class: 'lead' }, t(q.basis?.price_age_source === 'estimate' ? 'quote.lead.estimated' : 'quote.lead.stated')),
      h('div', { class: 'columns' },
        h('div', {}, price(q), range(q)),
        h('div', {}, onePrice(app, q), reasons(q), record(), keepLink(app))),
      actions(app), notices(q)],
    shown: () => app.say(t('quote.said', { amount: premium(q, q), per: t(`mode.per.${modeOf(q)}`) })),
  };
}

/** undecided is a view of an application without a price for the customer. */
const undecided = (key) => (app) => {
  const { waiting_since: since, photo } = state.status;
  const failed = key === 'person' && !state.status.quote;
  return {
    step: 'quote', title: t(`${key}.title`),
    body: [h('p', { class: 'lead' }, t(failed && photo ? `${key}.failed` : `${key}.lead`)),
      ['person', 'proof', 'evidence'].includes(key) && h('section', { class: 'card' }, h('h2', {}, t('next.title')),
        since && h('p', {}, t('person.since', { date: day(since) })),
        h('ol', { class: 'next' }, [`${key}.1`, `${key}.2`, `${key}.3`].map((k) => h('li', {}, t(k))))),
      reasons(state.status.quote), record(), keepLink(app), actions(app, { askAge: true }), notices(state.status.quote)],
    shown: () => app.say(t(`${key}.title`)),
  };
};

function correct(app) {
  const before = state.status?.quote?.cause ?? '';
  const known = state.status.facts || {};
  const entered = new FactsForm(state.terms, known);
  return {
    title: t('correct.title'),
    body: [h('p', { class: 'lead' }, t('correct.lead')),
      form(app, { id: 'facts', class: 'card' }, async (f) => {
        const { facts, errors } = entered.read();
        showErrors(f, errors);
        if (errors.length > 0) return;
        // The age is stated on a page of its own; a correction keeps it.
        if (known.birth_date) facts.birth_date = known.birth_date;
        if (known.age !== undefined && known.age !== null) facts.age = known.age;
        app.say(t('wait.moment'));
        await state.current.facts(facts);
        app.go('wait', { settled: state.factsSettled(before) });
      }, entered.element, h('div', { class: 'actions' }, submit(t('correct.submit')), button(t('cancel'), () => app.outcome())))],
  };
}

function ask(app) {
  return {
    title: t('ask.title'),
    body: form(app, { id: 'ask-form', class: 'card' }, async () => {
      await state.current.person();
      await state.refresh();
      state.setFlash(t('ask.done'));
      app.outcome({ replace: true });
    }, h('p', {}, t('ask.text')), h('div', { class: 'actions' }, submit(t('ask.submit')), button(t('cancel'), () => app.outcome()))),
  };
}

const LONGEST_COMPLAINT = 4000; // characters

function complain(app) {
  const area = h('textarea', { id: 'text', name: 'text', rows: 6, maxlength: LONGEST_COMPLAINT, 'aria-describedby': 'text-hint text-error' });
  return {
    title: t('complain.title'),
    body: form(app, { id: 'complain-form', class: 'card' }, async (f) => {
      const words = area.value.trim();
      showErrors(f, words ? [] : [['text', t('error.complaint')]]);
      if (!words) return;
      await state.current.complain(words);
      state.setFlash(t('complain.done'));
      app.outcome({ replace: true });
    },
    h('div', { class: 'field', 'data-field': 'text' }, h('label', { for: 'text' }, t('complain.label')),
      h('p', { class: 'hint', id: 'text-hint' }, t('complain.hint')), h('p', { class: 'error', id: 'text-error', hidden: true }), area),
    h('div', { class: 'actions' }, submit(t('complain.submit')), button(t('cancel'), () => app.outcome()))),
  };
}

function letter(app) {
  const paper = h('pre', { class: 'letter', id: 'letter', tabindex: '0', 'aria-label': t('letter.title') }, t('wait.moment'));
  return {
    title: t('letter.title'),
    body: [h('p', {}, t('letter.lead')), paper, h('div', { class: 'actions' },
      button(t('letter.print'), () => window.print(), 'button'), button(t('back'), () => app.outcome()))],
    async shown() {
      try { paper.textContent = await state.current.letter(lang()); } catch (e) { paper.textContent = ''; app.fail(e); }
    },
  };
}

function remove(app) {
  return {
    title: t('remove.title'),
    body: [h('p', { class: 'lead' }, t('remove.lead')),
      form(app, { id: 'remove-form', class: 'card' }, async () => {
        const receipt = await state.current.remove();
        state.close();
        app.go('receipt', { replace: true, receipt });
      }, h('h2', {}, t('remove.what')), h('ul', {}, ['remove.1', 'remove.2', 'remove.3'].map((k) => h('li', {}, t(k)))),
      h('p', {}, t('remove.sure')),
      h('div', { class: 'actions' }, submit(t('remove.submit'), 'danger'), button(t('cancel'), () => app.outcome())))],
  };
}

let lastReceipt = null; // for another language, or Back

/** removed and kept put a word of the receipt into the customer's language. */
const removedText = (what) => (has(`receipt.removed.${what}`) ? t(`receipt.removed.${what}`) : what.replaceAll('_', ' '));
const keptText = ({ what, why }) => (has(`receipt.kept.${what}`) ? t(`receipt.kept.${what}`) : `${what.replaceAll('_', ' ')}: ${why}`);

function receipt(app, { receipt: r }) {
  lastReceipt = r || lastReceipt;
  const list = (items, words) => h('ul', {}, items.map((x) => h('li', {}, words(x))));
  const { removed, kept } = lastReceipt || {};
  return {
    title: t('receipt.title'),
    body: [h('p', { class: 'lead' }, t('receipt.lead')),
      h('section', { class: 'card', id: 'receipt' },
        h('dl', { class: 'facts' },
          lastReceipt?.receipt && [h('dt', {}, t('receipt.number')), h('dd', {}, h('code', {}, lastReceipt.receipt))],
          lastReceipt?.time && [h('dt', {}, t('receipt.time')), h('dd', {}, day(lastReceipt.time))]),
        removed?.length > 0 && [h('h2', {}, t('receipt.removed')), list(removed, removedText)],
        kept?.length > 0 && [h('h2', {}, t('receipt.kept')), list(kept, keptText)]),
      h('div', { class: 'actions' }, button(t('letter.print'), () => window.print(), 'button'),
        button(t('start.over'), () => app.go('facts')))],
  };
}

export const outcomes = {
  forStatus, quoted,
  person: undecided('person'),
  postponed: undecided('postponed'),
  declined: undecided('declined'),
  proof: undecided('proof'),
  evidence: undecided('evidence'),
  correct, ask, complain, letter, remove, receipt,
};
