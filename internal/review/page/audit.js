// The chain of a case's records: each holds the hash of the one before it.

import { h } from './dom.js';
import { t } from './texts.js';
import { firstWord, stamp, table, when } from './words.js';

const hash = (x) => (x ? h('code', { class: 'hash', title: x }, h('span', {}, x.replace(/^sha256:/, '').slice(0, 12)), h('span', { class: 'rest' }, x.replace(/^sha256:/, '').slice(12))) : '–');

/** auditView shows the chain of a case, for printing too. */
export function auditView(chain, close) {
  const { lines, ok } = chain;
  const bad = lines.filter((l) => !l.ok).length;
  const check = (l) => (l.ok ? t(l.erased ? 'audit.erased' : l.sealed ? 'audit.sealed' : 'audit.ok') : h('strong', { class: 'badtext' }, l.problem || t('audit.bad')));
  return h('section', { class: `audit ${ok ? 'sound' : 'broken'}`, id: 'audit', 'aria-labelledby': 'audit-title' },
    h('h3', { id: 'audit-title', tabindex: '-1' }, t('audit.title', { id: chain.case })),
    h('p', { class: `verdict ${ok ? 'good' : 'bad'}`, id: 'audit-verdict' }, ok ? t('audit.sound', { n: lines.length }) : bad > 0 ? t('audit.broken', { bad, n: lines.length }) : t('audit.missing')),
    h('p', { class: 'soft' }, chain.heads > 0 ? t('audit.heads', { n: chain.heads, time: when(chain.sealed) }) : t('audit.unsealed')),
    table(t('audit.records'), [t('audit.object'), t('audit.what'), t('audit.time'), t('audit.hash'), t('audit.previous'), t('audit.check')],
      lines.map((l) => [h('code', {}, l.object.replace(`cases/${chain.case}/`, '')),
        [l.what && firstWord(['done', 'decision', 'photo'], l.what), l.by && h('span', { class: 'soft' }, ` ${t('history.by', { by: l.by })}`)], l.time ? stamp(l.time) : '–', hash(l.hash), hash(l.previous), check(l)])),
    h('div', { class: 'buttons' }, h('button', { type: 'button', id: 'print', on: { click: () => window.print() } }, t('print')),
      h('button', { type: 'button', id: 'audit-close', on: { click: close } }, t('close'), h('kbd', {}, 'Esc'))));
}
