// One case: what is known of it, and what can be done with it.

import { h } from './dom.js';
import { money, number, percent, t } from './texts.js';
import * as api from './api.js';
import { ACTIONS } from './keys.js';
import { distribution } from './chart.js';
import { Decision } from './decide.js';
import { auditView } from './audit.js';
import { cents, clock, date, list, stamp, sum, table, terms, waited, when, word, years } from './words.js';

const keyOf = Object.fromEntries(Object.entries(ACTIONS).map(([key, action]) => [action, key]));

export class Case {
  #app;
  #case = null; // as the API tells it
  #form = null; // the decision that is being written

  constructor(app) {
    this.#app = app;
    this.element = h('section', { class: 'pane case', 'aria-label': t('case.pane') });
    this.clear();
  }

  clear() {
    this.#case = null;
    this.#form = null;
    this.element.replaceChildren(h('p', { class: 'nothing' }, t('case.none')));
  }

  /** open reads the case and shows it, with its photo hidden. */
  async open(id) {
    if (this.#case?.case !== id) {
      this.clear();
      this.element.replaceChildren(h('p', { class: 'nothing', 'aria-busy': 'true' }, t('wait')));
    }
    let found;
    try {
      found = await api.read(id);
    } catch (error) {
      this.element.replaceChildren(h('p', { class: 'nothing' }, this.#back(), t('case.unread')));
      this.#app.fail(error);
      return;
    }
    this.#case = found;
    this.#draw();
    this.element.querySelector('#case-title').focus({ preventScroll: true });
    this.element.scrollTop = 0;
    if (this.element.offsetTop < window.scrollY) window.scrollTo(0, 0);
  }

  #mine() { return this.#case?.reservation?.by === this.#app.me.sub; }

  #others() { return this.#case?.reservation && !this.#mine() ? this.#case.reservation : null; }

  #back() { return h('a', { class: 'back', href: '#/' }, t('case.back')); }

  #draw() {
    const c = this.#case;
    const q = c.quote;
    this.#form = null;
    this.slot = h('div', { class: 'slot', id: 'slot' });
    this.held = h('span', { class: 'held' });
    this.bar = h('div', { class: 'bar', role: 'group', 'aria-label': t('case.actions') });
    this.photoBox = h('div', { id: 'photo' });
    this.element.replaceChildren(
      h('div', { class: 'case-head' },
        this.#back(),
        h('div', { class: 'line' },
          h('h2', { id: 'case-title', tabindex: '-1' }, t('case.title', { id: c.case.slice(0, 8) })),
          h('span', { class: `badge ${c.state}` }, word('state', c.state)),
          c.overdue && h('span', { class: 'badge bad' }, t('overdue')),
          c.since && h('span', { class: 'soft' }, t('case.since', { waited: waited(c.since) })),
          this.held,
          h('code', { class: 'id' }, c.case),
          h('button', { type: 'button', id: 'do-audit', class: 'quiet', on: { click: () => this.audit() } }, t('audit.link'))),
        this.bar),
      this.slot,
      h('div', { class: 'parts' },
        h('div', {}, this.#summary(c, q), this.#reasons(q), this.#estimate(c), this.#premiums(c, q)),
        h('div', {}, this.#photo(c), this.#facts(c), this.#duplicates(c), this.#complaints(c), this.#decisions(c), this.#history(c))));
    this.#drawBar();
  }

  // ---- What can be done ----

  #drawBar() {
    const c = this.#case;
    const button = (id, words, key, click, { on = true, cls = '' } = {}) => h('button', {
      type: 'button', id: `do-${id}`, class: cls, 'aria-disabled': on ? null : 'true', 'aria-keyshortcuts': key, on: { click },
    }, words, key && h('kbd', {}, key));
    const others = this.#others();
    this.held.replaceChildren(...(this.#mine() ? [
      h('span', { class: 'badge mine', id: 'reserved' }, t('case.mine', { until: clock(c.reservation.until) })),
      button('release', t('key.release'), 'u', () => this.release(), { cls: 'quiet' }),
    ] : others ? [h('span', { class: 'badge bad', id: 'reserved' }, t('taken.by', { by: others.by, until: clock(others.until) }))] : []));
    const decisions = Object.values(ACTIONS).filter((a) => c.may.includes(a));
    this.bar.replaceChildren(...[
      this.#app.can('take') && (!c.reservation || others) && c.may.length > 0 && button('take', t('key.take'), 't', () => this.take(), { cls: 'main' }),
      decisions.map((a) => button(a, t(`action.${a}`), keyOf[a], () => this.decide(a), { on: this.#mine(), cls: a })),
    ].flat().filter(Boolean));
  }

  /** take reserves the case. */
  async take() {
    if (!this.#case || !this.#app.can('take') || this.#mine()) return;
    await this.#reserve(() => api.take(this.#case.case));
    if (this.#mine()) this.#app.say(t('case.taken', { until: clock(this.#case.reservation.until) }));
  }

  async release() {
    if (!this.#case || !this.#mine()) return;
    this.cancel();
    await this.#reserve(async () => { await api.release(this.#case.case); return null; });
    this.#app.say(t('case.released'));
  }

  async #reserve(call) {
    const id = this.#case.case;
    const focused = this.bar.contains(document.activeElement) || this.held.contains(document.activeElement);
    try {
      this.#case.reservation = await call();
      this.#app.clearNotice();
    } catch (error) {
      if (error.code === 'taken') this.#case.reservation = error.body.conflict;
      this.#app.fail(error);
    }
    if (this.#case?.case !== id) return; // another case was opened meanwhile
    this.#drawBar();
    if (focused) (this.bar.querySelector('button') || this.element.querySelector('#case-title')).focus();
    this.#app.queue.taken(id, this.#case.reservation);
  }

  /** decide opens the form of an action. */
  decide(action) {
    const c = this.#case;
    if (!c || !c.may.includes(action)) return false;
    if (!this.#mine()) {
      const others = this.#others();
      this.#app.notice(others ? t('problem.taken', { by: others.by, until: clock(others.until) }) : t('case.take.first'), { kind: 'warn' });
      return true;
    }
    this.#form = new Decision(this.#app, c, action, {
      done: (did) => this.#decided(did),
      cancel: () => this.cancel(),
      stale: () => { this.open(c.case); this.#app.queue.refresh(); },
    });
    this.slot.replaceChildren(this.#form.element);
    this.#form.focus();
    return true;
  }

  /** cancel closes the form; it returns whether there was one. */
  cancel() {
    if (!this.slot || this.slot.children.length === 0) return false;
    const action = this.#form?.action;
    this.#form = null;
    this.slot.replaceChildren();
    (this.element.querySelector(`#do-${action || 'audit'}`) || this.element.querySelector('#case-title')).focus();
    return true;
  }

  #decided(did) {
    const id = this.#case.case;
    const words = t('decided', { id: id.slice(0, 8), action: word('done', did) });
    const next = this.#app.queue.after(id);
    this.#form = null;
    this.#app.go(next ? `#/cases/${encodeURIComponent(next)}` : '#/');
    // After the address has changed, which takes older messages away.
    setTimeout(() => this.#app.notice(words, { id: 'decided', action: { words: t('decided.look'), click: () => this.#app.go(`#/cases/${encodeURIComponent(id)}`) } }));
  }

  // ---- What is known ----

  #summary(c, q) {
    const facts = c.application || {};
    if (!q) return section('summary', t('summary.title'), h('p', {}, t('summary.none')), list([[t('fact.sum'), sum(facts.sum_cents)]]));
    return section('summary', t(q.cause?.startsWith('decision') ? 'summary.decided' : 'summary.title'),
      h('p', { class: 'verdict' }, h('span', { class: `badge big ${q.decision}` }, word('decision', q.decision)),
        q.gross_annual_cents !== null && q.gross_annual_cents !== undefined && h('span', { class: 'amount' }, t('summary.premium', { amount: money(q.gross_annual_cents, q.currency) })),
        q.gross_annual_cents !== null && q.gross_annual_cents !== undefined && q.basis.charged && h('span', { class: 'soft' }, t(`charged.${q.basis.charged}`, { age: q.basis.price_age }))),
      list([
        [t('fact.class'), [q.class, q.basis.rating && t('rating', { rating: q.basis.rating })].filter(Boolean).join(', ')],
        [t('fact.sum'), q.basis.sum_cents ? sum(q.basis.sum_cents, q.currency) : null],
        [t('fact.term'), q.basis.term_years ? t('unit.years', { n: q.basis.term_years }) : null],
        [t('fact.product'), q.basis.product],
        [t('fact.table'), (q.basis.tables?.length > 0 ? q.basis.tables.map((x) => `${x.table} (${percent(x.share)})`).join(', ') : q.basis.table || null)],
        [t('fact.multiple'), q.basis.multiple ? number(q.basis.multiple, 2) : null],
        [t('fact.valued'), date(q.valuation_date)],
        [t('fact.expires'), q.expires && date(q.expires)],
      ], { id: 'basis' }));
  }

  #estimate(c) {
    const e = c.estimate;
    if (!e || e.age === null || e.age === undefined) {
      const code = e?.code || c.photo?.code;
      return section('estimate', t('estimate.title'), h('p', {}, code && code !== 'ok' ? t('estimate.refused', { why: word('photo', code) }) : t('estimate.none')));
    }
    const facts = c.application || {};
    const words = t('estimate.words', { age: years(e.age), low: years(e.low), high: years(e.high), share: percent(e.coverage) });
    const stated = declaredAge(facts, c.quote?.valuation_date);
    return section('estimate', t('estimate.title'), h('p', {}, words),
      e.distribution?.length > 0 && h('figure', {}, distribution(e, stated, t('chart.title', { words }))),
      stated !== null && h('p', {}, t(stated >= e.low && stated <= e.high ? 'estimate.agrees' : 'estimate.differs', { age: years(stated) })),
      list([[t('fact.model'), e.model && h('code', {}, e.model.slice(0, 19))]]));
  }

  #premiums(c, q) {
    if (!q?.at && (q?.gross_annual_cents === null || q?.gross_annual_cents === undefined)) return null;
    const row = (name, age, a) => [name, age ?? '–', cents(a.net_annual_cents, q.currency), a.reason ? word('reason', a.reason) : cents(a.gross_annual_cents, q.currency), cents(a.modal_cents, q.currency)];
    const rows = [];
    if (q.gross_annual_cents !== null && q.gross_annual_cents !== undefined) rows.push(row(t('premium.charged'), q.basis.price_age, q));
    if (q.at) {
      rows.push(row(t('premium.low'), q.at.low.age, q.at.low), row(t('premium.estimated'), q.at.estimated.age, q.at.estimated), row(t('premium.high'), q.at.high.age, q.at.high));
    }
    if (q.expected_gross_annual_cents !== null && q.expected_gross_annual_cents !== undefined) rows.push([t('premium.expected'), '–', '–', cents(q.expected_gross_annual_cents, q.currency), '–']);
    const columns = q.mode === 'annual' ? 4 : 5; // an annual instalment is the gross premium again
    return section('premiums', t('premium.title'),
      table(t('premium.title'), [t('premium.at'), t('fact.age'), t('premium.net'), t('premium.gross'), word('mode', q.mode)].slice(0, columns), rows.map((r) => r.slice(0, columns)), { numeric: [1, 2, 3, 4] }));
  }

  #reasons(q) {
    if (!q) return null;
    return section('reasons', t('reasons.title'), q.reasons?.length > 0
      ? h('ul', { class: 'reasons' }, q.reasons.map((r) => h('li', {},
        h('p', {}, h('strong', {}, word('reason', r.code)), ' ', r.decision && h('span', { class: `badge ${r.decision}` }, word('decision', r.decision)), ' ', h('code', { class: 'soft' }, r.rule)),
        h('p', { class: 'soft' }, r.sentence),
        list([[t('reasons.value'), r.value], [t('reasons.limit'), r.limit], [t('reasons.effect'), r.effect]]))))
      : h('p', {}, t('reasons.none')));
  }

  #photo(c) {
    this.photoBox.replaceChildren(...[
      !c.photo ? h('p', {}, t('photo.none'))
        : c.photo.expired ? h('p', {}, t('photo.expired'))
        : !this.#app.can('open') ? h('p', {}, t('photo.closed'))
          : [h('div', { class: 'covered' }, h('p', {}, t('photo.hidden')), h('button', { type: 'button', id: 'show-photo', on: { click: () => this.photo() } }, t('key.photo'), h('kbd', {}, 'o')))],
    ].flat());
    return section('photo-section', t('photo.title'), this.photoBox, c.photo?.code && c.photo.code !== 'ok' && h('p', {}, word('photo', c.photo.code)));
  }

  /** photo opens the photo, which is recorded, and takes it away again when its link ends. */
  async photo() {
    const c = this.#case;
    if (!c?.photo || c.photo.expired || !this.#app.can('open')) return;
    if (this.photoBox.querySelector('img')) { // the same key covers it again
      this.#cover();
      return;
    }
    let link;
    try {
      link = await api.openPhoto(c.case, c.photo.n);
    } catch (error) {
      this.#app.fail(error);
      return;
    }
    if (this.#case !== c) return;
    const picture = h('img', { src: link.url, alt: t('photo.alt'), referrerpolicy: 'no-referrer', on: { error: () => { this.photoBox.replaceChildren(h('p', {}, t('photo.failed'))); } } });
    this.photoBox.replaceChildren(picture, h('p', { class: 'soft' }, t('photo.recorded'), ' ', h('button', { type: 'button', class: 'quiet', id: 'cover', on: { click: () => this.#cover() } }, t('photo.cover'), h('kbd', {}, 'o'))));
    this.#app.say(t('photo.opened'));
    this.photoBox.closest('section').scrollIntoView({ block: 'nearest' });
  }

  #cover() {
    const focused = this.photoBox.contains(document.activeElement);
    this.#photo(this.#case);
    if (focused) this.photoBox.querySelector('button').focus();
  }

  #facts(c) {
    const f = c.application;
    if (!f) return section('facts', t('facts.title'), h('p', {}, t('facts.none')));
    const answers = Object.entries(f.answers || {});
    const yes = answers.filter(([, v]) => v).map(([k]) => word('question', k));
    return section('facts', t('facts.title'), list([
      [t('fact.birth'), f.birth_date && date(f.birth_date)],
      [t('fact.age'), f.age !== null && f.age !== undefined ? years(f.age) : (!f.birth_date && t('fact.age.none'))],
      [t('fact.sex'), f.sex && word('sex', f.sex)],
      [t('fact.build'), f.height_cm && t('build', { height: number(f.height_cm, 1), weight: number(f.weight_kg, 1), bmi: number(f.weight_kg / (f.height_cm / 100) ** 2, 1) })],
      [t('fact.tobacco'), f.tobacco && tobacco(f.tobacco)],
      [t('fact.market'), f.market],
      [t('fact.mode'), f.mode && word('mode', f.mode)],
      answers.length > 0 && [t('fact.answers'), yes.length > 0 ? t('answers.yes', { list: yes.join(', ') }) : t('answers.no', { n: answers.length })],
      [t('fact.consent'), c.consent ? t('consent.given', { version: c.consent.version, time: when(c.consent.time), days: c.consent.days }) : t('consent.none')],
    ]));
  }

  #duplicates(c) {
    const of = (c.duplicates || []).flatMap((d) => d.of || [d]);
    if (of.length === 0) return null;
    return section('duplicates', t('duplicates.title'), h('ul', {}, of.map((d) => h('li', {},
      h('a', { href: `#/cases/${encodeURIComponent(d.case)}` }, t('case.title', { id: d.case.slice(0, 8) })), ' ', word('duplicate', d.kind)))));
  }

  #complaints(c) {
    if (!c.complaints?.length) return null;
    return section('complaints', t('complaints.title'), c.complaints.map((x) => h('blockquote', {}, h('p', {}, x.text), h('p', { class: 'soft' }, stamp(x.time)))));
  }

  #decisions(c) {
    if (!c.decisions?.length) return null;
    return section('decisions', t('decisions.title'), h('ol', { class: 'decisions' }, c.decisions.map((d) => h('li', {},
      h('p', {}, h('strong', { class: 'first' }, d.suggested ? t('decision.of', { action: word('done', d.action), suggested: word('action', d.suggested) }) : word('done', d.action)),
        ' · ', h('span', { class: 'soft' }, t('decision.by', { by: d.by, role: word('role', d.role) }), ', ', stamp(d.time))),
      d.reason && h('p', {}, this.#reasonWords(d.reason)),
      d.text && h('p', { class: 'words' }, d.text),
      h('p', { class: 'soft' }, terms(d.before, c.quote?.currency), ' → ', terms(d.after, c.quote?.currency))))));
  }

  #reasonWords(code) { return this.#app.reasons.codes.find((x) => x.code === code)?.sentence || code; }

  #history(c) {
    const events = c.history || [];
    return section('history', t('history.title'), h('ol', { class: 'history' }, events.map((e) => h('li', {}, stamp(e.time), ' ', h('span', {}, word('history', e.what), e.by && h('span', { class: 'soft' }, ` ${t('history.by', { by: e.by })}`))))),
      c.quotes?.length > 1 && h('p', { class: 'soft' }, t('history.quotes', { n: c.quotes.length })));
  }

  /** audit shows the chain of the case's records, checked. */
  async audit() {
    const c = this.#case;
    if (!c) return;
    try {
      const chain = await api.audit(c.case);
      if (this.#case !== c) return;
      this.slot.replaceChildren(auditView(chain, () => this.cancel()));
      this.slot.querySelector('h3').focus();
    } catch (error) {
      this.#app.fail(error);
    }
  }
}

function section(id, title, ...content) {
  return h('section', { class: 'part', id, 'aria-labelledby': `${id}-title` }, h('h3', { id: `${id}-title` }, title), ...content);
}

/** tobacco prints never, former:YEARS or current[:KIND]. */
function tobacco(x) {
  const [kind, more] = x.split(':');
  if (kind === 'former') return t('tobacco.former', { years: more });
  return more ? t('tobacco.current.kind', { kind: more }) : word('tobacco', kind);
}

/** declaredAge is the stated age on a day, null where none is stated. */
function declaredAge(facts, on) {
  if (facts.age !== null && facts.age !== undefined) return facts.age;
  if (!facts.birth_date) return null;
  const [y, m, d] = facts.birth_date.split('-').map(Number);
  const [ty, tm, td] = (on || new Date().toISOString().slice(0, 10)).split('-').map(Number);
  return ty - y - (tm < m || (tm === m && td < d) ? 1 : 0);
}
