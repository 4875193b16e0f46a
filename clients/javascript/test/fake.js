// @ts-check
// A world for one client: sockets that the test holds in its hands, and a clock that it moves.
import { connect } from '../src/index.js';

/** @typedef {import('../src/index.js').Options} Options */

export class FakeSocket {
  /** @type {{ type: string, content: any }[]} What the client sent and nobody took yet. */
  sent = [];
  /** @type {any} */ onopen = null;
  /** @type {any} */ onmessage = null;
  /** @type {any} */ onclose = null;
  /** @type {any} */ onerror = null;
  closed = false;
  /** @type {((message: { type: string, content: any }) => void) | undefined} Sees what is sent. */
  server;

  /** @param {string} url @param {string} subprotocol */
  constructor(url, subprotocol) {
    this.url = url;
    this.subprotocol = subprotocol;
  }

  /** @param {string} text */
  send(text) {
    if (this.closed) return;
    const message = JSON.parse(text);
    this.sent.push(message);
    this.server?.(message);
  }

  close() {
    this.closed = true;
  }

  /** The server says something. @param {string} type @param {object} content */
  say(type, content) {
    this.onmessage?.({ data: JSON.stringify({ type, content }) });
  }

  /** The connection ends from the other side. @param {number} [code] @param {string} [reason] */
  drop(code = 1006, reason = '') {
    this.closed = true;
    this.onclose?.({ code, reason });
  }

  /** What was sent since the last time. */
  take() {
    return this.sent.splice(0);
  }
}

export const HELLO = { id: 1, protocol: 'chatroom.v1.json', room: 'main', epoch: 1, sequence: 0, limits: {}, heartbeat_ms: 25_000, session: { id: 1, secret: 'x' } };

export class World {
  now = 0;
  random = 0.5;
  /** @type {FakeSocket[]} */
  sockets = [];
  /** @type {Map<number, { at: number, callback: () => void }>} */
  timers = new Map();
  /** @type {Set<(online: boolean) => void>} */
  networks = new Set();
  /** @type {((url: string, subprotocol: string) => FakeSocket) | undefined} */
  opens;
  #lastTimer = 0;

  environment = {
    open: (/** @type {string} */ url, /** @type {string} */ subprotocol) => {
      const socket = this.opens?.(url, subprotocol) ?? new FakeSocket(url, subprotocol);
      this.sockets.push(socket);
      return socket;
    },
    setTimeout: (/** @type {() => void} */ callback, /** @type {number} */ ms) => {
      this.timers.set(++this.#lastTimer, { at: this.now + ms, callback });
      return this.#lastTimer;
    },
    clearTimeout: (/** @type {any} */ timer) => void this.timers.delete(timer),
    now: () => this.now,
    random: () => this.random,
    network: (/** @type {(online: boolean) => void} */ told) => {
      this.networks.add(told);
      return () => void this.networks.delete(told);
    },
  };

  /** @param {Options} [options] */
  connect(options = {}) {
    return connect('ws://fake/', { ...options, environment: this.environment });
  }

  /** The newest socket. */
  get socket() {
    return /** @type {FakeSocket} */ (this.sockets[this.sockets.length - 1]);
  }

  /** Lets everything happen that needs no time. */
  async settle() {
    for (let turn = 0; turn < 12; turn++) await null;
  }

  /** Moves the clock, and does what is due on the way. @param {number} ms */
  async advance(ms) {
    const until = this.now + ms;
    await this.settle();
    for (;;) {
      const due = [...this.timers].filter(([, { at }]) => at <= until).sort(([a, one], [b, other]) => one.at - other.at || a - b)[0];
      if (!due) break;
      const [id, { at, callback }] = due;
      this.timers.delete(id);
      this.now = Math.max(this.now, at);
      callback();
      await this.settle();
    }
    this.now = until;
  }

  /** The newest socket opens and the server says hello. @param {object} [hello] */
  async greet(hello = {}) {
    await this.settle();
    const { socket } = this;
    socket.onopen();
    socket.say('hello', { ...HELLO, id: this.sockets.length, ...hello });
    await this.settle();
    return socket;
  }
}

/**
 * Collects what `rejected` promises come to, without an await in the test's way.
 * @param {PromiseLike<any>} promise
 */
export function outcome(promise) {
  /** @type {{ state: 'pending' | 'resolved' | 'rejected', value?: any, error?: any }} */
  const seen = { state: 'pending' };
  promise.then(
    (value) => Object.assign(seen, { state: 'resolved', value }),
    (error) => Object.assign(seen, { state: 'rejected', error }),
  );
  return seen;
}
