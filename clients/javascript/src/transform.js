// @ts-check
/**
 * How a change reads after another one that was made on the same value: section 1 of
 * docs/merging.md. Pure and total: it never fails and never alters what it is given.
 */

import { documentOf } from './document.js';
import { transformEdit } from './edit.js';
import { transformPositions } from './positions.js';
import { equal } from './value.js';

/** @typedef {import('./change.js').Change} Change */
/** @typedef {import('./change.js').TopicType} TopicType */
/** @typedef {'later' | 'first'} Side where the change stands in the order: behind the other, or before it */
/** @typedef {(a: Change, b: Change, side: Side) => Change | null} Rule */

/**
 * `a` as it is after `b`; null if nothing is left of it.
 * @param {TopicType} type the topic's
 * @param {Change} a
 * @param {Change} b
 * @param {Side} side where `a` stands
 * @returns {Change | null}
 */
export function transform(type, a, b, side) {
  return RULES[type](a, b, side);
}

/**
 * Two lists of changes that were made on the same value, each as it is after the other.
 * @param {TopicType} type
 * @param {readonly Change[]} later
 * @param {readonly Change[]} first
 * @returns {{ later: Change[], first: Change[] }}
 */
export function rectangle(type, later, first) {
  /** @type {Change[]} */
  const moved = [];
  /** @type {readonly Change[]} */
  let others = first;
  for (const change of later) {
    const { change: after, carried } = carry(type, change, others);
    if (after) moved.push(after);
    others = carried;
  }
  return { later: moved, first: [...others] };
}

/**
 * One change goes over what stands before it, and that goes over the change.
 * @param {TopicType} type
 * @param {Change | null} change
 * @param {readonly Change[]} others
 * @returns {{ change: Change | null, carried: readonly Change[] }}
 */
export function carry(type, change, others) {
  if (!change || others.length === 0) return { change, carried: others };
  /** @type {Change | null} */
  let own = change;
  /** @type {Change[]} */
  const carried = [];
  for (const other of others) {
    if (!own) {
      carried.push(other);
      continue;
    }
    const after = transform(type, own, other, 'later');
    const over = transform(type, other, own, 'first');
    if (over) carried.push(over);
    own = after;
  }
  return { change: own, carried };
}

/** @type {Rule} */
const register = (a, b, side) => (side === 'later' ? a : null);

/** @param {(sum: number) => Change | null} toSet @returns {Rule} */
const number = (toSet) => (a, b, side) => {
  if (a.type === 'add') return b.type === 'add' || side === 'later' ? a : null;
  if (side === 'later') return a;
  return b.type === 'add' ? toSet(a.value + b.value) : null;
};

/** @type {Rule} */
const string = (a, b, side) => {
  if (a.type === 'set') return b.type === 'set' ? register(a, b, side) : a;
  return b.type === 'set' ? null : transformEdit(a, b, side);
};

/** @type {Rule} */
const list = (a, b, side) => {
  if (a.type === 'set') return b.type === 'set' ? register(a, b, side) : a;
  return b.type === 'set' ? null : transformPositions(a, b, side);
};

/** @type {Rule} */
const set = (a, b, side) => {
  if (side === 'later') return a;
  if (a.type === 'set') return b.type === 'set' ? null : { type: 'set', value: applied('set', a.value, b) };
  if (b.type === 'set') return null;
  return a.type === b.type || !equal(a.item, b.item) ? a : null;
};

/** @type {Rule} */
const dict = (a, b, side) => {
  const later = side === 'later';
  if (a.type === 'set') {
    if (later) return a;
    return b.type === 'set' ? null : { type: 'set', value: applied('dict', a.value, b) };
  }
  if (b.type === 'set') {
    if (!later) return null;
    return isNeedy(a) && !Object.hasOwn(b.value, a.key) ? null : a;
  }
  if (a.key !== b.key) return a;
  const made = b.type === 'add' || b.type === 'ensure';
  if (a.type === 'change_value') {
    if (b.type === 'pop') return null;
    return made || later ? a : null;
  }
  if (a.type === 'pop') {
    if (b.type === 'pop') return null;
    if (b.type === 'change_value' || later) return a;
    return made ? { type: 'put', key: a.key, value: b.value } : null;
  }
  if (later) return a;
  return made ? { type: 'put', key: a.key, value: a.value } : null;
};

/** Whether a change of a dict needs its key to be there. @param {Change} change */
function isNeedy({ type }) {
  return type === 'change_value' || type === 'pop';
}

/** A whole value with a change of a part of it; one that cannot be made changes nothing. @param {'set' | 'dict'} type @param {any} value @param {Change} change */
function applied(type, value, change) {
  const document = documentOf(type, type === 'set' ? [] : value);
  try {
    // Items are looked for in their order, which those of a change need not have.
    if (type === 'set') document.perform({ type, value });
    document.perform(change);
  } catch {
    return value;
  }
  const whole = document.read();
  return type === 'dict' ? { ...whole } : whole;
}

/** @type {Record<TopicType, Rule>} */
const RULES = {
  generic: register,
  bool: register,
  // What cannot be held stays as it is, and is refused when it is applied.
  int: number((value) => ({ type: 'set', value })),
  float: number((value) => (Number.isFinite(value) ? { type: 'set', value: value === 0 ? 0 : value } : null)),
  string,
  list,
  set,
  dict,
  event: (a) => a,
  presence: (a, b, side) => (a.key === b.key ? register(a, b, side) : a),
};
