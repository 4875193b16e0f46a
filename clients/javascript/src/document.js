// @ts-check
/**
 * A topic's value as it is kept: changed in place, one change at a time, each with its way back.
 * The same rules as in the server, so that what it would refuse is refused here without asking.
 */

import { Chunks } from './chunks.js';
import { ChatroomError } from './code.js';
import { componentsOf } from './edit.js';
import { scalarCount } from './text.js';
import { byCodePoint, canonical, equal } from './value.js';
import { Versions } from './versions.js';

/** @typedef {import('./change.js').Change} Change */
/** @typedef {import('./change.js').TopicType} TopicType */
/** @typedef {import('./limits.js').Limits} Limits */
/** Whether the value is another, and what takes exactly this step back. @typedef {{ readonly changed: boolean, readonly back: () => void }} Step */
/**
 * Who makes a change and what the server takes; without limits, it was accepted already.
 * @typedef {{ limits?: Limits, by?: number }} Author
 */
/**
 * @typedef {object} Document
 * @property {() => any} read the value, which will not change any more
 * @property {(change: Change, author?: Author) => Step} perform makes a change, or refuses it and leaves the value as it was
 */
/** @typedef {Register | Text | List | Items | Dict | Happening} AnyDocument */

/**
 * @param {TopicType} type
 * @param {any} value as a snapshot shows it; not changed
 * @returns {AnyDocument}
 */
export function documentOf(type, value) {
  switch (type) {
    case 'string':
      return new Text(value);
    case 'list':
      return new List(value);
    case 'set':
      return new Items(value);
    case 'dict':
    case 'presence':
      return new Dict(value, type);
    case 'event':
      return new Happening();
    default:
      return new Register(type, value);
  }
}

/** A value that is replaced whole: generic, bool and the numbers. @implements {Document} */
export class Register {
  #type;
  #value;

  /** @param {TopicType} type @param {any} value */
  constructor(type, value) {
    this.#type = type;
    this.#value = value;
  }

  read() {
    return this.#value;
  }

