// @ts-check
/** The changes that take a change back: section 2 of docs/merging.md. */

import { Dict, Items, List, Register, Text } from './document.js';
import { componentsOf } from './edit.js';
import { scalarCount, shortest } from './text.js';
import { byCodePoint, canonical, equal } from './value.js';

/** @typedef {import('./change.js').Change} Change */
/** @typedef {import('./document.js').AnyDocument} AnyDocument */

/**
 * What takes a change back, in order; nothing if it has no effect or cannot be taken back.
 * @param {Change} change
 * @param {AnyDocument} document the value before the change, which can be made there
 * @param {boolean} [presence] whether the topic is a presence topic
 * @returns {Change[]}
 */
export function invert(change, document, presence = false) {
  if (document instanceof Register) return invertRegister(change, document);
  if (document instanceof Text) return invertText(change, document);
  if (document instanceof List) return invertList(change, document.items);
  if (document instanceof Items) return invertSet(change, document);
  return document instanceof Dict && !presence ? invertDict(change, document.fields) : [];
}

/** @param {Change} change @param {Register} document @returns {Change[]} */
function invertRegister(change, document) {
  const old = document.read();
  if (equal(old, document.after(change))) return [];
  return [change.type === 'add' ? { type: 'add', value: -change.value } : { type: 'set', value: old }];
}

/** @param {Change} change @param {Text} document @returns {Change[]} */
function invertText(change, { chunks }) {
  let components;
  if (change.type === 'set') {
    const old = chunks.toString();
    if (change.value === old) return [];
    components = shortest([{ insert: old }, { delete: scalarCount(change.value) }]);
  } else {
    components = chunks.inverse(componentsOf(change));
  }
  return components.length === 0 ? [] : [{ type: 'edit', components }];
}

/** @param {Change} change @param {readonly any[]} old @returns {Change[]} */
function invertList(change, old) {
  const { type, position, from, to } = change;
  switch (type) {
    case 'insert':
      return [{ type: 'pop', position }];
    case 'pop':
      return [{ type: 'insert', position, item: old[position] }];
    case 'set_item':
      return equal(old[position], change.item) ? [] : [{ type: 'set_item', position, item: old[position] }];
    case 'move':
      return from === to ? [] : [{ type: 'move', from: to, to: from }];
    default:
      return invertWhole(change.value, old);
  }
}

/** Pops the items that are new and puts the old ones back; what both ends share stays. @param {readonly any[]} now @param {readonly any[]} old @returns {Change[]} */
function invertWhole(now, old) {
  const shorter = Math.min(now.length, old.length);
  let start = 0;
  while (start < shorter && equal(now[start], old[start])) start++;
  let same = 0;
  while (same < shorter - start && equal(now[now.length - 1 - same], old[old.length - 1 - same])) same++;
  /** @type {Change[]} */
  const changes = [];
  for (let position = now.length - same - 1; position >= start; position--) changes.push({ type: 'pop', position });
  for (let position = start; position < old.length - same; position++) changes.push({ type: 'insert', position, item: old[position] });
  return changes;
}

/** @param {Change} change @param {Items} document @returns {Change[]} */
function invertSet(change, document) {
  const { type, item } = change;
  if (type !== 'set') {
    if (document.has(item) === (type === 'append')) return [];
    return [{ type: type === 'append' ? 'remove' : 'append', item }];
  }
  const old = new Map(document.items.map((one) => [canonical(one), one]));
  const now = new Map(change.value.map((/** @type {any} */ one) => [canonical(one), one]));
  return [...only(now, old, 'remove'), ...only(old, now, 'append')];
}

/** A change for each item that only one set has. @param {Map<string, any>} items @param {Map<string, any>} others @param {string} type @returns {Change[]} */
function only(items, others, type) {
  const own = [...items].filter(([text]) => !others.has(text)).sort(([a], [b]) => byCodePoint(a, b));
  return own.map(([, item]) => ({ type, item }));
}

/** @param {Change} change @param {Readonly<Record<string, any>>} old @returns {Change[]} */
function invertDict(change, old) {
  const { type, key, value } = change;
  if (type !== 'set') return invertKey(key, old, type === 'ensure' && key in old ? old[key] : type === 'pop' ? undefined : value);
  const keys = new Set([...Object.keys(old), ...Object.keys(value)]);
  return [...keys].sort(byCodePoint).flatMap((one) => invertKey(one, old, Object.hasOwn(value, one) ? value[one] : undefined));
}

/** @param {string} key @param {Readonly<Record<string, any>>} old @param {any} now undefined if the key is out @returns {Change[]} */
function invertKey(key, old, now) {
  if (!(key in old)) return now === undefined ? [] : [{ type: 'pop', key }];
  if (now === undefined) return [{ type: 'ensure', key, value: old[key] }];
  return equal(old[key], now) ? [] : [{ type: 'change_value', key, value: old[key] }];
}
