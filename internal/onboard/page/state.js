// What the page knows: the terms, the case in the address, its status, and the
// facts entered before there is a case. The case and its secret are kept in the
// address's fragment, which no server sees, so that a closed tab loses nothing;
// nothing is kept on the device beyond the tab.

import { h } from './dom.js';
import { has, t } from './texts.js';
import * as api from './api.js';

export let terms = null;
export let current = null; // api.Case
export let status = null;
export let draft = {}; // facts, before there is a case

let flash = '';

export function setTerms(x) { terms = x; }

export function setDraft(facts) {
  draft = facts;
  sessionStorage.setItem('draft', JSON.stringify(facts));
}

/** restore takes up the case of the address, and the facts of a reloaded tab. */
export function restore() {
  const [id, secret] = location.hash.slice(1).split('.');
  if (id && secret) current = new api.Case(id, secret);
  try { draft = JSON.parse(sessionStorage.getItem('draft')) || {}; } catch { draft = {}; }
}

export async function refresh(photo) {
  status = await current.status(photo);
  return status;
}

/** open makes the case, once: a second try with the same words meets the same case. */
export async function open(consent) {
  const body = JSON.stringify([draft, consent || null]);
  const saved = JSON.parse(sessionStorage.getItem('key') || 'null');
  const key = saved?.body === body ? saved.key : crypto.randomUUID();
  sessionStorage.setItem('key', JSON.stringify({ body, key }));
  const made = await api.create(draft, consent, key);
  current = new api.Case(made.case, made.secret);
  status = made.status;
  history.replaceState(history.state, '', `#${made.case}.${made.secret}`);
  sessionStorage.clear();
}

/** consent adds a consent to a case that has none. */
export async function consent(given) {
  await current.facts(status.facts, given);
  await refresh();
}

/** close forgets the case after its deletion, in the address too. */
export function close() {
  current = null;
  status = null;
  draft = {};
  sessionStorage.clear();
  history.replaceState(history.state, '', location.pathname + location.search);
}

/** link is the address that leads back to this case. */
export const link = () => location.href;

/** setFlash keeps a message for the next step that shows. */
export function setFlash(text) { flash = text; }

export function takeFlash() {
  const text = flash;
  flash = '';
  return text && h('div', { class: 'notice good', role: 'status' }, h('p', {}, text));
}

/** sentence puts a problem into the customer's words. */
export function sentence(error) {
  const key = `problem.${error.code}`;
  return error.code && has(key) ? t(key) : t('problem.general');
}

const busy = (s) => s.state === 'reading' || s.state === 'waiting';

/** photoSettled tells whether photo n has its outcome. */
export const photoSettled = (n) => (s) => !busy(s) && (s.photo?.n ?? 0) >= n;

/** factsSettled tells whether a correction after the quote of that cause has its own. */
export const factsSettled = (before) => (s) => !busy(s) && (s.quote?.cause ?? '') !== before;

/**
 * settle asks for the status until it is settled, at first often and then less
 * so, after photo was sent if that is given. It returns false where that did not come within the patience.
 */
export async function settle(settled, { photo, signal, patience = 120_000 } = {}) {
  const started = Date.now();
  while (!signal?.aborted) {
    if (settled(await refresh(photo))) return true;
    const waited = Date.now() - started;
    if (waited > patience) return false;
    await new Promise((r) => setTimeout(r, waited < 10_000 ? 400 : 2500));
  }
  return false;
}
