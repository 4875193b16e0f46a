// @ts-check
// A room as the server keeps it, as far as merging goes: one order, pushes, sessions that resume.
import { CODES } from '../src/code.js';
import { decode } from '../src/change.js';
import { documentOf } from '../src/document.js';
import { invert } from '../src/invert.js';
import { DEFAULT_LIMITS } from '../src/limits.js';
import { transform } from '../src/transform.js';

/** @typedef {import('../src/change.js').Change} Change */
/** @typedef {import('../src/change.js').TopicType} TopicType */
/** @typedef {{ type: string, content: any }} Said */
/** @typedef {{ id: number, secret: string, decided: number, outcomes: Map<number, Said>, subscribed: Set<string>, flights: Map<string, Flight>, say: ((said: Said) => void) | undefined }} Session */
/** @typedef {{ type: TopicType, document: any, last: number, history: { sequence: number, by: number, change: Change }[], kept: number }} Topic */
/** @typedef {{ topic_name: string, change: Change, previous?: number, by?: number }} Part */
/** What others committed to a topic, as the next change of a client meets it, and up to where. @typedef {{ bridge: { sequence: number, change: Change }[], seen: number }} Flight */

/** @type {Record<TopicType, any>} */
const ZERO = { generic: null, string: '', int: 0, float: 0, bool: false, list: [], set: [], dict: {}, event: null, presence: {} };

export class Room {
  sequence = 0;
  /** @type {Map<string, Topic>} */
  topics = new Map();
  /** @type {Map<number, Session>} */
  sessions = new Map();
  /** @type {(part: Part) => Change | 'refuse'} What the room's rules make of a part. */
  rule = ({ change }) => change;
  #ids = 0;

  /** @param {string} name @param {TopicType} [type] */
  topic(name, type) {
    let topic = this.topics.get(name);
    if (!topic && type) this.topics.set(name, (topic = { type, document: documentOf(type, ZERO[type]), last: 0, history: [], kept: 0 }));
    return topic;
  }

  /** @param {string} name */
  value(name) {
    return this.topics.get(name)?.document.read();
  }

  /** A client's hello; its messages go to `say`. @param {any} hello @param {(said: Said) => void} say @param {object} [more] of the answer @returns {Session} */
  hello({ session: given, acknowledged = 0, resume = [] }, say, more = {}) {
    const old = given && this.sessions.get(given.id);
    const session = old && old.secret === given.secret ? old : this.#newSession();
    session.say = say;
    const resumes = session === old;
    const content = { limits: {}, ...more, id: session.id, session: { id: session.id, secret: session.secret }, sequence: this.sequence };
    say({ type: 'hello', content: given ? { ...content, resumed: resumes ? 'resumed' : 'reset' } : content });
    if (resumes) this.#resume(session, acknowledged, resume);
    return session;
  }

