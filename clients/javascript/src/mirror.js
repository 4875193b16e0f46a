// @ts-check
/**
 * One topic as this client has it: its confirmed value with the own changes on top that have no
 * outcome yet. There is one value, with the own changes made; for what goes below them they are
 * taken back and made again. Whatever this costs, it costs the changes and not the value.
 */

import { difference } from './difference.js';
import { documentOf, Text } from './document.js';
import { componentsOf, compose, movedBack } from './edit.js';
import { toPublic, watchFor } from './form.js';
import { invert } from './invert.js';
import { scalarCount } from './text.js';
import { carry } from './transform.js';

/** @typedef {import('./change.js').Change} Change */
/** @typedef {import('./change.js').TopicType} TopicType */
/** @typedef {import('./code.js').ChatroomError} ChatroomError */
/** @typedef {import('./document.js').AnyDocument} AnyDocument */
/** @typedef {import('./document.js').Step} Step */
/** @typedef {import('./limits.js').Limits} Limits */
/** @typedef {import('./pending.js').Pending} Pending */
/** @typedef {'loading' | 'live' | 'stale' | 'denied' | 'removed'} TopicStatus */
/**
 * A change of an action, and how it stands with its topic.
 * @typedef {object} Part
 * @property {Pending} action
 * @property {Mirror} mirror
 * @property {Change | null} change as it is by now; null if nothing is left of it
 * @property {Step | undefined} step undefined while it is not made on the value
 * @property {readonly Change[]} inverse what takes it back from the value that it gave
 * @property {boolean} slid whether the step goes back by what `inverse` says
 * @property {boolean} lost whether its place in the value is not known any more
 */
/**
 * What happened to a topic: to its value, behind the own undos and redos, and in public form.
 * @typedef {object} Moved
 * @property {Change[]} value
 * @property {Change[]} undos
 * @property {Change[]} told
 * @property {boolean} changed
 */

export class Mirror {
  /** @type {AnyDocument | undefined} undefined until loaded */
  document;
  /** The commit up to which the confirmed value is known. */
  sequence = 0;
  /** @type {TopicStatus} */
  status = 'loading';
  /** @type {ChatroomError | undefined} Why it is denied or removed. */
  error;
  /** Whether the server was asked for it on this connection. */
  asked = false;
  /** Whether the server has to be told first that it is not wanted. */
  renewed = false;
  /** Whether the application holds it; own changes may outlive that. */
  wanted = true;
  /** Whether somebody is told of changes. */
  watched = false;
  /** Whether the value came whole while what was missed came in. */
  replaced = false;
  /** Whether something is missing that is to come with what was missed. */
  doubted = false;
  /** @type {Part[]} Own changes without an outcome, in their order. */
  own = [];
  /** This client's id. */
  client = 0;

  /** @param {string} name @param {TopicType} type */
  constructor(name, type) {
    this.name = name;
    this.type = type;
  }

  /** Whether changes count positions, so that they depend on all before them. */
  get isPositional() {
    return this.type === 'string' || this.type === 'list';
  }

  /** Whether the value that changes were made on will be replaced by one on its way. */
  get comesAnew() {
    const keepsHistory = this.type !== 'presence' && this.type !== 'event';
    return keepsHistory && this.wanted && this.document !== undefined && this.status !== 'live';
  }

  /** The value for the application. */
  read() {
    return this.document?.read();
  }

  /** The confirmed value for the application. */
  confirmed() {
    if (this.own.length === 0) return this.read();
    this.#rewind(0);
    const value = this.read();
    this.#replay(0);
    return value;
  }

  /** A change as the application sees it, on the value as it is. @param {Change} change @param {number} by */
  written(change, by) {
    return this.document ? toPublic(change, this.document, this.type === 'presence' ? String(by) : undefined) : change;
  }

  /**
   * Makes an own change, or refuses it.
   * @param {Pending} action @param {Change} change @param {Limits} [limits]
   * @returns {Part}
   */
  append(action, change, limits) {
    /** @type {Part} */
    const part = { action, mirror: this, change, step: undefined, inverse: [], slid: false, lost: false };
    if (this.document) this.#show(part, limits);
    this.own.push(part);
    return part;
  }

  /** Takes the youngest own change back, as if it had never been made. */
  withdraw() {
    this.own.pop()?.step?.back();
  }

