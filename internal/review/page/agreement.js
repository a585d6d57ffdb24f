// How well second looks agree with what was decided.

import { h } from './dom.js';
import { number, percent, t } from './texts.js';
import * as api from './api.js';
import { list } from './words.js';

/** Words of Landis and Koch (1977), Biometrics 33, 159-174, by kappa's lower bound of each. */
const STRENGTHS = [[0.81, 'almost'], [0.61, 'substantial'], [0.41, 'moderate'], [0.21, 'fair'], [0, 'slight'], [-1, 'poor']];

export function agreementView(app) {
  const body = h('div', { id: 'agreement', 'aria-busy': 'true' }, h('p', {}, t('wait')));
  api.agreement().then((a) => {
    body.removeAttribute('aria-busy');
    if (!a.n) {
      body.replaceChildren(h('p', {}, t('agreement.none')));
      return;
    }
    const known = a.kappa !== null && a.kappa !== undefined;
    const strength = known && STRENGTHS.find(([least]) => a.kappa >= least)[1];
    body.replaceChildren(...[
      known && h('p', { class: 'figure' }, h('strong', {}, number(a.kappa, 2)), ' ', h('span', {}, t('agreement.kappa'))),
      known && h('p', {}, t('agreement.interval', { low: number(a.low, 2), high: number(a.high, 2), strength: t(`strength.${strength}`) })),
      list([[t('agreement.n'), number(a.n)], [t('agreement.agree'), percent(a.agree)]]),
      h('p', { class: 'soft' }, t('agreement.meaning')),
    ].filter(Boolean));
  }).catch(app.fail);
  return h('div', { class: 'single wide' }, h('h2', { tabindex: '-1' }, t('agreement.title')), h('p', {}, t('agreement.text')), body);
}
