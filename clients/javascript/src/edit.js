// @ts-check
/** Edits of text against each other: docs/merging.md M3. Everything counts scalar values here. */

import { scalarCount, shortest } from './text.js';

/** @typedef {import('./change.js').Change} Change */
/** @typedef {import('./text.js').Component} Component */
/** @typedef {import('./text.js').AnyComponent} AnyComponent */
/** @typedef {import('./transform.js').Side} Side */

/**
 * The components of any change of a text but `set`, in canonical form.
 * @param {Change} change
 * @returns {Component[]}
 */
export function componentsOf({ type, components, position, insertion, deletion }) {
  if (type === 'edit') return shortest(components);
  return shortest([{ retain: position }, type === 'insert' ? { insert: insertion } : { delete: scalarCount(deletion) }]);
}

/**
 * @param {Change} a
 * @param {Change} b
 * @param {Side} side where `a` stands
 * @returns {Change | null}
 */
export function transformEdit(a, b, side) {
  return slid(a, b, side) ?? walked(a, b, side);
}

/**
 * Most edits are a keystroke, one insert or deletion at one place: then only the place may be another.
 * @param {Change} a @param {Change} b @param {Side} side
 * @returns {Change | undefined} undefined if that is not all
 */
function slid(a, b, side) {
  if (a.type !== 'edit' || b.type !== 'edit') return undefined;
  const [place, over] = [placeOf(a.components), placeOf(b.components)];
  if (place < 0 || over < 0) return undefined;
  const { insert, delete: gone } = /** @type {AnyComponent} */ (a.components[a.components.length - 1]);
  const theirs = /** @type {AnyComponent} */ (b.components[b.components.length - 1]);
  let after = place;
  if (theirs.insert !== undefined) {
    if (insert === undefined ? over <= place : over < place || (over === place && side === 'first')) after = place + scalarCount(theirs.insert);
    else if (gone !== undefined && over < place + gone) return undefined;
  } else {
    const end = over + /** @type {number} */ (theirs.delete);
    if (place >= end) after = place - end + over;
    else if (insert !== undefined) after = Math.min(place, over);
    else if (place + /** @type {number} */ (gone) > over) return undefined;
  }
  if (after === place) return a;
  const last = a.components[a.components.length - 1];
  return { type: 'edit', components: after === 0 ? [last] : [{ retain: after }, last] };
}

/** Where an edit of one insert or deletion is; -1 if it is not such a one. @param {readonly AnyComponent[]} components */
function placeOf(components) {
  const { length } = components;
  if (length === 0 || length > 2) return -1;
  const { insert, delete: gone } = components[length - 1];
  if (!insert && !gone) return -1;
  return length === 1 ? 0 : components[0].retain || -1;
}

/** @param {Change} a @param {Change} b @param {Side} side @returns {Change | null} */
function walked(a, b, side) {
  const own = new Walk(componentsOf(a));
  const other = new Walk(componentsOf(b));
  /** @type {AnyComponent[]} */
  const result = [];
  while (!own.ended) {
    const [mine, theirs] = [own.next, other.next];
    if (mine.insert !== undefined && (side === 'later' || theirs.insert === undefined)) {
      result.push({ insert: mine.insert });
      own.skip(Infinity);
    } else if (theirs.insert !== undefined) {
      result.push({ retain: scalarCount(theirs.insert) });
      other.skip(Infinity);
    } else {
      const count = Math.min(own.left, other.left);
      if (theirs.delete === undefined) result.push(mine.delete === undefined ? { retain: count } : { delete: count });
      own.skip(count);
      other.skip(count);
    }
  }
  const components = shortest(/** @type {Component[]} */ (result));
  return components.length === 0 ? null : { type: 'edit', components };
}

/**
 * What takes an edit back that was moved, if what takes back the edit as it was is known; the text
 * is not needed for that as long as the edit deletes the same as before.
 * @param {readonly AnyComponent[]} components of the edit as it is now
 * @param {readonly AnyComponent[]} back what took it back before
 * @returns {Component[] | undefined} undefined if it deletes something else
 */
export function movedBack(components, back) {
  let gone = '';
  for (const { insert } of back) if (insert) gone += insert;
  const scalars = gone === '' ? [] : [...gone];
  let at = 0;
  /** @type {AnyComponent[]} */
  const result = [];
  for (const { retain, insert, delete: count } of components) {
    if (retain) result.push({ retain });
    else if (insert) result.push({ delete: scalarCount(insert) });
    else if (count) result.push({ insert: scalars.slice(at, (at += count)).join('') });
  }
  return at === scalars.length ? shortest(/** @type {Component[]} */ (result)) : undefined;
}

/**
 * The edit that does at once what one and then another do, in canonical form. For edits that nobody
 * else has seen yet: a composed edit transforms otherwise than its parts.
 * @param {readonly AnyComponent[]} first
 * @param {readonly AnyComponent[]} next
 * @returns {Component[]}
 */
export function compose(first, next) {
  const own = new Walk(first);
  const other = new Walk(next);
  /** @type {AnyComponent[]} */
  const both = [];
  while (!own.ended || !other.ended) {
    const [here, over] = [own.next, other.next];
    if (here.delete !== undefined) {
      // What is gone before is no place in the text of the next.
      both.push({ delete: here.delete });
      own.skip(Infinity);
    } else if (over.insert !== undefined) {
      both.push({ insert: over.insert });
      other.skip(Infinity);
    } else if (here.insert !== undefined) {
      // Most are kept, or deleted, as a whole; only else it matters where scalar values end.
      const scalars = other.left === Infinity ? [here.insert] : [...here.insert];
      const count = Math.min(scalars.length, other.left);
      if (over.delete === undefined) both.push({ insert: scalars.length === count ? here.insert : scalars.slice(0, count).join('') });
      own.skipInsert(scalars.length === count ? '' : scalars.slice(count).join(''));
      other.skip(other.left === Infinity ? 0 : count);
    } else {
      const count = Math.min(own.left, other.left);
      both.push(over.delete === undefined ? { retain: count } : { delete: count });
      own.skip(count);
      other.skip(count);
    }
  }
  return shortest(/** @type {Component[]} */ (both));
}

/** Goes through components, a part of one at a time. What follows the last is kept. */
class Walk {
  #components;
  #at = 0;
  /** How much of the present component lies ahead. */
  left = 0;
  /** What is left of an insert that is passed in pieces. */
  #rest = '';

  /** @param {readonly AnyComponent[]} components */
  constructor(components) {
    this.#components = components;
    this.#enter();
  }

  get ended() {
    return this.#at >= this.#components.length;
  }

  /** @returns {AnyComponent} */
  get next() {
    return this.#rest ? { insert: this.#rest } : (this.#components[this.#at] ?? REST);
  }

  /** @param {number} count */
  skip(count) {
    this.left -= count;
    if (this.left > 0) return;
    this.#at += 1;
    this.#enter();
  }

  /** Passes an insert but for its end. @param {string} rest */
  skipInsert(rest) {
    this.#rest = rest;
    if (!rest) this.skip(Infinity);
  }

  #enter() {
    const { retain, delete: gone } = this.next;
    this.left = retain ?? gone ?? 0;
  }
}

/** @type {AnyComponent} */
const REST = { retain: Infinity };
