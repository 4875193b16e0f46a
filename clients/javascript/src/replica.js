// @ts-check
/**
 * What this client knows of the room's topics. Pure: messages go in, notifications come out; there
 * is no socket, clock or randomness here.
 *
 * The value of a topic is its confirmed value, and `#pending` holds the own actions without an
 * outcome. `expected` is what both come to: what a further change will meet at the server.
 */

import { apply, load } from './change.js';
import { equal } from './value.js';
import { ChatroomError, CODES } from './code.js';
import { DEFAULT_LIMITS } from './limits.js';

/** @typedef {import('./change.js').TopicType} TopicType */
/** @typedef {import('./change.js').Change} Change */
/** @typedef {import('./codec.js').Message} Message */
/** @typedef {import('./limits.js').Limits} Limits */
/** @typedef {'loading' | 'live' | 'stale' | 'denied' | 'removed'} TopicStatus */
/** @typedef {{ readonly topic_name: string, readonly change: Change }} Part one change of an action, as the wire has it */
/**
 * What is told to a topic's listeners beside the value: its place in the room (that of the
 * connection's snapshot, for one), the author's client id (0: the server), whether that is this
 * client, and what made it.
 * @typedef {{ readonly sequence: number, readonly by: number, readonly mine: boolean, readonly cause: 'snapshot' | 'change' }} Meta
 */
/**
 * @typedef {{ readonly kind: 'value', readonly name: string, readonly value: any, readonly change: Change | null, readonly meta: Meta }} ValueNotification
 * @typedef {{ readonly kind: 'status', readonly name: string }} StatusNotification
 * @typedef {{ readonly kind: 'gap', readonly name: string, readonly known: number, readonly previous: number }} GapNotification
 * @typedef {ValueNotification | StatusNotification | GapNotification} Notification
 */

/**
 * @typedef {object} Entry
 * @property {TopicType} type
 * @property {any} value undefined until loaded
 * @property {boolean} shared whether the application has the value, so that it may not change
 * @property {number} sequence the commit up to which the value is known
 * @property {TopicStatus} status
 * @property {ChatroomError | undefined} error why it is denied or removed
 * @property {number} pending own changes without an outcome
 * @property {any} expected the value with those; undefined when it was not worked out
 * @property {boolean} owned whether `expected` is a copy of its own
 * @property {boolean} watched whether somebody is told of changes
 */

export class Replica {
  /** @type {Map<string, Entry>} */
  #topics = new Map();
  /**
   * Subscribe messages of this connection whose answers have not come, by topic. An answer belongs
   * to the latest of them only if it is the last one missing, whatever was released in between.
   * @type {Map<string, number>}
   */
  #unanswered = new Map();
  /** @type {Map<string | number, readonly Part[]>} */
  #pending = new Map();

  /** This client's id in the room; 0 before the first `hello`. */
  client = 0;
  /** @type {Limits} What the server takes. */
  limits = { ...DEFAULT_LIMITS };

  /** Topics that are wanted, with their types. @returns {Iterable<[string, Entry]>} */
  topics() {
    return this.#topics;
  }

  /** @param {string} name @returns {Readonly<Entry> | undefined} */
  entry(name) {
    return this.#topics.get(name);
  }

  /** How many things are kept; 0 when nothing is wanted and nothing is on its way. */
  get size() {
    return this.#topics.size + this.#unanswered.size + this.#pending.size;
  }

