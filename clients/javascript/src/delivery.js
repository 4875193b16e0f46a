// @ts-check
/**
 * Calls the application: one listener after the other, never nested. What a listener causes is
 * delivered after the round in which it was called.
 */

/** @typedef {() => void} Round calls some listeners */

export class Delivery {
  /** @type {Round[]} */
  #rounds = [];
  #running = false;
  #soon = false;
  #onError;

  /** @param {(error: unknown) => void} onError told what a listener threw */
  constructor(onError) {
    this.#onError = onError;
  }

  /** Adds a round, to be run by `run` or a moment later. @param {Round} round */
  add(round) {
    this.#rounds.push(round);
    if (this.#soon || this.#running) return;
    this.#soon = true;
    queueMicrotask(() => {
      this.#soon = false;
      this.run();
    });
  }

  /** Runs all rounds in order, unless that is being done already further up the stack. */
  run() {
    if (this.#running) return;
    this.#running = true;
    try {
      for (let round = this.#rounds.shift(); round; round = this.#rounds.shift()) round();
    } finally {
      this.#running = false;
    }
  }

  /**
   * Calls one listener; what it throws does not keep others from being called.
   * @template {any[]} A
   * @param {(...given: A) => unknown} listener
   * @param {A} given
   */
  call(listener, ...given) {
    this.attempt(() => listener(...given), this.#onError);
  }

  /** @param {() => unknown} run @param {(error: unknown) => void} onError */
  attempt(run, onError) {
    try {
      const result = run();
      // An async listener may fail later; its rejection is an error of a listener all the same.
      if (result instanceof Promise) result.catch(onError);
    } catch (error) {
      onError(error);
    }
  }
}
