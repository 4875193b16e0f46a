// @ts-check
// The strip over the log: commits, calls and what was refused, second by second. A click goes to
// what is in the log of that time.

import { h, setText } from './dom.js';
import { clock, of, rate } from './format.js';

/** @typedef {import('./wire.js').Sample} Sample */

const SECONDS = 180;
const LABEL = 62;

export class Activity {
  #canvas = h('canvas', { role: 'img', 'aria-label': 'What happened in the last three minutes' });
  #most = h('span', { class: 'mono' });
  #tip = h('span', { class: 'tip', hidden: true });
  #width = 0;
  #from = 0;
  /** @type {Sample[]} */
  #samples = [];

  /** @param {(t: number) => void} onPick */
  constructor(onPick) {
    this.element = h('div', { class: 'activity' }, this.#most, this.#canvas, this.#tip);
    this.#canvas.addEventListener('click', ({ offsetX }) => onPick(this.#timeAt(offsetX)));
    this.#canvas.addEventListener('pointermove', ({ offsetX }) => this.#point(offsetX));
    this.#canvas.addEventListener('pointerleave', () => (this.#tip.hidden = true));
    new ResizeObserver(([{ contentRect }]) => {
      this.#width = contentRect.width;
      this.draw(this.#samples);
    }).observe(this.#canvas);
  }

  /** @param {Sample[]} samples */
  draw(samples) {
    this.#samples = samples;
    const context = this.#canvas.getContext('2d');
    if (!context || !this.#width) return;
    const ratio = devicePixelRatio || 1;
    const height = this.#canvas.clientHeight;
    this.#canvas.width = Math.round(this.#width * ratio);
    this.#canvas.height = Math.round(height * ratio);
    context.scale(ratio, ratio);
    const to = samples.at(-1)?.t_ms ?? Date.now();
    this.#from = to - SECONDS * 1000;
    const shown = samples.filter(({ t_ms }) => t_ms > this.#from);
    const most = Math.max(1, ...shown.map(({ commits, calls, rejects, call_errors }) => commits + calls + rejects + call_errors));
    setText(this.#most, `${rate(most)}/s`);
    const style = getComputedStyle(this.#canvas);
    const [commit, call, bad] = [style.color, style.borderColor, style.outlineColor];
    const step = this.#width / SECONDS;
    const bar = Math.max(1, step - 1);
    for (const { t_ms, commits, calls, rejects, call_errors } of shown) {
      const x = ((t_ms - this.#from) / 1000 - 1) * step;
      let y = height;
      // What was refused stands at the foot and is never thinner than a line: it is looked for.
      for (const [colour, amount] of /** @type {[string, number][]} */ ([[bad, rejects + call_errors], [commit, commits], [call, Math.max(0, calls - call_errors)]])) {
        if (!amount) continue;
        const size = Math.max(colour === bad ? 2 : 0.5, (amount / most) * (height - 2));
        context.fillStyle = colour;
        context.fillRect(x, y - size, bar, size);
        y -= size;
      }
    }
  }

  /** @param {number} place */
  #point(place) {
    const t = this.#timeAt(place);
    const sample = this.#samples.find(({ t_ms }) => t_ms >= t && t_ms - t <= 1500);
    this.#tip.hidden = !sample;
    if (!sample) return;
    setText(this.#tip, `${clock(sample.t_ms)}  ${of(Math.round(sample.commits), 'commit')}, ${of(Math.round(sample.calls), 'call')}, ${Math.round(sample.rejects + sample.call_errors)} refused`);
    this.#tip.style.left = `${Math.min(Math.max(0, this.#width - 250), Math.max(0, place - 110)) + LABEL}px`;
  }

  /** @param {number} place */
  #timeAt(place) {
    return this.#from + (place / Math.max(1, this.#width)) * SECONDS * 1000;
  }
}
