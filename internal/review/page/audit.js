// The chain of a case's records: each holds the hash of the one before it.

import { h } from './dom.js';
import { t } from './texts.js';
import { table } from './words.js';

const short = (hash) => (hash ? h('code', { title: hash }, hash.replace(/^sha256:/, '').slice(0, 12)) : '–');

/** auditView shows the chain of a case, for printing too. */
export function auditView(id, chain, close) {
  const bad = chain.lines.filter((l) => !l.ok).length;
  return h('section', { class: `audit ${chain.ok ? 'sound' : 'broken'}`, id: 'audit', 'aria-labelledby': 'audit-title' },
    h('h3', { id: 'audit-title', tabindex: '-1' }, t('audit.title', { id })),
    h('p', { class: `verdict ${chain.ok ? 'good' : 'bad'}`, id: 'audit-verdict' }, chain.ok ? t('audit.sound', { n: chain.lines.length }) : t('audit.broken', { bad, n: chain.lines.length })),
    table(t('audit.records'), [t('audit.object'), t('audit.hash'), t('audit.previous'), t('audit.check')],
      chain.lines.map((l) => [h('code', {}, l.object.replace(`cases/${id}/`, '')), short(l.hash), short(l.previous), l.ok ? t('audit.ok') : h('strong', { class: 'badtext' }, l.problem || t('audit.bad'))])),
    h('div', { class: 'buttons' }, h('button', { type: 'button', id: 'print', on: { click: () => window.print() } }, t('print')),
      h('button', { type: 'button', id: 'audit-close', on: { click: close } }, t('close'), h('kbd', {}, 'Esc'))));
}