  /** Wants a topic from now on, and forgets what was known of it. @param {string} name @param {TopicType} type */
  want(name, type) {
    const watched = this.#topics.get(name)?.watched ?? false;
    /** @type {Entry} */
    const entry = { type, value: undefined, shared: false, sequence: 0, status: 'loading', error: undefined, pending: 0, expected: undefined, owned: false, watched };
    for (const parts of this.#pending.values()) entry.pending += parts.filter((part) => part.topic_name === name).length;
    this.#topics.set(name, entry);
  }

  /** No longer wants a topic. @param {string} name */
  drop(name) {
    this.#topics.delete(name);
  }

  /** A subscribe message went out. @param {string} name */
  asked(name) {
    this.#unanswered.set(name, (this.#unanswered.get(name) ?? 0) + 1);
  }

  /** The value for the application, which keeps it: it will not change any more. @param {string} name */
  read(name) {
    const entry = this.#topics.get(name);
    if (entry) entry.shared = true;
    return entry?.value;
  }

  /** Says whether somebody is told of a topic's changes. @param {string} name @param {boolean} watched */
  watch(name, watched) {
    const entry = this.#topics.get(name);
    if (entry) entry.watched = watched;
  }

  /** A connection begins. @param {number} client @param {Limits} limits */
  online(client, limits) {
    this.client = client;
    this.limits = limits;
  }

  /** The connection is gone: values are the last ones. @returns {Notification[]} */
  offline() {
    this.#unanswered.clear();
    /** @type {Notification[]} */
    const told = [];
    for (const [name, entry] of this.#topics) {
      if (entry.status !== 'live') continue;
      entry.status = 'stale';
      told.push({ kind: 'status', name });
    }
    return told;
  }

  /**
   * What the next change of a topic will meet at the server; undefined if that is not known yet.
   * The caller may not change it.
   * @param {string} name
   */
  expected(name) {
    const entry = this.#topics.get(name);
    if (!entry || entry.value === undefined || entry.pending === 0) return entry?.value;
    if (entry.expected === undefined) {
      entry.expected = entry.value;
      entry.owned = false;
      for (const parts of this.#pending.values()) {
        for (const part of parts) if (part.topic_name === name) this.#expect(entry, part.change);
      }
    }
    return entry.expected;
  }

  /** @param {Entry} entry @param {Change} change */
  #expect(entry, change) {
    try {
      const before = entry.expected;
      entry.expected = apply(entry.type, before, change, { limits: UNLIMITED, by: this.client, owned: entry.owned }).value;
      entry.owned ||= entry.expected !== before;
    } catch {
      // A change of somebody else came first. The server will refuse this one.
    }
  }

  /** An action went out or waits to. @param {string | number} id @param {readonly Part[]} parts */
  pend(id, parts) {
    this.#pending.set(id, parts);
    for (const { topic_name, change } of parts) {
      const entry = this.#topics.get(topic_name);
      if (!entry) continue;
      entry.pending += 1;
      if (entry.expected !== undefined) this.#expect(entry, change);
    }
  }

  /** An action has its outcome. @param {string | number} id @returns {readonly Part[] | undefined} */
  settle(id) {
    const parts = this.#pending.get(id);
    this.#pending.delete(id);
    for (const { topic_name } of parts ?? []) {
      const entry = this.#topics.get(topic_name);
      if (!entry) continue;
      entry.pending -= 1;
      entry.expected = undefined;
    }
    return parts;
  }

  /**
   * Takes a message of the server that is about topics.
   * @param {Message} message
   * @returns {Notification[]}
   */
  receive({ type, content }) {
    switch (type) {
      case 'subscribed':
        return this.#subscribed(content);
      case 'update':
        return this.#commit([/** @type {any} */ (content)], content.sequence, content.by);
      case 'action':
        return this.#commit(content.changes, content.sequence, content.by);
      case 'accepted':
        return this.#commit(this.settle(content.id) ?? [], content.sequence, this.client);
      case 'reject_update':
        this.settle(content.action_id ?? content.change?.id);
        return [];
      case 'error':
        return this.#denied(content);
      default:
        return [];
    }
  }

