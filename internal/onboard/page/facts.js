// The form of declared facts, built from what the API's terms say is sold.

import { h } from './dom.js';
import { chosen, group, measure, radios, select, text } from './forms.js';
import { has, local, number, t, wholeMoney } from './texts.js';

const CM_PER_INCH = 2.54;
const KG_PER_POUND = 0.45359237;

// Bounds of what can be a build at all, as package underwriting has them.
const HEIGHT_CM = [100, 250];
const WEIGHT_KG = [25, 400];
const KINDS = ['cigarettes', 'cigar', 'pipe', 'vape', 'smokeless', 'other'];

/** decimal reads a number as people type it, with a comma or a point; NaN for anything else. */
export function decimal(typed) {
  const s = typed.trim().replace(',', '.');
  return /^\d+(\.\d+)?$/.test(s) ? Number(s) : NaN;
}

/** whole reads a whole number with any grouping: 250,000 or 250.000 or 250 000; NaN for anything else. */
export function whole(typed) {
  const s = typed.trim();
  if (!/^\d{1,3}([., \u00a0\u202f']\d{3})+$|^\d+$/.test(s)) return NaN;
  return Number(s.replace(/\D/g, ''));
}

/** question is a question's wording: the catalogue's in this language, else that of the rules. */
const question = (q) => (has(`question.${q.id}`) ? t(`question.${q.id}`) : local(q.text));

const round1 = (x) => Math.round(x * 10) / 10;

/** parseTobacco splits never | former:YEARS | current[:KIND]. */
function parseTobacco(fact) {
  const [status, detail] = (fact || '').split(':');
  return { status, years: status === 'former' ? detail : '', kind: status === 'current' ? detail : '' };
}

/** FactsForm shows facts for correction, or an empty form. read returns {facts, errors}. */
export class FactsForm {
  #terms;
  #facts;
  #imperial;

  constructor(terms, facts) {
    this.#terms = terms;
    this.#facts = { ...facts };
    this.#facts.market ||= terms.markets[0].market;
    this.#imperial = this.#facts.market === 'US';
    this.element = h('div', { class: 'fields' });
    this.#draw();
  }

  get #market() { return this.#terms.markets.find((m) => m.market === this.#facts.market) || this.#terms.markets[0]; }

  get #product() { return this.#market.products.find((p) => p.id === this.#facts.product) || this.#market.products[0]; }

  // A change of market, product or unit asks other things; what was entered
  // and still fits stays.
  #again(change, focus) {
    const { facts } = this.#collect();
    this.#facts = { ...this.#facts, ...facts, ...change };
    this.#draw();
    this.element.querySelector(`#${focus}`).focus();
  }

  #draw() {
    const f = this.#facts;
    const m = this.#market;
    const p = this.#product;
    const tobacco = parseTobacco(f.tobacco);
    const currency = (m.currency || '');
    this.element.replaceChildren(...[
      h('h2', {}, t('facts.cover')),
      this.#terms.markets.length > 1 && select('market', t('facts.market'),
        this.#terms.markets.map((x) => [x.market, has(`market.${x.market}`) ? t(`market.${x.market}`) : x.market]),
        { value: m.market, on: { change: (e) => this.#again({ market: e.target.value, product: '', imperial: undefined, sum_cents: undefined }, 'market') } }),
      m.products.length > 1 && select('product', t('facts.product'), m.products.map((x) => [x.id, local(x.name) || x.id]),
        { value: p.id, on: { change: (e) => this.#again({ product: e.target.value }, 'product') } }),
      text('sum_cents', t('facts.sum'), {
        hint: t('facts.sum.hint', { min: wholeMoney(p.min_sum_cents, currency), max: wholeMoney(p.max_sum_cents, currency) }),
        before: currency, inputmode: 'numeric', value: f.sum_cents ? number(f.sum_cents / 100) : '',
      }),
      radios('term_years', t('facts.term'), p.terms.map((y) => [String(y), String(y)]), { inline: true, value: f.term_years ? String(f.term_years) : '' }),
      p.modes.length > 1 && select('mode', t('facts.mode'), p.modes.map((x) => [x, t(`mode.${x}`)]), { value: f.mode || p.default_mode }),

      h('h2', {}, t('facts.you')),
      m.sex && radios('sex', t('facts.sex'), [['female', t('sex.female')], ['male', t('sex.male')]], { inline: true, hint: t('facts.sex.hint'), value: f.sex }),
      this.#build(),
      radios('tobacco', t('facts.tobacco'), [
        ['never', t('tobacco.never')],
        ['former', t('tobacco.former'), h('div', { class: 'under' }, text('tobacco_years', t('facts.tobacco.years'), { inputmode: 'decimal', value: tobacco.years, unit: t('unit.years') }))],
        ['current', t('tobacco.current'), h('div', { class: 'under' }, select('tobacco_kind', t('facts.tobacco.kind'), KINDS.map((k) => [k, t(`tobacco.kind.${k}`)]), { value: tobacco.kind }))],
      ], { value: tobacco.status, hint: t('facts.tobacco.hint') }),

      m.questions?.length > 0 && [
        h('h2', {}, t('facts.questions')),
        m.questions.map((q) => radios(`answer-${q.id}`, question(q), [['yes', t('yes')], ['no', t('no')]],
          { inline: true, value: f.answers && q.id in f.answers ? (f.answers[q.id] ? 'yes' : 'no') : '' })),
      ],
    ].flat(Infinity).filter(Boolean));
  }

  #build() {
    const f = this.#facts;
    const units = h('p', { class: 'units' },
      h('button', { type: 'button', class: 'link', id: 'units', on: { click: () => { const { facts } = this.#collect(); this.#imperial = !this.#imperial; this.#facts = { ...this.#facts, ...facts }; this.#draw(); this.element.querySelector('#units').focus(); } } },
        t(this.#imperial ? 'facts.units.metric' : 'facts.units.imperial')));
    if (!this.#imperial) {
      return [
        text('height_cm', t('facts.height'), { unit: 'cm', inputmode: 'decimal', class: 'w4', value: f.height_cm ? number(f.height_cm, 1) : '' }),
        text('weight_kg', t('facts.weight'), { unit: 'kg', inputmode: 'decimal', class: 'w4', value: f.weight_kg ? number(f.weight_kg, 1) : '' }), units];
    }
    const inches = f.height_cm ? Math.round(f.height_cm / CM_PER_INCH * 2) / 2 : 0;
    return [
      group('height_cm', t('facts.height'),
        measure('height_cm', t('facts.height.ft'), t('unit.ft'), { inputmode: 'numeric', value: inches ? Math.floor(inches / 12) : '' }),
        measure('height_in', t('facts.height.in'), t('unit.in'), { inputmode: 'decimal', value: inches ? number(inches % 12, 1) : '' })),
      text('weight_kg', t('facts.weight'), { unit: t('unit.lb'), inputmode: 'decimal', class: 'w4', value: f.weight_kg ? number(Math.round(f.weight_kg / KG_PER_POUND), 1) : '' }), units];
  }

  read() { return this.#collect(); }

  #collect() {
    const form = this.element.closest('form');
    const field = (id) => this.element.querySelector(`#${id}`)?.value ?? '';
    const p = this.#product;
    const m = this.#market;
    const errors = [];
    const facts = { market: m.market, product: p.id, mode: field('mode') || p.default_mode };
    if (!form) return { facts: {}, errors };

    const sum = whole(field('sum_cents'));
    if (Number.isNaN(sum) || sum * 100 < p.min_sum_cents || sum * 100 > p.max_sum_cents) {
      errors.push(['sum_cents', t('error.sum', { min: wholeMoney(p.min_sum_cents, m.currency), max: wholeMoney(p.max_sum_cents, m.currency) })]);
    }
    if (!Number.isNaN(sum)) facts.sum_cents = sum * 100;

    const term = chosen(form, 'term_years');
    if (term) facts.term_years = Number(term);
    else errors.push(['term_years', t('error.term')]);

    if (m.sex) {
      const sex = chosen(form, 'sex');
      if (sex) facts.sex = sex;
      else errors.push(['sex', t('error.sex')]);
    }
    this.#collectBuild(field, facts, errors);
    this.#collectTobacco(form, field, facts, errors);
    for (const q of m.questions || []) {
      const answer = chosen(form, `answer-${q.id}`);
      if (answer) (facts.answers ||= {})[q.id] = answer === 'yes';
      else errors.push([`answer-${q.id}`, t('error.answer', { question: question(q) })]);
    }
    return { facts, errors };
  }

  #collectBuild(field, facts, errors) {
    let cm = decimal(field('height_cm'));
    let kg = decimal(field('weight_kg'));
    if (this.#imperial) {
      const inches = field('height_in').trim() === '' ? 0 : decimal(field('height_in'));
      cm = inches < 12 ? round1((cm * 12 + inches) * CM_PER_INCH) : NaN;
      kg = round1(kg * KG_PER_POUND);
    }
    if (cm >= HEIGHT_CM[0] && cm <= HEIGHT_CM[1]) facts.height_cm = cm;
    else errors.push(['height_cm', t(this.#imperial ? 'error.height.ft' : 'error.height')]);
    if (kg >= WEIGHT_KG[0] && kg <= WEIGHT_KG[1]) facts.weight_kg = kg;
    else errors.push(['weight_kg', t(this.#imperial ? 'error.weight.lb' : 'error.weight')]);
  }

  #collectTobacco(form, field, facts, errors) {
    switch (chosen(form, 'tobacco')) {
      case 'never':
        facts.tobacco = 'never';
        return;
      case 'former': {
        const years = decimal(field('tobacco_years'));
        if (years >= 0 && years <= 100) facts.tobacco = `former:${years}`;
        else errors.push(['tobacco_years', t('error.tobacco.years')]);
        return;
      }
      case 'current':
        facts.tobacco = `current:${field('tobacco_kind')}`;
        return;
      default:
        errors.push(['tobacco', t('error.tobacco')]);
    }
  }
}

/** DateForm asks for a date of birth in three fields. read returns {date, errors}. */
export class DateForm {
  constructor() {
    const part = (id, label, complete, digits) => measure(id, t(label), '', { inputmode: 'numeric', autocomplete: complete, maxlength: digits, class: digits === 4 ? 'w4' : 'w2' });
    this.element = group('birth_date', t('age.birth'),
      part('birth_date', 'age.day', 'bday-day', 2), part('birth_month', 'age.month', 'bday-month', 2), part('birth_year', 'age.year', 'bday-year', 4));
    this.element.querySelector('legend').after(h('p', { class: 'hint' }, t('age.birth.hint')));
  }

  read() {
    const part = (id) => Number(this.element.querySelector(`#${id}`).value.trim() || NaN);
    const [d, m, y] = [part('birth_date'), part('birth_month'), part('birth_year')];
    const date = new Date(Date.UTC(y, m - 1, d));
    const real = y > 1800 && date.getUTCFullYear() === y && date.getUTCMonth() === m - 1 && date.getUTCDate() === d;
    if (!real || date > new Date()) return { errors: [['birth_date', t('error.birth')]] };
    return { date: date.toISOString().slice(0, 10), errors: [] };
  }
}
