// @ts-check
/**
 * The two forms of a change: applications count text in UTF-16 units and may count lists from their
 * end; the wire counts text in scalar values, from the beginning.
 */

import { decode } from './change.js';
import { List, Text } from './document.js';
import { componentsOf } from './edit.js';
import { shortest } from './text.js';
import { equal } from './value.js';

/** @typedef {import('./change.js').Change} Change */
/** @typedef {import('./change.js').TopicType} TopicType */
/** @typedef {import('./document.js').AnyDocument} AnyDocument */

/** The position after the last item of a list. */
export const END = Symbol('end');

/** The positions that a change of a list may have. */
const POSITIONS = ['position', 'from', 'to'];

/** Components are counted when they have their shortest form. */
const READ = /** @type {any} */ ({ edit_components: Infinity, id_bytes: Infinity });

/**
 * Whether a change has a form on the wire, and can be judged, only with the value that it meets.
 * @param {TopicType} type
 * @param {Change} change
 */
export function needsValue(type, change) {
  if (type === 'string' || type === 'list') return change.type !== 'set';
  return type === 'dict' && (change.type === 'change_value' || change.type === 'pop');
}

/**
 * A change as the application made it, with positions as the wire counts them.
 * @param {Change} change
 * @param {AnyDocument | undefined} document what it meets, if that is known
 * @returns {Change}
 */
export function toWire(change, document) {
  if (document instanceof Text && change.type === 'edit') {
    // Components of no length are left out: an application need not look for them.
    const given = Array.isArray(change.components) ? change.components.filter((part) => part?.retain !== 0 && part?.delete !== 0) : change.components;
    // Read before it is counted: what is no component has no length.
    const { components } = decode('string', { type: 'edit', components: given }, { limits: READ, by: 0 });
    return { ...change, components: shortest(document.chunks.toScalars(components)) };
  }
  if (!(document instanceof List)) return change;
  const { length } = document.items;
  const resolved = { ...change };
  for (const field of POSITIONS) {
    if (resolved[field] === END) resolved[field] = length;
    else if (resolved[field] < 0) resolved[field] += length;
  }
  return resolved;
}

/**
 * A change of the wire as applications see it.
 * @param {Change} change
 * @param {AnyDocument} document what it meets
 * @param {string | undefined} owner the key that a change of presence means when it names none
 * @returns {Change}
 */
export function toPublic(change, document, owner) {
  if (document instanceof Text && change.type !== 'set') {
    const { chunks } = document;
    const components = componentsOf(change);
    if (chunks.units === chunks.scalars) return change.type === 'edit' ? change : { type: 'edit', components };
    return { type: 'edit', components: chunks.toUnits(components) };
  }
  return owner === undefined || change.key !== undefined ? change : { ...change, key: owner };
}

/**
 * Looks at what some changes are about, and gives what says whether it is another one now.
 * @param {readonly Change[]} changes
 * @param {AnyDocument} document
 * @returns {() => boolean}
 */
export function watchFor(changes, document) {
  if (changes.length === 0) return () => false;
  if (document instanceof Text) return () => true;
  if (document instanceof List && changes.some(({ type }) => type === 'insert' || type === 'pop')) return () => true;
  const keys = 'fields' in document && changes.every(({ type }) => type !== 'set') ? changes.map(({ key }) => key) : undefined;
  if (keys && 'fields' in document) {
    const before = keys.map((key) => document.fields[key]);
    return () => keys.some((key, index) => !equal(document.fields[key] ?? null, before[index] ?? null) || (key in document.fields) !== (before[index] !== undefined));
  }
  const before = document.read();
  return () => !equal(before, document.read());
}
