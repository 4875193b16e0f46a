// @ts-check
/** Actions: what an application makes of changes, and their outcome. */

import { ChatroomError } from './code.js';
import { REBOUND } from './topic.js';

/** @typedef {import('./code.js').Rejected} Rejected */
/** @typedef {import('./news.js').Accepted} Accepted */
/** @typedef {import('./topic.js').PublicPart} PublicPart */

/**
 * The outcome of a change or of several together. Await it, or leave it: a rejection that nobody
 * awaits goes to the client's `rejected` listeners and raises no alarm of the runtime.
 * @implements {Promise<Accepted>}
 */
export class Action {
  /** @type {Promise<Accepted>} */
  #outcome;
  /** @type {(accepted: Accepted) => void} */
  #resolve = () => {};
  /** @type {(error: Rejected) => void} */
  #reject = () => {};
  #awaited = false;
  #ignored;

  /** Which of this client's actions it is: what listeners are told as `meta.action`. 0 if it was refused at once. */
  id = 0;

  /** @internal @param {(error: Rejected) => void} ignored told of a rejection that nobody awaits */
  constructor(ignored) {
    this.#ignored = ignored;
    this.#outcome = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
    this.#outcome.catch(() => {});
  }

  /**
   * @template [A=Accepted], [B=never]
   * @param {((accepted: Accepted) => A | PromiseLike<A>) | null} [accepted]
   * @param {((error: any) => B | PromiseLike<B>) | null} [rejected] gets a Rejected
   * @returns {Promise<A | B>}
   */
  then(accepted, rejected) {
    this.#awaited = true;
    return this.#outcome.then(accepted, rejected);
  }

  /**
   * @template [B=never]
   * @param {((error: any) => B | PromiseLike<B>) | null} [rejected] gets a Rejected
   * @returns {Promise<Accepted | B>}
   */
  catch(rejected) {
    return this.then(null, rejected);
  }

  /** @param {(() => void) | null} [done] @returns {Promise<Accepted>} */
  finally(done) {
    return this.then().finally(done);
  }

  /** An Action can stand wherever a promise is wanted. */
  get [Symbol.toStringTag]() {
    return 'Action';
  }

  /** @internal @param {Accepted} outcome */
  accept(outcome) {
    this.#resolve(outcome);
  }

  /** @internal @param {Rejected} error */
  reject(error) {
    this.#reject(error);
    // One that is refused at once is awaited a moment later.
    setTimeout(() => {
      if (!this.#awaited) this.#ignored(error);
    });
  }
}

/**
 * The changes of an application's transaction.
 * @param {(tx: (topic: any) => any) => unknown} build
 * @returns {PublicPart[]}
 */
export function record(build) {
  /** @type {PublicPart[]} */
  const parts = [];
  const result = build((topic) => topic[REBOUND]((/** @type {PublicPart} */ part) => void parts.push(part)));
  if (result instanceof Promise) {
    result.catch(() => {});
    throw new ChatroomError('precondition', 'an action is made at once: its function may not be async');
  }
  if (parts.length === 0) throw new ChatroomError('precondition', 'an action has at least one change');
  return parts;
}
