// @ts-check
/**
 * Handles to topics. A handle is for one part of an application: it has its own listeners and is
 * closed on its own, while all handles to one name share a subscription and a value. It stays valid
 * across any number of reconnections.
 */

import { ChatroomError } from './code.js';
import { Updates } from './updates.js';

/** @typedef {import('./action.js').Action} Action */
/** @typedef {import('./change.js').Change} Change */
/** @typedef {import('./change.js').TopicType} TopicType */
/** @typedef {import('./listening.js').Deliver} Deliver */
/** @typedef {import('./news.js').Meta} Meta */
/** @typedef {import('./mirror.js').TopicStatus} TopicStatus */
/** @typedef {import('./subscription.js').Subscription} Subscription */
/** @typedef {import('./subscription.js').Waiting} Waiting */
/** @typedef {import('./text.js').Component} Component */
/** @typedef {import('./value.js').Json} Json */
/**
 * @template T
 * @typedef {import('./listening.js').Listener<T>} Listener
 */
/** @typedef {{ topic: Topic<any>, change: Change }} PublicPart a change as the application made it */
/** @typedef {(part: PublicPart) => any} Make what becomes of a change that the application makes */

// What other modules of the library use of a handle has no name that an application could meet.
export const CHANGE = Symbol('change');
export const REBOUND = Symbol('rebound');
export const SUBSCRIPTION = Symbol('subscription');

/**
 * What all topics have. `value` is undefined until it has come.
 * @template T
 */
export class Topic {
  /** @type {Subscription} */
  #subscription;
  /** @type {Make} */
  #make;
  #closed = false;
  /** @type {() => void} */
  #release;
  /** @type {Set<() => void>} What ends the listeners of this handle. */
  #offs = new Set();

  /** @param {Subscription} subscription @param {Make} make @param {() => void} release */
  constructor(subscription, make, release) {
    this.#subscription = subscription;
    this.#make = make;
    this.#release = release;
  }

  /** The topic's name. @returns {string} */
  get name() {
    return this.#subscription.name;
  }

  /** The topic's type. @returns {TopicType} */
  get type() {
    return this.#subscription.type;
  }

  /** The value with the own changes, those that are on their way too: undefined until it has come. It is never changed in place. @returns {T | undefined} */
  get value() {
    return this.#closed ? undefined : this.#subscription.value;
  }

  /** The value as the room has it, without the changes that have no outcome yet. @returns {T | undefined} */
  get confirmed() {
    return this.#closed ? undefined : this.#subscription.confirmed;
  }

  /**
   * `loading`: no value yet; `live`: in step with the room; `stale`: the connection is down and the
   * value the last one; `denied`: the server refuses it, see `error`; `removed`: it was deleted.
   * @returns {TopicStatus}
   */
  get status() {
    return this.#subscription.status;
  }

  /** Why the topic is denied or removed. @returns {ChatroomError | undefined} */
  get error() {
    return this.#subscription.error;
  }

  /** Whether this handle was closed. */
  get closed() {
    return this.#closed;
  }

  /**
   * Calls `listener` after every change, and a moment from now with the value if it is there
   * already. Listeners of an event topic get what was emitted.
   * @param {Listener<T>} listener
   * @param {{ signal?: AbortSignal, deliver?: Deliver }} [options] `deliver`: how often it is called
   * @returns {() => void} ends it
   */
  on(listener, { signal, deliver } = {}) {
    return this.#listen(() => this.#subscription.on(listener, deliver), signal);
  }

  /**
   * Calls `listener` whenever `status` has changed.
   * @param {(status: TopicStatus) => unknown} listener
   * @param {{ signal?: AbortSignal }} [options]
   * @returns {() => void} ends it
   */
  onStatus(listener, { signal } = {}) {
    return this.#listen(() => this.#subscription.onStatus(listener), signal);
  }

  /** @param {() => () => void} add @param {AbortSignal} [signal] @returns {() => void} */
  #listen(add, signal) {
    this.#check();
    if (signal?.aborted) return () => {};
    const remove = add();
    const off = () => {
      remove();
      signal?.removeEventListener('abort', off);
      this.#offs.delete(off);
    };
    this.#offs.add(off);
    signal?.addEventListener('abort', off);
    return off;
  }

  /**
   * The changes as they come, for `for await`. A reader that is too slow is given the present value
   * in place of what it skipped, with `skipped` saying how many those were.
   * @param {{ signal?: AbortSignal, limit?: number }} [options] `limit`: how many may wait
   * @returns {Updates<T>}
   */
  updates({ signal, limit } = {}) {
    this.#check();
    /** @type {Updates<T>} */
    const updates = new Updates(limit, this.type !== 'event', () => off());
    const remove = this.on((value, change, meta) => updates.push({ value, change, meta }), { signal });
    // The iteration ends with its signal and with the handle.
    const end = () => updates.end();
    this.#offs.add(end);
    signal?.addEventListener('abort', end);
    const off = () => {
      remove();
      this.#offs.delete(end);
      signal?.removeEventListener('abort', end);
    };
    if (signal?.aborted) updates.end();
    return updates;
  }

  /**
   * Resolves with the value once it is there; rejects if the server refuses the topic, or when this
   * handle or the client is closed before.
   * @returns {Promise<T>}
   */
  loaded() {
    return new Promise((resolve, reject) => {
      this.#check();
      /** @type {Waiting} */
      const waiting = {
        resolve: (value) => (this.#offs.delete(stop), resolve(value)),
        reject: (error) => (this.#offs.delete(stop), reject(error)),
      };
      const stop = () => {
        this.#subscription.forget(waiting);
        waiting.reject(this.#closedError());
      };
      this.#offs.add(stop);
      this.#subscription.wait(waiting);
    });
  }

  /** Ends this handle: its listeners are called no more. The last one ends the subscription. */
  close() {
    if (this.#closed) return;
    this.#closed = true;
    for (const off of [...this.#offs]) off();
    this.#release();
  }

  /** @internal @param {Change} change @returns {any} */
  [CHANGE](change) {
    return this.#make({ topic: this, change });
  }

  /**
   * The same topic, whose changes go elsewhere.
   * @internal @param {Make} make @returns {this}
   */
  [REBOUND](make) {
    this.#check();
    const Kind = /** @type {any} */ (this.constructor);
    return new Kind(this.#subscription, make, () => {});
  }

  /** @internal */
  get [SUBSCRIPTION]() {
    return this.#subscription;
  }

  #check() {
    if (this.#closed) throw this.#closedError();
  }

  #closedError() {
    return new ChatroomError('closed', `this handle to ${this.name} was closed`);
  }
}

// `using` works where the platform knows it.
for (const name of ['dispose', 'asyncDispose']) {
  const symbol = /** @type {Record<string, symbol>} */ (/** @type {unknown} */ (Symbol))[name];
  if (symbol) Object.defineProperty(Topic.prototype, symbol, { value: Topic.prototype.close, configurable: true, writable: true });
}