  /**
   * The youngest own edit becomes one with that before it.
   * @param {import('./text.js').Component[]} components of both, which may be none
   */
  join(components) {
    const last = /** @type {Part} */ (this.own.pop());
    const part = this.own[this.own.length - 1];
    if (components.length === 0) {
      Object.assign(part, { change: null, step: undefined, inverse: [] });
      return;
    }
    part.change = { type: 'edit', components };
    part.inverse = [{ type: 'edit', components: compose(last.inverse[0].components, part.inverse[0].components) }];
    this.#goesBackByInverse(part);
  }

  /** The step of an edit whose way back is known without the text. @param {Part} part */
  #goesBackByInverse(part) {
    const { chunks } = /** @type {Text} */ (this.document);
    part.slid = true;
    part.step = { changed: true, back: () => part.inverse.forEach(({ components }) => chunks.edit(components)) };
  }

  /** Nothing is left of an action here. @param {Pending} action */
  drop(action) {
    this.own = this.own.filter((part) => part.action !== action);
  }

  /** Another change takes the place of the youngest own one. @param {Change} change */
  supersede(change) {
    const part = this.own[this.own.length - 1];
    part.step?.back();
    part.step = undefined;
    part.change = change;
    if (this.document) this.#show(part);
  }

  /**
   * A commit goes below the own changes.
   * @param {Change} change @param {number} by
   * @returns {Moved & { inverse: Change[], effect: boolean }}
   */
  commit(change, by) {
    const document = /** @type {AnyDocument} */ (this.document);
    const { changes, ...moved } = this.#carried([change], 0, by);
    const compare = this.#compared(moved, this.own.length > 0);
    if (this.#slide(change, changes, moved.value, by)) {
      const effect = componentsOf(change).length > 0;
      return { ...(compare ? compare() : { ...moved, changed: effect }), inverse: [], effect };
    }
    this.#rewind(0);
    try {
      const inverse = by === this.client ? invert(change, document, this.type === 'presence') : [];
      const { changed: effect } = document.perform(change, { by });
      changes.forEach((after, index) => (this.own[index].change = after));
      this.#replay(0);
      return { ...(compare ? compare() : { ...moved, changed: effect }), inverse, effect };
    } catch (error) {
      this.#replay(0);
      throw error;
    }
  }

  /**
   * Takes the own changes of an action out, wherever they stand.
   * @param {Pending} action
   * @returns {Moved}
   */
  takeOut(action) {
    /** @type {Moved} */
    let all = { value: [], undos: [], told: [], changed: false };
    for (let index = this.own.length - 1; index >= 0; index--) {
      if (this.own[index].action === action) all = joined(all, this.remove(index));
    }
    return all;
  }

  /** Takes one own change out. @param {number} index @returns {Moved} */
  remove(index) {
    const part = this.own[index];
    const wrote = part.step?.changed ?? false;
    const { changes, ...moved } = this.#carried(part.step ? part.inverse : [], index + 1, this.client);
    const compare = this.#compared(moved, this.document !== undefined);
    this.#rewind(index + 1);
    part.step?.back();
    this.own.splice(index, 1);
    changes.forEach((after, offset) => (this.own[index + offset].change = after));
    this.#replay(index);
    const after = compare ? compare() : { ...moved, changed: false };
    // The way back of a presence entry is known, although nobody can make a change of it.
    return this.type === 'presence' && wrote ? { ...after, changed: true } : after;
  }

  /**
   * What says, afterwards, what happened to the value. That is what came up to it, unless own
   * changes are left out before or after; then only the values tell.
   * @param {Omit<Moved, 'changed'>} moved @param {boolean} matters
   */
  #compared(moved, matters) {
    const { document } = this;
    if (!document || !matters) return undefined;
    const differs = watchFor(moved.value, document);
    if (this.isPositional || this.own.length === 0) return () => ({ ...moved, changed: differs() });
    const before = document.read();
    const wasWhole = this.#isWhole;
    return () => {
      if (wasWhole && this.#isWhole) return { ...moved, changed: differs() };
      const value = difference(this.type, before, document.read());
      return { ...moved, value, told: value, changed: value.length > 0 };
    };
  }

  /** Whether every own change is as effective as the rules of merging take it to be. */
  get #isWhole() {
    return this.own.every(({ change, step }) => change === null || (step && (step.changed || change.type !== 'ensure')));
  }

  /**
   * The oldest own changes have their outcome and stay as they are: what is below them is confirmed
   * with them.
   * @param {number} count
   * @returns {Part[]} those changes
   */
  confirm(count) {
    const parts = this.own.slice(0, count);
    const isInPlace = parts.every(({ change, step, lost }) => lost || change === null || step);
    if (isInPlace || !this.document) {
      this.own.splice(0, parts.length);
      return parts;
    }
    // The server took what could not be made here before; perhaps it can be made by now.
    this.#rewind(0);
    this.own.splice(0, parts.length);
    try {
      for (const part of parts) this.#show(part);
    } finally {
      this.#replay(0);
    }
    return parts;
  }

  /** The value comes whole. @param {any} value @param {number} sequence */
  load(value, sequence) {
    this.document = documentOf(this.type, value);
    this.sequence = sequence;
    for (const part of this.own) part.step = undefined;
    this.#replay(0);
  }

  /** What is known of the value does not count any more. */
  forget() {
    this.document = undefined;
    for (const part of this.own) part.step = undefined;
  }

  /** The own entry belongs to another id from now on. @param {number} client */
  rename(client) {
    this.#rewind(0);
    this.client = client;
    this.#replay(0);
  }

  /**
   * What becomes of changes on their way up through own ones, and of the own ones over them.
   * @param {readonly Change[]} below @param {number} from @param {number} by
   */
  #carried(below, from, by) {
    /** @type {readonly Change[]} */
    let value = below;
    let undos = below;
    const changes = [];
    for (let index = from; index < this.own.length; index++) {
      const { change, action } = this.own[index];
      const after = carry(this.type, change, value);
      changes.push(after.change);
      value = after.carried;
      // Undos and redos stand before all else that is pending.
      if (action.kind !== 'plain') undos = value;
    }
    const told = this.watched ? value.map((change) => this.written(change, by)) : [];
    return { changes, value: [...value], undos: [...undos], told };
  }

  /**
   * Puts another's edit below the own ones without taking them back: what it has become behind them
   * is made on the value, and each of them knows what takes it back from there.
   * @param {Change} change @param {readonly (Change | null)[]} changes what the own ones become
   * @param {readonly Change[]} carried @param {number} by
   * @returns {boolean} whether that was possible
   */
  #slide(change, changes, carried, by) {
    const { document, own } = this;
    if (own.length === 0 || by === this.client || change.type !== 'edit' || !(document instanceof Text)) return false;
    /** @type {(readonly Change[])[]} */
    const inverses = [];
    let { scalars } = document.chunks;
    for (let index = 0; index < own.length; index++) {
      const { change: before, step, inverse, lost } = own[index];
      const after = changes[index];
      if (before === null) {
        inverses.push(inverse);
        continue;
      }
      if (lost || !step || before.type !== 'edit' || after === null || inverse.length !== 1) return false;
      const { components } = inverse[0];
      for (const { insert, delete: gone = 0 } of components) scalars += insert === undefined ? -gone : scalarCount(insert);
      if (after === before) {
        inverses.push(inverse);
        continue;
      }
      const back = movedBack(after.components, components);
      if (!back) return false;
      inverses.push([{ type: 'edit', components: back }]);
    }
    for (const { retain = 0, delete: gone = 0 } of change.components) scalars -= retain + gone;
    // It goes past the end of the confirmed text: that is for the others to refuse.
    if (scalars < 0) return false;
    for (const after of carried) document.perform(after, { by });
    own.forEach((part, index) => {
      part.change = changes[index];
      part.inverse = inverses[index];
      if (!part.step || part.slid) return;
      this.#goesBackByInverse(part);
    });
    return true;
  }

  /** @param {number} from */
  #rewind(from) {
    for (let index = this.own.length - 1; index >= from; index--) {
      const part = this.own[index];
      part.step?.back();
      part.step = undefined;
    }
  }

  /** @param {number} from */
  #replay(from) {
    if (!this.document) return;
    for (let index = from; index < this.own.length; index++) {
      try {
        this.#show(this.own[index]);
      } catch {
        // Somebody else was first. The server will probably refuse it, and until then it is left out.
      }
    }
  }

  /** @param {Part} part @param {Limits} [limits] */
  #show(part, limits) {
    const { change, lost } = part;
    if (change === null || lost) return;
    const document = /** @type {AnyDocument} */ (this.document);
    const inverse = invert(change, document, this.type === 'presence');
    part.step = document.perform(change, { limits, by: this.client });
    part.inverse = part.step.changed ? inverse : [];
    part.slid = false;
  }
}

/** One thing that happened and then another. @param {Moved} one @param {Moved} other @returns {Moved} */
export function joined(one, other) {
  return {
    value: [...one.value, ...other.value],
    undos: [...one.undos, ...other.undos],
    told: [...one.told, ...other.told],
    changed: one.changed || other.changed,
  };
}
