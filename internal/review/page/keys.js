// Single keys for all that is done often. Each does what a visible button does,
// and none is taken from somebody who writes in a field. They can be turned off
// (WCAG 2.2, 2.1.4), for the tab.

import { h } from './dom.js';
import { t } from './texts.js';

const OFF = 'keys-off'; // sessionStorage

/** ACTIONS are the decisions by their keys. */
export const ACTIONS = { a: 'accept', c: 'change', p: 'postpone', d: 'decline', n: 'another_photo', y: 'proof_of_age', m: 'evidence', f: 'confirm', b: 'return' };

const LISTED = [
  ['j ↓', 'key.next'], ['k ↑', 'key.previous'], ['Enter', 'key.open'], [']', 'key.page.next'], ['[', 'key.page.previous'], ['r', 'key.refresh'],
  ['t', 'key.take'], ['u', 'key.release'], ['o', 'key.photo'],
  ...Object.entries(ACTIONS).map(([key, action]) => [key, `action.${action}`]),
  ['Enter', 'key.send'], ['Esc', 'key.cancel'], ['?', 'keys.title'],
];

const writing = (target) => target.closest('input:not([type=checkbox]), textarea, select, [contenteditable]') !== null;

export const isOn = () => sessionStorage.getItem(OFF) === null;

/** listen hears the keys of the queue and the case. */
export function listen(app) {
  document.addEventListener('keydown', (e) => {
    if (e.defaultPrevented || e.ctrlKey || e.metaKey || e.altKey || document.querySelector('dialog[open]')) return;
    if (e.key === 'Escape') {
      if (app.case.cancel()) e.preventDefault();
      return;
    }
    if (!isOn() || writing(e.target)) return;
    const run = {
      j: () => app.queue.move(1), ArrowDown: () => app.queue.move(1),
      k: () => app.queue.move(-1), ArrowUp: () => app.queue.move(-1),
      ']': () => app.queue.next(), '[': () => app.queue.previous(), r: () => app.queue.refresh(),
      t: () => app.case.take(), u: () => app.case.release(), o: () => app.case.photo(), '?': () => help(app),
    }[e.key] || (ACTIONS[e.key] && (() => app.case.decide(ACTIONS[e.key])));
    if (run && run() !== false) e.preventDefault();
  });
}

/** help shows the keys, and lets them be turned off. */
export function help() {
  const before = document.activeElement;
  const on = h('input', {
    type: 'checkbox', id: 'keys-on', checked: isOn(),
    on: { change: () => { if (on.checked) sessionStorage.removeItem(OFF); else sessionStorage.setItem(OFF, '1'); } },
  });
  const box = h('dialog', { id: 'keys', 'aria-labelledby': 'keys-title', on: { close: () => { box.remove(); before?.focus(); } } },
    h('h2', { id: 'keys-title' }, t('keys.title')),
    h('dl', { class: 'keys' }, LISTED.map(([key, words]) => h('div', {}, h('dt', {}, key.split(' ').map((k) => h('kbd', {}, k))), h('dd', {}, t(words))))),
    h('p', {}, h('label', { class: 'check' }, on, ' ', t('keys.on'))),
    h('p', {}, h('button', { type: 'button', class: 'main', autofocus: true, on: { click: () => box.close() } }, t('close'))));
  document.body.append(box);
  box.showModal();
}
