// The form of a decision. What the server would refuse is refused here on the
// spot, in the same fields.

import { h } from './dom.js';
import { money, t } from './texts.js';
import { radios, select, showErrors, text } from './forms.js';
import * as api from './api.js';
import { terms, word } from './words.js';

const MONTHS = [1, 3, 6, 12, 24];

const area = (id, label, hint) => h('div', { class: 'field', 'data-field': id },
  h('label', { for: id }, label), hint && h('p', { class: 'hint', id: `${id}-hint` }, hint), h('p', { class: 'error', id: `${id}-error`, hidden: true }),
  h('textarea', { id, name: id, rows: 3, maxlength: 2000, 'aria-describedby': [hint && `${id}-hint`, `${id}-error`].filter(Boolean).join(' ') }));

export class Decision {
  #app;
  #case;
  #done;
  #stale;
  #busy = false;

  constructor(app, c, action, { done, cancel, stale }) {
    this.#app = app;
    this.#case = c;
    this.#done = done;
    this.#stale = stale;
    this.action = action;
    this.draft = `draft-${c.case}-${action}`; // what was written outlives a new sign-in
    const { codes = [], needed = false } = app.reasons.actions.find((a) => a.action === action) || {};
    this.codes = codes.map((code) => [code, app.reasons.codes.find((x) => x.code === code)?.sentence || code]);
    this.needed = needed; // the action goes against what the rules say
    this.title = h('h3', { id: 'decision-title' });
    this.submit = h('button', { type: 'submit', class: 'main', id: 'send' });
    this.past = h('p', { class: 'hint', id: 'past', hidden: true }, t('decide.past'));
    this.element = h('form', { class: `decision ${action}`, id: 'decision', novalidate: true, 'aria-labelledby': 'decision-title', on: { submit: (e) => { e.preventDefault(); this.#send(); }, input: () => this.#keep() } },
      this.title, h('p', {}, this.#effect()), this.past,
      this.#fields(),
      h('div', { class: 'buttons' }, this.submit, h('button', { type: 'button', id: 'cancel', on: { click: cancel } }, t('cancel'), h('kbd', {}, 'Esc'))));
    this.#suggest((c.needs_confirmation || []).includes(action));
    this.#restore();
  }

  /** #suggest makes the form one of a suggestion, or of a decision. */
  #suggest(suggests) {
    this.suggests = suggests;
    const name = word('action', this.action);
    this.title.textContent = suggests ? t('decide.suggest', { action: name }) : name;
    this.past.hidden = !suggests;
    this.submit.replaceChildren(suggests ? t('decide.send.suggest') : t(`send.${this.action}`), h('kbd', {}, 'Enter'));
  }

  /** focus goes to the first field, or to the button where nothing is to be filled in. */
  focus() {
    const first = this.element.querySelector('[data-needed] select, [data-needed] input, [data-needed] textarea') || this.submit;
    first.focus({ preventScroll: true });
    this.element.scrollIntoView({ block: 'nearest' });
  }

  #effect() {
    const q = this.#case.quote;
    if (this.action === 'accept') {
      const priced = q?.gross_annual_cents !== null && q?.gross_annual_cents !== undefined;
      return priced ? t('effect.accept', { class: q.class, amount: money(q.gross_annual_cents, q.currency), age: q.basis.price_age }) : t('effect.accept.unpriced');
    }
    if (this.action === 'confirm' || this.action === 'return') {
      const last = this.#case.decisions?.at(-1);
      return t(`effect.${this.action}`, { by: last?.by || t('somebody'), action: word('action', last?.suggested || ''), terms: terms(last?.after, q?.currency) });
    }
    return t(`effect.${this.action}`);
  }

  #fields() {
    const q = this.#case.quote;
    const needed = (field) => { field.setAttribute('data-needed', ''); return field; };
    const fields = [];
    if (this.action === 'change') {
      const classes = this.#case.classes || [];
      const keep = ['', t('keep', { what: q?.class || t('nothing') })];
      fields.push(h('div', { class: 'row-fields', 'data-needed': '' },
        classes.length > 0 ? select('class', t('fact.class'), [keep, ...classes.filter((c) => c !== q?.class).map((c) => [c, c])]) : text('class', t('fact.class'), { value: q?.class || '' }),
        select('rating', t('fact.rating'), [['', t('keep', { what: q?.basis?.rating || t('rating.none') })], ...this.#app.reasons.ratings.map((r) => [r, r === 'none' ? t('rating.none') : t('rating', { rating: r })])]),
        text('price_age', t('fact.price_age'), { inputmode: 'numeric', maxlength: 3, value: '', placeholder: q?.basis?.price_age ?? '' })));
    }
    if (this.action === 'postpone') fields.push(needed(select('postpone_months', t('postpone.months'), MONTHS.map((n) => [String(n), t('unit.months', { n })]), { value: '6' })));
    if (this.needed) {
      const reason = select('reason', t('decide.reason'), [['', t('decide.reason.choose')], ...this.codes]);
      fields.push(fields.length > 0 ? reason : needed(reason), area('text', t('decide.text'), t('decide.text.hint')));
    } else if (this.action === 'return') {
      fields.push(needed(area('text', t('decide.text'), t('decide.text.hint'))));
    } else {
      fields.push(h('details', {}, h('summary', {}, t('decide.note')), area('text', t('decide.text'), t('decide.text.hint'))));
    }
    return fields;
  }

  #read() {
    const value = (id) => this.element.querySelector(`#${id}`)?.value.trim() || '';
    const decision = { action: this.action, quote: this.#case.quote_name, n: this.#case.next };
    const errors = [];
    const { action } = this;
    if (action === 'change') {
      const change = {};
      if (value('class') && value('class') !== this.#case.quote?.class) change.class = value('class');
      if (value('rating')) change.rating = value('rating');
      if (value('price_age')) {
        if (/^\d{1,3}$/.test(value('price_age'))) change.price_age = Number(value('price_age'));
        else errors.push(['price_age', t('error.age')]);
      }
      if (Object.keys(change).length === 0 && errors.length === 0) errors.push(['class', t('error.change')]);
      decision.change = change;
    }
    if (action === 'postpone') decision.postpone_months = Number(value('postpone_months'));
    if (this.needed) {
      if (!value('reason')) errors.push(['reason', t('error.reason')]);
      if (!value('text')) errors.push(['text', t('error.text')]);
    } else if (action === 'return' && !value('text')) {
      errors.push(['text', t('error.text')]);
    }
    if (value('reason')) decision.reason = value('reason');
    if (value('text')) decision.text = value('text');
    return { decision, errors };
  }

  async #send() {
    if (this.#busy) return;
    const { decision, errors } = this.#read();
    showErrors(this.element, errors);
    if (errors.length > 0) return;
    if (this.suggests) Object.assign(decision, { action: 'suggest', suggested: this.action });
    this.#busy = true;
    this.submit.setAttribute('aria-busy', 'true');
    try {
      await api.decide(this.#case.case, decision);
      sessionStorage.removeItem(this.draft);
      // What was chosen, also where it was a blind second look: who decides is
      // not to learn which cases are.
      this.#done(decision.action);
    } catch (error) {
      this.#refused(error);
    } finally {
      this.#busy = false;
      this.submit.removeAttribute('aria-busy');
    }
  }

  #refused(error) {
    if (error.status === 422 && error.fields.length > 0) {
      showErrors(this.element, error.fields.map((f) => [f.field.replace(/^change\./, ''), f.sentence]));
      return;
    }
    if (error.code === 'authority') {
      this.#suggest(true);
      this.#app.notice(t('problem.authority'), { kind: 'warn' });
      this.submit.focus();
      return;
    }
    this.#app.fail(error);
    // Somebody was first, or holds the case: what is shown here is no longer so.
    if (error.status === 409) this.#stale();
  }

  #keep() {
    const fields = [...this.element.querySelectorAll('input, select, textarea')].map((e) => [e.id, e.value]);
    sessionStorage.setItem(this.draft, JSON.stringify(fields));
  }

  #restore() {
    for (const [id, value] of JSON.parse(sessionStorage.getItem(this.draft) || '[]')) {
      const field = this.element.querySelector(`#${CSS.escape(id)}`);
      if (field) field.value = value;
    }
  }
}
