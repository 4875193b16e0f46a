// @ts-check
/**
 * Changes: reading one under its topic's type, and applying it to a value. The same rules as in the
 * server, so that what it would refuse is refused here without asking.
 */

import { ChatroomError } from './code.js';
import { byteLength, isLonger } from './limits.js';
import { edited, scalarCount, shortest, toUnits } from './text.js';
import { byCodePoint, canonical, checkText, equal, plain } from './value.js';

/** @typedef {import('./limits.js').Limits} Limits */
/** @typedef {import('./text.js').Component} Component */
/** @typedef {'generic' | 'string' | 'int' | 'float' | 'bool' | 'list' | 'set' | 'dict' | 'event' | 'presence'} TopicType the types of topics */
/**
 * One typed edit of one topic. `id` is its author's.
 * @typedef {{ readonly type: string, readonly id?: string | number, readonly [field: string]: any }} Change
 */
/**
 * Whose change it is, what the server takes, whether the value may be changed in place, and whether
 * the change is only tried: the value stays as it is, and large ones are not copied.
 * @typedef {{ limits: Limits, by: number, owned?: boolean, dry?: boolean }} Context
 */
/**
 * The value after a change, whether it is another, and the change as applications see it: text
 * counted in UTF-16 units.
 * @typedef {{ value: any, changed: boolean, change: Change }} Applied
 */

/** @type {{ [K in TopicType]: { readonly zero: any, readonly changes: Record<string, readonly Field[]> } }} */
const TYPES = {
  generic: { zero: null, changes: { set: ['value'] } },
  string: {
    zero: '',
    changes: { set: ['text'], edit: ['components'], insert: ['position', 'insertion'], delete: ['position', 'deletion'] },
  },
  int: { zero: 0, changes: { set: ['integer'], add: ['integer'] } },
  float: { zero: 0, changes: { set: ['number'], add: ['number'] } },
  bool: { zero: false, changes: { set: ['flag'] } },
  list: {
    zero: Object.freeze([]),
    changes: {
      set: ['array'], insert: ['position', 'item'], pop: ['position'], set_item: ['position', 'item'], move: ['from', 'to'],
    },
  },
  set: { zero: Object.freeze([]), changes: { set: ['array'], append: ['item'], remove: ['item'] } },
  dict: {
    zero: Object.freeze(Object.create(null)),
    changes: {
      set: ['object'], add: ['key', 'value'], put: ['key', 'value'], ensure: ['key', 'value'],
      change_value: ['key', 'value'], pop: ['key'],
    },
  },
  event: { zero: null, changes: { emit: ['args'] } },
  presence: { zero: Object.freeze(Object.create(null)), changes: { put: ['own', 'entry'], pop: ['own'] } },
};

/** @typedef {'value' | 'text' | 'integer' | 'number' | 'flag' | 'array' | 'object' | 'entry' | 'own' | 'position' | 'from' | 'to' | 'item' | 'key' | 'args' | 'components' | 'insertion' | 'deletion'} Field */

/** The names of all topic types. */
export const TOPIC_TYPES = /** @type {readonly TopicType[]} */ (Object.freeze(Object.keys(TYPES)));

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
  const { changes } = TYPES[type];
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

/**
 * A value as the server sent it, in the form that `apply` works on: dicts without a prototype, so
 * that every key is data.
 * @param {TopicType} type
 * @param {any} value
 */
export function load(type, value) {
  return type === 'dict' || type === 'presence' ? Object.assign(Object.create(null), value) : value;
}

/**
 * The value that a topic of the type begins with.
 * @param {TopicType} type
 */
export function zero(type) {
  return TYPES[type].zero;
}

/**
 * Applies a change that was read, or refuses it and leaves the value as it was.
 * @param {TopicType} type
 * @param {any} value
 * @param {Change} change
 * @param {Context} context
 * @returns {Applied}
 */
export function apply(type, value, change, context) {
  const result = APPLY[type](value, change, context);
  return { change, ...result };
}

/** @typedef {(value: any, change: Change, context: Context) => { value: any, changed: boolean, change?: Change }} Apply */

/** @param {any} old @param {any} value */
const replaced = (old, value) => ({ value, changed: !equal(old, value) });

