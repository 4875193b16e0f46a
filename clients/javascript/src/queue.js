// @ts-check
/** What waits to be sent, in its order. */

import { ChatroomError } from './code.js';

/**
 * @typedef {object} Item
 * @property {() => boolean} ready whether it can be sent now; nothing overtakes one that cannot
 * @property {() => void} send
 * @property {(error: ChatroomError) => void} fail
 */

export class Queue {
  /** @type {Item[]} */
  #items = [];
  #limit;

  /** @param {number} limit how many may wait */
  constructor(limit) {
    this.#limit = limit;
  }

  /** How many wait. */
  get length() {
    return this.#items.length;
  }

  /** Adds an item, or fails it when too many wait. @param {Item} item */
  add(item) {
    if (this.#items.length < this.#limit) this.#items.push(item);
    else item.fail(new ChatroomError('busy', `${this.#limit} changes and calls wait to be sent already`));
  }

  /** Takes an item out. @param {Item} item */
  remove(item) {
    this.#items = this.#items.filter((other) => other !== item);
  }

  /** Sends from the front until one is not ready. */
  flush() {
    while (this.#items[0]?.ready()) /** @type {Item} */ (this.#items.shift()).send();
  }

  /** Fails everything. @param {ChatroomError} error */
  fail(error) {
    for (const item of this.#items.splice(0)) item.fail(error);
  }
}
