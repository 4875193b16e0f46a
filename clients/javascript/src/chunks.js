// @ts-check
/**
 * A text that is edited in place. It is kept in chunks, each with a count of the characters that
 * take two units, so that an edit and the conversion of a position cost a chunk and not the text.
 */

import { ChatroomError } from './code.js';
import { scalarCount, shortest } from './text.js';

/** @typedef {import('./text.js').Component} Component */
/** @typedef {import('./text.js').AnyComponent} AnyComponent */
/** @typedef {{ text: string, astral: number }} Chunk */
/** @typedef {{ index: number, unit: number, scalar: number }} Place a chunk, and where it begins */

const MAX = 8_192;
const HALF = MAX / 2;

export class Chunks {
  /** @type {Chunk[]} Never empty, so that every place lies in one. */
  #chunks;
  #units;
  #scalars;
  /** @type {string | undefined} The whole text, when it was asked for since the last edit. */
  #whole;

  /** @param {string} text well-formed */
  constructor(text) {
    this.#chunks = cut(text);
    this.#units = text.length;
    this.#scalars = text.length - this.#chunks.reduce((sum, { astral }) => sum + astral, 0);
    this.#whole = text;
  }

  /** How many UTF-16 units it has. */
  get units() {
    return this.#units;
  }

  /** How many Unicode scalar values it has. */
  get scalars() {
    return this.#scalars;
  }

