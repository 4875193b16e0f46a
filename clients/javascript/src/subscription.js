// @ts-check
/** One topic of this client: what all handles to it share, and who is told of its changes. */

import { Listening } from './listening.js';

/** @typedef {import('./change.js').TopicType} TopicType */
/** @typedef {import('./code.js').ChatroomError} ChatroomError */
/** @typedef {import('./delivery.js').Delivery} Delivery */
/** @typedef {import('./listening.js').Deliver} Deliver */
/** @typedef {import('./news.js').Meta} Meta */
/** @typedef {import('./replica.js').Replica} Replica */
/** @typedef {import('./mirror.js').TopicStatus} TopicStatus */
/** @typedef {import('./news.js').ValueNotification} ValueNotification */
/** @typedef {import('./socket.js').Environment} Environment */
/**
 * @template T
 * @typedef {import('./listening.js').Listener<T>} Listener
 */
/** @typedef {{ call: (status: TopicStatus) => unknown, removed: boolean }} StatusListening */
/** @typedef {{ resolve: (value: any) => void, reject: (error: ChatroomError) => void }} Waiting */

export class Subscription {
  /** How many handles there are, and actions that have no outcome yet. */
  references = 0;
  /** @type {any} The timer that ends the subscription after its last handle. */
  grace;
  #replica;
  #delivery;
  #environment;
  /** @type {readonly Listening[]} Never changed in place: a round goes to those who were there. */
  #listeners = [];
  /** @type {readonly StatusListening[]} */
  #statusListeners = [];
  /** @type {Set<Waiting>} */
  #waiting = new Set();

  /** @param {string} name @param {TopicType} type @param {Replica} replica @param {Delivery} delivery @param {Environment} environment */
  constructor(name, type, replica, delivery, environment) {
    this.name = name;
    this.type = type;
    this.#replica = replica;
    this.#delivery = delivery;
    this.#environment = environment;
  }

  /** @returns {TopicStatus} */
  get status() {
    return this.#replica.topic(this.name)?.status ?? 'removed';
  }

  /** @returns {ChatroomError | undefined} */
  get error() {
    return this.#replica.topic(this.name)?.error;
  }

  /** @returns {any} */
  get value() {
    return this.type === 'event' ? undefined : this.#replica.value(this.name);
  }

  /** @returns {any} */
  get confirmed() {
    return this.type === 'event' ? undefined : this.#replica.confirmed(this.name);
  }

  /** Whether anybody is told of anything. */
  get listened() {
    return this.#listeners.length + this.#statusListeners.length + this.#waiting.size;
  }

  /** @param {Listener<any>} call @param {Deliver} [deliver] @returns {() => void} */
  on(call, deliver) {
    const listening = new Listening(call, deliver, this.#delivery, this.#environment);
    this.#listeners = [...this.#listeners, listening];
    this.#replica.watch(this.name, true);
    const topic = this.#replica.topic(this.name);
    if (this.type !== 'event' && topic?.document) {
      const { value } = this;
      /** @type {Meta} */
      const meta = Object.freeze({ sequence: topic.sequence, by: 0, mine: false, cause: 'snapshot', changes: null });
      this.#delivery.add(() => listening.told(value, meta));
    }
    return () => {
      listening.end();
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
  told({ value, meta }) {
    const listeners = this.#listeners;
    if (listeners.length === 0) return;
    this.#delivery.add(() => {
      for (const listening of listeners) {
        if (this.type !== 'event') listening.told(value, meta);
        else for (const change of meta.changes ?? []) listening.happened(change.args, Object.freeze({ ...meta, changes: Object.freeze([change]) }));
      }
    });
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
    for (const listening of this.#listeners) listening.end();
    for (const listening of this.#statusListeners) listening.removed = true;
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
