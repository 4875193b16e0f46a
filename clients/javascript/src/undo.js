// @ts-check
/**
 * What can be undone and redone: section 6 of docs/merging.md. Two stacks of entries, each the
 * changes that perform it. Every commit is carried down the stacks, so that an undo takes back what
 * is left of an action, and nothing that others wrote since. It is carried when somebody wants to
 * know: until then it waits with the top entry, so that a commit costs nothing here.
 */

import { transform } from './transform.js';

/** @typedef {import('./change.js').Change} Change */
/** @typedef {import('./change.js').TopicType} TopicType */
/** @typedef {import('./pending.js').Pending} Pending */
/** @typedef {'undo' | 'redo'} Turn which also names the stack that it takes from */
/** @typedef {{ readonly name: string, readonly type: TopicType, readonly change: Change }} Taking one change of an entry */
/**
 * @typedef {object} Entry
 * @property {Taking[]} changes in the order in which to perform them; those of a pending entry are with its action
 * @property {ReadonlySet<string>} topics
 * @property {Pending | undefined} action what performs it just now
 * @property {boolean} ahead whether it is defined on the value instead of the confirmed one
 * @property {number | undefined} group
 * @property {number} at when the last action in it was made
 * @property {number} turn
 * @property {boolean} closed whether no further action joins it
 * @property {boolean} final whether a tracked action was made while its undo was pending: that cannot be redone then
 * @property {number} bytes
 * @property {Taking[]} backlog commits that it was not carried over yet, nor those below it
 */

const ENTRIES = 200;
const BYTES = 1_048_576;
/** So many transforms may have to be made up for; then what would need them is forgotten. */
const BACKLOG = 1_000_000;
/** Actions that were made within this time are undone together. */
export const TOGETHER_MS = 500;

export class Undo {
  /** @type {Record<Turn, Entry[]>} */
  #stacks = { undo: [], redo: [] };
  /** How often undo or redo was asked for. */
  turns = 0;

  /** Whether there is an entry to take. @param {Turn} turn */
  has(turn) {
    return this.next(turn) !== undefined;
  }

  clear() {
    this.#stacks = { undo: [], redo: [] };
  }

  /** The application made a tracked action: what was undone before cannot be redone. */
  acted() {
    // A redo on its way still happens, and can be undone then.
    this.#stacks.redo = this.#stacks.redo.filter(({ action }) => action);
    for (const entry of this.#stacks.undo) if (entry.action) entry.final = true;
  }

  /**
   * A tracked action was accepted.
   * @param {Pending} action @param {Taking[]} inverse @param {readonly Taking[]} effects what it did @param {number} most changes of an entry
   */
  accepted(action, inverse, effects, most) {
    if (inverse.length === 0) return;
    if (inverse.length > most) {
      // Nothing takes it back, so it is as if it had been untracked.
      for (const effect of effects) this.untracked(effect);
      return;
    }
    const { group, at, turn } = action;
    const entry = entryOf(inverse, { group, at, turn });
    const done = this.#stacks.undo;
    const top = done[done.length - 1];
    if (top && !top.action && belongs(entry, top)) {
      this.#catchUp('undo', done.length - 1);
      const kept = inverse.filter((change) => !REPLACING.includes(change.change.type) || !top.changes.some((later) => overwrites(later, change)));
      if (kept.length + top.changes.length <= most) {
        // Somebody who types adds to one entry with every key, so it is not made anew.
        top.changes.unshift(...kept);
        const topics = [...entry.topics].every((name) => top.topics.has(name)) ? top.topics : new Set([...entry.topics, ...top.topics]);
        Object.assign(top, { topics, group, at, turn, closed: false, bytes: top.bytes + weight(kept) });
        return this.#bound('undo');
      }
    }
    this.#push('undo', entry);
  }

  /** A pending undo or redo was accepted. @param {Pending} action @param {Taking[]} inverse */
  taken(action, inverse) {
    const isFinal = TURNS.some((turn) => this.#stacks[turn].some((entry) => entry.action === action && entry.final));
    this.drop(action);
    if (inverse.length > 0 && !isFinal) this.#push(action.kind === 'undo' ? 'redo' : 'undo', entryOf(inverse, { turn: this.turns, closed: true }));
  }

  /** The entry of a pending undo or redo is no more. @param {Pending} action */
  drop(action) {
    for (const turn of TURNS) this.#stacks[turn] = this.#stacks[turn].filter((entry) => entry.action !== action);
  }

  /** @param {Turn} turn @param {Entry} entry */
  #push(turn, entry) {
    this.#stacks[turn].push(entry);
    this.#bound(turn);
  }

  /** The oldest entries go. @param {Turn} turn */
  #bound(turn) {
    const stack = this.#stacks[turn];
    let bytes = stack.reduce((sum, one) => sum + one.bytes, 0);
    while (stack.length > ENTRIES || bytes > BYTES) bytes -= /** @type {Entry} */ (stack.shift()).bytes;
  }

