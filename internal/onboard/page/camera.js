// The camera with an oval to aim at. Its pictures stay in the browser until the
// customer sends one.

import { h, s } from './dom.js';
import { t } from './texts.js';
import { frame, look } from './picture.js';

const HINT_EVERY = 500; // ms

/**
 * Camera shows the live picture in an element. start asks for permission and
 * throws a DOMException where there is none; stop turns the camera off.
 */
export class Camera {
  #stream = null;
  #timer = 0;
  #last = '';

  constructor() {
    this.video = h('video', { class: 'mirror', autoplay: true, playsinline: true, muted: true, 'aria-label': t('camera.live') });
    this.video.muted = true;
    this.hint = h('p', { class: 'camera-hint', role: 'status', 'aria-live': 'polite' }, t('hint.aim'));
    this.element = h('div', { class: 'camera' }, this.video, oval(), this.hint);
  }

  async start() {
    if (!navigator.mediaDevices || !navigator.mediaDevices.getUserMedia) throw new DOMException('no camera', 'NotFoundError');
    this.#stream = await navigator.mediaDevices.getUserMedia({
      audio: false,
      video: { facingMode: 'user', width: { ideal: 1280 }, height: { ideal: 960 } },
    });
    this.video.srcObject = this.#stream;
    await this.video.play();
    this.#timer = setInterval(() => this.#look(), HINT_EVERY);
  }

  /** take returns a canvas with the present picture, not mirrored. */
  take() { return frame(this.video); }

  stop() {
    clearInterval(this.#timer);
    if (this.#stream) for (const track of this.#stream.getTracks()) track.stop();
    this.#stream = null;
    this.video.srcObject = null;
  }

  // A hint is shown when it comes twice in a row, so that a screen reader is
  // not kept busy by a flicker.
  #look() {
    if (!this.video.videoWidth) return;
    const hint = look(this.video, this.video.videoWidth, this.video.videoHeight);
    const text = t(`hint.${hint}`);
    if (hint === this.#last && this.hint.textContent !== text) {
      this.hint.textContent = text;
      this.hint.dataset.hint = hint;
    }
    this.#last = hint;
  }
}

function oval() {
  return s('svg', { class: 'oval', viewBox: '0 0 100 100', preserveAspectRatio: 'none', 'aria-hidden': 'true', focusable: 'false' },
    s('path', { 'fill-rule': 'evenodd', fill: '#0b1c28', 'fill-opacity': '.45', d: 'M0 0H100V100H0Z M50 8 A33 37 0 1 0 50 82 A33 37 0 1 0 50 8Z' }),
    s('ellipse', { cx: 50, cy: 45, rx: 33, ry: 37, fill: 'none', stroke: '#fff', 'stroke-width': '2.5', 'vector-effect': 'non-scaling-stroke', 'stroke-dasharray': '7 5' }));
}
