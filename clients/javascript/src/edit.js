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

/** Goes through components, a part of one at a time. What follows the last is kept. */
class Walk {
  #components;
  #at = 0;
  /** How much of the present component lies ahead. */
  left = 0;

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
    return this.#components[this.#at] ?? REST;
  }

  /** @param {number} count */
  skip(count) {
    this.left -= count;
    if (this.left > 0) return;
    this.#at += 1;
    this.#enter();
  }

  #enter() {
    const { retain, delete: gone } = this.next;
    this.left = retain ?? gone ?? 0;
  }
}

/** @type {AnyComponent} */
const REST = { retain: Infinity };
