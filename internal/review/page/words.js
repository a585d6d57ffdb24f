// Small pieces of text that several views share.

import { h } from './dom.js';
import { has, lang, money, number, t, wholeMoney } from './texts.js';

/** sentence puts a problem into words. */
export function sentence(error) {
  const key = `problem.${error.code}`;
  const { by, time, until } = error.body?.conflict || {};
  if (error.code && has(key)) return t(key, { by: by || t('somebody'), time: when(time), until: clock(until) });
  return t('problem.general');
}

/** word is the catalogue's word for a code, or the code itself with its underscores as spaces. */
export const word = (kind, code) => (has(`${kind}.${code}`) ? t(`${kind}.${code}`) : String(code).replaceAll('_', ' '));

/** firstWord is the word of the first of the kinds that has the code. */
export const firstWord = (kinds, code) => word(kinds.find((k) => has(`${k}.${code}`)) || '', code);

/** when prints a moment, without what it shares with this one: the day, or the year. */
export function when(iso) {
  if (!iso) return '';
  const d = new Date(iso);
  const now = new Date();
  const time = { hour: 'numeric', minute: '2-digit' };
  const year = d.getFullYear() === now.getFullYear() ? {} : { year: 'numeric' };
  const format = d.toDateString() === now.toDateString() ? time : { ...time, ...year, day: 'numeric', month: 'short' };
  return new Intl.DateTimeFormat(lang(), format).format(d);
}

/** date prints a date such as 2026-12-24. */
export const date = (iso) => new Intl.DateTimeFormat(lang(), { dateStyle: 'medium', timeZone: 'UTC' }).format(new Date(`${iso.slice(0, 10)}T00:00:00Z`));

/** clock prints the time of day. */
export const clock = (iso) => (iso ? new Intl.DateTimeFormat(lang(), { timeStyle: 'short' }).format(new Date(iso)) : '');

/** stamp is a moment as an element, with the exact one in its datetime. */
export const stamp = (iso) => h('time', { datetime: iso }, when(iso));

/** waited prints how long something has waited, in its two largest units. */
export function waited(iso) {
  const minutes = Math.max(0, Math.floor((Date.now() - new Date(iso)) / 60_000));
  const days = Math.floor(minutes / 1440);
  const hours = Math.floor((minutes % 1440) / 60);
  if (days > 0) return t('waited.days', { days, hours });
  if (hours > 0) return t('waited.hours', { hours, minutes: minutes % 60 });
  return t('waited.minutes', { minutes });
}

/** years prints an age as the estimate has it, with at most one decimal. */
export const years = (x) => (x === null || x === undefined ? '–' : number(x, 1));

/** cents prints an amount, a dash where there is none. */
export const cents = (x, currency) => (x === null || x === undefined ? '–' : money(x, currency));

/** sum prints a sum assured; a case whose facts name no product has no currency. */
export function sum(x, currency) {
  if (!x) return t('sum.none');
  return currency ? wholeMoney(x, currency) : number(x / 100);
}

/** list is a definition list of [term, description]; pairs without a description are left out. */
export function list(pairs, props = {}) {
  return h('dl', { class: 'facts', ...props }, pairs.filter((p) => p && p[1] !== null && p[1] !== undefined && p[1] !== '')
    .map(([term, description]) => h('div', {}, h('dt', {}, term), h('dd', {}, description))));
}

/** table is a table of rows; its first cells are headings. numeric columns are set right. */
export function table(caption, head, rows, { numeric = [], ...props } = {}) {
  const cls = (i) => (numeric.includes(i) ? 'number' : null);
  return h('div', { class: 'scroll', tabindex: '0' },
    h('table', props, h('caption', { class: 'hidden' }, caption),
      h('thead', {}, h('tr', {}, head.map((x, i) => h('th', { scope: 'col', class: cls(i) }, x)))),
      h('tbody', {}, rows.map((cells) => h('tr', {}, cells.map((x, i) => h(i === 0 ? 'th' : 'td', { scope: i === 0 ? 'row' : null, class: cls(i) }, x)))))));
}

/** terms prints what a case is quoted on. */
export function terms(x, currency) {
  if (!x) return '–';
  return [x.decision && word('decision', x.decision), x.class, x.rating && t('rating', { rating: x.rating }),
    x.price_age !== null && x.price_age !== undefined && t('terms.age', { age: x.price_age }), x.gross_annual_cents && currency && money(x.gross_annual_cents, currency)].filter(Boolean).join(', ') || '–';
}