/** @type {Record<TopicType, Apply>} */
const APPLY = {
  generic: (old, { value }) => replaced(old, value),
  bool: (old, { value }) => replaced(old, value),
  event: (old) => ({ value: old, changed: false }),

  int: (old, { type, value }) => {
    const sum = type === 'add' ? old + value : value;
    if (!Number.isSafeInteger(sum)) throw new ChatroomError('out_of_range', `${sum} lies beyond 2^53 - 1`);
    return replaced(old, sum);
  },

  float: (old, { type, value }) => {
    const sum = type === 'add' ? old + value : value;
    if (!Number.isFinite(sum)) throw new ChatroomError('not_finite', 'the sum is larger than any double');
    return replaced(old, sum === 0 ? 0 : sum);
  },

  string: (old, change, { limits }) => {
    if (change.type === 'set') {
      checkScalars(scalarCount(change.value), limits);
      return replaced(old, change.value);
    }
    const units = toUnits(old, componentsOf(old, change));
    // A text of so many units cannot have too many scalar values.
    const value = edited(old, units);
    if (value.length > limits.text_scalars) checkScalars(scalarCount(value), limits);
    const components = shortest(units);
    return { value, changed: value !== old, change: { ...change, type: 'edit', components } };
  },

  list: (old, change, { limits, owned, dry }) => {
    const { type, position = 0, item, from = 0, to = 0 } = change;
    if (type === 'set') {
      checkItems(change.value.length, limits);
      return replaced(old, [...change.value]);
    }
    for (const at of type === 'move' ? [from, to] : [position]) {
      if (at > old.length - (type === 'insert' ? 0 : 1)) {
        throw new ChatroomError('out_of_range', `position ${at} is past the end of a list of ${old.length}`);
      }
    }
    if (type === 'insert') checkItems(old.length + 1, limits);
    if (dry) return { value: old, changed: true };
    const value = owned ? old : [...old];
    let changed = true;
    if (type === 'insert') value.splice(position, 0, item);
    else if (type === 'pop') value.splice(position, 1);
    else if (type === 'set_item') {
      changed = !equal(old[position], item);
      value[position] = item;
    } else {
      changed = from !== to;
      value.splice(to, 0, ...value.splice(from, 1));
    }
    return { value, changed };
  },

  set: (old, change, { limits, owned, dry }) => {
    if (change.type === 'set') {
      const byText = new Map(change.value.map((/** @type {any} */ item) => [canonical(item), item]));
      checkItems(byText.size, limits);
      return replaced(old, [...byText].sort(([a], [b]) => byCodePoint(a, b)).map(([, item]) => item));
    }
    const { at, there } = find(old, change.item);
    if (there === (change.type === 'append')) return { value: old, changed: false };
    if (!there) checkItems(old.length + 1, limits);
    if (dry) return { value: old, changed: true };
    const value = owned ? old : [...old];
    if (there) value.splice(at, 1);
    else value.splice(at, 0, change.item);
    return { value, changed: true };
  },

  dict: (old, change, { limits, owned, dry }) => {
    const { type, key } = change;
    if (type === 'set') {
      const value = load('dict', change.value);
      checkItems(Object.keys(value).length, limits);
      return replaced(old, value);
    }
    const there = key in old;
    if (type === 'add' && there) {
      throw new ChatroomError('key_exists', `the key ${JSON.stringify(key)} is there already; put writes it anyway`);
    }
    if ((type === 'change_value' || type === 'pop') && !there) {
      throw new ChatroomError('no_such_key', `the key ${JSON.stringify(key)} is not there`);
    }
    if (dry || (type === 'ensure' && there)) return { value: old, changed: false };
    // Counting the keys of a large dict costs more than the change; the server counts anyway.
    return entry(old, key, type === 'pop' ? undefined : change.value, owned);
  },

  presence: (old, change, { by, owned, dry }) => {
    const key = change.key ?? String(by);
    const told = { ...change, key };
    if (dry || (change.type === 'pop' && !(key in old))) return { value: old, changed: false, change: told };
    return { ...entry(old, key, change.type === 'pop' ? undefined : change.value, owned), change: told };
  },
};

/**
 * Writes one key of a dict, or takes it out.
 * @param {Record<string, any>} old @param {string} key @param {any} item @param {boolean} [owned]
 */
function entry(old, key, item, owned) {
  const changed = item === undefined || !(key in old) || !equal(old[key], item);
  const value = owned ? old : Object.assign(Object.create(null), old);
  if (item === undefined) delete value[key];
  else value[key] = item;
  return { value, changed };
}

/**
 * Where an item of a set is or belongs: sets are kept in the order of their items' canonical texts.
 * @param {readonly any[]} items @param {any} item
 */
function find(items, item) {
  const wanted = canonical(item);
  let [at, end] = [0, items.length];
  while (at < end) {
    const middle = (at + end) >> 1;
    const order = byCodePoint(canonical(items[middle]), wanted);
    if (order === 0) return { at: middle, there: true };
    if (order < 0) at = middle + 1;
    else end = middle;
  }
  return { at, there: false };
}

/** @param {string} old @param {Change} change @returns {Component[]} */
function componentsOf(old, { type, components, position, insertion, deletion }) {
  if (type === 'edit') return components;
  const there = position > 0 ? [{ retain: position }] : [];
  if (type === 'insert') return [...there, { insert: insertion }];
  const count = scalarCount(deletion);
  const [, gone] = count > 0 ? toUnits(old, [{ retain: position }, { delete: count }]) : [];
  if (gone) {
    const [start] = toUnits(old, [{ retain: position }]);
    const at = /** @type {{ retain: number }} */ (start).retain;
    const stands = old.slice(at, at + /** @type {{ delete: number }} */ (gone).delete);
    if (stands !== deletion) {
      throw new ChatroomError('precondition', `at position ${position} stands ${JSON.stringify(stands.slice(0, 20))}, not ${JSON.stringify(deletion.slice(0, 20))}`);
    }
    return [...there, { delete: count }];
  }
  return there;
}

/** @param {number} scalars @param {Limits} limits */
function checkScalars(scalars, limits) {
  if (scalars > limits.text_scalars) {
    throw new ChatroomError('too_big', `a text has at most ${limits.text_scalars} scalar values, this would have ${scalars}`);
  }
}

/** @param {number} items @param {Limits} limits */
function checkItems(items, limits) {
  if (items > limits.items) {
    throw new ChatroomError('too_big', `a topic has at most ${limits.items} entries, this would have ${items}`);
  }
}
