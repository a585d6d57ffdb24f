// The estimate as a distribution over ages: a bar a year, the interval shaded,
// the estimate and the declared age as lines. The figures stand in words beside
// it, so the picture is one image to a screen reader.

import { s } from './dom.js';
import { t } from './texts.js';
import { years } from './words.js';

const WIDTH = 640;
const BASE = 118; // where the bars stand
const TOP = 30;
const LEAST = 0.002; // of the mass; ages with less at the ends are left out

/** distribution draws an estimate {age, low, high, distribution}; declared is the stated age or null. */
export function distribution(estimate, declared, title) {
  const p = estimate.distribution;
  const stated = declared === null || declared === undefined ? [] : [declared];
  const used = p.flatMap((mass, a) => (mass >= LEAST ? [a] : []));
  const first = Math.max(0, Math.floor(Math.min(used[0] ?? 0, estimate.low, ...stated)) - 2);
  const last = Math.ceil(Math.max(used.at(-1) ?? 100, estimate.high, ...stated)) + 2;
  const x = (a) => ((a - first + 0.5) / (last - first + 1)) * WIDTH; // the middle of a year's bar
  const most = Math.max(...p);
  const wide = WIDTH / (last - first + 1);
  const ticks = [];
  for (let a = Math.ceil(first / 10) * 10; a <= last; a += 10) ticks.push(a);
  // Labels of lines that are close stand on two levels, and away from each other.
  const mark = (a, cls, words, level, before) => [
    s('line', { class: cls, x1: x(a), x2: x(a), y1: TOP - 14 + level * 13, y2: BASE }),
    s('text', { class: `mark ${cls}`, x: x(a) + (before ? -5 : 5), y: TOP - 6 + level * 13, 'text-anchor': before ? 'end' : 'start' }, words)];
  const atEdge = (a) => (x(a) > WIDTH - 150 ? true : x(a) < 150 ? false : null);
  return s('svg', { class: 'distribution', viewBox: `0 0 ${WIDTH} 140`, role: 'img', 'aria-label': title },
    s('rect', { class: 'interval', x: x(estimate.low), y: TOP - 14, width: Math.max(1, x(estimate.high) - x(estimate.low)), height: BASE - TOP + 14 }),
    p.flatMap((mass, a) => (a < first || a > last ? [] : [s('rect', {
      class: a >= estimate.low && a <= estimate.high ? 'bar in' : 'bar', x: x(a) - wide * 0.42, width: wide * 0.84,
      y: BASE - (mass / most) * (BASE - TOP - 16), height: (mass / most) * (BASE - TOP - 16),
    })])),
    s('line', { class: 'axis', x1: 0, x2: WIDTH, y1: BASE, y2: BASE }),
    ticks.map((a) => s('text', { class: 'tick', x: x(a), y: BASE + 16, 'text-anchor': 'middle' }, String(a))),
    mark(estimate.age, 'estimate', t('chart.estimate', { age: years(estimate.age) }), 0, atEdge(estimate.age) ?? (stated[0] > estimate.age)),
    stated.map((a) => mark(a, 'declared', t('chart.declared', { age: years(a) }), 1, atEdge(a) ?? (a < estimate.age))));
}
