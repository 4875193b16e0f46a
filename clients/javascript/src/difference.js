// @ts-check
/** The changes that lead from one value to another, where what happened does not say it. */

import { byCodePoint, canonical, equal } from './value.js';

/** @typedef {import('./change.js').Change} Change */
/** @typedef {import('./change.js').TopicType} TopicType */

/**
 * @param {TopicType} type any but string, list and event
 * @param {any} before
 * @param {any} after
 * @returns {Change[]}
 */
export function difference(type, before, after) {
  if (type === 'dict' || type === 'presence') {
    const keys = [...new Set([...Object.keys(before), ...Object.keys(after)])].sort(byCodePoint);
    const others = keys.filter((key) => !(key in before) || !(key in after) || !equal(before[key], after[key]));
    return others.map((key) => (key in after ? { type: 'put', key, value: after[key] } : { type: 'pop', key }));
  }
  if (type === 'set') {
    const [old, now] = [before, after].map((items) => new Map(items.map((/** @type {any} */ item) => [canonical(item), item])));
    const gone = [...old].filter(([text]) => !now.has(text)).map(([, item]) => ({ type: 'remove', item }));
    return [...gone, ...[...now].filter(([text]) => !old.has(text)).map(([, item]) => ({ type: 'append', item }))];
  }
  return equal(before, after) ? [] : [{ type: 'set', value: after }];
}
