// @ts-check
/**
 * What this client knows of its room: sections 3 to 6 of docs/merging.md. Pure: messages of the
 * server and actions of the application go in, messages for the server and notifications come out;
 * there is no socket, clock or randomness here.
 *
 * Each topic is a Mirror with the own changes on top; `#actions` are the actions that these belong
 * to, in their order, of which the first `#sent` are on their way.
 */

import { decode } from './change.js';
import { ChatroomError, CODES, Rejected } from './code.js';
import { componentsOf } from './edit.js';
import { needsValue, toWire } from './form.js';
import { DEFAULT_LIMITS, isLonger, limitsFrom } from './limits.js';
import { joined, Mirror } from './mirror.js';
import { News } from './news.js';
import { Pending, pushOf } from './pending.js';
import { Undo } from './undo.js';
import { equal } from './value.js';

/** @typedef {import('./change.js').Change} Change */
/** @typedef {import('./change.js').TopicType} TopicType */
/** @typedef {import('./codec.js').Message} Message */
/** @typedef {import('./limits.js').Limits} Limits */
/** @typedef {import('./mirror.js').Moved} Moved */
/** @typedef {import('./mirror.js').Part} Part */
/** @typedef {import('./mirror.js').TopicStatus} TopicStatus */
/** @typedef {import('./news.js').Accepted} Accepted */
/** @typedef {import('./news.js').Cause} Cause */
/** @typedef {import('./news.js').Notification} Notification */
/** @typedef {import('./pending.js').How} How */
/** @typedef {import('./undo.js').Taking} Taking */
/** @typedef {import('./undo.js').Turn} Turn */
/** @typedef {{ readonly topic_name: string, readonly change: Change }} Made one change of an action */
/** @typedef {{ count: number, made: readonly Made[], how: How, at: number }} Draft an action that waits for a topic to load */

export class Replica {
  /** @type {Map<string, Mirror>} */
  #mirrors = new Map();
  /** @type {Pending[]} */
  #actions = [];
  #sent = 0;
  /** @type {Draft[]} */
  #drafts = [];
  #undo = new Undo();
  /** Undos and redos that wait for what is on its way. @type {Turn[]} */
  #turns = [];
  /** @type {{ id: number, secret: string } | undefined} */
  #session;
  /** The highest number whose outcome is known. */
  #acknowledged = 0;
  #online = false;
  /** Whether the server is still saying what was missed. */
  #resuming = false;
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
  #count = 0;
  #limit;
  #news = new News();

  /** This client's id in the room; 0 before the first `hello`. */
  client = 0;
  /** @type {Limits} What the server takes. */
  limits = { ...DEFAULT_LIMITS };

  /** @param {number} [limit] how many actions may be pending */
  constructor(limit = 10_000) {
    this.#limit = limit;
  }

  /** @param {string} name @returns {Readonly<Mirror> | undefined} */
  topic(name) {
    const mirror = this.#mirrors.get(name);
    return mirror?.wanted ? mirror : undefined;
  }

  /** The value with the own changes, for the application to keep. @param {string} name @returns {any} */
  value(name) {
    return this.#mirrors.get(name)?.read();
  }

  /** The value as the room has it, for the application to keep. @param {string} name @returns {any} */
  confirmed(name) {
    return this.#mirrors.get(name)?.confirmed();
  }

  /** How many actions have no outcome yet. */
  get unsaved() {
    return this.#actions.length + this.#drafts.length;
  }