  /** @param {Change} change @returns {Step} */
  perform(change) {
    const old = this.#value;
    const value = this.after(change);
    this.#value = value;
    return { changed: !equal(old, value), back: () => (this.#value = old) };
  }

  /** What a change makes of the value. @param {Change} change */
  after({ type, value }) {
    const next = type === 'add' ? this.#value + value : value;
    if (this.#type === 'int' && !Number.isSafeInteger(next)) throw new ChatroomError('out_of_range', `${next} lies beyond 2^53 - 1`);
    if (this.#type === 'float' && !Number.isFinite(next)) throw new ChatroomError('not_finite', 'the sum is larger than any double');
    return next === 0 ? 0 : next;
  }
}

/** @implements {Document} */
export class Text {
  /** The text. */
  chunks;

  /** @param {string} value */
  constructor(value) {
    this.chunks = new Chunks(value);
  }

  read() {
    return this.chunks.toString();
  }

  /** @param {Change} change @param {Author} [author] @returns {Step} */
  perform(change, { limits } = {}) {
    const old = this.chunks;
    if (change.type === 'set') {
      if (limits) checkScalars(scalarCount(change.value), limits);
      const changed = change.value !== old.toString();
      this.chunks = new Chunks(change.value);
      return { changed, back: () => (this.chunks = old) };
    }
    const components = componentsOf(change);
    // The shortest form may leave out what goes past the end.
    old.check(change.type === 'edit' ? change.components : [{ retain: change.position }, ...components.filter((part) => 'delete' in part)]);
    if (change.type === 'delete') checkDeletion(old, change);
    if (limits) {
      let scalars = old.scalars;
      for (const { insert = '', delete: gone = 0 } of /** @type {import('./text.js').AnyComponent[]} */ (components)) scalars += scalarCount(insert) - gone;
      checkScalars(scalars, limits);
    }
    const inverse = old.inverse(components);
    old.edit(components);
    return { changed: components.length > 0, back: () => old.edit(inverse) };
  }
}

/** The seed's `delete` names the text that is there. @param {Chunks} chunks @param {Change} change */
function checkDeletion(chunks, { position, deletion }) {
  const stands = chunks.slice(position, scalarCount(deletion));
  if (stands === deletion) return;
  throw new ChatroomError('precondition', `at position ${position} stands ${JSON.stringify(stands.slice(0, 20))}, not ${JSON.stringify(deletion.slice(0, 20))}`);
}

/** What lists and sets share: an array that is copied before it changes if somebody has it. */
class Sequence {
  /** @type {any[]} */
  #items;
  #shared = true;

  /** @param {any[]} items not changed */
  constructor(items) {
    this.#items = items;
  }

  /** What is there now. It may be read at once and not kept. @returns {readonly any[]} */
  get items() {
    return this.#items;
  }

  /** @returns {readonly any[]} */
  read() {
    this.#shared = true;
    return this.#items;
  }

  /** @param {any[]} items kept as they are @returns {Step} */
  replace(items) {
    const old = this.#items;
    this.#items = items;
    this.#shared = true;
    return {
      changed: !equal(old, items),
      back: () => {
        this.#items = old;
        this.#shared = true;
      },
    };
  }

  /** @param {number} at @param {number} count @param {...any} items @returns {any[]} */
  splice(at, count, ...items) {
    if (this.#shared) this.#items = [...this.#items];
    this.#shared = false;
    return this.#items.splice(at, count, ...items);
  }
}

/** @implements {Document} */
export class List extends Sequence {
  /** @param {Change} change @param {Author} [author] @returns {Step} */
  perform(change, { limits } = {}) {
    const { type, position = 0, item, from = 0, to = 0 } = change;
    const { length } = this.items;
    if (type === 'set') {
      if (limits) checkItems(change.value.length, limits);
      return this.replace([...change.value]);
    }
    for (const at of type === 'move' ? [from, to] : [position]) {
      if (at > length - (type === 'insert' ? 0 : 1)) {
        throw new ChatroomError('out_of_range', `position ${at} is past the end of a list of ${length}`);
      }
    }
    switch (type) {
      case 'insert':
        if (limits) checkItems(length + 1, limits);
        this.splice(position, 0, item);
        return { changed: true, back: () => this.splice(position, 1) };
      case 'pop': {
        const [old] = this.splice(position, 1);
        return { changed: true, back: () => this.splice(position, 0, old) };
      }
      case 'set_item': {
        const [old] = this.splice(position, 1, item);
        return { changed: !equal(old, item), back: () => this.splice(position, 1, old) };
      }
      default:
        this.splice(to, 0, ...this.splice(from, 1));
        return { changed: from !== to, back: () => this.splice(from, 0, ...this.splice(to, 1)) };
    }
  }
}

/** The value of a set topic, in the order of its items' canonical texts. @implements {Document} */
export class Items extends Sequence {
  /** Whether an item is there. @param {any} item */
  has(item) {
    return find(this.items, item).there;
  }

  /** @param {Change} change @param {Author} [author] @returns {Step} */
  perform(change, { limits } = {}) {
    if (change.type === 'set') {
      const byText = new Map(change.value.map((/** @type {any} */ item) => [canonical(item), item]));
      if (limits) checkItems(byText.size, limits);
      return this.replace([...byText].sort(([a], [b]) => byCodePoint(a, b)).map(([, item]) => item));
    }
    const { at, there } = find(this.items, change.item);
    if (there === (change.type === 'append')) return { changed: false, back: () => {} };
    if (!there && limits) checkItems(this.items.length + 1, limits);
    if (there) {
      const [old] = this.splice(at, 1);
      return { changed: true, back: () => this.splice(at, 0, old) };
    }
    this.splice(at, 0, change.item);
    return { changed: true, back: () => this.splice(at, 1) };
  }
}

/**
 * Where an item of a set is or belongs.
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

/** Values by key: dict and presence. @implements {Document} */
export class Dict {
  #type;
  #versions;

  /** @param {Readonly<Record<string, any>>} value @param {'dict' | 'presence'} type */
  constructor(value, type) {
    this.#type = type;
    this.#versions = new Versions(value);
  }

  /** What is there now. It may be read at once and not kept. */
  get fields() {
    return this.#versions.fields;
  }

  read() {
    return this.#versions.read();
  }

  /** @param {Change} change @param {Author} [author] @returns {Step} */
  perform(change, { limits, by = 0 } = {}) {
    const { type } = change;
    if (type === 'set') {
      const fields = Object.assign(Object.create(null), change.value);
      if (limits) checkItems(Object.keys(fields).length, limits);
      const old = this.#versions.replace(fields);
      return { changed: !equal(old, fields), back: () => this.#versions.replace(Object.assign(Object.create(null), old)) };
    }
    const key = this.#type === 'presence' ? (change.key ?? String(by)) : change.key;
    const there = key in this.fields;
    if (this.#type === 'dict') checkKey(type, key, there);
    if (there ? type === 'ensure' : type === 'pop') return { changed: false, back: () => {} };
    // Counting the keys of a large dict costs more than the change; the server counts anyway.
    const value = type === 'pop' ? undefined : change.value;
    const changed = value === undefined || !there || !equal(this.fields[key], value);
    const old = this.#versions.write(key, value);
    return { changed, back: () => this.#versions.write(key, old) };
  }
}

/** @param {string} type @param {string} key @param {boolean} there */
function checkKey(type, key, there) {
  if (type === 'add' && there) {
    throw new ChatroomError('key_exists', `the key ${JSON.stringify(key)} is there already; put writes it anyway`);
  }
  if ((type === 'change_value' || type === 'pop') && !there) {
    throw new ChatroomError('no_such_key', `the key ${JSON.stringify(key)} is not there`);
  }
}

/** An event topic keeps nothing. @implements {Document} */
export class Happening {
  read() {
    return null;
  }

  /** @returns {Step} */
  perform() {
    return { changed: false, back: () => {} };
  }
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
