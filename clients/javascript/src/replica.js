// @ts-check
/**
 * What this client knows of its room: sections 3 to 6 of docs/merging.md. Pure: messages of the
 * server and actions of the application go in, messages for the server and notifications come out;
 * there is no socket, clock or randomness here.
 *
 * Each topic is a Mirror with the own changes on top; Own has the actions that these belong to.
 */

import { ChatroomError, CODES } from './code.js';
import { DEFAULT_LIMITS, limitsFrom } from './limits.js';
import { joined, Mirror } from './mirror.js';
import { News } from './news.js';
import { Own, withoutId } from './own.js';
import { restore, save } from './saved.js';
import { Turns } from './turns.js';
import { Undo } from './undo.js';
import { equal } from './value.js';

/** @typedef {import('./change.js').Change} Change */
/** @typedef {import('./change.js').TopicType} TopicType */
/** @typedef {import('./codec.js').Message} Message */
/** @typedef {import('./limits.js').Limits} Limits */
/** @typedef {import('./mirror.js').Moved} Moved */
/** @typedef {import('./mirror.js').TopicStatus} TopicStatus */
/** @typedef {import('./news.js').Notification} Notification */
/** @typedef {import('./own.js').Made} Made */
/** @typedef {import('./pending.js').How} How */
/** @typedef {import('./saved.js').Saved} Saved */
/** @typedef {import('./undo.js').Turn} Turn */

export class Replica {
  /** @type {{ id: number, secret: string } | undefined} */
  #session;
  #online = false;
  /** The topics that the hello named. @type {string[]} */
  #named = [];
  /** Topics to unsubscribe from. @type {string[]} */
  #released = [];
  /**
   * Subscribe messages of this connection whose answers have not come, by topic. An answer belongs
   * to the latest of them only if it is the last one missing, whatever was released in between.
   * @type {Map<string, number>}
   */
  #unanswered = new Map();
  /** @internal @type {Map<string, Mirror>} */
  mirrors = new Map();
  /** @internal */
  news = new News();
  /** @internal */
  undo = new Undo();
  /** @internal */
  own;
  /** @internal */
  turns = new Turns(this);
  /** @internal What the application decided of topics that it may make. @type {Map<string, { persist?: boolean, ttl_ms?: number }>} */
  options = new Map();
  /** @internal Whether the server is still saying what was missed. */
  resuming = false;

  /** This client's id in the room; 0 before the first `hello`. */
  client = 0;
  /** @type {Limits} What the server takes. */
  limits = { ...DEFAULT_LIMITS };

  /** @param {number} [limit] how many actions may be pending */
  constructor(limit = 10_000) {
    this.own = new Own(this, limit);
  }

