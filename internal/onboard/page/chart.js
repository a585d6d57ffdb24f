// A bar for each of three ages: what the premium would be. The same figures
// stand in the table beneath it, so the picture is one image to a screen reader.

import { s } from './dom.js';

const WIDTH = 320;
const HEIGHT = 168;
const BASE = 132; // where the bars stand
const TALLEST = 96;

/**
 * chart draws bars [{age, amount, label, name, main}]; an amount of null has no
 * bar, and its label says why. level, if there is one, is a dashed line.
 */
export function chart(bars, title, level) {
  const most = Math.max(...bars.map((b) => b.amount || 0), 1);
  const step = WIDTH / bars.length;
  return s('svg', { class: 'chart', viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: 'img', 'aria-label': title },
    s('line', { x1: 8, x2: WIDTH - 8, y1: BASE, y2: BASE, stroke: '#71828f', 'stroke-width': 1 }),
    level && s('line', { x1: 8, x2: WIDTH - 8, y1: BASE - (level / most) * TALLEST, y2: BASE - (level / most) * TALLEST, stroke: '#0b6e66', 'stroke-width': 2, 'stroke-dasharray': '6 5' }),
    bars.map((b, i) => {
      const x = step * i + step / 2;
      const height = b.amount === null ? 0 : Math.max(3, (b.amount / most) * TALLEST);
      return s('g', {},
        height > 0 && s('rect', {
          x: x - 24, y: BASE - height, width: 48, height, rx: 4,
          fill: b.main ? '#0b6e66' : '#d5e6e8', stroke: b.main ? '#0b6e66' : '#4a7f88', 'stroke-width': 1.5,
        }),
        s('text', { x, y: BASE - height - 9, 'text-anchor': 'middle', class: b.main ? 'chart-amount main' : 'chart-amount' }, b.label),
        s('text', { x, y: BASE + 17, 'text-anchor': 'middle', class: 'chart-age' }, b.age),
        s('text', { x, y: BASE + 32, 'text-anchor': 'middle', class: 'chart-name' }, b.name));
    }));
}
