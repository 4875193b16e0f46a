// @ts-check
/** Undo and redo as the application asks for them: at once, or when what is on its way has its outcome. */

import { Rejected } from './code.js';
import { about, Shown } from './own.js';
import { Pending } from './pending.js';

/** @typedef {import('./change.js').Change} Change */
/** @typedef {import('./mirror.js').Part} Part */
/** @typedef {import('./undo.js').Taking} Taking */
/** @typedef {import('./undo.js').Turn} Turn */

export class Turns {
  #home;
  /** What was asked for and could not be done yet. @type {Turn[]} */
  #asked = [];

  /** @param {import('./replica.js').Replica} home */
  constructor(home) {
    this.#home = home;
  }

  /** Whether something was asked for and has to wait. */
  get isAsked() {
    return this.#asked.length > 0;
  }

  /** Forgets what was asked for. */
  clear() {
    this.#asked = [];
  }

  /** Takes back the last action, or does again what was taken back; as soon as what is on its way allows. @param {Turn} turn */
  turn(turn) {
    this.#home.undo.turns += 1;
    if (this.can(turn)) this.#asked.push(turn);
    this.goOn();
  }

  /** Whether there is something to undo, or to redo. @param {Turn} turn */
  can(turn) {
    const other = turn === 'undo' ? 'redo' : 'undo';
    return this.#home.undo.has(turn) || this.#home.own.actions.some(({ kind, tracked }) => kind === other || (turn === 'undo' && kind === 'plain' && tracked));
  }

  /** Does what was asked for, as far as what is on its way allows. */
  goOn() {
    while (!this.#home.resuming && this.#asked.length > 0 && this.#take(this.#asked[0])) this.#asked.shift();
    this.#home.news.add({ kind: 'history' });
  }

  /** @param {Turn} turn @returns {boolean} false if it has to wait */
  #take(turn) {
    const again = turn === 'redo' ? this.#home.undo.again() : undefined;
    if (again) {
      const action = new Pending(++this.#home.own.count, 'plain', true, again.at, again.turn);
      action.group = again.group;
      this.#perform(action, again.changes);
      return true;
    }
    if (this.#home.own.actions.every(({ kind }) => kind === turn)) {
      // Its inverse will stand above what was never sent, which has to be on the confirmed value then.
      if (turn === 'undo' && this.#home.undo.isAhead && this.#home.own.actions.length > 0) return false;
      const entry = this.#home.undo.next(turn);
      if (!entry) return true;
      const action = new Pending(++this.#home.own.count, turn, false, 0, 0);
      entry.action = action;
      this.#perform(action, entry.changes);
      return true;
    }
    if (!this.can(turn)) return true;
    const youngest = this.#home.own.actions[this.#home.own.actions.length - 1];
    if (this.#home.own.actions.length === this.#home.own.sent) return false;
    const left = youngest.left.map(({ mirror: { name, type }, change }) => ({ name, type, change: /** @type {Change} */ (change) }));
    if (youngest.kind !== 'plain' && youngest.kind !== turn) this.#home.undo.calledBack(youngest, left);
    else if (youngest.kind === 'plain' && youngest.tracked && turn === 'undo') this.#home.undo.cancelled(youngest, left.filter(({ type }) => type !== 'event' && type !== 'presence'));
    else return false;
    this.#home.own.actions.pop();
    this.#takeOutAhead(youngest);
    this.#home.own.settle(youngest, new Rejected('cancelled', 'it was undone before it was sent', about(youngest)));
    if (this.#home.own.actions.length === 0) this.#home.undo.idle();
    return true;
  }

  /** What was called back is what its entry would do again, so that entry stays where it is. @param {Pending} action */
  #takeOutAhead(action) {
    for (const mirror of action.mirrors) {
      const moved = mirror.takeOut(action);
      if (moved.changed) this.#home.news.changed(mirror, moved.value, moved.told, { by: this.#home.client, mine: true, cause: 'local', action: action.count });
    }
  }

  /** @param {Pending} action @param {readonly Taking[]} changes */
  #perform(action, changes) {
    const shown = new Shown();
    for (const { name, change } of changes) {
      const mirror = this.#home.mirrors.get(name);
      if (!mirror) continue;
      const written = mirror.watched ? mirror.written(change, this.#home.client) : change;
      /** @type {Part} */
      let part;
      try {
        part = mirror.append(action, change);
      } catch {
        // What is left of the entry is performed all the same.
        continue;
      }
      action.parts.push(part);
      shown.add(part, written);
    }
    this.#home.own.actions.push(action);
    this.#home.own.show(action, shown);
  }
}
