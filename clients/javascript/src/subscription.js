// @ts-check
/** One topic of this client: what all handles to it share, and who is told of its changes. */

import { equal } from './value.js';

/** @typedef {import('./change.js').Change} Change */
/** @typedef {import('./change.js').TopicType} TopicType */
/** @typedef {import('./code.js').ChatroomError} ChatroomError */
/** @typedef {import('./delivery.js').Delivery} Delivery */
/** @typedef {import('./replica.js').Meta} Meta */
/** @typedef {import('./replica.js').Replica} Replica */
/** @typedef {import('./replica.js').TopicStatus} TopicStatus */
/** @typedef {import('./replica.js').ValueNotification} ValueNotification */

/**
 * Told of a topic's value. `change` is null when the value came whole.
 * @template T
 * @typedef {(value: T, change: Change | null, meta: Meta) => unknown} Listener
 */
/** @typedef {{ call: Listener<any>, removed: boolean, saw: any }} Listening */
/** @typedef {{ call: (status: TopicStatus) => unknown, removed: boolean }} StatusListening */
/** @typedef {{ resolve: (value: any) => void, reject: (error: ChatroomError) => void }} Waiting */

export class Subscription {
  /** How many handles there are. */
  references = 0;
  /** @type {any} The timer that ends the subscription after its last handle. */
  grace;
  #replica;
  #delivery;
  /** @type {readonly Listening[]} Never changed in place: a round goes to those who were there. */
  #listeners = [];
  /** @type {readonly StatusListening[]} */
  #statusListeners = [];
  /** @type {Set<Waiting>} */
  #waiting = new Set();

  /** @param {string} name @param {TopicType} type @param {Replica} replica @param {Delivery} delivery */
  constructor(name, type, replica, delivery) {
    this.name = name;
    this.type = type;
    this.#replica = replica;
    this.#delivery = delivery;
  }

  /** @returns {TopicStatus} */
  get status() {
    return this.#replica.entry(this.name)?.status ?? 'removed';
  }

  /** @returns {ChatroomError | undefined} */
  get error() {
    return this.#replica.entry(this.name)?.error;
  }

  /** @returns {any} */
  get value() {
    return this.type === 'event' ? undefined : this.#replica.read(this.name);
  }

  /** Whether anybody is told of anything. */
  get listened() {
    return this.#listeners.length + this.#statusListeners.length + this.#waiting.size;
  }

  /** @param {Listener<any>} call @returns {() => void} */
  on(call) {
    const listening = { call, removed: false, saw: undefined };
    this.#listeners = [...this.#listeners, listening];
    this.#replica.watch(this.name, true);
    const entry = this.#replica.entry(this.name);
    if (this.type !== 'event' && entry?.value !== undefined) {
      const value = this.#replica.read(this.name);
      /** @type {Meta} */
      const meta = { sequence: entry.sequence, by: 0, mine: false, cause: 'snapshot' };
      this.#delivery.add(() => this.#call(listening, value, null, meta));
    }
    return () => {
      listening.removed = true;
      this.#listeners = this.#listeners.filter((other) => other !== listening);
      this.#replica.watch(this.name, this.#listeners.length > 0);
    };
  }

  /** @param {(status: TopicStatus) => unknown} call @returns {() => void} */
  onStatus(call) {
    const listening = { call, removed: false };
    this.#statusListeners = [...this.#statusListeners, listening];
    return () => {
      listening.removed = true;
      this.#statusListeners = this.#statusListeners.filter((other) => other !== listening);
    };
  }

  /** The value has come or changed. @param {ValueNotification} told */
  told({ value, change, meta }) {
    const listeners = this.#listeners;
    if (listeners.length === 0) return;
    this.#delivery.add(() => {
      for (const listening of listeners) this.#call(listening, value, change, meta);
    });
  }

  /** @param {Listening} listening @param {any} value @param {Change | null} change @param {Meta} meta */
  #call(listening, value, change, meta) {
    if (listening.removed) return;
    // A value that came whole and is what the listener saw last is no news.
    if (change === null && listening.saw !== undefined && equal(listening.saw, value)) return;
    if (this.type !== 'event') listening.saw = value;
    this.#delivery.call(listening.call, value, change, meta);
  }

  /** The status has changed. */
  turned() {
    const { status, error } = this;
    if (status === 'live') this.#settle((waiting) => waiting.resolve(this.value));
    else if (error) this.#settle((waiting) => waiting.reject(error));
    const listeners = this.#statusListeners;
    if (listeners.length === 0) return;
    this.#delivery.add(() => {
      for (const listening of listeners) if (!listening.removed) this.#delivery.call(listening.call, status);
    });
  }

  /** Waits for the value; `waiting` may be taken back by `forget`. @param {Waiting} waiting */
  wait(waiting) {
    const { status, error } = this;
    if (status === 'live' || (status === 'stale' && this.value !== undefined)) waiting.resolve(this.value);
    else if (error) waiting.reject(error);
    else this.#waiting.add(waiting);
  }

  /** @param {Waiting} waiting */
  forget(waiting) {
    this.#waiting.delete(waiting);
  }

  /** The client was closed. @param {ChatroomError} error */
  end(error) {
    this.#settle((waiting) => waiting.reject(error));
    for (const listening of [...this.#listeners, ...this.#statusListeners]) listening.removed = true;
    this.#listeners = [];
    this.#statusListeners = [];
  }

  /** @param {(waiting: Waiting) => void} settle */
  #settle(settle) {
    const waiting = [...this.#waiting];
    this.#waiting.clear();
    for (const one of waiting) settle(one);
  }
}