  /** Takes an answer off those that are missing. @param {string} name @returns {boolean} whether a later one is still to come */
  #answered(name) {
    const missing = this.#unanswered.get(name) ?? 0;
    if (missing > 1) this.#unanswered.set(name, missing - 1);
    else this.#unanswered.delete(name);
    return missing > 1;
  }

  /** @param {any} content @returns {Notification[]} */
  #subscribed({ topic_name: name, type, value, sequence }) {
    const outdated = this.#answered(name);
    const entry = this.#topics.get(name);
    if (outdated || !entry || entry.type !== type) return [];
    const before = entry.value;
    const was = entry.status;
    entry.value = load(entry.type, value);
    entry.shared = false;
    entry.expected = undefined;
    entry.sequence = sequence;
    entry.status = 'live';
    entry.error = undefined;
    /** @type {Notification[]} */
    const told = was === 'live' ? [] : [{ kind: 'status', name }];
    if (entry.type !== 'event' && !(before !== undefined && equal(before, entry.value))) {
      told.push(this.#notification(name, entry, null, { sequence, by: 0, mine: false, cause: 'snapshot' }));
    }
    return told;
  }

  /** @param {any} content @returns {Notification[]} */
  #denied({ code, reason, in_reply_to: about }) {
    if (about?.type !== 'subscribe' || typeof about.topic_name !== 'string') return [];
    const name = about.topic_name;
    const removed = code === CODES.topic_deleted;
    // That a topic was deleted answers no subscribe message; one that is on its way makes it anew.
    const outdated = removed ? this.#unanswered.has(name) : this.#answered(name);
    const entry = this.#topics.get(name);
    if (outdated || !entry) return [];
    entry.status = removed ? 'removed' : 'denied';
    entry.error = new ChatroomError(code, reason);
    entry.value = undefined;
    entry.expected = undefined;
    return [{ kind: 'status', name }];
  }

  /**
   * All of a commit is in place before anyone hears of a part of it.
   * @param {readonly { topic_name: string, change: Change, previous?: number }[]} parts
   * @param {number} sequence @param {number} by
   * @returns {Notification[]}
   */
  #commit(parts, sequence, by) {
    /** @type {Notification[]} */
    const told = [];
    /** @type {Set<Entry>} */
    const advanced = new Set();
    for (const { topic_name: name, change, previous } of parts) {
      const entry = this.#topics.get(name);
      // A value that is to be replaced by one on its way is left alone.
      if (entry?.status !== 'live') continue;
      if (sequence <= entry.sequence && !advanced.has(entry)) continue;
      if (previous !== undefined && previous > entry.sequence && !advanced.has(entry)) {
        told.push(...this.#gap(name, entry, previous));
        continue;
      }
      try {
        const applied = apply(entry.type, entry.value, change, { limits: UNLIMITED, by, owned: !entry.shared });
        if (applied.value !== entry.value) entry.shared = false;
        entry.value = applied.value;
        if (by !== this.client) entry.expected = undefined;
        entry.sequence = sequence;
        advanced.add(entry);
        told.push(this.#notification(name, entry, applied.change, { sequence, by, mine: by === this.client, cause: 'change' }));
      } catch {
        // The server has applied it: this value is not the one it should be.
        told.push(...this.#gap(name, entry, previous ?? 0));
      }
    }
    return told;
  }

  /** @param {string} name @param {Entry} entry @param {number} previous @returns {Notification[]} */
  #gap(name, entry, previous) {
    entry.status = 'stale';
    return [{ kind: 'gap', name, known: entry.sequence, previous }, { kind: 'status', name }];
  }

  /** @param {string} name @param {Entry} entry @param {Change | null} change @param {Meta} meta @returns {ValueNotification} */
  #notification(name, entry, change, meta) {
    // A value that nobody is told of may go on changing in place.
    entry.shared ||= entry.watched;
    return { kind: 'value', name, value: entry.type === 'event' ? change?.args : entry.value, change, meta };
  }
}

/** What was accepted is not measured again. */
const UNLIMITED = /** @type {Limits} */ (Object.fromEntries(Object.keys(DEFAULT_LIMITS).map((name) => [name, Infinity])));