  /** Whether actions that touch a topic have no outcome yet. @param {string} name */
  touches(name) {
    return (this.#mirrors.get(name)?.own.length ?? 0) > 0 || this.#drafts.some(({ made }) => made.some(({ topic_name }) => topic_name === name));
  }

  /** How many things are kept; 0 when nothing is wanted or pending. What can be undone has bounds of its own. */
  get size() {
    return this.#mirrors.size + this.#unanswered.size + this.unsaved;
  }

  /** Says whether somebody is told of a topic's changes. @param {string} name @param {boolean} watched */
  watch(name, watched) {
    const mirror = this.#mirrors.get(name);
    if (mirror) mirror.watched = watched;
  }

  /** Takes the notifications that there are. @returns {Notification[]} */
  told() {
    return this.#news.take();
  }

  // What the application does.

  /** Holds a topic from now on. One that was refused or removed is asked for anew. @param {string} name @param {TopicType} type */
  open(name, type) {
    let mirror = this.#mirrors.get(name);
    if (!mirror || mirror.type !== type) {
      mirror = new Mirror(name, type);
      mirror.client = this.client;
      this.#mirrors.set(name, mirror);
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
    const mirror = this.#mirrors.get(name);
    if (!mirror?.wanted) return;
    if (this.#online) this.#released.push(name);
    mirror.wanted = false;
    mirror.watched = false;
    if (!mirror.error) mirror.status = mirror.document ? 'stale' : 'loading';
    if (mirror.own.length === 0) this.#mirrors.delete(name);
    for (const draft of [...this.#drafts]) {
      if (draft.made.some(({ topic_name }) => topic_name === name)) this.#refuseDraft(draft, new ChatroomError('closed', `the topic ${name} was released`));
    }
    this.#undo.forget(name);
    this.#changedHistory();
  }

  /**
   * Makes an action: it is shown at once and sent as soon as may be. If a part needs a value that
   * has not come, the action waits for it.
   * @param {readonly Made[]} made
   * @param {How} how
   * @param {number} now
   * @returns {number} which of the client's actions it is
   */
  act(made, how, now) {
    if (made.length === 0) throw new Rejected('bad_type', 'an action has at least one change');
    if (made.length > this.limits.action_changes) {
      throw new Rejected('too_big', `an action has at most ${this.limits.action_changes} changes, this one has ${made.length}`);
    }
    if (this.unsaved >= this.#limit) throw new Rejected('busy', `${this.#limit} actions wait for their outcome already`);
    const count = this.#count + 1;
    const draft = { count, made, how, at: now };
    if (this.#mustWait(made)) this.#drafts.push(draft);
    else this.#make(draft);
    this.#count = count;
    this.#changedHistory();
    return count;
  }

  /** Takes back the last action, or does again what was taken back; as soon as what is on its way allows. @param {Turn} turn */
  turn(turn) {
    this.#undo.turns += 1;
    if (this.can(turn)) this.#turns.push(turn);
    this.#goOn();
  }

  /** Whether there is something to undo, or to redo. @param {Turn} turn */
  can(turn) {
    const other = turn === 'undo' ? 'redo' : 'undo';
    return this.#undo.has(turn) || this.#actions.some(({ kind, tracked }) => kind === other || (turn === 'undo' && kind === 'plain' && tracked));
  }

  // What the connection does.

  /** What to say in the hello of the next connection. @returns {Record<string, any>} */
  hello() {
    if (!this.#session) return {};
    const held = [...this.#mirrors.values()].filter(({ wanted, document, error }) => wanted && document && !error);
    this.#named = held.map(({ name }) => name);
    const resume = held.map(({ name, type, sequence }) => ({ topic_name: name, type, sequence }));
    return { session: this.#session, acknowledged: this.#acknowledged, resume };
  }

  /** The connection is gone: values are the last ones. */
  disconnect() {
    this.#online = false;
    this.#resuming = false;
    this.#news.release();
    this.#unanswered.clear();
    this.#released = [];
    for (const mirror of this.#mirrors.values()) {
      mirror.asked = false;
      mirror.renewed = false;
      if (mirror.status === 'live') this.#become(mirror, 'stale');
    }
  }

  /** Nothing will come any more: what has no outcome is refused. @param {ChatroomError} error */
  close(error) {
    this.disconnect();
    this.#turns = [];
    this.#actions.forEach((action, index) => this.#settle(action, new Rejected(error.code, error.reason, { ...about(action), maybeExecuted: index < this.#sent })));
    for (const { count } of this.#drafts) this.#news.add({ kind: 'settled', action: count, outcome: new Rejected(error.code, error.reason) });
    for (const mirror of this.#mirrors.values()) while (mirror.own.length > 0) mirror.withdraw();
    this.#actions = [];
    this.#drafts = [];
    this.#sent = 0;
    this.#undo.clear();
    this.#changedHistory();
  }

  /** The messages to send now; they are taken as sent. @returns {Message[]} */
  messages() {
    if (!this.#online) return [];
    /** @type {Message[]} */
    const messages = [];
    for (const mirror of this.#mirrors.values()) {
      const { name, type, asked, wanted, error, renewed } = mirror;
      if (asked || !wanted || error) continue;
      if (renewed) messages.push({ type: 'unsubscribe', content: { topic_name: name } });
      mirror.renewed = false;
      mirror.asked = true;
      this.#unanswered.set(name, (this.#unanswered.get(name) ?? 0) + 1);
      messages.push({ type: 'subscribe', content: { topic_name: name, type } });
    }
    for (let push = this.#push(); push; push = this.#push()) messages.push(push);
    messages.push(...this.#released.splice(0).map((name) => ({ type: 'unsubscribe', content: { topic_name: name } })));
    return messages;
  }

  /** @returns {Message | undefined} */
  #push() {
    if (this.#resuming || this.#sent === this.#actions.length) return undefined;
    /** @type {Pending[]} */
    const actions = [];
    const flying = new Set(this.#actions.slice(0, this.#sent).flatMap(({ parts }) => parts.map(({ mirror }) => mirror)));
    let bytes = 0;
    for (let index = this.#sent; index < this.#actions.length && actions.length < this.limits.push_actions; index++) {
      const action = this.#actions[index];
      // A text or list that comes anew, or that another push is about, has to be waited for.
      const waits = action.parts.some(({ mirror }) => (mirror.isPositional && flying.has(mirror)) || mirror.comesAnew);
      const { size } = action;
      bytes += size;
      if (waits || (actions.length > 0 && bytes > this.limits.message_bytes / 3)) break;
      actions.push(action);
    }
    if (actions.length === 0) return undefined;
    const push = pushOf(actions, this.#acknowledged + 1 + this.#sent, this.#acknowledged);
    this.#sent += actions.length;
    return push;
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
        return this.#accepted(content);
      case 'reject_update':
        return this.#rejected(content);
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
    this.#resuming = goesOn;
    if (!goesOn && known !== 0) this.#reset();
    for (const mirror of this.#mirrors.values()) {
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
    const mirror = this.#mirrors.get(name);
    if (!mirror?.wanted) {
      this.#released.push(name);
    } else if (mirror.document) {
      mirror.asked = true;
      mirror.status = 'live';
      this.#news.hold(mirror);
    }
  }

  /** The session is another one: what was on its way has no outcome that anybody knows. */
  #reset() {
    const lost = this.#actions.slice(0, this.#sent);
    this.#acknowledged = 0;
    this.#undo.clear();
    this.#turns = [];
    const errors = lost.map((action) => new Rejected('connection_lost', 'the connection was lost before the outcome was known', { ...about(action), maybeExecuted: true }));
    for (const action of [...lost].reverse()) this.#takeOut(action, 'rejected');
    this.#actions.splice(0, this.#sent);
    this.#sent = 0;
    lost.forEach((action, index) => this.#settle(action, errors[index]));
    this.#changedHistory();
  }

  /** The server has said all that was missed. */
  #resumed() {
    if (!this.#resuming) return;
    this.#sent = 0;
    const replaced = [...this.#mirrors.values()].filter((mirror) => mirror.replaced);
    this.#refuseStale(replaced, 0);
    this.#resuming = false;
    this.#news.release();
    for (const mirror of this.#mirrors.values()) if (mirror.doubted) this.#gap(mirror, mirror.sequence);
    this.#settleDrafts();
    this.#goOn();
  }

  // Topics.

  /** @param {Mirror} mirror @param {TopicStatus} status */
  #become(mirror, status) {
    if (mirror.status === status) return;
    mirror.status = status;
    this.#news.turned(mirror);
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
    const mirror = this.#mirrors.get(name);
    if (outdated || !mirror?.wanted || mirror.type !== type) return;
    const wasLoaded = mirror.document !== undefined;
    const before = mirror.watched ? mirror.read() : undefined;
    if (wasLoaded) this.#undo.forget(name);
    if (this.#resuming && wasLoaded) mirror.replaced = true;
    else if (wasLoaded) this.#refuseStale([mirror], this.#sent);
    if (wasLoaded && mirror.isPositional && !this.#resuming) for (const part of mirror.own) part.lost = true;
    mirror.load(value, sequence);
    mirror.doubted = false;
    mirror.error = undefined;
    this.#become(mirror, 'live');
    if (mirror.type !== 'event' && mirror.watched && !(before !== undefined && equal(before, mirror.read()))) {
      this.#news.changed(mirror, null, null, { by: 0, mine: false, cause: 'snapshot' });
    }
    if (!this.#resuming) this.#settleDrafts();
    this.#changedHistory();
  }

  /** Where own changes that were not sent belong in texts and lists that came anew is not known. @param {readonly Mirror[]} mirrors @param {number} from the first action that may be refused */
  #refuseStale(mirrors, from) {
    const stale = this.#actions.slice(from).filter((action) => [...action.mirrors].some((mirror) => mirror.isPositional && mirrors.includes(mirror)));
    const errors = stale.map((action) => new Rejected('stale_base', 'the text or list came anew, and where this belongs in it is not known', about(action)));
    for (const action of [...stale].reverse()) {
      this.#takeOut(action, 'rejected');
      this.#actions.splice(this.#actions.indexOf(action), 1);
    }
    stale.forEach((action, index) => this.#settle(action, errors[index]));
  }

  /** @param {any} content */
  #denied({ code, reason, in_reply_to: about }) {
    if (about?.type !== 'subscribe' || typeof about.topic_name !== 'string') return;
    const name = about.topic_name;
    const removed = code === CODES.topic_deleted;
    // That a topic was deleted answers no subscribe message; one that is on its way makes it anew.
    const outdated = removed ? this.#unanswered.has(name) : this.#answered(name);
    const mirror = this.#mirrors.get(name);
    if (outdated || !mirror) return;
    mirror.error = new ChatroomError(code, reason);
    mirror.forget();
    this.#undo.forget(name);
    this.#become(mirror, removed ? 'removed' : 'denied');
    this.#settleDrafts();
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
      const mirror = this.#mirrors.get(name);
      // A value that is to be replaced by one on its way is left alone.
      if (!mirror || mirror.status !== 'live') continue;
      const moved = advanced.get(mirror);
      if (!moved && sequence <= mirror.sequence) continue;
      if (!moved && previous > mirror.sequence) {
        this.#gap(mirror, previous);
        continue;
      }
      const step = this.#commit(mirror, withoutId(change), by, previous);
      if (!step) continue;
      mirror.sequence = sequence;
      if (step.effect) this.#undo.committed(name, mirror.type, withoutId(change), step, this.#actions[0]?.kind);
      advanced.set(mirror, moved ? joined(moved, step) : step);
    }
    for (const [mirror, moved] of advanced) {
      if (moved.changed || mirror.type === 'event') this.#news.changed(mirror, moved.value, moved.told, { by, mine: false, cause: 'remote' });
    }
  }

  /** @param {Mirror} mirror @param {Change} change @param {number} by @param {number} previous */
  #commit(mirror, change, by, previous) {
    try {
      return mirror.commit(change, by);
    } catch {
      // The server has applied it: this value is not the one it should be.
      this.#gap(mirror, previous);
      return undefined;
    }
  }

  /** @param {Mirror} mirror @param {number} previous */
  #gap(mirror, previous) {
    // While what was missed comes in, the value that is missing comes by itself.
    if (this.#resuming) {
      mirror.doubted = true;
      return;
    }
    mirror.doubted = false;
    this.#news.add({ kind: 'gap', name: mirror.name, known: mirror.sequence, previous });
    this.#become(mirror, 'stale');
    this.#askAnew(mirror);
  }

  /** @param {Mirror} mirror */
  #askAnew(mirror) {
    if (!mirror.wanted) return;
    mirror.renewed = true;
    mirror.asked = false;
  }

  // Own actions.

  /** @param {readonly Made[]} made */
  #mustWait(made) {
    return made.some(({ topic_name: name, change }) => {
      const mirror = this.#mirrors.get(name);
      if (!mirror || mirror.document || mirror.error) return false;
      return needsValue(mirror.type, change) || this.#drafts.some(({ made: earlier }) => earlier.some(({ topic_name }) => topic_name === name));
    });
  }

  /** Makes what waited, as far as may be now. */
  #settleDrafts() {
    const drafts = this.#drafts;
    this.#drafts = [];
    for (const draft of drafts) {
      if (this.#mustWait(draft.made)) {
        this.#drafts.push(draft);
        continue;
      }
      try {
        this.#make(draft);
      } catch (error) {
        if (!(error instanceof Rejected)) throw error;
        this.#news.add({ kind: 'settled', action: draft.count, outcome: error });
      }
    }
  }

  /** @param {Draft} draft @param {ChatroomError} error */
  #refuseDraft(draft, error) {
    this.#drafts = this.#drafts.filter((other) => other !== draft);
    this.#news.add({ kind: 'settled', action: draft.count, outcome: new Rejected(error.code, error.reason) });
  }

  /** Checks an action and shows it, or refuses it as if it had never been. @param {Draft} draft */
  #make({ count, made, how, at }) {
    const { tracked = true, group, wire = false, latest = false } = how;
    const types = made.map(({ topic_name: name }) => this.#mirrors.get(name)?.type);
    const action = new Pending(count, 'plain', tracked && types.some((type) => type !== 'event' && type !== 'presence'), at, this.#undo.turns);
    action.group = group;
    const shown = new Shown();
    try {
      for (const { topic_name: name, change } of made) {
        try {
          this.#makePart(action, name, change, wire, shown);
        } catch (error) {
          throw error instanceof ChatroomError ? new Rejected(error.code, error.reason, { topicName: name, change }) : error;
        }
      }
      if (action.size * 3 > this.limits.message_bytes) this.#checkSize(action);
    } catch (error) {
      for (const { mirror } of [...action.parts].reverse()) mirror.withdraw();
      throw error;
    }
    if (latest && this.#supersede(action)) return;
    this.#actions.push(action);
    if (action.tracked) this.#undo.acted();
    this.#show(action, shown);
  }

  /** @param {Pending} action @param {string} name @param {Change} change @param {boolean} wire @param {Shown} shown */
  #makePart(action, name, change, wire, shown) {
    const mirror = this.#mirrors.get(name);
    if (!mirror) throw new ChatroomError('unknown_topic', `the topic ${name} is not open`);
    if (mirror.error) throw mirror.error;
    const decoded = withoutId(decode(mirror.type, wire ? change : toWire(change, mirror.document), { limits: this.limits, by: this.client }));
    const written = mirror.watched ? mirror.written(decoded, this.client) : decoded;
    const part = mirror.append(action, decoded, this.limits);
    part.change = settledForm(mirror.type, decoded);
    action.parts.push(part);
    shown.add(part, written);
  }

  /** @param {Pending} action */
  #checkSize(action) {
    const text = JSON.stringify(pushOf([action], this.#acknowledged + this.#actions.length + 1, this.#acknowledged));
    if (isLonger(text, this.limits.message_bytes)) throw new Rejected('too_big', `a message has at most ${this.limits.message_bytes} bytes`, about(action));
  }

  /** An entry takes the place of an earlier one that was not sent. @param {Pending} action */
  #supersede(action) {
    const { mirror, change } = action.parts[0];
    const earlier = this.#actions.slice(this.#sent).find(({ parts }) => parts.length === 1 && parts[0].mirror === mirror);
    if (!earlier || mirror.own[mirror.own.length - 2] !== earlier.parts[0]) return false;
    mirror.withdraw();
    mirror.supersede(/** @type {Change} */ (change));
    earlier.joined.push(action.count);
    return true;
  }

  /** Tells of what an own action did. @param {Pending} action @param {Shown} shown */
  #show(action, shown) {
    for (const [mirror, { changes, written, changed }] of shown.topics) {
      if (!action.tracked) this.#undo.shown(mirror.name, mirror.type, changes);
      if (changed) this.#news.changed(mirror, changes, written, { by: this.client, mine: true, cause: 'local', action: action.count });
    }
  }

  /** @param {any} content */
  #accepted({ id, sequence, previous = [], effect = true, changes: altered }) {
    const action = this.#actions[0];
    if (!action || this.#sent === 0 || id !== this.#acknowledged + 1) return;
    this.#acknowledged = id;
    this.#actions.shift();
    this.#sent -= 1;
    /** @type {Map<Part, Change[]>} */
    const inverses = new Map();
    /** @type {Taking[]} */
    const effects = [];
    /** @type {Taking[][]} */
    const alteredInverses = [];
    for (const mirror of action.mirrors) {
      const { name, type } = mirror;
      const before = Number(previous[action.named.indexOf(name)] ?? 0);
      if (altered) {
        const parts = altered.filter((/** @type {any} */ { topic_name }) => topic_name === name);
        alteredInverses.push(this.#replace(action, mirror, parts.map((/** @type {any} */ { change }) => withoutId(change)), sequence, before, effects));
        continue;
      }
      const follows = mirror.status === 'live';
      if (follows && sequence <= mirror.sequence) {
        // The value has it already.
        const moved = mirror.takeOut(action);
        this.#undo.shown(name, type, moved.value);
        if (moved.changed) this.#news.changed(mirror, moved.value, moved.told, { by: this.client, mine: true, cause: 'accepted', action: action.count });
        continue;
      }
      /** @type {Part[]} */
      let parts;
      try {
        parts = mirror.confirm(action.parts.filter((part) => part.mirror === mirror).length);
      } catch {
        this.#gap(mirror, before);
        continue;
      }
      if (!follows) continue;
      if (before > mirror.sequence || parts.some(({ lost }) => lost)) {
        this.#gap(mirror, before);
        continue;
      }
      mirror.sequence = sequence;
      for (const part of parts) {
        const { change, step, inverse } = part;
        if (!change || !step?.changed) continue;
        inverses.set(part, [...inverse]);
        effects.push({ name, type, change });
      }
      const happened = parts.flatMap(({ change }) => (type === 'event' && change ? [change] : []));
      if (happened.length > 0) this.#news.changed(mirror, happened, happened, { by: this.client, mine: true, cause: 'accepted', action: action.count });
    }
    const inverse = [...action.parts].reverse().flatMap((part) => (inverses.get(part) ?? []).map((change) => ({ name: part.mirror.name, type: part.mirror.type, change })));
    this.#learn(action, [...alteredInverses.reverse().flat(), ...inverse], effects);
    this.#settle(action, Object.freeze({ sequence, effect }));
    this.#afterOutcome(action);
  }

  /** What undo makes of an accepted action. @param {Pending} action @param {Taking[]} inverse @param {readonly Taking[]} effects */
  #learn(action, inverse, effects) {
    if (action.kind !== 'plain') this.#undo.taken(action, inverse);
    else if (action.tracked) this.#undo.accepted(action, inverse, effects, this.limits.action_changes);
    else for (const taking of effects) this.#undo.untracked(taking);
  }

  /**
   * The server made something else of the action's changes of a topic. One after the other they are
   * confirmed as they are, or give way to what the server made of them.
   * @param {Pending} action @param {Mirror} mirror @param {Change[]} made what they became
   * @param {number} sequence @param {number} previous @param {Taking[]} effects
   * @returns {Taking[]} what takes it back
   */
  #replace(action, mirror, made, sequence, previous, effects) {
    const { name, type } = mirror;
    /** @type {Moved} */
    let moved = { value: [], undos: [], told: [], changed: false };
    /** @type {Taking[]} */
    const inverse = [];
    const learn = (/** @type {Change} */ change, /** @type {readonly Change[]} */ backs) => {
      effects.push({ name, type, change });
      inverse.unshift(...backs.map((back) => ({ name, type, change: back })));
    };
    const follows = mirror.status === 'live' && previous <= mirror.sequence;
    for (const part of action.parts.filter((part) => part.mirror === mirror)) {
      const given = part.change ? made.shift() : undefined;
      if (!follows || (part.step && given && equal(given, part.change)) || !part.change) {
        mirror.own.shift();
        if (part.step?.changed && given) learn(given, part.inverse);
        continue;
      }
      moved = joined(moved, mirror.remove(0));
      const step = given && this.#commit(mirror, given, this.client, previous);
      if (!step) continue;
      moved = joined(moved, step);
      if (step.effect) learn(given, step.inverse);
    }
    if (mirror.status === 'live' && !follows) this.#gap(mirror, previous);
    else if (follows) mirror.sequence = Math.max(mirror.sequence, sequence);
    this.#undo.shown(name, type, moved.value);
    if (action.kind !== 'plain') this.#undo.below(action, name, type, moved.undos);
    if (moved.changed) this.#news.changed(mirror, moved.value, moved.told, { by: this.client, mine: true, cause: 'accepted', action: action.count });
    return inverse;
  }

  /** @param {any} content */
  #rejected({ action_id: number, topic_name: topicName, change, code, reason, retryable }) {
    if (number !== this.#acknowledged + 1 || this.#actions.length === 0) return;
    this.#acknowledged = number;
    this.#sent = 0;
    const action = this.#actions[0];
    this.#takeOut(action, 'rejected');
    this.#actions.shift();
    this.#settle(action, new Rejected(code, reason, { topicName, change, retryable }));
    this.#afterOutcome(action);
  }

  /** Takes a pending action off all its topics. @param {Pending} action @param {Cause} cause */
  #takeOut(action, cause) {
    for (const mirror of action.mirrors) {
      const moved = mirror.takeOut(action);
      this.#undo.shown(mirror.name, mirror.type, moved.value);
      if (action.kind !== 'plain' && cause === 'rejected') this.#undo.below(action, mirror.name, mirror.type, moved.undos);
      if (moved.changed) this.#news.changed(mirror, moved.value, moved.told, { by: this.client, mine: true, cause, action: action.count });
    }
    if (cause === 'rejected') this.#undo.drop(action);
  }

  /** @param {Pending} action @param {Accepted | Rejected} outcome */
  #settle(action, outcome) {
    for (const count of [action.count, ...action.joined]) this.#news.add({ kind: 'settled', action: count, outcome });
  }

  /** @param {Pending} action */
  #afterOutcome(action) {
    for (const mirror of action.mirrors) {
      if (!mirror.wanted && mirror.own.length === 0) this.#mirrors.delete(mirror.name);
    }
    if (this.#actions.length === 0) this.#undo.idle();
    this.#goOn();
  }

  // Undo and redo.

  /** Does what was asked for, as far as what is on its way allows. */
  #goOn() {
    while (!this.#resuming && this.#turns.length > 0 && this.#take(this.#turns[0])) this.#turns.shift();
    this.#changedHistory();
  }

  /** @param {Turn} turn @returns {boolean} false if it has to wait */
  #take(turn) {
    const again = turn === 'redo' ? this.#undo.again() : undefined;
    if (again) {
      const action = new Pending(++this.#count, 'plain', true, again.at, again.turn);
      action.group = again.group;
      this.#perform(action, again.changes);
      return true;
    }
    if (this.#actions.every(({ kind }) => kind === turn)) {
      const entry = this.#undo.next(turn);
      if (!entry) return true;
      const action = new Pending(++this.#count, turn, false, 0, 0);
      entry.action = action;
      this.#perform(action, entry.changes);
      return true;
    }
    if (!this.can(turn)) return true;
    const youngest = this.#actions[this.#actions.length - 1];
    if (this.#actions.length === this.#sent) return false;
    const left = youngest.left.map(({ mirror: { name, type }, change }) => ({ name, type, change: /** @type {Change} */ (change) }));
    if (youngest.kind !== 'plain' && youngest.kind !== turn) this.#undo.calledBack(youngest, left);
    else if (youngest.kind === 'plain' && youngest.tracked && turn === 'undo') this.#undo.cancelled(youngest, left.filter(({ type }) => type !== 'event' && type !== 'presence'));
    else return false;
    this.#actions.pop();
    this.#takeOutAhead(youngest);
    this.#settle(youngest, new Rejected('cancelled', 'it was undone before it was sent', about(youngest)));
    if (this.#actions.length === 0) this.#undo.idle();
    return true;
  }

  /** What was called back is what its entry would do again, so that entry stays where it is. @param {Pending} action */
  #takeOutAhead(action) {
    for (const mirror of action.mirrors) {
      const moved = mirror.takeOut(action);
      if (moved.changed) this.#news.changed(mirror, moved.value, moved.told, { by: this.client, mine: true, cause: 'local', action: action.count });
    }
  }

  /** @param {Pending} action @param {readonly Taking[]} changes */
  #perform(action, changes) {
    const shown = new Shown();
    for (const { name, change } of changes) {
      const mirror = this.#mirrors.get(name);
      if (!mirror) continue;
      const written = mirror.watched ? mirror.written(change, this.client) : change;
      /** @type {Part} */
      let part;
      try {
        part = mirror.append(action, change);
      } catch {
        // What is left of the entry is performed all the same.
        continue;
      }
      action.parts.push(part);
      shown.add(part, written);
    }
    this.#actions.push(action);
    this.#show(action, shown);
  }

  #changedHistory() {
    this.#news.add({ kind: 'history' });
  }
}

/** What an own action does, by topic. */
class Shown {
  /** @type {Map<Mirror, { changes: Change[], written: Change[], changed: boolean }>} */
  topics = new Map();

  /** @param {Part} part @param {Change} written */
  add({ mirror, change, step }, written) {
    if (!step || !change) return;
    const topic = this.topics.get(mirror) ?? { changes: [], written: [], changed: false };
    this.topics.set(mirror, topic);
    if (!step.changed) return;
    topic.changes.push(change);
    topic.written.push(written);
    topic.changed = true;
  }
}

/** @param {Change} change @returns {Change} */
function withoutId({ id: _, ...change }) {
  return /** @type {Change} */ (change);
}

/** A change in the one form that equal changes have. @param {TopicType} type @param {Change} change @returns {Change} */
function settledForm(type, change) {
  return type === 'string' && change.type !== 'set' ? { type: 'edit', components: componentsOf(change) } : change;
}

/** The first change of an action that is refused. @param {Pending} action */
function about(action) {
  const [part] = action.left;
  return part ? { topicName: part.mirror.name, change: /** @type {Change} */ (part.change), changes: action.left.map(({ mirror, change }) => ({ topicName: mirror.name, change: /** @type {Change} */ (change) })) } : {};
}