  #newSession() {
    const id = ++this.#ids;
    /** @type {Session} */
    const session = { id, secret: `s${id}`, decided: 0, outcomes: new Map(), subscribed: new Set(), flights: new Map(), say: undefined };
    this.sessions.set(id, session);
    return session;
  }

  /** @param {Session} session @param {number} acknowledged @param {any[]} resume */
  #resume(session, acknowledged, resume) {
    /** @type {{ at: number, order: number, said: Said }[]} */
    const missed = [];
    session.subscribed = new Set(resume.map(({ topic_name }) => topic_name));
    /** @type {Map<number, Part[]>} */
    const bySequence = new Map();
    for (const { topic_name: name, type, sequence } of resume) {
      const topic = /** @type {Topic} */ (this.topic(name, type));
      if (sequence < topic.kept || type === 'presence') {
        missed.push({ at: this.sequence, order: 1, said: { type: 'subscribed', content: { topic_name: name, type, value: topic.document.read(), sequence: this.sequence } } });
        continue;
      }
      let previous = sequence;
      for (const commit of topic.history.filter((commit) => commit.sequence > sequence)) {
        if (commit.by !== session.id) bySequence.set(commit.sequence, [...(bySequence.get(commit.sequence) ?? []), { topic_name: name, change: commit.change, previous, by: commit.by }]);
        previous = commit.sequence;
      }
    }
    for (const [sequence, parts] of bySequence) {
      const { by } = /** @type {any} */ (parts[0]);
      missed.push({ at: sequence, order: 0, said: { type: 'action', content: { action_id: `${sequence}`, sequence, by, changes: parts } } });
    }
    /** @type {Said | undefined} */
    let refusal;
    for (const [number, said] of session.outcomes) {
      if (number <= acknowledged) continue;
      if (said.type === 'accepted') missed.push({ at: said.content.sequence, order: 0, said });
      else refusal = said;
    }
    for (const { said } of missed.sort((a, b) => a.at - b.at || a.order - b.order)) session.say?.(said);
    if (refusal) session.say?.(refusal);
    session.say?.({ type: 'resumed', content: { sequence: this.sequence } });
  }

  /** @param {Session} session @param {Said} message */
  receive(session, { type, content }) {
    if (type === 'subscribe') {
      const topic = /** @type {Topic} */ (this.topic(content.topic_name, content.type));
      session.subscribed.add(content.topic_name);
      session.say?.({ type: 'subscribed', content: { topic_name: content.topic_name, type: topic.type, value: topic.document.read(), sequence: this.sequence } });
    } else if (type === 'unsubscribe') {
      session.subscribed.delete(content.topic_name);
    } else if (type === 'push') {
      this.#push(session, content);
    }
  }

  /** @param {Session} session @param {any} content */
  #push(session, { number, acknowledged, topics, actions }) {
    const [refusal] = [...session.outcomes.values()].filter(({ type, content }) => type === 'reject_update' && content.action_id > acknowledged);
    if (refusal) return;
    for (const known of [...session.outcomes.keys()]) if (known <= acknowledged) session.outcomes.delete(known);
    for (const { topic_name: name, base } of topics) {
      if (base !== undefined) session.flights.set(name, this.#flight(session, name, base));
    }
    for (const [index, { changes }] of actions.entries()) {
      const id = number + index;
      const said = session.outcomes.get(id);
      if (id <= session.decided) {
        if (said) session.say?.(said);
        continue;
      }
      if (id !== session.decided + 1) throw new Error(`the number ${id} does not follow ${session.decided}`);
      session.decided = id;
      const outcome = this.#decide(session, id, changes, topics);
      session.outcomes.set(id, outcome);
      session.say?.(outcome);
      if (outcome.type === 'reject_update') return;
    }
  }

  /** @param {Session} session @param {string} name @param {number} base @returns {Flight} */
  #flight(session, name, base) {
    const topic = /** @type {Topic} */ (this.topic(name));
    const known = session.flights.get(name);
    if (base < topic.kept && !known) throw new Error(`stale base ${base} of ${name}`);
    if (base > this.sequence) throw new Error(`base ${base} ahead of the room`);
    const bridge = (known?.bridge ?? []).filter(({ sequence }) => sequence > base);
    const since = Math.max(known?.seen ?? base, base);
    bridge.push(...topic.history.filter(({ sequence, by }) => sequence > since && by !== session.id).map(({ sequence, change }) => ({ sequence, change })));
    return { bridge, seen: this.sequence };
  }

  /** A change goes over what others did, and that over the change. @param {TopicType} type @param {Change} change @param {Flight | undefined} flight */
  #cross(type, change, flight) {
    /** @type {Change | null} */
    let own = change;
    if (!flight) return own;
    flight.bridge = flight.bridge.flatMap(({ sequence, change: other }) => {
      if (!own) return [{ sequence, change: other }];
      const [after, over] = [transform(type, own, other, 'later'), transform(type, other, own, 'first')];
      own = after;
      return over ? [{ sequence, change: over }] : [];
    });
    return own;
  }

  /**
   * @param {Session} session @param {number} id @param {any[]} changes @param {any[]} topics
   * @returns {Said}
   */
  #decide(session, id, changes, topics) {
    const done = [];
    const made = [];
    /** @type {Map<string, number>} */
    const previous = new Map();
    let [effect, altered] = [false, false];
    for (const { topic: index, change } of changes) {
      const { topic_name: name } = topics[index];
      const topic = /** @type {Topic} */ (this.topic(name));
      if (!previous.has(name)) previous.set(name, topic.last);
      const flight = topics[index].base === undefined ? undefined : session.flights.get(name);
      const crossed = this.#cross(topic.type, decode(topic.type, change, { limits: DEFAULT_LIMITS, by: session.id }), flight);
      if (!crossed) continue;
      try {
        const instead = this.rule({ topic_name: name, change: crossed });
        if (instead === 'refuse') throw Object.assign(new Error('not like this'), { code: CODES.invalid });
        if (instead !== crossed) {
          altered = true;
          // The next changes of this push were made on what this one was.
          for (const back of [...invert(crossed, topic.document), instead]) flight?.bridge.push({ sequence: this.sequence + 1, change: back });
        }
        const step = topic.document.perform(instead, { limits: DEFAULT_LIMITS, by: session.id });
        done.push(step);
        effect ||= step.changed || topic.type === 'event';
        made.push({ topic_name: name, change: instead, previous: topic.last });
      } catch (error) {
        for (const { back } of done.reverse()) back();
        session.flights.clear();
        const { code, message } = /** @type {any} */ (error);
        return { type: 'reject_update', content: { topic_name: name, change, reason: message, code, retryable: false, action_id: id } };
      }
    }
    this.#commit(made, session.id);
    const content = { id, sequence: this.sequence, previous: [...previous.values()], ...(effect ? {} : { effect: false }) };
    return { type: 'accepted', content: altered ? { ...content, changes: made.map(({ topic_name, change }) => ({ topic_name, change })) } : content };
  }

  /** Somebody who is no client changes something. @param {string} name @param {Change} change */
  commit(name, change) {
    const topic = /** @type {Topic} */ (this.topic(name));
    topic.document.perform(change, { by: 0 });
    this.#commit([{ topic_name: name, change, previous: topic.last }], 0);
  }

  /** @param {Part[]} parts @param {number} by */
  #commit(parts, by) {
    this.sequence += 1;
    const { sequence } = this;
    for (const { topic_name: name, change } of parts) {
      const topic = /** @type {Topic} */ (this.topic(name));
      const told = topic.type === 'presence' ? { ...change, key: change.key ?? String(by) } : change;
      topic.history.push({ sequence, by, change: told });
      topic.last = sequence;
    }
    for (const session of this.sessions.values()) {
      if (session.id === by || !session.say) continue;
      const changes = parts.filter(({ topic_name }) => session.subscribed.has(topic_name)).map((part) => {
        const { type } = /** @type {Topic} */ (this.topic(part.topic_name));
        return type === 'presence' ? { ...part, change: { ...part.change, key: part.change.key ?? String(by) } } : part;
      });
      if (changes.length === 1) session.say({ type: 'update', content: { ...changes[0], sequence, by } });
      else if (changes.length > 1) session.say({ type: 'action', content: { action_id: `${sequence}`, sequence, by, changes } });
    }
  }

  /** Only the last commits of each topic are remembered. @param {number} commits */
  trim(commits) {
    for (const topic of this.topics.values()) {
      const gone = topic.history.splice(0, Math.max(0, topic.history.length - commits));
      if (gone.length > 0) topic.kept = gone[gone.length - 1].sequence;
    }
  }
}
