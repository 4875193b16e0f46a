// @ts-check
/**
 * Changes: reading one under its topic's type, by the same rules as in the server, so that what it
 * would refuse is refused here without asking.
 */

import { ChatroomError } from './code.js';
import { byteLength, isLonger } from './limits.js';
import { checkText, plain } from './value.js';

/** @typedef {import('./limits.js').Limits} Limits */
/** @typedef {import('./text.js').Component} Component */
/** @typedef {'generic' | 'string' | 'int' | 'float' | 'bool' | 'list' | 'set' | 'dict' | 'event' | 'presence'} TopicType the types of topics */
/**
 * One typed edit of one topic. `id` is its author's.
 * @typedef {{ readonly type: string, readonly id?: string | number, readonly [field: string]: any }} Change
 */
/** Whose change it is, and what the server takes. @typedef {{ limits: Limits, by: number }} Context */

/** @type {Record<TopicType, Record<string, readonly Field[]>>} */
const CHANGES = {
  generic: { set: ['value'] },
  string: { set: ['text'], edit: ['components'], insert: ['position', 'insertion'], delete: ['position', 'deletion'] },
  int: { set: ['integer'], add: ['integer'] },
  float: { set: ['number'], add: ['number'] },
  bool: { set: ['flag'] },
  list: {
    set: ['array'], insert: ['position', 'item'], pop: ['position'], set_item: ['position', 'item'], move: ['from', 'to'],
  },
  set: { set: ['array'], append: ['item'], remove: ['item'] },
  dict: {
    set: ['object'], add: ['key', 'value'], put: ['key', 'value'], ensure: ['key', 'value'], change_value: ['key', 'value'], pop: ['key'],
  },
  event: { emit: ['args'] },
  presence: { put: ['own', 'entry'], pop: ['own'] },
};

/** @typedef {'value' | 'text' | 'integer' | 'number' | 'flag' | 'array' | 'object' | 'entry' | 'own' | 'position' | 'from' | 'to' | 'item' | 'key' | 'args' | 'components' | 'insertion' | 'deletion'} Field */

/** The names of all topic types. */
export const TOPIC_TYPES = /** @type {readonly TopicType[]} */ (Object.freeze(Object.keys(CHANGES)));

/**
 * Reads a change in the form of the wire and gives a copy with just the fields it has.
 * @param {TopicType} type the topic's
 * @param {any} change
 * @param {Context} context
 * @returns {Change}
 */
export function decode(type, change, context) {
  if (change === null || typeof change !== 'object' || Array.isArray(change)) throw bad('the change must be an object');
  const { id, type: kind } = change;
  /** @type {Record<string, any>} */
  const read = {};
  if (id !== undefined && id !== null) read.id = decodeId(id, context.limits);
  if (typeof kind !== 'string') throw bad('the field type must be a string');
  const changes = CHANGES[type];
  // What a presence change is about is checked before what it is.
  if (type === 'presence') FIELDS.own(change, context, read);
  if (!Object.hasOwn(changes, kind)) {
    throw new ChatroomError('unknown_change', `a topic of type ${type} has no change ${JSON.stringify(kind.slice(0, 40))}, only ${Object.keys(changes).join(', ')}`);
  }
  read.type = kind;
  for (const field of changes[kind]) FIELDS[field](change, context, read);
  return /** @type {Change} */ (read);
}

/** @param {unknown} id @param {Limits} limits */
function decodeId(id, limits) {
  if (typeof id === 'string') {
    if (isLonger(id, limits.id_bytes)) throw new ChatroomError('too_big', `an id has at most ${limits.id_bytes} bytes`);
    return checkText(id, 'the id');
  }
  if (!Number.isSafeInteger(id)) throw bad('the id must be a string or an integer');
  return id;
}

/** @param {string} reason */
function bad(reason) {
  return new ChatroomError('bad_type', reason);
}

/** @typedef {(change: Record<string, any>, context: Context, read: Record<string, any>) => void} Reader */

/**
 * @param {string} name
 * @param {(given: any, context: Context) => any} decoder
 * @returns {Reader}
 */
function field(name, decoder) {
  return (change, context, read) => {
    if (change[name] === undefined) throw bad(`the field ${name} is missing`);
    read[name] = decoder(change[name], context);
  };
}