  /** The action that was not sent can be made again. @param {Pending} action @param {Taking[]} changes */
  cancelled(action, changes) {
    const { group, at, turn } = action;
    if (changes.length > 0) this.#push('redo', entryOf(changes, { group, at, turn, closed: true, ahead: true }));
  }

  /** A pending undo or redo that was not sent does not happen. @param {Pending} action @param {Taking[]} changes what is left of it */
  calledBack(action, changes) {
    for (const turn of TURNS) {
      for (const entry of this.#stacks[turn]) {
        if (entry.action === action) Object.assign(entry, { action: undefined, changes });
      }
    }
  }

  /** Whether an entry that was never sent could be redone. */
  get isAhead() {
    return this.#stacks.redo.some(({ ahead }) => ahead);
  }

  /** The top entry, if it was never sent, to be made again. @returns {Entry | undefined} */
  again() {
    const entry = this.next('redo');
    return entry?.ahead ? this.#stacks.redo.pop() : undefined;
  }

  /** The entry to perform next. @param {Turn} turn @returns {Entry | undefined} */
  next(turn) {
    const stack = this.#stacks[turn];
    for (;;) {
      const index = stack.findLastIndex(({ action }) => !action);
      if (index < 0) return undefined;
      this.#catchUp(turn, index);
      if (stack[index].changes.length > 0) return stack[index];
      // Nothing is left of it.
      stack.splice(index, 1);
    }
  }

  /**
   * A commit of somebody else.
   * @param {string} name @param {TopicType} type @param {Change} change
   * @param {{ value: readonly Change[], undos: readonly Change[] }} moved how it went on above what is pending
   * @param {import('./pending.js').Kind | undefined} pending the kind of the oldest pending action
   */
  committed(name, type, change, { value, undos }, pending) {
    for (const turn of TURNS) {
      const stack = this.#stacks[turn];
      if (stack.length === 0) continue;
      for (const entry of stack) if (!entry.closed && entry.topics.has(name)) entry.closed = true;
      this.#carry(turn, stack.length, name, type, stack[stack.length - 1].ahead ? value : pending === turn ? undos : [change]);
    }
  }

  /** An own action that undo does not follow was accepted. @param {Taking} effect */
  untracked({ name, type, change }) {
    for (const turn of TURNS) if (!this.#stacks[turn].some(({ ahead }) => ahead)) this.#carry(turn, Infinity, name, type, [change]);
  }

  /** Something happened to the value alone. @param {string} name @param {TopicType} type @param {readonly Change[]} changes */
  shown(name, type, changes) {
    if (this.#stacks.redo.some(({ ahead }) => ahead)) this.#carry('redo', Infinity, name, type, changes);
  }

  /** What a pending undo or redo did is not what its entry would have done: those below go on from there. @param {Pending} action @param {string} name @param {TopicType} type @param {readonly Change[]} changes */
  below(action, name, type, changes) {
    for (const turn of TURNS) this.#carry(turn, this.#stacks[turn].findIndex((entry) => entry.action === action), name, type, changes);
  }

  /** Changes come to the entries below one, and wait with the first of them. @param {Turn} turn @param {number} end @param {string} name @param {TopicType} type @param {readonly Change[]} changes */
  #carry(turn, end, name, type, changes) {
    const stack = this.#stacks[turn];
    const index = stack.findLastIndex(({ action }, index) => index < end && !action);
    if (index < 0 || changes.length === 0) return;
    const { backlog, changes: own } = stack[index];
    for (const change of changes) backlog.push({ name, type, change });
    if (backlog.length * own.length > BACKLOG) stack.splice(0, index + 1);
  }

  /** Carries an entry over what waits with it, which goes on to the next. @param {Turn} turn @param {number} index */
  #catchUp(turn, index) {
    const stack = this.#stacks[turn];
    const entry = stack[index];
    const below = stack.findLast(({ action }, other) => other < index && !action);
    for (const { name, type, change } of entry.backlog.splice(0)) {
      /** @type {readonly Change[]} */
      let carried = [change];
      if (entry.topics.has(name)) {
        entry.changes = entry.changes.flatMap((taking) => {
          if (taking.name !== name || carried.length === 0) return [taking];
          const crossed = cross(taking.change, carried, type);
          carried = crossed.carried;
          if (!crossed.change) return [];
          return crossed.change === taking.change ? [taking] : [{ ...taking, change: crossed.change }];
        });
      }
      for (const other of carried) below?.backlog.push({ name, type, change: other });
    }
  }

