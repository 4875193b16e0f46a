// @ts-check
/**
 * The own actions without an outcome, in their order: how they are made, sent and settled. Those that
 * wait for a topic to load are drafts and stand beside the line.
 */

import { decode } from './change.js';
import { ChatroomError, Rejected } from './code.js';
import { componentsOf, compose } from './edit.js';
import { needsValue, toWire } from './form.js';
import { isLonger } from './limits.js';
import { joined } from './mirror.js';
import { Pending, pushOf } from './pending.js';
import { TOGETHER_MS } from './undo.js';
import { equal } from './value.js';

/** @typedef {import('./change.js').Change} Change */
/** @typedef {import('./change.js').TopicType} TopicType */
/** @typedef {import('./codec.js').Message} Message */
/** @typedef {import('./mirror.js').Mirror} Mirror */
/** @typedef {import('./mirror.js').Moved} Moved */
/** @typedef {import('./mirror.js').Part} Part */
/** @typedef {import('./news.js').Accepted} Accepted */
/** @typedef {import('./news.js').Cause} Cause */
/** @typedef {import('./pending.js').How} How */
/** @typedef {import('./undo.js').Taking} Taking */
/** So many components a joined edit has at most; each further keystroke walks over them. */
const JOINED_COMPONENTS = 256;

/** @typedef {{ readonly topic_name: string, readonly change: Change }} Made one change of an action */
/** @typedef {{ count: number, made: readonly Made[], how: How, at: number }} Draft an action that waits for a topic to load */

export class Own {
  #home;
  #limit;
  /** @type {Pending[]} */
  actions = [];
  /** How many of them are on their way, the first ones. */
  sent = 0;
  /** The highest number whose outcome is known. */
  acknowledged = 0;
  /** How many actions were made so far. */
  count = 0;
  /** @type {Draft[]} */
  #drafts = [];
  /** How many actions joined others. */
  #joined = 0;

  /** @param {import('./replica.js').Replica} home @param {number} limit how many may be pending */
  constructor(home, limit) {
    this.#home = home;
    this.#limit = limit;
  }

  /** How many have no outcome. */
  get unsaved() {
    return this.actions.length + this.#joined + this.#drafts.length;
  }

