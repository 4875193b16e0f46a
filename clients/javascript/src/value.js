// @ts-check
/** JSON values: checked copies, equality, and the one text that equal values share. */

import { ChatroomError } from './code.js';
import { DEFAULT_LIMITS } from './limits.js';

/** @typedef {null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json }} Json any JSON value */

/**
 * A copy of `value` that is plain JSON, as the protocol takes it. What JSON leaves out of an object
 * (`undefined`) is left out; what has a `toJSON` is asked for it.
 * @param {unknown} value
 * @param {string} [what] names it in the refusal
 * @returns {any}
 */
export function plain(value, what = 'the value') {
  return copy(value, what, 0);
}

/** @param {any} value @param {string} what @param {number} depth @returns {any} */
function copy(value, what, depth) {
  switch (typeof value) {
    case 'string':
      return checkText(value, what);
    case 'number':
      return checkNumber(value, what);
    case 'boolean':
      return value;
    case 'object':
      break;
    default:
      throw new ChatroomError('bad_type', `${what} has a part of type ${typeof value}, which is not JSON`);
  }
  if (value === null) return null;
  if (typeof value.toJSON === 'function') return copy(value.toJSON(), what, depth);
  if (depth >= DEFAULT_LIMITS.depth) throw new ChatroomError('malformed', `${what} is nested deeper than ${DEFAULT_LIMITS.depth}`);
  if (Array.isArray(value)) return Array.from(value, (item) => copy(item, what, depth + 1));
  if (value instanceof Map || value instanceof Set || ArrayBuffer.isView(value)) {
    throw new ChatroomError('bad_type', `${what} has a ${value.constructor.name}, which is not JSON`);
  }
  /** @type {Record<string, any>} */
  const fields = {};
  for (const key of Object.keys(value)) {
    const part = value[key];
    if (part === undefined) continue;
    put(fields, checkText(key, what), copy(part, what, depth + 1));
  }
  return fields;
}

/** Sets a field as data, `__proto__` too. @param {Record<string, any>} fields @param {string} key @param {any} value */
function put(fields, key, value) {
  if (key === '__proto__') Object.defineProperty(fields, key, { value, enumerable: true, configurable: true, writable: true });
  else fields[key] = value;
}

/**
 * Refuses numbers that not every language reads alike; `-0` becomes `0`.
 * @param {number} value
 * @param {string} what
 */
export function checkNumber(value, what) {
  if (!Number.isFinite(value)) throw new ChatroomError('not_finite', `${what} has a number that no double holds`);
  if (Number.isInteger(value) && !Number.isSafeInteger(value) && Math.abs(value) < 1e21) {
    throw new ChatroomError('out_of_range', `${what} has an integer beyond 2^53 - 1: ${value}`);
  }
  return value === 0 ? 0 : value;
}

/**
 * Refuses text with a lone surrogate.
 * @param {string} text
 * @param {string} what
 */
export function checkText(text, what) {
  if (/\p{Surrogate}/u.test(text)) throw new ChatroomError('bad_unicode', `${what} has a lone surrogate`);
  return text;
}

/**
 * Reads JSON text as strictly as the server does: what a person typed, for example.
 * @param {string} text
 * @returns {Json}
 */
export function parse(text) {
  let value;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new ChatroomError('malformed', /** @type {Error} */ (cause).message, { cause });
  }
  checkKeys(text);
  return plain(value);
}

/** Refuses a key that stands twice in one object of valid JSON text. @param {string} text */
function checkKeys(text) {
  /** @type {(Set<string> | undefined)[]} the keys of the objects around, undefined for arrays */
  const around = [];
  for (const [token, colon] of text.matchAll(/"(?:[^"\\]|\\.)*"(\s*:)?|[{}[\]]/g)) {
    if (token === '{') around.push(new Set());
    else if (token === '[') around.push(undefined);
    else if (token === '}' || token === ']') around.pop();
    else if (colon !== undefined) {
      const key = JSON.parse(token.slice(0, token.lastIndexOf('"') + 1));
      const keys = around[around.length - 1];
      if (keys?.has(key)) throw new ChatroomError('malformed', `the key ${JSON.stringify(key)} stands twice`);
      keys?.add(key);
    }
  }
}

/**
 * The canonical text of a value: keys sorted by code point, no white space. Equal values have equal
 * texts.
 * @param {unknown} value
 * @returns {string}
 */
export function canonical(value) {
  if (value === null || typeof value !== 'object') return JSON.stringify(value);
  if (Array.isArray(value)) return `[${value.map(canonical).join(',')}]`;
  const fields = /** @type {Record<string, unknown>} */ (value);
  const texts = Object.keys(fields).sort(byCodePoint).map((key) => `${JSON.stringify(key)}:${canonical(fields[key])}`);
  return `{${texts.join(',')}}`;
}

/**
 * Whether two JSON values are the same: types are strict, the order of keys does not matter.
 * @param {any} a
 * @param {any} b
 * @returns {boolean}
 */
export function equal(a, b) {
  if (a === b) return true;
  if (a === null || b === null || typeof a !== 'object' || typeof b !== 'object') return false;
  if (Array.isArray(a)) return Array.isArray(b) && a.length === b.length && a.every((item, index) => equal(item, b[index]));
  if (Array.isArray(b)) return false;
  const keys = Object.keys(a);
  return keys.length === Object.keys(b).length && keys.every((key) => Object.hasOwn(b, key) && equal(a[key], b[key]));
}

/**
 * The order of texts by code point, which is that of their UTF-8 and not that of `<`.
 * @param {string} a
 * @param {string} b
 * @returns {number}
 */
export function byCodePoint(a, b) {
  const shorter = Math.min(a.length, b.length);
  for (let at = 0; at < shorter; at++) {
    const [one, other] = [a.charCodeAt(at), b.charCodeAt(at)];
    if (one !== other) return rank(one) - rank(other);
  }
  return a.length - b.length;
}

/** Surrogates stand for code points above all others. @param {number} unit */
function rank(unit) {
  return unit >= 0xd800 && unit < 0xe000 ? unit + 0x10000 : unit;
}