  /** Nothing is pending: the value is the confirmed one. */
  idle() {
    for (const entry of this.#stacks.redo) entry.ahead = false;
  }

  /** What happened to a topic is not known without a gap. @param {string} name */
  forget(name) {
    if (TURNS.some((turn) => this.#stacks[turn].some(({ topics }) => topics.has(name)))) this.clear();
  }
}

/** @type {readonly Turn[]} */
const TURNS = ['undo', 'redo'];

/** @param {Taking[]} changes @param {Partial<Entry>} about @returns {Entry} */
function entryOf(changes, about) {
  const topics = new Set(changes.map(({ name }) => name));
  return { changes, topics, action: undefined, ahead: false, group: undefined, at: 0, turn: 0, closed: false, final: false, bytes: weight(changes), backlog: [], ...about };
}

/** @param {readonly Taking[]} changes */
function weight(changes) {
  return changes.reduce((sum, { change }) => sum + JSON.stringify(change).length, 0);
}

/** The changes of which the last one counts. */
const REPLACING = ['set', 'change_value'];

/** Whether two entries are undone together. @param {Entry} entry @param {Entry} top the older one */
function belongs(entry, top) {
  if (entry.group !== undefined || top.group !== undefined) return entry.group === top.group;
  if (top.closed || entry.turn !== top.turn || entry.at - top.at > TOGETHER_MS) return false;
  return entry.topics.size === top.topics.size && [...entry.topics].every((name) => top.topics.has(name));
}

/** Whether nothing is left of `earlier` once `later` was performed. @param {Taking} later @param {Taking} earlier */
function overwrites(later, earlier) {
  if (later.name !== earlier.name || later.change.type !== earlier.change.type) return false;
  if (later.change.type === 'change_value') return later.change.key === earlier.change.key;
  return later.change.type === 'set' && ['generic', 'bool', 'int', 'float'].includes(later.type);
}

/** Puts commits below what would take something back: what others wrote since stays. @param {Change} entry @param {readonly Change[]} changes @param {TopicType} type */
function cross(entry, changes, type) {
  /** @type {Change | null} */
  let own = entry;
  /** @type {Change[]} */
  const carried = [];
  for (const change of changes) {
    if (!own) {
      carried.push(change);
      continue;
    }
    const instead = prevailing(change, own, type);
    if (instead) {
      carried.push(instead);
      own = null;
      continue;
    }
    const below = transform(type, change, own, 'later');
    if (below) carried.push(below);
    own = transform(type, own, change, 'first');
  }
  return { change: own, carried };
}

/** Where another's write ends an entry: that write as the entries below see it. @param {Change} change @param {Change} entry @param {TopicType} type @returns {Change | undefined} */
function prevailing(change, entry, type) {
  if (type === 'dict' && change.key !== undefined && change.key === entry.key) {
    return change.type === 'pop' ? change : { type: 'put', key: change.key, value: change.value };
  }
  if (type === 'list' && entry.type === 'pop' && change.type === 'set_item' && change.position === entry.position) {
    return { type: 'insert', position: change.position, item: change.item };
  }
  return undefined;
}