  /** Whether actions that touch a topic have no outcome yet. @param {string} name */
  touches(name) {
    return (this.#home.mirrors.get(name)?.own.length ?? 0) > 0 || this.#drafts.some(({ made }) => made.some(({ topic_name }) => topic_name === name));
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
    if (made.length > this.#home.limits.action_changes) {
      throw new Rejected('too_big', `an action has at most ${this.#home.limits.action_changes} changes, this one has ${made.length}`);
    }
    if (this.actions.length + this.#drafts.length >= this.#limit) throw new Rejected('busy', `${this.#limit} actions wait for their outcome already`);
    const count = this.count + 1;
    const draft = { count, made, how, at: now };
    if (this.#mustWait(made)) this.#drafts.push(draft);
    else this.#make(draft);
    this.count = count;
    this.#home.news.add({ kind: 'history' });
    return count;
  }

  /** @returns {Message | undefined} */
  push() {
    if (this.#home.resuming || this.sent === this.actions.length) return undefined;
    /** @type {Pending[]} */
    const actions = [];
    const flying = new Set(this.actions.slice(0, this.sent).flatMap(({ parts }) => parts.map(({ mirror }) => mirror)));
    let bytes = 0;
    for (let index = this.sent; index < this.actions.length && actions.length < this.#home.limits.push_actions; index++) {
      const action = this.actions[index];
      // A text or list that comes anew, or that another push is about, has to be waited for.
      const waits = action.parts.some(({ mirror }) => (mirror.isPositional && flying.has(mirror)) || mirror.comesAnew);
      const { size } = action;
      bytes += size;
      if (waits || (actions.length > 0 && bytes > this.#home.limits.message_bytes / 3)) break;
      actions.push(action);
    }
    if (actions.length === 0) return undefined;
    const push = pushOf(actions, this.acknowledged + 1 + this.sent, this.acknowledged);
    for (const action of actions) action.wasSent = true;
    this.sent += actions.length;
    return push;
  }

  /** Where what is on its way stands in a text or list that comes anew is known to the server alone. @param {Mirror} mirror */
  lose(mirror) {
    const sent = new Set(this.actions.slice(0, this.sent));
    for (const part of mirror.own) if (sent.has(part.action)) part.lost = true;
  }

  /** Where own changes that were not sent belong in texts and lists that came anew is not known. @param {readonly Mirror[]} mirrors @param {number} from the first action that may be refused */
  refuseStale(mirrors, from) {
    const stale = this.actions.slice(from).filter((action) => [...action.mirrors].some((mirror) => mirror.isPositional && mirrors.includes(mirror)));
    const errors = stale.map((action) => new Rejected('stale_base', 'the text or list came anew, and where this belongs in it is not known', about(action)));
    for (const action of [...stale].reverse()) {
      this.takeOut(action, 'rejected');
      this.actions.splice(this.actions.indexOf(action), 1);
    }
    stale.forEach((action, index) => this.settle(action, errors[index]));
  }

  /** @param {readonly Made[]} made */
  #mustWait(made) {
    return made.some(({ topic_name: name, change }) => {
      const mirror = this.#home.mirrors.get(name);
      if (!mirror || mirror.document || mirror.error) return false;
      return needsValue(mirror.type, change) || this.#drafts.some(({ made: earlier }) => earlier.some(({ topic_name }) => topic_name === name));
    });
  }

  /** Makes what waited, as far as may be now. */
  settleDrafts() {
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
        this.#home.news.add({ kind: 'settled', action: draft.count, outcome: error });
      }
    }
  }

  /** @param {Draft} draft @param {ChatroomError} error */
  refuseDraft(draft, error) {
    this.#drafts = this.#drafts.filter((other) => other !== draft);
    this.#home.news.add({ kind: 'settled', action: draft.count, outcome: new Rejected(error.code, error.reason) });
  }

  /** Checks an action and shows it, or refuses it as if it had never been. @param {Draft} draft */
  #make({ count, made, how, at }) {
    const { tracked = true, group, wire = false, latest = false } = how;
    const types = made.map(({ topic_name: name }) => this.#home.mirrors.get(name)?.type);
    const action = new Pending(count, 'plain', tracked && types.some((type) => type !== 'event' && type !== 'presence'), at, this.#home.undo.turns);
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
      if (action.size * 3 > this.#home.limits.message_bytes) this.#checkSize(action);
    } catch (error) {
      for (const { mirror } of [...action.parts].reverse()) mirror.withdraw();
      throw error;
    }
    if (latest && this.#supersede(action)) return;
    if (!this.#join(action)) this.actions.push(action);
    if (action.tracked) this.#home.undo.acted();
    this.show(action, shown);
  }

  /** @param {Pending} action @param {string} name @param {Change} change @param {boolean} wire @param {Shown} shown */
  #makePart(action, name, change, wire, shown) {
    const mirror = this.#home.mirrors.get(name);
    if (!mirror) throw new ChatroomError('unknown_topic', `the topic ${name} is not open`);
    if (mirror.error) throw mirror.error;
    const decoded = withoutId(decode(mirror.type, wire ? change : toWire(change, mirror.document), { limits: this.#home.limits, by: this.#home.client }));
    const written = mirror.watched ? mirror.written(decoded, this.#home.client) : decoded;
    const part = mirror.append(action, decoded, this.#home.limits);
    part.change = settledForm(mirror.type, decoded);
    action.parts.push(part);
    shown.add(part, written);
  }

  /** @param {Pending} action */
  #checkSize(action) {
    const text = JSON.stringify(pushOf([action], this.acknowledged + this.actions.length + 1, this.acknowledged));
    if (isLonger(text, this.#home.limits.message_bytes)) throw new Rejected('too_big', `a message has at most ${this.#home.limits.message_bytes} bytes`, about(action));
  }

  /** An entry takes the place of an earlier one that was not sent. @param {Pending} action */
  #supersede(action) {
    const { mirror, change } = action.parts[0];
    const earlier = this.actions.slice(this.sent).find(({ parts }) => parts.length === 1 && parts[0].mirror === mirror);
    if (!earlier || mirror.own[mirror.own.length - 2] !== earlier.parts[0]) return false;
    mirror.withdraw();
    mirror.supersede(/** @type {Change} */ (change));
    earlier.joined.push(action.count);
    this.#joined += 1;
    return true;
  }

  /**
   * An edit joins the youngest action, if that is an edit of the same text that was never sent (M48):
   * what meets others after a time offline is then as many edits as there were pauses.
   * @param {Pending} action
   */
  #join(action) {
    const youngest = this.actions[this.actions.length - 1];
    if (!youngest || youngest.wasSent || youngest.parts.length !== 1 || action.parts.length !== 1 || this.#home.turns.isAsked) return false;
    const [part, earlier] = [action.parts[0], youngest.parts[0]];
    const { mirror } = part;
    if (mirror.type !== 'string' || earlier.mirror !== mirror || mirror.own[mirror.own.length - 2] !== earlier || earlier.lost) return false;
    if (youngest.kind !== 'plain' || youngest.tracked !== action.tracked || youngest.group !== action.group) return false;
    if (action.group === undefined && action.at - youngest.at > TOGETHER_MS) return false;
    const [before, change] = [earlier.change, part.change];
    if (before?.type !== 'edit' || change?.type !== 'edit' || !earlier.step?.changed || !part.step?.changed) return false;
    const components = compose(before.components, change.components);
    if (components.length > JOINED_COMPONENTS || this.#isTooLong(mirror, components)) return false;
    mirror.join(components);
    youngest.at = action.at;
    youngest.turn = action.turn;
    youngest.joined.push(action.count);
    this.#joined += 1;
    return true;
  }

  /** @param {Mirror} mirror @param {readonly import('./text.js').AnyComponent[]} components */
  #isTooLong(mirror, components) {
    let bytes = mirror.name.length * 3 + 1_024;
    // A character is three bytes of UTF-8, or six of an escape.
    for (const { insert } of components) bytes += 40 + (insert === undefined ? 0 : insert.length * 6);
    return bytes > this.#home.limits.message_bytes;
  }

  /** Tells of what an own action did. @param {Pending} action @param {Shown} shown */
  show(action, shown) {
    for (const [mirror, { changes, written, changed }] of shown.topics) {
      if (!action.tracked) this.#home.undo.shown(mirror.name, mirror.type, changes);
      if (changed) this.#home.news.changed(mirror, changes, written, { by: this.#home.client, mine: true, cause: 'local', action: action.count });
    }
  }

  /** @param {any} content */
  accepted({ id, sequence, previous = [], effect = true, changes: altered }) {
    const action = this.actions[0];
    if (!action || this.sent === 0 || id !== this.acknowledged + 1) return;
    this.acknowledged = id;
    this.actions.shift();
    this.sent -= 1;
    /** @type {Map<Part, Change[]>} */
    const inverses = new Map();
    /** @type {Taking[]} */
    const effects = [];
    /** @type {Taking[][]} */
    const alteredInverses = [];
    for (const mirror of action.mirrors) {
      const { name, type } = mirror;
      const place = action.named.indexOf(name);
      if (place < 0) {
        // Nothing was left of it here when it was sent, so nothing is said of this topic.
        mirror.drop(action);
        continue;
      }
      const before = Number(previous[place] ?? 0);
      if (altered) {
        const parts = altered.filter((/** @type {any} */ { topic_name }) => topic_name === name);
        alteredInverses.push(this.#replace(action, mirror, parts.map((/** @type {any} */ { change }) => withoutId(change)), sequence, before, effects));
        continue;
      }
      const follows = mirror.status === 'live';
      if (follows && sequence <= mirror.sequence) {
        // The value has it already.
        const moved = mirror.takeOut(action);
        this.#home.undo.shown(name, type, moved.value);
        if (moved.changed) this.#home.news.changed(mirror, moved.value, moved.told, { by: this.#home.client, mine: true, cause: 'accepted', action: action.count });
        continue;
      }
      /** @type {Part[]} */
      let parts;
      try {
        parts = mirror.confirm(action.parts.filter((part) => part.mirror === mirror).length);
      } catch {
        this.#home.gap(mirror, before);
        continue;
      }
      if (!follows) continue;
      if (before > mirror.sequence || parts.some(({ lost }) => lost)) {
        this.#home.gap(mirror, before);
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
      if (happened.length > 0) this.#home.news.changed(mirror, happened, happened, { by: this.#home.client, mine: true, cause: 'accepted', action: action.count });
    }
    const inverse = [...action.parts].reverse().flatMap((part) => (inverses.get(part) ?? []).map((change) => ({ name: part.mirror.name, type: part.mirror.type, change })));
    this.#learn(action, [...alteredInverses.reverse().flat(), ...inverse], effects);
    this.settle(action, Object.freeze({ sequence, effect }));
    this.#afterOutcome(action);
  }

  /** What undo makes of an accepted action. @param {Pending} action @param {Taking[]} inverse @param {readonly Taking[]} effects */
  #learn(action, inverse, effects) {
    if (action.kind !== 'plain') this.#home.undo.taken(action, inverse);
    else if (action.tracked) this.#home.undo.accepted(action, inverse, effects, this.#home.limits.action_changes);
    else for (const taking of effects) this.#home.undo.untracked(taking);
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
      const step = given && this.#home.commit(mirror, given, this.#home.client, previous);
      if (!step) continue;
      moved = joined(moved, step);
      if (step.effect) learn(given, step.inverse);
    }
    if (mirror.status === 'live' && !follows) this.#home.gap(mirror, previous);
    else if (follows) mirror.sequence = Math.max(mirror.sequence, sequence);
    this.#home.undo.shown(name, type, moved.value);
    if (action.kind !== 'plain') this.#home.undo.below(action, name, type, moved.undos);
    if (moved.changed) this.#home.news.changed(mirror, moved.value, moved.told, { by: this.#home.client, mine: true, cause: 'accepted', action: action.count });
    return inverse;
  }

  /** @param {any} content */
  rejected({ action_id: number, topic_name: topicName, change, code, reason, retryable }) {
    if (number !== this.acknowledged + 1 || this.actions.length === 0) return;
    this.acknowledged = number;
    this.sent = 0;
    const action = this.actions[0];
    this.takeOut(action, 'rejected');
    this.actions.shift();
    this.settle(action, new Rejected(code, reason, { topicName, change, retryable }));
    this.#afterOutcome(action);
  }

  /** Takes a pending action off all its topics. @param {Pending} action @param {Cause} cause */
  takeOut(action, cause) {
    for (const mirror of action.mirrors) {
      const moved = mirror.takeOut(action);
      this.#home.undo.shown(mirror.name, mirror.type, moved.value);
      if (action.kind !== 'plain' && cause === 'rejected') this.#home.undo.below(action, mirror.name, mirror.type, moved.undos);
      if (moved.changed) this.#home.news.changed(mirror, moved.value, moved.told, { by: this.#home.client, mine: true, cause, action: action.count });
    }
    if (cause === 'rejected') this.#home.undo.drop(action);
  }

  /** @param {Pending} action @param {Accepted | Rejected} outcome */
  settle(action, outcome) {
    this.#joined -= action.joined.length;
    for (const count of [action.count, ...action.joined]) this.#home.news.add({ kind: 'settled', action: count, outcome });
  }

  /** @param {Pending} action */
  #afterOutcome(action) {
    for (const mirror of action.mirrors) {
      if (!mirror.wanted && mirror.own.length === 0) this.#home.mirrors.delete(mirror.name);
    }
    if (this.actions.length === 0) this.#home.undo.idle();
    this.#home.turns.goOn();
  }

  /** A topic is released: what waits for it is not made. @param {string} name */
  release(name) {
    for (const draft of [...this.#drafts]) {
      if (draft.made.some(({ topic_name }) => topic_name === name)) this.refuseDraft(draft, new ChatroomError('closed', `the topic ${name} was released`));
    }
  }

  /** Nothing will come any more. @param {ChatroomError} error */
  close(error) {
    this.actions.forEach((action, index) => this.settle(action, new Rejected(error.code, error.reason, { ...about(action), maybeExecuted: index < this.sent })));
    for (const draft of [...this.#drafts]) this.refuseDraft(draft, error);
    this.actions = [];
    this.sent = 0;
  }

  /** The session is another one: what was on its way has no outcome that anybody knows. */
  reset() {
    const lost = this.actions.slice(0, this.sent);
    this.acknowledged = 0;
    const errors = lost.map((action) => new Rejected('connection_lost', 'the connection was lost before the outcome was known', { ...about(action), maybeExecuted: true }));
    for (const action of [...lost].reverse()) this.takeOut(action, 'rejected');
    this.actions.splice(0, this.sent);
    this.sent = 0;
    lost.forEach((action, index) => this.settle(action, errors[index]));
  }
}

/** What an own action does, by topic. */
export class Shown {
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
export function withoutId({ id: _, ...change }) {
  return /** @type {Change} */ (change);
}

/** A change in the one form that equal changes have. @param {TopicType} type @param {Change} change @returns {Change} */
function settledForm(type, change) {
  return type === 'string' && change.type !== 'set' ? { type: 'edit', components: componentsOf(change) } : change;
}

/** The first change of an action that is refused. @param {Pending} action */
export function about(action) {
  const [part] = action.left;
  return part ? { topicName: part.mirror.name, change: /** @type {Change} */ (part.change), changes: action.left.map(({ mirror, change }) => ({ topicName: mirror.name, change: /** @type {Change} */ (change) })) } : {};
}
