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
  /** @type {Map<string, Action[]>} Actions that were lost with their connection, and are settled by the entry that is put again. */
  #lost = new Map();

  /** @param {string} name @returns {any} */
  get(name) {
    return this.#values.get(name);
  }

  /** How many entries and actions are kept. */
  get size() {
    return this.#values.size + this.#lost.size;
  }

  /** Notes what the entry shall be; undefined: none. @param {string} name @param {any} value */
  set(name, value) {
    if (value === undefined) this.#values.delete(name);
    else this.#values.set(name, value);
  }

  /** All of them. @returns {[string, any][]} */
  all() {
    return [...this.#values];
  }

  /** Keeps an action whose entry will be put again. @param {string} name @param {Action} action */
  lose(name, action) {
    this.#lost.set(name, [...this.lostOf(name), action]);
  }

  /** @param {string} name @returns {readonly Action[]} */
  lostOf(name) {
    return this.#lost.get(name) ?? [];
  }

  /** Takes the actions that waited for a topic's entry. @param {string} name @returns {readonly Action[]} */
  takeLost(name) {
    const lost = this.lostOf(name);
    this.#lost.delete(name);
    return lost;
  }
}
