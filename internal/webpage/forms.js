// Form fields with labels, hints and errors, and the summary of errors that
// takes the focus when a form cannot be sent.

import { h } from './dom.js';
import { t } from './texts.js';

const hintId = (id) => `${id}-hint`;
const errorId = (id) => `${id}-error`;

function describe(id, hint) { return [hint && hintId(id), errorId(id)].filter(Boolean).join(' '); }

function parts(id, hint) {
  return [hint && h('p', { class: 'hint', id: hintId(id) }, hint), h('p', { class: 'error', id: errorId(id), hidden: true })];
}

/** text is a labelled input; extra are its attributes, unit stands behind it. */
export function text(id, label, { hint, unit, before, value, on, ...extra } = {}) {
  const input = h('input', { id, name: id, type: 'text', autocomplete: 'off', 'aria-describedby': describe(id, hint), value: value === undefined || value === null ? '' : String(value), on, ...extra });
  return h('div', { class: 'field', 'data-field': id },
    h('label', { for: id }, label), parts(id, hint),
    h('div', { class: 'affix' }, before && h('span', { class: 'unit', 'aria-hidden': 'true' }, before), input,
      unit && h('span', { class: 'unit', 'aria-hidden': 'true' }, unit)));
}

/** measure is one input of a group, with its own label. */
export function measure(id, label, unit, { value, ...extra }) {
  return h('div', {}, h('label', { for: id }, label),
    h('div', { class: 'affix' }, h('input', { id, type: 'text', autocomplete: 'off', class: 'w2', value: String(value ?? ''), ...extra }),
      unit && h('span', { class: 'unit', 'aria-hidden': 'true' }, unit)));
}

/** group puts inputs that are one fact side by side; the error is the fact's. */
export function group(id, legend, ...inputs) {
  const g = h('fieldset', { class: 'field', 'data-field': id }, h('legend', {}, legend), parts(id), h('div', { class: 'parts' }, inputs));
  for (const input of g.querySelectorAll('input')) input.setAttribute('aria-describedby', errorId(id));
  return g;
}

/** select is a labelled choice among options [[value, text]]. */
export function select(id, label, options, { hint, value, on } = {}) {
  return h('div', { class: 'field', 'data-field': id },
    h('label', { for: id }, label), parts(id, hint),
    h('select', { id, name: id, 'aria-describedby': describe(id, hint), on },
      options.map(([v, text]) => h('option', { value: v, selected: v === value }, text))));
}

/** radios is a group of choices [[value, text, under?]]; inline puts them side by side. */
export function radios(id, legend, options, { hint, value, inline, on } = {}) {
  return h('fieldset', { class: 'field', 'data-field': id, 'aria-describedby': describe(id, hint) },
    h('legend', {}, legend), parts(id, hint),
    h('div', { class: inline ? 'choices inline' : 'choices' },
      options.map(([v, text, under], i) => {
        const oid = i === 0 ? id : `${id}-${v}`;
        return [h('div', { class: 'choice' },
          h('input', { type: 'radio', name: id, id: oid, value: v, checked: v === value, on }),
          h('label', { for: oid }, text)), under];
      })));
}

/** checkbox is one tick with its words. */
export function checkbox(id, label, { checked } = {}) {
  return h('div', { class: 'field', 'data-field': id },
    h('p', { class: 'error', id: errorId(id), hidden: true }),
    h('div', { class: 'choice' },
      h('input', { type: 'checkbox', id, name: id, checked, 'aria-describedby': errorId(id) }), h('label', { for: id }, label)));
}

/** chosen returns the value of a group, '' where nothing is chosen. */
export function chosen(form, name) { return new FormData(form).get(name) || ''; }

/**
 * showErrors marks the fields of errors [[id, sentence]] and puts a summary
 * with links at the top of the form, which gets the focus. None clears all.
 */
export function showErrors(form, errors) {
  for (const p of form.querySelectorAll('.error')) { p.hidden = true; p.textContent = ''; }
  for (const bad of form.querySelectorAll('[aria-invalid]')) bad.removeAttribute('aria-invalid');
  for (const field of form.querySelectorAll('.field.bad')) field.classList.remove('bad');
  form.querySelector('.summary')?.remove();
  if (errors.length === 0) return;

  for (const [id, sentence] of errors) {
    const p = form.querySelector(`#${CSS.escape(errorId(id))}`);
    if (!p) continue;
    p.textContent = sentence;
    p.hidden = false;
    p.closest('.field').classList.add('bad');
    const input = form.querySelector(`#${CSS.escape(id)}`);
    if (input && input.type !== 'radio') input.setAttribute('aria-invalid', 'true');
  }
  const link = (id, sentence) => {
    const go = (e) => { e.preventDefault(); form.querySelector(`#${CSS.escape(id)}`).focus(); };
    // Enter is taken at its first event: the later ones would go to the field,
    // which has the focus by then, and send the form.
    return h('a', { href: `#${id}`, on: { click: go, keydown: (e) => { if (e.key === 'Enter') go(e); } } }, sentence);
  };
  const summary = h('div', { class: 'summary', role: 'alert', tabindex: '-1', 'aria-labelledby': 'summary-title' },
    h('h2', { id: 'summary-title' }, t('error.summary')),
    h('ul', {}, errors.map(([id, sentence]) => h('li', {}, form.querySelector(`#${CSS.escape(id)}`) ? link(id, sentence) : sentence))));
  form.prepend(summary);
  summary.focus();
}
