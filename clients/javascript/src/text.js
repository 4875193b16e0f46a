// @ts-check
/**
 * Positions in text. The wire counts Unicode scalar values, JavaScript counts UTF-16 code units;
 * everything outside this file and the wire uses units.
 */

import { ChatroomError } from './code.js';

/** @typedef {{ readonly retain: number } | { readonly insert: string } | { readonly delete: number }} Component one step of a text edit */
/** @typedef {{ retain?: number, insert?: string, delete?: number }} AnyComponent */

/**
 * How many Unicode scalar values a text has.
 * @param {string} text
 */
export function scalarCount(text) {
  return scalarsBetween(text, 0, text.length);
}

/** @param {string} text @param {number} start @param {number} end */
function scalarsBetween(text, start, end) {
  let count = end - start;
  for (let at = start; at < end; at++) if (isHigh(text.charCodeAt(at))) count--;
  return count;
}

/**
 * The place in units that lies so many scalar values after `from`.
 * @param {string} text
 * @param {number} from in units
 * @param {number} scalars
 */
function after(text, from, scalars) {
  let at = from;
  for (let left = scalars; left > 0; left--) {
    if (at >= text.length) throw pastTheEnd(text);
    at += isHigh(text.charCodeAt(at)) ? 2 : 1;
  }
  return at;
}

/** @param {number} unit */
function isHigh(unit) {
  return unit >= 0xd800 && unit < 0xdc00;
}

/** @param {string} text */
function pastTheEnd(text) {
  return new ChatroomError('out_of_range', `the edit goes past the end of a text of ${scalarCount(text)} scalar values`);
}

/**
 * An edit of `text` counted in scalar values, counted in units.
 * @param {string} text
 * @param {readonly Component[]} components
 * @returns {Component[]}
 */
export function toUnits(text, components) {
  let at = 0;
  return components.map((/** @type {AnyComponent} */ { retain, insert, delete: gone }) => {
    if (insert !== undefined) return { insert };
    const start = at;
    at = after(text, start, retain ?? gone ?? 0);
    return retain === undefined ? { delete: at - start } : { retain: at - start };
  });
}

/**
 * An edit of `text` counted in units, counted in scalar values.
 * @param {string} text
 * @param {readonly Component[]} components
 * @returns {Component[]}
 */
export function toScalars(text, components) {
  let at = 0;
  return components.map((/** @type {AnyComponent} */ { retain, insert, delete: gone }) => {
    if (insert !== undefined) return { insert };
    const start = at;
    at += retain ?? gone ?? 0;
    if (at > text.length) throw pastTheEnd(text);
    if (isHigh(text.charCodeAt(at - 1)) && at > start) {
      throw new ChatroomError('bad_unicode', `position ${at} lies inside a surrogate pair`);
    }
    const scalars = scalarsBetween(text, start, at);
    return retain === undefined ? { delete: scalars } : { retain: scalars };
  });
}

/**
 * What an edit, counted in units, makes of a text.
 * @param {string} text
 * @param {readonly Component[]} components
 */
export function edited(text, components) {
  let at = 0;
  let result = '';
  for (const { retain = 0, insert = '', delete: gone = 0 } of /** @type {readonly AnyComponent[]} */ (components)) {
    result += text.slice(at, at + retain) + insert;
    at += retain + gone;
  }
  return result + text.slice(at);
}

/**
 * The shortest form of an edit: neighbours merged, inserts before deletes at one place, no last
 * retain, nothing empty.
 * @param {readonly Component[]} components
 * @returns {Component[]}
 */
export function shortest(components) {
  /** @type {AnyComponent[]} */
  const result = [];
  for (const { retain, insert, delete: gone } of /** @type {readonly AnyComponent[]} */ (components)) {
    const last = result[result.length - 1];
    if (retain) {
      if (last?.retain) last.retain += retain;
      else result.push({ retain });
    } else if (gone) {
      if (last?.delete) last.delete += gone;
      else result.push({ delete: gone });
    } else if (insert) {
      const place = last?.delete ? result.length - 1 : result.length;
      const before = result[place - 1];
      if (before?.insert) before.insert += insert;
      else result.splice(place, 0, { insert });
    }
  }
  if (result[result.length - 1]?.retain) result.pop();
  return /** @type {Component[]} */ (result);
}