  /** What this client is made of when its program starts again. @returns {Saved} */
  save() {
    return save(this, this.#session);
  }

  /** A replica that goes on where another one was saved. @param {Saved} saved @param {number} [limit] */
  static restore(saved, limit) {
    const replica = new Replica(limit);
    restore(replica, saved);
    replica.#session = saved.session;
    return replica;
  }

  /** @param {string} name @returns {Readonly<Mirror> | undefined} */
  topic(name) {
    const mirror = this.mirrors.get(name);
    return mirror?.wanted ? mirror : undefined;
  }

  /** The value with the own changes, for the application to keep. @param {string} name @returns {any} */
  value(name) {
    return this.mirrors.get(name)?.read();
  }

  /** The value as the room has it, for the application to keep. @param {string} name @returns {any} */
  confirmed(name) {
    return this.mirrors.get(name)?.confirmed();
  }

  /** How many actions have no outcome yet. */
  get unsaved() {
    return this.own.unsaved;
  }

  /** How many things are kept; 0 when nothing is wanted or pending. What can be undone has bounds of its own. */
  get size() {
    return this.mirrors.size + this.#unanswered.size + this.unsaved;
  }

  /** Says whether somebody is told of a topic's changes. @param {string} name @param {boolean} watched */
  watch(name, watched) {
    const mirror = this.mirrors.get(name);
    if (mirror) mirror.watched = watched;
  }

  /** Takes the notifications that there are. @returns {Notification[]} */
  told() {
    return this.news.take();
  }

  // What the application does.

  /** Holds a topic from now on. One that was refused or removed is asked for anew. @param {string} name @param {TopicType} type */
  open(name, type) {
    let mirror = this.mirrors.get(name);
    if (!mirror || mirror.type !== type) {
      mirror = new Mirror(name, type);
      mirror.client = this.client;
      this.mirrors.set(name, mirror);
    }
    mirror.wanted = true;
    mirror.asked = false;
    // The server is told that it was given up before it is told that it is wanted.
    if (this.#released.includes(name)) {
      this.#released = this.#released.filter((other) => other !== name);
      mirror.renewed = true;
    }
    if (mirror.error) {
      mirror.error = undefined;
      mirror.status = 'loading';
    }
  }

  /** Holds a topic no longer. What is on its way stays so. @param {string} name */
  release(name) {
    const mirror = this.mirrors.get(name);
    if (!mirror?.wanted) return;
    if (this.#online) this.#released.push(name);
    mirror.wanted = false;
    mirror.watched = false;
    if (!mirror.error) mirror.status = mirror.document ? 'stale' : 'loading';
    if (mirror.own.length === 0) this.mirrors.delete(name);
    this.options.delete(name);
    this.own.release(name);
    this.undo.forget(name);
    this.#changedHistory();
  }

  /** Whether actions that touch a topic have no outcome yet. @param {string} name */
  touches(name) {
    return this.own.touches(name);
  }

  /**
   * Makes an action: it is shown at once and sent as soon as may be. If a part needs a value that
   * has not come, the action waits for it.
   * @param {readonly Made[]} made @param {How} how @param {number} now
   * @returns {number} which of the client's actions it is
   */
  act(made, how, now) {
    return this.own.act(made, how, now);
  }

  /** Takes back the last action, or does again what was taken back; as soon as what is on its way allows. @param {Turn} turn */
  turn(turn) {
    this.turns.turn(turn);
  }

  /** Whether there is something to undo, or to redo. @param {Turn} turn */
  can(turn) {
    return this.turns.can(turn);
  }

  /** @param {string} name */
  #optionsOf(name) {
    const options = this.options.get(name);
    return options ? { options } : {};
  }

  // What the connection does.

  /** What to say in the hello of the next connection. @returns {Record<string, any>} */
  hello() {
    if (!this.#session) return {};
    const held = [...this.mirrors.values()].filter(({ wanted, document, error }) => wanted && document && !error);
    this.#named = held.map(({ name }) => name);
    const resume = held.map(({ name, type, sequence }) => ({ topic_name: name, type, sequence, ...this.#optionsOf(name) }));
    return { session: this.#session, acknowledged: this.own.acknowledged, resume };
  }

  /** The connection is gone: values are the last ones. */
  disconnect() {
    this.#online = false;
    this.resuming = false;
    this.news.release();
    this.#unanswered.clear();
    this.#released = [];
    for (const mirror of this.mirrors.values()) {
      mirror.asked = false;
      mirror.renewed = false;
      if (mirror.status === 'live') this.#become(mirror, 'stale');
    }
  }

  /** Nothing will come any more: what has no outcome is refused. @param {ChatroomError} error */
  close(error) {
    this.disconnect();
    this.turns.clear();
    this.own.close(error);
    for (const mirror of this.mirrors.values()) while (mirror.own.length > 0) mirror.withdraw();
    this.undo.clear();
    this.#changedHistory();
  }

  /** The messages to send now; they are taken as sent. @returns {Message[]} */
  messages() {
    if (!this.#online) return [];
    /** @type {Message[]} */
    const messages = [];
    for (const mirror of this.mirrors.values()) {
      const { name, type, asked, wanted, error, renewed } = mirror;
      if (asked || !wanted || error) continue;
      if (renewed) messages.push({ type: 'unsubscribe', content: { topic_name: name } });
      mirror.renewed = false;
      mirror.asked = true;
      this.#unanswered.set(name, (this.#unanswered.get(name) ?? 0) + 1);
      messages.push({ type: 'subscribe', content: { topic_name: name, type, ...this.#optionsOf(name) } });
    }
    for (let push = this.own.push(); push; push = this.own.push()) messages.push(push);
    messages.push(...this.#released.splice(0).map((name) => ({ type: 'unsubscribe', content: { topic_name: name } })));
    return messages;
  }

  /** Takes a message of the server that is about topics, actions or the session. @param {Message} message */
  receive({ type, content }) {
    switch (type) {
      case 'hello':
        return this.#greeted(content);
      case 'resumed':
        return this.#resumed();
      case 'subscribed':
        return this.#subscribed(content);
      case 'update':
        return this.#committed([/** @type {any} */ (content)], content.sequence, content.by);
      case 'action':
        return this.#committed(content.changes, content.sequence, content.by);
      case 'accepted':
        return this.own.accepted(content);
      case 'reject_update':
        return this.own.rejected(content);
      case 'error':
        return this.#denied(content);
      default:
    }
  }

  // Sessions.

  /** @param {Record<string, any>} hello */
  #greeted({ id, session, resumed, limits }) {
    this.limits = limitsFrom(limits);
    this.#online = true;
    const goesOn = this.#session !== undefined && (resumed === 'resumed' || resumed === 'resynced');
    const known = this.client;
    this.client = id;
    this.#session = session ?? (goesOn ? this.#session : undefined);
    for (const name of this.#named.splice(0)) if (goesOn) this.#resume(name);
    this.resuming = goesOn;
    if (!goesOn && known !== 0) this.#reset();
    for (const mirror of this.mirrors.values()) {
      if (mirror.client !== id) mirror.rename(id);
      // One that was refused is a new question; one that was deleted comes back when somebody asks.
      if (mirror.status === 'denied') {
        mirror.error = undefined;
        this.#become(mirror, 'loading');
      }
    }
  }

  /** A topic that the hello named is subscribed again. @param {string} name */
  #resume(name) {
    const mirror = this.mirrors.get(name);
    if (!mirror?.wanted) {
      this.#released.push(name);
    } else if (mirror.document) {
      mirror.asked = true;
      mirror.status = 'live';
      this.news.hold(mirror);
    }
  }

  /** The session is another one: what was on its way has no outcome that anybody knows. */
  #reset() {
    this.undo.clear();
    this.turns.clear();
    this.own.reset();
    this.#changedHistory();
  }

  /** The server has said all that was missed. */
  #resumed() {
    if (!this.resuming) return;
    this.own.sent = 0;
    const replaced = [...this.mirrors.values()].filter((mirror) => mirror.replaced);
    this.own.refuseStale(replaced, 0);
    this.resuming = false;
    this.news.release();
    for (const mirror of this.mirrors.values()) if (mirror.doubted) this.gap(mirror, mirror.sequence);
    this.own.settleDrafts();
    this.turns.goOn();
  }

  // Topics.

  /** @param {Mirror} mirror @param {TopicStatus} status */
  #become(mirror, status) {
    if (mirror.status === status) return;
    mirror.status = status;
    this.news.turned(mirror);
  }

  /** Takes an answer off those that are missing. @param {string} name @returns {boolean} whether a later one is still to come */
  #answered(name) {
    const missing = this.#unanswered.get(name) ?? 0;
    if (missing > 1) this.#unanswered.set(name, missing - 1);
    else this.#unanswered.delete(name);
    return missing > 1;
  }

  /** @param {any} content */
  #subscribed({ topic_name: name, type, value, sequence }) {
    const outdated = this.#answered(name);
    const mirror = this.mirrors.get(name);
    if (outdated || !mirror?.wanted || mirror.type !== type) return;
    const wasLoaded = mirror.document !== undefined;
    const before = mirror.watched ? mirror.read() : undefined;
    if (wasLoaded) this.undo.forget(name);
    if (this.resuming && wasLoaded) mirror.replaced = true;
    const isStale = wasLoaded && !this.resuming;
    if (isStale && mirror.isPositional) this.own.lose(mirror);
    mirror.load(value, sequence);
    mirror.doubted = false;
    mirror.error = undefined;
    this.#become(mirror, 'live');
    if (mirror.type !== 'event' && mirror.watched && !(before !== undefined && equal(before, mirror.read()))) {
      this.news.changed(mirror, null, null, { by: 0, mine: false, cause: 'snapshot' });
    }
    // What is taken back is taken from the new value.
    if (isStale) this.own.refuseStale([mirror], this.own.sent);
    if (!this.resuming) this.own.settleDrafts();
    this.#changedHistory();
  }

  /** @param {any} content */
  #denied({ code, reason, in_reply_to: about }) {
    if (about?.type !== 'subscribe' || typeof about.topic_name !== 'string') return;
    const name = about.topic_name;
    const removed = code === CODES.topic_deleted;
    // That a topic was deleted answers no subscribe message; one that is on its way makes it anew.
    const outdated = removed ? this.#unanswered.has(name) : this.#answered(name);
    const mirror = this.mirrors.get(name);
    if (outdated || !mirror) return;
    mirror.error = new ChatroomError(code, reason);
    mirror.forget();
    this.undo.forget(name);
    this.#become(mirror, removed ? 'removed' : 'denied');
    this.own.settleDrafts();
    this.#changedHistory();
  }

  /**
   * All of a commit is in place before anyone hears of a part of it.
   * @param {readonly { topic_name: string, change: Change, previous?: number }[]} parts
   * @param {number} sequence @param {number} by
   */
  #committed(parts, sequence, by) {
    /** @type {Map<Mirror, Moved>} */
    const advanced = new Map();
    for (const { topic_name: name, change, previous = 0 } of parts) {
      const mirror = this.mirrors.get(name);
      // A value that is to be replaced by one on its way is left alone.
      if (!mirror || mirror.status !== 'live') continue;
      const moved = advanced.get(mirror);
      if (!moved && sequence <= mirror.sequence) continue;
      if (!moved && previous > mirror.sequence) {
        this.gap(mirror, previous);
        continue;
      }
      const step = this.commit(mirror, withoutId(change), by, previous);
      if (!step) continue;
      mirror.sequence = sequence;
      if (step.effect) this.undo.committed(name, mirror.type, withoutId(change), step, this.own.actions[0]?.kind);
      advanced.set(mirror, moved ? joined(moved, step) : step);
    }
    for (const [mirror, moved] of advanced) {
      if (moved.changed || mirror.type === 'event') this.news.changed(mirror, moved.value, moved.told, { by, mine: false, cause: 'remote' });
    }
  }

  /** @param {Mirror} mirror @param {Change} change @param {number} by @param {number} previous */
  commit(mirror, change, by, previous) {
    try {
      return mirror.commit(change, by);
    } catch {
      // The server has applied it: this value is not the one it should be.
      this.gap(mirror, previous);
      return undefined;
    }
  }

  /** @param {Mirror} mirror @param {number} previous */
  gap(mirror, previous) {
    // While what was missed comes in, the value that is missing comes by itself.
    if (this.resuming) {
      mirror.doubted = true;
      return;
    }
    mirror.doubted = false;
    this.news.add({ kind: 'gap', name: mirror.name, known: mirror.sequence, previous });
    this.#become(mirror, 'stale');
    this.#askAnew(mirror);
  }

  /** @param {Mirror} mirror */
  #askAnew(mirror) {
    if (!mirror.wanted) return;
    mirror.renewed = true;
    mirror.asked = false;
  }

  #changedHistory() {
    this.news.add({ kind: 'history' });
  }
}
