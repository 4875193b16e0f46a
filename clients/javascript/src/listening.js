// @ts-check
/** One listener of a topic, and how often it wants to be called. */

import { ChatroomError } from './code.js';
import { equal } from './value.js';

/** @typedef {import('./change.js').Change} Change */
/** @typedef {import('./delivery.js').Delivery} Delivery */
/** @typedef {import('./news.js').Meta} Meta */
/** @typedef {import('./socket.js').Environment} Environment */
/**
 * Told of a topic's value. `change` is null when the value came whole or by several changes at once:
 * `meta.changes` has them all, or null for a value that came whole.
 * @template T
 * @typedef {(value: T, change: Change | null, meta: Meta) => unknown} Listener
 */
/**
 * `every`: after each change; `latest`: with the newest value, skipping to it when the listener is
 * behind, also while a promise that it returned is pending; `{ hz }`: so often a second at most.
 * @typedef {'every' | 'latest' | { readonly hz: number }} Deliver
 */

/** So many changes are kept for a listener that waits; then the value comes whole. */
const CHANGES = 1_000;

export class Listening {
  #call;
  #delivery;
  #environment;
  /** @type {number | undefined} Between two calls; undefined: none is left out. */
  #interval;
  #removed = false;
  /** @type {any} */
  #saw;
  /** @type {{ value: any, meta: Meta } | undefined} What it was not told yet. */
  #behind;
  /** @type {any} */
  #timer;
  #calledAt = -Infinity;
  /** Whether it has not come to an end of what it was told last. */
  #busy = false;

  /** @param {Listener<any>} call @param {Deliver | undefined} deliver @param {Delivery} delivery @param {Environment} environment */
  constructor(call, deliver, delivery, environment) {
    this.#call = call;
    this.#delivery = delivery;
    this.#environment = environment;
    if (deliver === 'latest') this.#interval = 0;
    else if (deliver !== undefined && deliver !== 'every') {
      if (!(deliver.hz > 0)) throw new ChatroomError('bad_type', "deliver is 'every', 'latest' or { hz: a number above 0 }");
      this.#interval = 1_000 / deliver.hz;
    }
  }

  /** It is called no more. */
  end() {
    this.#removed = true;
    this.#behind = undefined;
    this.#environment.clearTimeout(this.#timer);
  }

  /** The value is another one. @param {any} value @param {Meta} meta */
  told(value, meta) {
    if (this.#removed) return;
    if (this.#interval === undefined) return void this.#tell(value, meta);
    this.#behind = { value, meta: this.#behind ? merged(this.#behind.meta, meta) : meta };
    this.#arm();
  }

  /** Something happened that leaves no value. @param {any} args @param {Meta} meta */
  happened(args, meta) {
    if (this.#removed) return;
    if (this.#interval === undefined) return void this.#delivery.call(this.#call, args, /** @type {readonly Change[]} */ (meta.changes)[0], meta);
    this.#behind = { value: args, meta };
    this.#arm();
  }

  #arm() {
    if (this.#timer !== undefined || this.#busy) return;
    const wait = Math.max(0, this.#calledAt + /** @type {number} */ (this.#interval) - this.#environment.now());
    // A moment at least: what else has arrived by then is one step with it.
    this.#timer = this.#environment.setTimeout(() => {
      this.#timer = undefined;
      this.#delivery.add(() => this.#catchUp());
      this.#delivery.run();
    }, wait);
  }

  #catchUp() {
    const behind = this.#behind;
    this.#behind = undefined;
    if (!behind || this.#removed) return;
    this.#calledAt = this.#environment.now();
    const result = this.#tell(behind.value, behind.meta);
    if (!(result instanceof Promise)) return;
    this.#busy = true;
    const done = () => {
      this.#busy = false;
      if (this.#behind && !this.#removed) this.#arm();
    };
    result.then(done, done);
  }

  /** @param {any} value @param {Meta} meta @returns {unknown} what the listener returned */
  #tell(value, meta) {
    // A value that came whole and is what the listener saw last is no news.
    if (meta.changes === null && this.#saw !== undefined && equal(this.#saw, value)) return undefined;
    this.#saw = value;
    const change = meta.changes?.length === 1 ? meta.changes[0] : null;
    /** @type {unknown} */
    let result;
    this.#delivery.call(() => (result = this.#call(value, change, meta)));
    return result;
  }
}

/** One step for two. @param {Meta} one @param {Meta} other @returns {Meta} */
function merged(one, other) {
  const changes = one.changes && other.changes && one.changes.length + other.changes.length <= CHANGES ? [...one.changes, ...other.changes] : null;
  return Object.freeze({ ...other, changes, cause: one.cause === other.cause ? other.cause : changes ? 'remote' : 'snapshot' });
}
