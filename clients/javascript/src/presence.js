// @ts-check
/** Presence: an entry per client, which goes with its client. */

import { CHANGE, REBOUND, SUBSCRIPTION, Topic } from './topic.js';

/** @typedef {import('./action.js').Action} Action */

/**
 * What the clients of a room tell of themselves, by client id. The own entry is put again after
 * every reconnection and taken out with the last handle.
 * @template T
 * @extends {Topic<Readonly<Record<string, T>>>}
 */
export class PresenceTopic extends Topic {
  /** @type {() => { client: number, entries: Entries }} */
  #home;

  /** @param {import('./subscription.js').Subscription} subscription @param {import('./topic.js').Make} make @param {() => void} release @param {() => { client: number, entries: Entries }} home */
  constructor(subscription, make, release, home) {
    super(subscription, make, release);
    this.#home = home;
  }

  /** Writes the own entry. @param {T} value @returns {Action} */
  put(value) {
    return this[CHANGE]({ type: 'put', value });
  }

  /** Takes the own entry out. @returns {Action} */
  clear() {
    return this[CHANGE]({ type: 'pop' });
  }

  /** The own entry, as it was put last. @returns {T | undefined} */
  get mine() {
    return this.#home().entries.get(this.name);
  }

  /** The entries of the other clients. @returns {Readonly<Record<string, T>>} */
  get others() {
    const others = Object.assign(Object.create(null), this.value);
    delete others[this.#home().client];
    return others;
  }

  /** @internal @override @param {import('./topic.js').Make} make @returns {any} */
  [REBOUND](make) {
    return new PresenceTopic(this[SUBSCRIPTION], make, () => {}, this.#home);
  }
}

/** What this client has put into presence topics and wants to stand there. */
export class Entries {
  /** @type {Map<string, any>} */
  #values = new Map();
  /** @type {Map<string, Action[]>} Actions that wait for their entry to be sent, by topic. */
  #waiting = new Map();

  /** @param {string} name @returns {any} */
  get(name) {
    return this.#values.get(name);
  }

  /** How many entries and actions are kept. */
  get size() {
    return this.#values.size + this.#waiting.size;
  }

  /** Notes what the entry shall be; undefined: none. @param {string} name @param {any} value */
  set(name, value) {
    if (value === undefined) this.#values.delete(name);
    else this.#values.set(name, value);
  }

  /** Keeps actions until the entry is sent; only the last value counts. @param {string} name @param {readonly Action[]} actions */
  wait(name, actions) {
    this.#waiting.set(name, [...(this.#waiting.get(name) ?? []), ...actions]);
  }

  /**
   * What is to be sent on a new connection: every entry, and the removals that somebody waits for.
   * @returns {{ name: string, value: any, actions: Action[] }[]}
   */
  take() {
    const names = new Set([...this.#values.keys(), ...this.#waiting.keys()]);
    const taken = [...names].map((name) => ({ name, value: this.#values.get(name), actions: this.#waiting.get(name) ?? [] }));
    this.#waiting.clear();
    return taken;
  }

  /** Forgets a topic. @param {string} name @returns {readonly Action[]} those that were waiting */
  drop(name) {
    const waiting = this.#waiting.get(name) ?? [];
    this.#waiting.delete(name);
    this.#values.delete(name);
    return waiting;
  }
}
