// @ts-check
// The header: which room, how the connection is, and the room in a few figures.

import { button, h, setText } from './dom.js';
import { sparkline } from './chart.js';
import { brief, count, of, rate, span } from './format.js';
import { recall, remember } from './settings.js';

/** @typedef {import('./store.js').Store} Store */
/** @typedef {import('./socket.js').Socket} Socket */

const SPARK_SECONDS = 60;
const STATES = { connecting: 'connecting', online: 'live', silent: 'silent', lost: 'connection lost', refused: 'refused' };

export class Header {
  #store;
  #socket;
  #rooms = element('#rooms', HTMLSelectElement);
  #state = element('#state', HTMLElement);
  #banner = element('#banner', HTMLElement);
  #spark = element('#spark', HTMLCanvasElement);
  #totals = { sequence: element('#sequence', HTMLElement), commits: element('#commits', HTMLElement), deliveries: element('#deliveries', HTMLElement), clients: element('#clients', HTMLElement), uptime: element('#uptime', HTMLElement) };
  #wasOnline = false;
  #roomsSeen = -1;
  #samplesSeen = -1;
  #bannerText = '';

  /** @param {Store} store @param {Socket} socket @param {(room: string) => void} onRoom */
  constructor(store, socket, onRoom) {
    this.#store = store;
    this.#socket = socket;
    this.#rooms.addEventListener('change', () => onRoom(this.#rooms.value));
  }

  draw() {
    this.#drawConnection();
    const { versions, samples, sequence } = this.#store;
    setText(this.#totals.sequence, count(sequence));
    if (versions.rooms !== this.#roomsSeen) {
      this.#roomsSeen = versions.rooms;
      this.#drawRooms();
      setText(this.#totals.clients, count(this.#store.clientsTotal));
      setText(this.#totals.uptime, this.#store.started ? span(this.#store.now() - this.#store.started) : '–');
    }
    if (versions.samples !== this.#samplesSeen) {
      this.#samplesSeen = versions.samples;
      const last = samples.at(-1);
      setText(this.#totals.commits, last ? rate(last.commits) : '–');
      setText(this.#totals.deliveries, last ? rate(last.deliveries) : '–');
      sparkline(this.#spark, samples.slice(-SPARK_SECONDS).map(({ commits }) => commits));
    }
    for (const [id, total] of Object.entries({ topics: Math.max(this.#store.topicsTotal, this.#store.topics.size), services: this.#store.services.size, clients: Math.max(this.#store.clientsTotal, this.#store.clients.size) })) {
      const tally = document.querySelector(`#tab-${id} .tally`);
      if (tally) setText(tally, total ? brief(total) : '');
    }
  }

  #drawConnection() {
    const { state, retryAt, reason } = this.#socket;
    this.#wasOnline ||= state === 'online';
    const isAgain = state === 'connecting' && this.#wasOnline;
    document.documentElement.dataset.state = isAgain ? 'lost' : state;
    setText(this.#state, isAgain ? 'reconnecting' : STATES[state]);
    const seconds = Math.max(0, Math.ceil((retryAt - Date.now()) / 1000));
    const why = reason ? ` (${reason})` : '';
    const text = {
      connecting: isAgain ? `Connection lost${why}. Trying again …` : '',
      online: '',
      silent: 'The server says nothing: it is busy, stopped, or the network is gone. What you see may be old.',
      lost: `${this.#wasOnline ? 'Connection lost' : 'The server cannot be reached'}${why}. Next try in ${seconds} s; what you see is as it was.`,
      refused: `The server refused this page${why}. Its token:`,
    }[state];
    if (text === this.#bannerText) return;
    const isSameKind = this.#banner.dataset.state === state;
    this.#bannerText = text;
    this.#banner.hidden = !text;
    if (isSameKind && state !== 'refused') {
      setText(/** @type {Element} */ (this.#banner.firstElementChild), text);
      return;
    }
    this.#banner.dataset.state = state;
    this.#banner.replaceChildren(h('span', {}, text), state === 'lost' ? button('Try now', () => this.#socket.retry(), { class: 'small' }) : '', state === 'refused' ? this.#tokenForm() : '');
  }

  #tokenForm() {
    const token = h('input', { type: 'password', 'aria-label': 'Token', autocomplete: 'off' });
    const submit = (/** @type {Event} */ event) => {
      event.preventDefault();
      this.#socket.useToken(token.value.trim());
    };
    return h('form', { submit }, token, h('button', { type: 'submit', class: 'small' }, 'Connect'));
  }

  #drawRooms() {
    const { rooms, room } = this.#store;
    const names = new Set([room, ...rooms.map(({ name }) => name)].filter(Boolean));
    const before = [...this.#rooms.options].map(({ value }) => value);
    if (before.length !== names.size || before.some((name) => !names.has(name))) {
      this.#rooms.replaceChildren(...[...names].sort().map((name) => h('option', { value: name }, name)));
    }
    for (const option of this.#rooms.options) {
      const known = rooms.find(({ name }) => name === option.value);
      // The chosen one says only its name: its figures stand beside it.
      setText(option, known && option.value !== room ? `${known.name} · ${of(known.clients, 'client')}, ${of(known.topics, 'topic')}` : option.value);
    }
    if (this.#rooms.value !== room) this.#rooms.value = room;
  }
}

/** Light, dark, or as the system says. */
export function theme() {
  const chosen = recall('theme');
  if (chosen) document.documentElement.dataset.theme = chosen;
  const isDark = () => (document.documentElement.dataset.theme ? document.documentElement.dataset.theme === 'dark' : matchMedia('(prefers-color-scheme: dark)').matches);
  return {
    toggle() {
      const next = isDark() ? 'light' : 'dark';
      document.documentElement.dataset.theme = next;
      remember('theme', next);
    },
  };
}

/**
 * The element; the page is broken without it.
 * @template {HTMLElement} T
 * @param {string} selector
 * @param {{ new (): T }} kind
 */
export function element(selector, kind) {
  const found = document.querySelector(selector);
  if (!(found instanceof kind)) throw new Error(`no element ${selector}`);
  return found;
}
