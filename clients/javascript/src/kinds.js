// @ts-check
/** The handles of each topic type: the changes that the type has, and no others. */

import { END } from './form.js';
import { CHANGE, Topic } from './topic.js';
import { equal } from './value.js';

/** @typedef {import('./action.js').Action} Action */
/** @typedef {import('./change.js').TopicType} TopicType */
/** @typedef {import('./text.js').Component} Component */

/**
 * Any JSON value, replaced whole.
 * @template T
 * @extends {Topic<T>}
 */
export class GenericTopic extends Topic {
  /** Replaces the value. @param {T} value @returns {Action} */
  set(value) {
    return this[CHANGE]({ type: 'set', value });
  }
}

/**
 * Text. Positions and counts are JavaScript's: UTF-16 code units.
 * @extends {Topic<string>}
 */
export class StringTopic extends Topic {
  /** Replaces the text. @param {string} value @returns {Action} */
  set(value) {
    return this[CHANGE]({ type: 'set', value });
  }

  /** Puts `text` in at a position. @param {number} position @param {string} text @returns {Action} */
  insert(position, text) {
    return this[CHANGE]({ type: 'edit', components: [{ retain: position }, { insert: text }] });
  }

  /** Takes `count` units out from a position on. @param {number} position @param {number} count @returns {Action} */
  delete(position, count) {
    return this[CHANGE]({ type: 'edit', components: [{ retain: position }, { delete: count }] });
  }

  /** Makes several edits in one pass; what follows the last component is kept. @param {readonly Component[]} components @returns {Action} */
  edit(components) {
    return this[CHANGE]({ type: 'edit', components });
  }
}

/**
 * A whole number within ±(2^53 - 1). Everybody's `add` counts.
 * @extends {Topic<number>}
 */
export class IntTopic extends Topic {
  /** Replaces the number. @param {number} value @returns {Action} */
  set(value) {
    return this[CHANGE]({ type: 'set', value });
  }

  /** Adds to the number. @param {number} amount @returns {Action} */
  add(amount) {
    return this[CHANGE]({ type: 'add', value: amount });
  }
}

/**
 * A finite number.
 * @extends {Topic<number>}
 */
export class FloatTopic extends Topic {
  /** Replaces the number. @param {number} value @returns {Action} */
  set(value) {
    return this[CHANGE]({ type: 'set', value });
  }

  /** Adds to the number. @param {number} amount @returns {Action} */
  add(amount) {
    return this[CHANGE]({ type: 'add', value: amount });
  }
}

/**
 * True or false.
 * @extends {Topic<boolean>}
 */
export class BoolTopic extends Topic {
  /** Replaces the value. @param {boolean} value @returns {Action} */
  set(value) {
    return this[CHANGE]({ type: 'set', value });
  }
}

/**
 * Items in an order. Negative positions count from the end of the list as it stands.
 * @template T
 * @extends {Topic<readonly T[]>}
 */
export class ListTopic extends Topic {
  /** Replaces the list. @param {readonly T[]} value @returns {Action} */
  set(value) {
    return this[CHANGE]({ type: 'set', value });
  }

  /** Puts an item before the one at a position. @param {number} position @param {T} item @returns {Action} */
  insert(position, item) {
    return this[CHANGE]({ type: 'insert', position, item });
  }

  /** Puts an item at the end. @param {T} item @returns {Action} */
  push(item) {
    return this[CHANGE]({ type: 'insert', position: END, item });
  }

  /** Takes an item out; the last one unless told which. @param {number} [position] @returns {Action} */
  pop(position = -1) {
    return this[CHANGE]({ type: 'pop', position });
  }

  /** Replaces an item. @param {number} position @param {T} item @returns {Action} */
  setItem(position, item) {
    return this[CHANGE]({ type: 'set_item', position, item });
  }

  /** Moves an item; `to` is its position afterwards. @param {number} from @param {number} to @returns {Action} */
  move(from, to) {
    return this[CHANGE]({ type: 'move', from, to });
  }
}

/**
 * Items without order, each once. The value is an array.
 * @template T
 * @extends {Topic<readonly T[]>}
 */
export class SetTopic extends Topic {
  /** Replaces all items. @param {Iterable<T>} items @returns {Action} */
  set(items) {
    return this[CHANGE]({ type: 'set', value: Array.isArray(items) ? items : [...items] });
  }

  /** Puts an item in; nothing happens if it is there. @param {T} item @returns {Action} */
  append(item) {
    return this[CHANGE]({ type: 'append', item });
  }

  /** Takes an item out; nothing happens if it is not there. @param {T} item @returns {Action} */
  remove(item) {
    return this[CHANGE]({ type: 'remove', item });
  }

  /** Whether the item is there now. @param {T} item */
  has(item) {
    return (this.value ?? []).some((other) => equal(other, item));
  }
}

/**
 * Values by key. The value is an object without a prototype: every key is data.
 * @template T
 * @extends {Topic<Readonly<Record<string, T>>>}
 */
export class DictTopic extends Topic {
  /** Replaces everything. @param {Readonly<Record<string, T>>} value @returns {Action} */
  set(value) {
    return this[CHANGE]({ type: 'set', value });
  }

  /** Writes a new key; refused if it is there. @param {string} key @param {T} value @returns {Action} */
  add(key, value) {
    return this[CHANGE]({ type: 'add', key, value });
  }

  /** Writes a key, new or not. @param {string} key @param {T} value @returns {Action} */
  put(key, value) {
    return this[CHANGE]({ type: 'put', key, value });
  }

  /** Writes a new key; nothing happens if it is there. @param {string} key @param {T} value @returns {Action} */
  ensure(key, value) {
    return this[CHANGE]({ type: 'ensure', key, value });
  }

  /** Writes a key that is there; refused if it is not. @param {string} key @param {T} value @returns {Action} */
  changeValue(key, value) {
    return this[CHANGE]({ type: 'change_value', key, value });
  }

  /** Takes a key out; refused if it is not there. @param {string} key @returns {Action} */
  pop(key) {
    return this[CHANGE]({ type: 'pop', key });
  }
}

/**
 * Things that happen. Nothing is kept: `value` stays undefined, and listeners get what was emitted.
 * @template T
 * @extends {Topic<T>}
 */
export class EventTopic extends Topic {
  /** Lets it happen. @param {T} args @returns {Action} */
  emit(args) {
    return this[CHANGE]({ type: 'emit', args });
  }
}
