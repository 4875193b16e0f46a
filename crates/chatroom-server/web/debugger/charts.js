// @ts-check
// The view of the charts: the last ten minutes of the room, second by second.

import { Chart } from './chart.js';
import { empty, h } from './dom.js';
import { bytes, count, ms, rate } from './format.js';
import { requestFrame } from './frame.js';
import { recall, remember } from './settings.js';

/** @typedef {import('./wire.js').Sample} Sample */

const SHORTEST = 60_000;
const AT_ONCE = 2;
const RANGES = { '1 min': 60_000, '5 min': 300_000, '10 min': 600_000 };

export class ChartsView {
  #store;
  #charts;
  #range = recall('range') ?? '10 min';
  /** @type {number | null} */
  #hover = null;
  #seen = -1;
  /** The charts that are still to be drawn. @type {Chart[]} */
  #queue = [];
  #grid;
  #none = h('div', { class: 'none' }, empty('No figures yet.', h('p', {}, 'The server measures once a second; the first are about to come.')));
  #ranges = h('div', { class: 'segments', role: 'radiogroup', 'aria-label': 'Time shown' });

  /** @param {import('./store.js').Store} store */
  constructor(store) {
    this.#store = store;
    const onHover = (/** @type {number | null} */ t) => {
      this.#hover = t;
      this.#restart();
    };
    const shared = { onHover, onResize: () => this.#restart() };
    /** @param {(sample: Sample) => number | null} of @param {string} label @param {string} colour @param {boolean} [isArea] */
    const line = (label, colour, of, isArea) => ({ label, colour, of, isArea });
    const perSecond = (/** @type {number} */ value) => (value ? `${rate(value)}/s` : '0');
    const latency = (/** @type {number} */ value) => (value ? ms(value) : '0');
    const size = (/** @type {number} */ value) => (value ? bytes(value) : '0');
    this.#charts = [
      new Chart({
        title: 'What clients do',
        format: perSecond,
        least: 4,
        ...shared,
        lines: [line('commits', '--line-1', ({ commits }) => commits, true), line('calls', '--line-2', ({ calls }) => calls), line('rejects', '--line-4', ({ rejects }) => rejects), line('call errors', '--line-3', ({ call_errors }) => call_errors)],
      }),
      new Chart({
        title: 'Messages',
        format: perSecond,
        least: 4,
        ...shared,
        lines: [line('deliveries', '--line-1', ({ deliveries }) => deliveries, true), line('received', '--line-2', ({ received }) => received)],
      }),
      new Chart({
        title: 'Latency of commits',
        format: latency,
        least: 0.1,
        ...shared,
        lines: [line('p99', '--line-3', ({ commit_p99_ms }) => commit_p99_ms), line('p50', '--line-1', ({ commit_p50_ms }) => commit_p50_ms)],
      }),
      new Chart({
        title: 'Latency of calls',
        format: latency,
        least: 0.1,
        ...shared,
        lines: [line('p99', '--line-3', ({ call_p99_ms }) => call_p99_ms), line('p50', '--line-1', ({ call_p50_ms }) => call_p50_ms)],
      }),
      new Chart({ title: 'Waiting to be sent', format: size, least: 1000, ...shared, lines: [line('queues', '--line-2', ({ queue_bytes }) => queue_bytes, true)] }),
      new Chart({ title: 'Memory of the server', format: size, least: 1e6, ...shared, lines: [line('resident', '--line-1', ({ memory_bytes }) => memory_bytes, true)] }),
      new Chart({ title: 'Clients', format: (value) => count(Math.round(value)), least: 4, ...shared, lines: [line('connected', '--line-2', ({ clients }) => clients, true)] }),
      new Chart({ title: 'Topics', format: (value) => count(Math.round(value)), least: 4, ...shared, lines: [line('topics', '--line-1', ({ topics }) => topics, true)] }),
    ];
    this.#grid = h('div', { class: 'chart-grid' }, ...this.#charts.map(({ element }) => element));
    this.#ranges.append(...Object.keys(RANGES).map((name) => h('button', { type: 'button', role: 'radio', 'aria-checked': String(name === this.#range), click: () => this.#setRange(name) }, name)));
    this.element = h('div', { class: 'view charts' }, h('div', { class: 'bar' }, this.#ranges, h('span', { class: 'soft' }, 'one value a second; point at a chart to read all of them at that time')), this.#none, this.#grid);
  }

  search() {}

  focus() {
    this.#grid.querySelector('canvas')?.focus();
  }

  close() {
    return false;
  }

  /** Colours may have changed. */
  restyle() {
    this.#restart();
  }

  draw() {
    const { versions, samples } = this.#store;
    if (versions.samples !== this.#seen) {
      this.#seen = versions.samples;
      this.#queue = [...this.#charts];
    }
    if (!this.#queue.length) return;
    this.#none.hidden = samples.length > 0;
    this.#grid.hidden = !samples.length;
    const to = samples.at(-1)?.t_ms ?? this.#store.now();
    const range = RANGES[/** @type {keyof typeof RANGES} */ (this.#range)] ?? 600_000;
    // A server that is just up has little to show: what there is fills the width.
    const from = Math.max(to - range, Math.min(samples[0]?.t_ms ?? to, to - SHORTEST));
    // Eight at once would take a slow machine longer than a frame; a shared line must not lag.
    const now = this.#queue.splice(0, this.#hover === null ? AT_ONCE : this.#queue.length);
    for (const chart of now) chart.draw(samples, from, to, this.#hover);
    if (this.#queue.length) requestFrame();
  }

  #restart() {
    this.#queue = [...this.#charts];
    requestFrame();
  }

  /** @param {string} range */
  #setRange(range) {
    this.#range = range;
    remember('range', range);
    for (const button of this.#ranges.children) button.setAttribute('aria-checked', String(button.textContent === range));
    this.#restart();
  }
}
