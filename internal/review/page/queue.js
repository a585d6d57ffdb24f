// The cases that wait: a page of them at a time, in the order of the markers.

import { h } from './dom.js';
import { number, t } from './texts.js';
import * as api from './api.js';
import { clock, sum, waited, word, years } from './words.js';

const LIMIT = 50;
const MOST = 1000;
const REFRESH = 60_000; // milliseconds between looks for new cases

export class Queue {
  #app;
  #order = sessionStorage.getItem('order') || 'waiting';
  #cursors = [null]; // of the pages up to the one that shows
  #answer = { cases: [], next: null };
  #open = null; // cases that wait, by state
  #loading = null;
  #current = null; // id of the case that is open

  constructor(app) {
    this.#app = app;
    this.rows = h('ol', { class: 'rows', id: 'rows' });
    this.count = h('p', { class: 'count', id: 'count' });
    this.reason = h('select', { id: 'filter-reason', on: { change: () => this.#draw() } });
    const age = (id, label) => h('input', { id, type: 'text', inputmode: 'numeric', maxlength: 3, 'aria-label': label, on: { input: () => this.#draw() } });
    this.from = age('filter-from', t('filter.age.from'));
    this.to = age('filter-to', t('filter.age.to'));
    this.pages = h('div', { class: 'pages' });
    this.orders = h('div', { class: 'segments', role: 'group', 'aria-label': t('order') });
    this.element = h('section', { class: 'pane queue', 'aria-labelledby': 'queue-title' },
      h('div', { class: 'pane-head' },
        h('div', { class: 'line' }, h('h2', { id: 'queue-title' }, t('queue.title')), this.count,
          h('button', { type: 'button', class: 'quiet', id: 'refresh', on: { click: () => this.refresh() } }, t('refresh'), h('kbd', {}, 'r'))),
        this.orders,
        h('div', { class: 'filters' },
          h('label', { for: 'filter-reason' }, t('filter.reason')), this.reason,
          h('span', { class: 'ages', role: 'group', 'aria-label': t('filter.age') }, h('span', { 'aria-hidden': 'true' }, t('filter.age')), this.from, h('span', { 'aria-hidden': 'true' }, '–'), this.to))),
      this.rows, this.pages);
    this.#drawOrders();
    setInterval(() => { if (!document.hidden && this.element.isConnected) this.#load().catch(() => {}); }, REFRESH); // a look that fails is made again
  }

  #drawOrders() {
    this.orders.replaceChildren(...['waiting', 'sum'].map((o) => h('button', {
      type: 'button', id: `order-${o}`, 'aria-pressed': String(o === this.#order), on: { click: () => this.#orderBy(o) },
    }, t(`order.${o}`))));
  }

  async #orderBy(order) {
    this.#order = order;
    sessionStorage.setItem('order', order);
    this.#cursors = [null];
    this.#drawOrders();
    document.getElementById(`order-${order}`).focus();
    await this.refresh();
  }

  /** loaded waits for the first page. */
  async loaded() {
    if (!this.#loading) await this.refresh();
    return this.#loading;
  }

  /** refresh reads the page again and says what there is. */
  async refresh() {
    this.rows.setAttribute('aria-busy', 'true');
    try {
      await this.#load();
      this.#app.say(this.count.textContent);
    } catch (error) {
      this.#app.fail(error);
    } finally {
      this.rows.removeAttribute('aria-busy');
    }
  }

  #load() {
    this.#loading = (async () => {
      const asked = this.#cursors.at(-1);
      const answer = await api.queue({ order: this.#order, after: asked, limit: LIMIT });
      if (asked !== this.#cursors.at(-1)) return; // another page was asked for meanwhile
      this.#answer = answer;
      this.#open = answer.open || this.#open; // told with the first page alone
      this.#draw();
    })();
    return this.#loading;
  }

  async next() {
    if (!this.#answer.next) return;
    this.#cursors.push(this.#answer.next);
    await this.refresh();
    this.#first();
  }

  async previous() {
    if (this.#cursors.length < 2) return;
    this.#cursors.pop();
    await this.refresh();
    this.#first();
  }

  #first() {
    this.rows.scrollTop = 0;
    (this.rows.querySelector('a') || this.element.querySelector('#refresh')).focus();
  }

  #shown() {
    const bound = (input, otherwise) => (/^\d+$/.test(input.value.trim()) ? Number(input.value) : otherwise);
    const from = bound(this.from, -1);
    const to = bound(this.to, Infinity);
    const byAge = from >= 0 || to < Infinity;
    return this.#answer.cases.filter((c) => (!this.reason.value || c.reasons.includes(this.reason.value))
      && (!byAge || (c.age !== null && c.age !== undefined && c.age >= from && c.age <= to)));
  }

  #draw() {
    const { cases, next } = this.#answer;
    this.#drawReasons(cases);
    const shown = this.#shown();
    const focused = this.rows.contains(document.activeElement) ? document.activeElement.dataset.id : null;
    this.rows.replaceChildren(...shown.map((c) => h('li', {}, this.#row(c))));
    if (focused) (this.#link(focused) || this.rows.querySelector('a'))?.focus();
    if (shown.length === 0) this.rows.append(h('li', { class: 'empty' }, t(cases.length > 0 ? 'queue.filtered' : 'queue.empty')));

    this.#drawCount();
    const first = (this.#cursors.length - 1) * LIMIT;
    const page = (id, words, key, on, click) => h('button', { type: 'button', class: 'quiet', id, disabled: !on, on: { click } }, words, h('kbd', {}, key));
    this.pages.replaceChildren(
      page('previous', t('page.previous'), '[', this.#cursors.length > 1, () => this.previous()),
      h('span', { id: 'range' }, shown.length < cases.length ? t('page.filtered', { n: shown.length, of: cases.length })
        : cases.length > 0 ? t('page.range', { from: number(first + 1), to: number(first + cases.length) }) : ''),
      page('next', t('page.next'), ']', Boolean(next), () => this.next()));
  }

  /** The service counts up to MOST of a state. */
  #drawCount() {
    const counts = Object.entries(this.#open || {}).filter(([, n]) => n > 0);
    const many = (n, some) => `${number(n)}${some ? '+' : ''}`;
    this.count.textContent = this.#open ? t('queue.open', { n: many(counts.reduce((a, [, n]) => a + n, 0), counts.some(([, n]) => n >= MOST)) }) : '';
    this.count.title = counts.map(([s, n]) => `${word('state', s)}: ${many(n, n >= MOST)}`).join(', ');
  }

  #drawReasons(cases) {
    const chosen = this.reason.value;
    const counts = new Map();
    for (const r of cases.flatMap((c) => c.reasons)) counts.set(r, (counts.get(r) || 0) + 1);
    if (chosen && !counts.has(chosen)) counts.set(chosen, 0);
    const options = [...counts].map(([code, n]) => [code, `${word('reason', code)} (${n})`]).sort((a, b) => (a[1] < b[1] ? -1 : 1));
    this.reason.replaceChildren(h('option', { value: '' }, t('filter.all')), ...options.map(([code, words]) => h('option', { value: code, selected: code === chosen }, words)));
  }

  #row(c) {
    const taken = c.taken && (c.taken.by === this.#app.me.sub ? t('taken.me') : t('taken.by', { by: c.taken.by, until: clock(c.taken.until) }));
    return h('a', { class: 'row', href: `#/cases/${encodeURIComponent(c.case)}`, 'data-id': c.case, 'aria-current': c.case === this.#current ? 'true' : null },
      h('span', { class: 'row-main' },
        h('span', { class: 'row-sum' }, sum(c.sum_cents, c.currency)),
        h('span', { class: 'row-age' }, c.age === null || c.age === undefined ? t('row.noage')
          : [t('row.age', { age: years(c.age) }), c.low !== null && c.low !== undefined && h('span', { class: 'soft' }, ` ${years(c.low)}–${years(c.high)}`)]),
        h('span', { class: 'row-wait' }, waited(c.since))),
      h('span', { class: 'row-reasons' }, c.overdue && [h('span', { class: 'badge bad' }, t('overdue')), ' '], c.state !== 'refer' && h('span', { class: `badge ${c.state}` }, word('state', c.state)),
        ' ', c.reasons.map((r) => word('reason', r)).join(' · ')),
      taken && h('span', { class: 'row-taken' }, taken));
  }

  #link(id) { return this.rows.querySelector(`a[data-id="${CSS.escape(id)}"]`); }

  /** mark shows which case is open. */
  mark(id) {
    this.#current = id;
    this.rows.querySelector('[aria-current]')?.removeAttribute('aria-current');
    if (id) this.#link(id)?.setAttribute('aria-current', 'true');
  }

  /** move puts the focus on the next row, or the one before. */
  move(by) {
    if (this.element.offsetParent === null) return false; // a phone that shows the case
    const links = [...this.rows.querySelectorAll('a')];
    if (links.length === 0) return false;
    const at = links.indexOf(document.activeElement);
    const from = at >= 0 ? at : links.findIndex((a) => a.dataset.id === this.#current);
    const to = from < 0 ? (by > 0 ? 0 : links.length - 1) : from + by;
    const link = links[Math.min(Math.max(to, 0), links.length - 1)];
    link.focus();
    link.scrollIntoView({ block: 'nearest' });
    return true;
  }

  /** after takes a case that is done from the list and returns the one to go on with, null at the end. */
  after(id) {
    const shown = this.#shown().map((c) => c.case);
    const at = shown.indexOf(id);
    const free = (other) => { const c = this.#answer.cases.find((x) => x.case === other); return !c.taken || c.taken.by === this.#app.me.sub; };
    const next = at < 0 ? shown.find(free) : [...shown.slice(at + 1), ...shown.slice(0, at)].find(free);
    this.#answer.cases = this.#answer.cases.filter((c) => c.case !== id);
    this.#draw();
    this.#load().catch(() => {}); // the count, and who else took what
    return next && next !== id ? next : null;
  }

  /** taken shows a reservation in the list without asking again. */
  taken(id, reservation) {
    const c = this.#answer.cases.find((x) => x.case === id);
    if (!c) return;
    c.taken = reservation;
    this.#draw();
  }
}
