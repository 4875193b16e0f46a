// @ts-check
/**
 * What there is to tell of topics and actions, in its order. While the server says what was missed,
 * a topic's news wait, and are told together when all of it is in place.
 */

import { equal } from './value.js';

/** @typedef {import('./change.js').Change} Change */
/** @typedef {import('./code.js').Rejected} Rejected */
/** @typedef {import('./mirror.js').Mirror} Mirror */
/** @typedef {{ readonly sequence: number, readonly effect: boolean }} Accepted an action's place in the room's order, and whether it changed anything */
/** @typedef {'local' | 'remote' | 'accepted' | 'rejected' | 'snapshot'} Cause */
/**
 * What is told to a topic's listeners beside the value: where it stands in the room, the author's
 * client id (0: the server), whether that is this client, what made it (an own action, somebody
 * else's, one that the server altered, one that was taken back, or the value came whole), and the
 * changes that led to it from the value before (null for a snapshot). `action` counts this client's.
 * @typedef {{ readonly sequence: number, readonly by: number, readonly mine: boolean, readonly cause: Cause, readonly changes: readonly Change[] | null, readonly action?: number }} Meta
 */
/**
 * @typedef {{ readonly kind: 'value', readonly name: string, readonly value: any, readonly changes: readonly Change[] | null, readonly meta: Meta }} ValueNotification
 * @typedef {{ readonly kind: 'status', readonly name: string }} StatusNotification
 * @typedef {{ readonly kind: 'gap', readonly name: string, readonly known: number, readonly previous: number }} GapNotification
 * @typedef {{ readonly kind: 'settled', readonly action: number, readonly outcome: Accepted | Rejected }} SettledNotification
 * @typedef {{ readonly kind: 'history' }} HistoryNotification what can be undone or redone, or is unsaved, may be something else
 * @typedef {ValueNotification | StatusNotification | GapNotification | SettledNotification | HistoryNotification} Notification
 */
/** @typedef {Pick<Meta, 'by' | 'mine' | 'cause' | 'action'>} Origin */

export class News {
  /** @type {Notification[]} */
  #told = [];
  /** What waits, by topic, with the value before it. @type {Map<Mirror, { before: any, told: ValueNotification[] }>} */
  #missed = new Map();

  /** Takes what there is to tell. @returns {Notification[]} */
  take() {
    return this.#told.splice(0);
  }

  /** @param {Notification} notification */
  add(notification) {
    const last = this.#told[this.#told.length - 1];
    if (notification.kind !== 'history' || last?.kind !== 'history') this.#told.push(notification);
  }

  /** A topic has another status. @param {Mirror} mirror */
  turned(mirror) {
    if (!this.#missed.has(mirror)) this.add({ kind: 'status', name: mirror.name });
  }

  /**
   * A topic has another value.
   * @param {Mirror} mirror @param {readonly Change[] | null} changes
   * @param {readonly Change[] | null} written the same for the application @param {Origin} origin
   */
  changed(mirror, changes, written, origin) {
    if (!mirror.watched) return;
    const { name, type, sequence } = mirror;
    const missed = this.#missed.get(mirror);
    const value = type === 'event' ? changes?.[0]?.args : missed ? undefined : mirror.read();
    /** @type {ValueNotification} */
    const told = { kind: 'value', name, value, changes, meta: Object.freeze({ ...origin, sequence, changes: written }) };
    if (missed) missed.told.push(told);
    else this.#told.push(told);
  }

  /** What was missed of a topic comes now. @param {Mirror} mirror */
  hold(mirror) {
    this.#missed.set(mirror, { before: mirror.watched ? mirror.read() : undefined, told: [] });
  }

  /** All that was missed is in place. */
  release() {
    for (const [mirror, { before, told }] of this.#missed) {
      this.add({ kind: 'status', name: mirror.name });
      const { replaced } = mirror;
      mirror.replaced = false;
      if (told.length === 0 || mirror.type === 'event') this.#told.push(...told);
      else if (!replaced || before === undefined || !equal(before, mirror.read())) this.#told.push(together(mirror, told, replaced));
    }
    this.#missed.clear();
  }
}

/** Several steps of a topic as one. @param {Mirror} mirror @param {readonly ValueNotification[]} told @param {boolean} replaced whether the value came whole @returns {ValueNotification} */
function together(mirror, told, replaced) {
  const { name, sequence } = mirror;
  const { meta } = told[told.length - 1];
  const changes = replaced ? null : told.flatMap(({ changes }) => changes ?? []);
  const written = replaced ? null : told.flatMap(({ meta }) => meta.changes ?? []);
  const isAlike = told.every(({ meta: { cause } }) => cause === meta.cause);
  /** @type {Cause} */
  const cause = replaced ? 'snapshot' : isAlike ? meta.cause : 'remote';
  return { kind: 'value', name, value: mirror.read(), changes, meta: Object.freeze({ ...meta, sequence, cause, changes: written }) };
}
