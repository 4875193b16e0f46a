// @ts-check
/** A topic's changes as an async iterator with a bounded buffer. */

/** @typedef {import('./change.js').Change} Change */
/** @typedef {import('./news.js').Meta} Meta */
/**
 * One step of a topic. `skipped` is how many steps went by unseen before this one; a topic with a
 * value then comes whole, without a change.
 * @template T
 * @typedef {{ readonly value: T, readonly change: Change | null, readonly meta: Meta, readonly skipped?: number }} Update
 */

const LIMIT = 1_000;

/**
 * @template T
 * @implements {AsyncIterableIterator<Update<T>>}
 */
export class Updates {
  /** @type {Update<T>[]} */
  #buffer = [];
  /** @type {((result: IteratorResult<Update<T>, undefined>) => void)[]} */
  #readers = [];
  #skipped = 0;
  #ended = false;
  #limit;
  #collapses;
  #onEnd;

  /** @param {number | undefined} limit @param {boolean} collapses whether the last value stands for those before it @param {() => void} onEnd */
  constructor(limit = LIMIT, collapses, onEnd) {
    this.#limit = Math.max(1, limit);
    this.#collapses = collapses;
    this.#onEnd = onEnd;
  }

  /** @internal @param {Update<T>} update */
  push(update) {
    if (this.#ended) return;
    const reader = this.#readers.shift();
    if (reader) return reader({ value: update, done: false });
    this.#buffer.push(update);
    if (this.#buffer.length <= this.#limit) return;
    this.#skipped += this.#collapses ? this.#buffer.length - 1 : 1;
    if (this.#collapses) this.#buffer = [{ ...update, change: null, meta: { ...update.meta, cause: 'snapshot' } }];
    else this.#buffer.shift();
  }

  /** @internal What waits is still read. */
  end() {
    if (this.#ended) return;
    this.#ended = true;
    this.#onEnd();
    for (const reader of this.#readers.splice(0)) reader({ value: undefined, done: true });
  }

  /** @returns {Promise<IteratorResult<Update<T>, undefined>>} */
  next() {
    const update = this.#buffer.shift();
    if (update) {
      const skipped = this.#skipped;
      this.#skipped = 0;
      return Promise.resolve({ value: skipped ? { ...update, skipped } : update, done: false });
    }
    if (this.#ended) return Promise.resolve({ value: undefined, done: true });
    return new Promise((resolve) => this.#readers.push(resolve));
  }

  /** @returns {Promise<IteratorResult<Update<T>, undefined>>} */
  return() {
    this.#buffer = [];
    this.end();
    return Promise.resolve({ value: undefined, done: true });
  }

  [Symbol.asyncIterator]() {
    return this;
  }
}