  /** @returns {string} */
  toString() {
    // Engines concatenate without copying; whoever reads the text pays for making it one piece.
    return (this.#whole ??= this.#chunks.reduce((whole, { text }) => whole + text, ''));
  }

  /** The unit at which so many scalar values lie before. @param {number} scalar */
  unitAt(scalar) {
    if (this.#units === this.#scalars) return scalar;
    const { index, unit, scalar: start } = this.#find(scalar, 'scalar');
    return unit + unitsOf(this.#chunks[index], scalar - start);
  }

  /** How many scalar values lie before a unit; inside of a surrogate pair, those before the pair. @param {number} unit */
  scalarAt(unit) {
    if (this.#units === this.#scalars) return unit;
    const { index, unit: start, scalar } = this.#find(unit, 'unit');
    const { text, astral } = this.#chunks[index];
    const at = unit - start;
    if (astral === 0) return scalar + at;
    return scalar + scalarCount(text.slice(0, isInside(text, at) ? at - 1 : at));
  }

  /** Whether a unit lies between the halves of a surrogate pair. @param {number} unit */
  splits(unit) {
    if (this.#units === this.#scalars) return false;
    const { index, unit: start } = this.#find(unit, 'unit');
    return isInside(this.#chunks[index].text, unit - start);
  }

  /** @param {number} scalar @param {number} count in scalar values @returns {string} */
  slice(scalar, count) {
    const { index: first, scalar: start } = this.#find(scalar, 'scalar');
    let result = '';
    for (let [index, from, left] = [first, scalar - start, count]; left > 0; index++, from = 0) {
      const chunk = this.#chunks[index];
      const taken = Math.min(left, chunk.text.length - chunk.astral - from);
      result += chunk.text.slice(unitsOf(chunk, from), unitsOf(chunk, from + taken));
      left -= taken;
    }
    return result;
  }

  /**
   * An edit in units, counted in scalar values.
   * @param {readonly Component[]} components
   * @returns {Component[]}
   */
  toScalars(components) {
    let [unit, scalar] = [0, 0];
    return components.map((/** @type {AnyComponent} */ { retain, insert, delete: gone }) => {
      if (insert !== undefined) return { insert };
      unit += retain ?? gone ?? 0;
      if (unit > this.#units) throw this.#pastTheEnd();
      if (this.splits(unit)) throw new ChatroomError('bad_unicode', `position ${unit} lies inside a surrogate pair`);
      const before = scalar;
      scalar = this.scalarAt(unit);
      return retain === undefined ? { delete: scalar - before } : { retain: scalar - before };
    });
  }

  /**
   * An edit in scalar values, counted in units.
   * @param {readonly Component[]} components
   * @returns {Component[]}
   */
  toUnits(components) {
    let [unit, scalar] = [0, 0];
    return components.map((/** @type {AnyComponent} */ { retain, insert, delete: gone }) => {
      if (insert !== undefined) return { insert };
      scalar += retain ?? gone ?? 0;
      const before = unit;
      unit = this.unitAt(Math.min(scalar, this.#scalars));
      return retain === undefined ? { delete: unit - before } : { retain: unit - before };
    });
  }

  /** Refuses an edit that goes past the end. @param {readonly AnyComponent[]} components in scalar values */
  check(components) {
    let at = 0;
    for (const { retain = 0, delete: gone = 0 } of components) at += retain + gone;
    if (at > this.#scalars) throw this.#pastTheEnd();
  }

  /**
   * The edit that takes an edit back.
   * @param {readonly AnyComponent[]} components in scalar values
   * @returns {Component[]}
   */
  inverse(components) {
    this.check(components);
    let at = 0;
    const back = components.map(({ retain, insert, delete: gone }) => {
      if (insert !== undefined) return { delete: scalarCount(insert) };
      const start = at;
      at += retain ?? gone ?? 0;
      return gone === undefined ? { retain: at - start } : { insert: this.slice(start, gone) };
    });
    return shortest(/** @type {Component[]} */ (back));
  }

  /** @param {readonly AnyComponent[]} components in scalar values, not past the end */
  edit(components) {
    let at = 0;
    for (const { retain = 0, insert, delete: gone = 0 } of components) {
      if (insert) {
        this.#splice(at, 0, insert);
        at += scalarCount(insert);
      } else if (gone > 0) {
        this.#splice(at, gone, '');
      }
      at += retain;
    }
  }

  /** @param {number} scalar @param {number} count @param {string} insert */
  #splice(scalar, count, insert) {
    const first = this.#find(scalar, 'scalar');
    const last = count === 0 ? first : this.#find(scalar + count, 'scalar');
    const [head, tail] = [this.#chunks[first.index], this.#chunks[last.index]];
    const [from, to] = [unitsOf(head, scalar - first.scalar), unitsOf(tail, scalar + count - last.scalar)];
    const added = scalarCount(insert);
    this.#units += insert.length - (last.unit + to - first.unit - from);
    this.#scalars += added - count;
    this.#whole = undefined;
    const text = head.text.slice(0, from) + insert + tail.text.slice(to);
    if (head === tail && text.length <= MAX && (text.length >= HALF / 2 || this.#chunks.length === 1)) {
      // Only a chunk with such characters has to be counted anew.
      head.astral = head.astral === 0 ? insert.length - added : text.length - scalarCount(text);
      head.text = text;
      return;
    }
    // A small chunk joins the next, so that deletions do not leave a text of crumbs.
    const next = text.length < HALF && last.index + 1 < this.#chunks.length ? this.#chunks[last.index + 1] : undefined;
    const taken = last.index - first.index + (next ? 2 : 1);
    this.#chunks.splice(first.index, taken, ...cut(next ? text + next.text : text));
  }

  /** The chunk with a place; the end belongs to the last one. @param {number} place @param {'unit' | 'scalar'} by @returns {Place} */
  #find(place, by) {
    let [unit, scalar, index] = [0, 0, 0];
    const last = this.#chunks.length - 1;
    for (; index < last; index++) {
      const { text, astral } = this.#chunks[index];
      if ((by === 'unit' ? unit + text.length : scalar + text.length - astral) > place) break;
      unit += text.length;
      scalar += text.length - astral;
    }
    return { index, unit, scalar };
  }

  #pastTheEnd() {
    return new ChatroomError('out_of_range', `the edit goes past the end of a text of ${this.#scalars} scalar values`);
  }
}

/** @param {string} text @returns {Chunk[]} */
function cut(text) {
  if (text.length <= MAX) return [{ text, astral: text.length - scalarCount(text) }];
  /** @type {Chunk[]} */
  const chunks = [];
  for (let at = 0; at < text.length; ) {
    let end = Math.min(text.length, at + HALF);
    if (isInside(text, end)) end -= 1;
    const part = text.slice(at, end);
    chunks.push({ text: part, astral: part.length - scalarCount(part) });
    at = end;
  }
  return chunks;
}

/** How many units the first so many scalar values of a chunk take. @param {Chunk} chunk @param {number} scalars */
function unitsOf({ text, astral }, scalars) {
  if (astral === 0) return scalars;
  let at = 0;
  for (let left = scalars; left > 0; left--) at += isHigh(text.charCodeAt(at)) ? 2 : 1;
  return at;
}

/** @param {string} text @param {number} at */
function isInside(text, at) {
  return at > 0 && at < text.length && isHigh(text.charCodeAt(at - 1));
}

/** @param {number} unit */
function isHigh(unit) {
  return unit >= 0xd800 && unit < 0xdc00;
}
