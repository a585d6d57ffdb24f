// The message catalogue and the formats of one language. Every word that a
// person reads comes from texts/<language>.json.

/** LANGUAGES are those that the page is in, as its html element says. */
export const LANGUAGES = document.documentElement.dataset.languages.split(' ');

let language = 'en';
let catalogue = {};

/** pick returns the language that the address asks for, else the browser's. */
export function pick() {
  const asked = [new URLSearchParams(location.search).get('lang'), ...navigator.languages];
  for (const tag of asked) {
    const l = (tag || '').slice(0, 2).toLowerCase();
    if (LANGUAGES.includes(l)) return l;
  }
  return 'en';
}

export async function use(l) {
  const answer = await fetch(`page/texts/${l}.json`);
  if (!answer.ok) throw new Error(`texts: ${answer.status}`);
  catalogue = await answer.json();
  language = l;
  document.documentElement.lang = l;
}

export const lang = () => language;

/** has tells whether the catalogue has the key. */
export const has = (key) => Object.hasOwn(catalogue, key);

/** t returns a text, {names} filled in. */
export function t(key, values = {}) {
  if (!has(key)) return key;
  return catalogue[key].replace(/\{(\w+)\}/g, (all, name) => (name in values ? String(values[name]) : all));
}

/** local picks the language's text of an object such as {en, de}. */
export function local(text) {
  if (text === null || typeof text !== 'object') return text || '';
  return text[language] || text.en || Object.values(text)[0] || '';
}

export function money(cents, currency) {
  return new Intl.NumberFormat(language, { style: 'currency', currency }).format(cents / 100);
}

export function wholeMoney(cents, currency) {
  return new Intl.NumberFormat(language, { style: 'currency', currency, maximumFractionDigits: 0 }).format(cents / 100);
}

export function number(x, digits = 0) {
  return new Intl.NumberFormat(language, { maximumFractionDigits: digits }).format(x);
}

export function percent(x) {
  return new Intl.NumberFormat(language, { style: 'percent', maximumFractionDigits: 0 }).format(x);
}

/** day prints a date such as 2026-12-24 without shifting it by the time zone. */
export function day(iso) {
  const d = new Date(iso.length === 10 ? `${iso}T00:00:00Z` : iso);
  return new Intl.DateTimeFormat(language, { dateStyle: 'long', timeZone: iso.length === 10 ? 'UTC' : undefined }).format(d);
}
