// @ts-check
// A line chart over time on a canvas: axes with units, gaps where nothing was measured, and a line
// under the pointer that all charts share.

import { h, setText } from './dom.js';
import { clock } from './format.js';

/** @typedef {import('./wire.js').Sample} Sample */
/** @typedef {{ label: string, colour: string, of: (sample: Sample) => number | null, isArea?: boolean }} Line */
/** @typedef {{ title: string, lines: Line[], format: (value: number) => string, least: number, onHover: (t: number | null) => void, onResize: () => void }} ChartOptions */

const LEFT = 58;
const RIGHT = 12;
const TOP = 10;
const BOTTOM = 22;
const STEPS_MS = [5000, 10_000, 15_000, 30_000, 60_000, 120_000, 300_000];

export class Chart {
  #options;
  #canvas = h('canvas', { role: 'img', tabindex: '0' });
  #legend = h('div', { class: 'legend' });
  #values;
  #width = 0;
  #height = 0;
  #from = 0;
  #to = 1;
  /** @type {number | null} */
  #hover = null;

  /** @param {ChartOptions} options */
  constructor(options) {
    this.#options = options;
    this.#values = options.lines.map(() => h('span', { class: 'mono' }));
    this.#legend.append(
      ...options.lines.map(({ label, colour }, index) => {
        const swatch = h('i', { class: 'swatch' });
        swatch.style.color = `var(${colour})`;
        return h('span', { class: 'legend-item' }, swatch, h('span', { class: 'soft' }, label), this.#values[index]);
      }),
    );
    this.element = h('figure', { class: 'chart' }, h('figcaption', {}, h('h2', {}, options.title), this.#legend), this.#canvas);
    this.#canvas.addEventListener('pointermove', ({ offsetX }) => options.onHover(this.#timeAt(offsetX)));
    this.#canvas.addEventListener('pointerleave', () => options.onHover(null));
    this.#canvas.addEventListener('keydown', ({ key }) => {
      if (key !== 'ArrowLeft' && key !== 'ArrowRight') return;
      const now = this.#hover ?? this.#to;
      options.onHover(Math.min(this.#to, Math.max(this.#from, now + (key === 'ArrowLeft' ? -1000 : 1000))));
    });
    this.#canvas.addEventListener('blur', () => options.onHover(null));
    new ResizeObserver(([{ contentRect }]) => {
      [this.#width, this.#height] = [contentRect.width, contentRect.height];
      options.onResize();
    }).observe(this.#canvas);
  }

  /** @param {Sample[]} samples oldest first @param {number} from unix_ms @param {number} to @param {number | null} hover */
  draw(samples, from, to, hover) {
    [this.#from, this.#to, this.#hover] = [from, to, hover];
    const shown = samples.filter(({ t_ms }) => t_ms >= from - 1500);
    const at = hover === null ? shown.at(-1) : nearest(shown, hover);
    this.#options.lines.forEach(({ of }, index) => {
      const value = at ? of(at) : null;
      setText(this.#values[index], value === null ? '–' : this.#options.format(value));
    });
    this.#canvas.setAttribute('aria-label', `${this.#options.title}: ${this.#options.lines.map(({ label }, index) => `${label} ${this.#values[index].textContent}`).join(', ')}`);
    if (this.#width) this.#paint(shown, hover === null ? undefined : at);
  }

  /** @param {Sample[]} samples @param {Sample | undefined} marked */
  #paint(samples, marked) {
    const ratio = devicePixelRatio || 1;
    const [width, height] = [this.#width, this.#height];
    const context = this.#canvas.getContext('2d');
    if (!context) return;
    const [across, down] = [Math.round(width * ratio), Math.round(height * ratio)];
    if (this.#canvas.width !== across || this.#canvas.height !== down) [this.#canvas.width, this.#canvas.height] = [across, down];
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, width, height);
    const style = getComputedStyle(this.#canvas);
    const [ink, soft, hair] = [style.color, style.borderColor, style.outlineColor];
    const most = Math.max(this.#options.least, ...samples.flatMap((sample) => this.#options.lines.map(({ of }) => of(sample) ?? 0)));
    const step = niceStep(most / 3);
    const top = Math.ceil((most * 1.02) / step) * step;
    const floor = height - BOTTOM;
    /** @param {number} t */
    const x = (t) => LEFT + ((t - this.#from) / (this.#to - this.#from)) * (width - LEFT - RIGHT);
    /** @param {number} value */
    const y = (value) => floor - (value / top) * (floor - TOP);

    context.font = `11px ${style.fontFamily}`;
    context.textBaseline = 'middle';
    context.lineWidth = 1;
    context.textAlign = 'right';
    for (let value = 0; value <= top + step / 2; value += step) {
      const line = Math.round(y(value)) + 0.5;
      context.strokeStyle = hair;
      context.beginPath();
      context.moveTo(LEFT, line);
      context.lineTo(width - RIGHT, line);
      context.stroke();
      context.fillStyle = soft;
      context.fillText(this.#options.format(value), LEFT - 8, line);
    }
    context.textAlign = 'center';
    const wanted = (this.#to - this.#from) / Math.max(2, (width - LEFT - RIGHT) / 90);
    const pace = STEPS_MS.find((one) => one >= wanted) ?? 600_000;
    for (let t = Math.ceil(this.#from / pace) * pace; t <= this.#to; t += pace) {
      if (x(t) < LEFT + 12 || x(t) > width - RIGHT - 16) continue;
      context.fillStyle = hair;
      context.fillRect(Math.round(x(t)), floor, 1, 4);
      context.fillStyle = soft;
      context.fillText(pace < 60_000 ? clock(t) : clock(t).slice(0, 5), x(t), height - 8);
    }

    context.save();
    context.beginPath();
    context.rect(LEFT, 0, width - LEFT - RIGHT, height);
    context.clip();
    this.#options.lines.forEach(({ of, isArea }, index) => {
      const colour = getComputedStyle(/** @type {Element} */ (this.#legend.children[index].firstElementChild)).color;
      context.strokeStyle = context.fillStyle = colour;
      context.lineWidth = 1.5;
      context.lineJoin = 'round';
      let last = NaN;
      /** @type {[number, number][][]} */
      const pieces = [];
      for (const sample of samples) {
        const value = of(sample);
        // A second or two may be late; more without a sample is a hole.
        if (value !== null && sample.t_ms - last < 3500) pieces.at(-1)?.push([x(sample.t_ms), y(value)]);
        else if (value !== null) pieces.push([[x(sample.t_ms), y(value)]]);
        last = value === null ? NaN : sample.t_ms;
      }
      for (const piece of pieces) {
        context.beginPath();
        for (const [px, py] of piece) context.lineTo(px, py);
        if (piece.length === 1) context.arc(piece[0][0], piece[0][1], 1, 0, 7);
        context.stroke();
        if (!isArea || piece.length < 2) continue;
        context.lineTo(piece[piece.length - 1][0], floor);
        context.lineTo(piece[0][0], floor);
        context.globalAlpha = 0.12;
        context.fill();
        context.globalAlpha = 1;
      }
      const value = marked && of(marked);
      if (marked && value !== null && value !== undefined) {
        context.beginPath();
        context.arc(x(marked.t_ms), y(value), 3.5, 0, 7);
        context.fill();
      }
    });
    context.restore();
    if (!marked) return;
    const place = Math.round(x(marked.t_ms)) + 0.5;
    context.strokeStyle = soft;
    context.lineWidth = 1;
    context.setLineDash([3, 3]);
    context.beginPath();
    context.moveTo(place, TOP);
    context.lineTo(place, floor);
    context.stroke();
    context.setLineDash([]);
    const label = clock(marked.t_ms);
    const half = context.measureText(label).width / 2 + 6;
    const middle = Math.min(width - half, Math.max(half, place));
    context.fillStyle = ink;
    context.fillRect(middle - half, floor + 3, half * 2, 17);
    context.fillStyle = style.backgroundColor;
    context.fillText(label, middle, floor + 12);
  }

  /** @param {number} place */
  #timeAt(place) {
    const part = (place - LEFT) / Math.max(1, this.#width - LEFT - RIGHT);
    return this.#from + Math.min(1, Math.max(0, part)) * (this.#to - this.#from);
  }
}

/** A small line without axes. @param {HTMLCanvasElement} canvas @param {number[]} values */
export function sparkline(canvas, values) {
  const ratio = devicePixelRatio || 1;
  const [width, height] = [canvas.clientWidth, canvas.clientHeight];
  const context = canvas.getContext('2d');
  if (!context || !width) return;
  canvas.width = Math.round(width * ratio);
  canvas.height = Math.round(height * ratio);
  context.scale(ratio, ratio);
  const most = Math.max(1, ...values);
  const step = width / Math.max(1, values.length - 1);
  context.strokeStyle = context.fillStyle = getComputedStyle(canvas).color;
  context.lineWidth = 1.25;
  context.beginPath();
  values.forEach((value, index) => context.lineTo(index * step, height - 1.5 - (value / most) * (height - 3)));
  context.stroke();
  context.lineTo(width, height);
  context.lineTo(0, height);
  context.globalAlpha = 0.14;
  context.fill();
}

/** @param {Sample[]} samples @param {number} t */
function nearest(samples, t) {
  /** @type {Sample | undefined} */
  let best;
  for (const sample of samples) if (!best || Math.abs(sample.t_ms - t) < Math.abs(best.t_ms - t)) best = sample;
  return best;
}

/** 1, 2 or 5 times a power of ten, at least `least`. @param {number} least */
function niceStep(least) {
  const power = 10 ** Math.floor(Math.log10(Math.max(least, 1e-6)));
  return [1, 2, 5, 10].map((one) => one * power).find((one) => one >= least * 0.999) ?? power * 10;
}
