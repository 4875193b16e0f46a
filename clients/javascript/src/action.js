// @ts-check
/** Actions: what an application made of changes, their outcome, and their form on the wire. */

import { apply, decode } from './change.js';
import { ChatroomError, Rejected } from './code.js';
import { shortest, toScalars } from './text.js';
import { END, REBOUND } from './topic.js';

/** @typedef {import('./change.js').Change} Change */
/** @typedef {import('./replica.js').Part} Part */
/** @typedef {import('./replica.js').Replica} Replica */
/** @typedef {import('./topic.js').PublicPart} PublicPart */
/** @typedef {{ readonly sequence: number }} Accepted an action's place in the room's order */

/**
 * The outcome of a change or of several together. Await it, or leave it: a rejection that nobody
 * awaits goes to the client's `rejected` listeners and raises no alarm of the runtime.
 * @implements {Promise<Accepted>}
 */
export class Action {
  /** @type {Promise<Accepted>} */
  #outcome;
  /** @type {(accepted: Accepted) => void} */
  #resolve = () => {};
  /** @type {(error: Rejected) => void} */
  #reject = () => {};
  #awaited = false;
  #ignored;

  /** @internal @param {number} id @param {(error: Rejected) => void} ignored told of a rejection that nobody awaits */
  constructor(id, ignored) {
    /** The id under which the room knows it. */
    this.id = id;
    this.#ignored = ignored;
    this.#outcome = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
    this.#outcome.catch(() => {});
  }

  /**
   * @template [A=Accepted], [B=never]
   * @param {((accepted: Accepted) => A | PromiseLike<A>) | null} [accepted]
   * @param {((error: any) => B | PromiseLike<B>) | null} [rejected] gets a Rejected
   * @returns {Promise<A | B>}
   */
  then(accepted, rejected) {
    this.#awaited = true;
    return this.#outcome.then(accepted, rejected);
  }

  /**
   * @template [B=never]
   * @param {((error: any) => B | PromiseLike<B>) | null} [rejected] gets a Rejected
   * @returns {Promise<Accepted | B>}
   */
  catch(rejected) {
    return this.then(null, rejected);
  }

  /** @param {(() => void) | null} [done] @returns {Promise<Accepted>} */
  finally(done) {
    return this.then().finally(done);
  }

  /** An Action can stand wherever a promise is wanted. */
  get [Symbol.toStringTag]() {
    return 'Action';
  }

  /** @internal @param {number} sequence */
  accept(sequence) {
    this.#resolve(Object.freeze({ sequence }));
  }

  /** @internal @param {Rejected} error */
  reject(error) {
    this.#reject(error);
    // One that is refused at once is awaited a moment later.
    setTimeout(() => {
      if (!this.#awaited) this.#ignored(error);
    });
  }
}

/**
 * The changes of an application's transaction.
 * @param {(tx: (topic: any) => any) => unknown} build
 * @returns {PublicPart[]}
 */
export function record(build) {
  /** @type {PublicPart[]} */
  const parts = [];
  const result = build((topic) => topic[REBOUND]((/** @type {PublicPart} */ part) => void parts.push(part)));
  if (result instanceof Promise) {
    result.catch(() => {});
    throw new ChatroomError('precondition', 'an action is made at once: its function may not be async');
  }
  if (parts.length === 0) throw new ChatroomError('precondition', 'an action has at least one change');
  return parts;
}

/**
 * Whether the form of these changes on the wire depends on values that have not come yet.
 * @param {readonly PublicPart[]} parts
 * @param {Replica} replica
 */
export function mustWait(parts, replica) {
  return parts.some(({ topic, change }) => {
    const entry = replica.entry(topic.name);
    return entry?.status === 'loading' && entry.value === undefined && isRelative(topic.type, change);
  });
}

/** @param {string} type @param {Change} change */
function isRelative(type, change) {
  if (type === 'string') return change.type === 'edit';
  return type === 'list' && ['position', 'from', 'to'].some((field) => change[field] === END || change[field] < 0);
}

/**
 * The changes as the wire has them, checked as the server will check them: against the values that
 * they will meet.
 * @param {readonly PublicPart[]} parts
 * @param {number} id the action's
 * @param {Replica} replica
 * @returns {Part[]}
 */
export function resolve(parts, id, replica) {
  const { limits, client: by } = replica;
  if (parts.length > limits.action_changes) {
    throw new Rejected('too_big', `an action has at most ${limits.action_changes} changes, this one has ${parts.length}`);
  }
  /** @type {Map<string, any>} Values after the parts so far, where a later part needs them. */
  const values = new Map();
  return parts.map(({ topic, change }, index) => {
    const { name, type } = topic;
    try {
      const { error } = topic;
      if (error) throw error;
      const value = values.has(name) ? values.get(name) : replica.expected(name);
      const wire = decode(type, { ...absolute(type, value, change), id: parts.length > 1 ? `${id}/${index}` : id }, { limits, by });
      if (value !== undefined) {
        const again = parts.findIndex((other, at) => at > index && other.topic.name === name) >= 0;
        const applied = apply(type, value, wire, { limits, by, dry: !again });
        if (again) values.set(name, applied.value);
      }
      return { topic_name: name, change: wire };
    } catch (error) {
      throw rejected(error, name, change);
    }
  });
}

/**
 * The change with positions as the wire counts them.
 * @param {string} type @param {any} value @param {Change} change
 * @returns {Change}
 */
function absolute(type, value, change) {
  if (value === undefined) return change;
  if (type === 'string' && change.type === 'edit') {
    // Components of no length are left out: an application need not look for them.
    const given = Array.isArray(change.components) ? change.components.filter((part) => part?.retain !== 0 && part?.delete !== 0) : change.components;
    // Read before it is counted: what is no component has no length.
    const { components } = decode('string', { type: 'edit', components: given }, { limits: READ, by: 0 });
    return { ...change, components: shortest(toScalars(value, components)) };
  }
  if (type !== 'list') return change;
  const resolved = { ...change };
  for (const field of ['position', 'from', 'to']) {
    if (resolved[field] === END) resolved[field] = value.length;
    else if (resolved[field] < 0) resolved[field] += value.length;
  }
  return resolved;
}

/** The count of components is checked when they have their shortest form. */
const READ = /** @type {any} */ ({ edit_components: Infinity, id_bytes: Infinity });

/** @param {unknown} error @param {string} topicName @param {Change} change */
function rejected(error, topicName, change) {
  if (error instanceof ChatroomError) return new Rejected(error.code, error.reason, { topicName, change });
  throw error;
}