/** @param {string} name */
const json = (name) => field(name, (given) => plain(given, name));

/** @param {string} name */
const text = (name) =>
  field(name, (given) => {
    if (typeof given !== 'string') throw bad(`${name} must be a string`);
    return checkText(given, name);
  });

/** @param {string} name */
const position = (name) =>
  field(name, (given) => {
    const value = integer(given, name);
    if (value < 0) throw new ChatroomError('out_of_range', `${name} may not be negative`);
    return value;
  });

/** @param {any} given @param {string} name @returns {number} */
function integer(given, name) {
  const value = number(given, name);
  if (!Number.isInteger(value)) throw bad(`${name} must be an integer`);
  if (!Number.isSafeInteger(value)) throw new ChatroomError('out_of_range', `${name} lies beyond 2^53 - 1`);
  return value;
}

/** @param {any} given @param {string} name @returns {number} */
function number(given, name) {
  if (typeof given !== 'number') throw bad(`${name} must be a number`);
  if (!Number.isFinite(given)) throw new ChatroomError('not_finite', `${name} is no finite number`);
  return given === 0 ? 0 : given;
}

/** @param {string} given @param {Limits} limits */
function checkKey(given, limits) {
  if (typeof given !== 'string') throw bad('key must be a string');
  if (isLonger(given, limits.key_bytes)) {
    throw new ChatroomError('too_big', `a key has at most ${limits.key_bytes} bytes, this one has ${byteLength(given)}`);
  }
  return checkText(given, 'key');
}

/** @type {Record<Field, Reader>} */
const FIELDS = {
  value: json('value'),
  item: json('item'),
  args: json('args'),
  text: text('value'),
  insertion: text('insertion'),
  deletion: text('deletion'),
  position: position('position'),
  from: position('from'),
  to: position('to'),
  integer: field('value', (given) => integer(given, 'value')),
  number: field('value', (given) => number(given, 'value')),
  flag: field('value', (given) => {
    if (typeof given !== 'boolean') throw bad('value must be true or false');
    return given;
  }),
  array: field('value', (given) => {
    if (!Array.isArray(given)) throw bad('value must be an array');
    return plain(given);
  }),
  object: field('value', (given, { limits }) => {
    if (given === null || typeof given !== 'object' || Array.isArray(given)) throw bad('value must be an object');
    const fields = plain(given);
    if (fields === null || typeof fields !== 'object') throw bad('value must be an object');
    for (const key of Object.keys(fields)) checkKey(key, limits);
    return fields;
  }),
  key: field('key', (given, { limits }) => checkKey(given, limits)),
  own: (change, { by }) => {
    const { key } = change;
    if (key === undefined || key === null) return;
    if (typeof key !== 'string') throw bad('key must be a string');
    if (key !== String(by)) {
      throw new ChatroomError('forbidden', `a client writes its own entry only, and this client is ${by}`);
    }
  },
  entry: field('value', (given, { limits }) => {
    const entry = plain(given);
    const bytes = byteLength(JSON.stringify(entry));
    if (bytes > limits.presence_bytes) {
      throw new ChatroomError('too_big', `an entry has at most ${limits.presence_bytes} bytes, this one has ${bytes}`);
    }
    return entry;
  }),
  components: field('components', (given, { limits }) => {
    if (!Array.isArray(given)) throw bad('components must be an array of {"retain": n}, {"insert": text} and {"delete": n}');
    if (given.length > limits.edit_components) {
      throw new ChatroomError('too_big', `an edit has at most ${limits.edit_components} components, this one has ${given.length}`);
    }
    return given.map(decodeComponent);
  }),
};

/** @param {any} component @returns {Component} */
function decodeComponent(component) {
  const named = component !== null && typeof component === 'object'
    ? ['retain', 'insert', 'delete'].filter((name) => component[name] !== undefined)
    : [];
  if (named.length !== 1) throw bad('a component is one of {"retain": n}, {"insert": text}, {"delete": n}');
  if (named[0] === 'insert') {
    if (typeof component.insert !== 'string') throw bad('insert must be a string');
    return { insert: checkText(component.insert, 'insert') };
  }
  const count = integer(component[named[0]], named[0]);
  if (count < 1) throw new ChatroomError('out_of_range', `${named[0]} must be at least 1`);
  return named[0] === 'retain' ? { retain: count } : { delete: count };
}
