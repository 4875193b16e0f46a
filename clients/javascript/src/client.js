// @ts-check
/** The client of a room: what an application holds, and what ties all parts together. */

import { Action, record } from './action.js';
import { TOPIC_TYPES } from './change.js';
import { ChatroomError, CODES, ConnectionError, Rejected } from './code.js';
import { encode } from './codec.js';
import { Connection } from './connection.js';
import { Delivery } from './delivery.js';
import * as kinds from './kinds.js';
import { checkName } from './limits.js';
import { commits, valueAt } from './past.js';
import { Entries, PresenceTopic } from './presence.js';
import { Queue } from './queue.js';
import { Replica } from './replica.js';
import { Calls, Provided } from './service.js';
import { ENVIRONMENT, socketUrl } from './socket.js';
import { Subscription } from './subscription.js';
import { plain } from './value.js';

/** @typedef {import('./change.js').TopicType} TopicType */
/** @typedef {import('./codec.js').Message} Message */
/** @typedef {import('./connection.js').ConnectionState} ConnectionState */
/** @typedef {import('./connection.js').State} State */
/** @typedef {import('./connection.js').TokenProvider} TokenProvider */
/** @typedef {import('./limits.js').Limits} Limits */
/** @typedef {import('./news.js').Notification} Notification */
/** @typedef {import('./saved.js').Saved} Saved */
/** @typedef {import('./past.js').CommitPage} CommitPage */
/** @typedef {import('./service.js').Registration} Registration */
/** @typedef {import('./socket.js').Environment} Environment */
/** @typedef {import('./topic.js').PublicPart} PublicPart */
/** @typedef {import('./topic.js').Topic<any>} AnyTopic */
/** @typedef {import('./value.js').Json} Json */

/**
 * @typedef {object} Options
 * @property {TokenProvider} [token] gives the token for each hello
 * @property {string} [name] of the application, shown in the list of clients
 * @property {string} [version] of the application
 * @property {{ minMs?: number, maxMs?: number }} [backoff] between attempts to connect: 100 and 10,000
 * @property {number} [connectTimeoutMs] for the token callback, and again for the connection: 10,000
 * @property {Saved} [saved] what `save()` gave in an earlier run of the program: the client goes on as that
 *   one, with its id, its values, and its actions without an outcome, which count once. Refusals of those
 *   come as `rejected`
 * @property {number} [queueLimit] how many actions may be without an outcome, and how many calls may wait: 10,000
 * @property {Partial<Environment>} [environment] for tests and unusual runtimes
 */

/**
 * A gap: the server's updates of a topic do not follow on each other. The topic is loaded anew.
 * @typedef {{ readonly topicName: string, readonly known: number, readonly previous: number }} Gap
 */
/**
 * What a client tells of itself, by the name to give to `on`.
 * @typedef {object} Events
 * @property {ConnectionState} state the connection changed
 * @property {Rejected} rejected a change was refused and nobody awaited it
 * @property {unknown} error the server complained of what no promise stands for, or a listener threw
 * @property {{ readonly code: number, readonly reason: string, readonly reconnect: string }} goodbye the server is about to close
 * @property {Gap} gap
 * @property {{ readonly action: number, readonly sequence: number, readonly effect: boolean }} accepted an own action has its place in the room's order
 * @property {History} history what is unsaved, or can be undone or redone, is something else
 */
/** @typedef {{ listener: (told: any) => unknown, removed: boolean }} Listening */
/** An action without an outcome, the topics that it keeps, and the one whose entry it puts. @typedef {{ action: Action, held: readonly Subscription[], entry: string | undefined }} Flying */
/** @typedef {{ readonly unsaved: number, readonly canUndo: boolean, readonly canRedo: boolean }} History */
/**
 * How long a topic lives, as its first subscriber has it: `persist`: whether a server that keeps rooms
 * keeps it (true); `ttlMs`: how long after its last subscriber has left it is deleted (never).
 * @typedef {{ persist?: boolean, ttlMs?: number }} TopicOptions
 */
/** @typedef {{ tracked?: boolean }} ActionOptions `tracked`: whether undo takes it back, as it does unless told otherwise */

/** So long a topic stays subscribed after its last handle: a component that is mounted again finds it. */
const GRACE_MS = 50;

/**
 * Enters a room: `ws://host/` is the room main, `ws://host/rooms/NAME` any other. Without a URL, it
 * is the room main of the page's host.
 *
 * `S` may be a type that says what is in the room: `connect<{ score: Int, cards: List<Card> }>()`.
 * @template [S={}]
 * @param {string | URL} [url]
 * @param {Options} [options]
 * @returns {Client<S>}
 */
export function connect(url, options) {
  return new Client(url, options);
}

/** @template [S={}] */
export class Client {
  #connection;
  #environment;
  #replica;
  #delivery = new Delivery((error) => this.#report(error));
  #queue;
  #entries = new Entries();
  #calls;
  #provided;
  #lastId = 0;
  #online = false;
  #gaps = 0;
  /** @type {ConnectionState} As listeners were told. */
  #state = Object.freeze({ state: 'connecting', code: 0, reason: '' });
  /** @type {Map<string, Subscription>} */
  #subscriptions = new Map();
  /** @type {Map<number, Flying>} */
  #flying = new Map();
  /** @type {History} As listeners were told. */
  #history = Object.freeze({ unsaved: 0, canUndo: false, canRedo: false });
  /** Groups that were begun, and how many of them have not ended. */
  #groups = { count: 0, depth: 0 };
  /** Topics of a saved session. @type {AnyTopic[]} */
  #restored = [];
  /** @type {Map<keyof Events, Listening[]>} */
  #listeners = new Map();

  /** @param {string | URL} [url] @param {Options} [options] */
  constructor(url, options = {}) {
    const { token, name = '@chatroom/client', version, backoff = {}, connectTimeoutMs = 10_000, queueLimit = 10_000 } = options;
    /** The WebSocket URL of the room. */
    this.url = socketUrl(url);
    this.#environment = { ...ENVIRONMENT, ...options.environment };
    this.#queue = new Queue(queueLimit);
    this.#replica = options.saved ? Replica.restore(options.saved, queueLimit) : new Replica(queueLimit);
    /** @type {import('./service.js').Home} */
    const home = {
      send: (type, content) => this.#send(type, content),
      online: () => this.#online,
      limits: () => this.#replica.limits,
      nextId: () => ++this.#lastId,
      queue: this.#queue,
      environment: this.#environment,
      deliver: (listener, ...given) => this.#delivery.add(() => this.#delivery.call(listener, ...given)),
      report: (error) => this.#report(error),
    };
    this.#calls = new Calls(home);
    this.#provided = new Provided(home);
    const { minMs = 100, maxMs = 10_000 } = backoff;
    this.#connection = new Connection(
      { url: this.url, client: { name, version }, token, backoff: { minMs, maxMs }, connectTimeoutMs, environment: this.#environment },
      {
        hello: () => this.#replica.hello(),
        online: (hello) => this.#greeted(hello),
        receive: (message) => this.#receive(message),
        lost: (error, forGood) => this.#lost(error, forGood ? 'closed' : 'connection_lost'),
        state: (state) => this.#turned(state),
        goodbye: ({ code, reason, reconnect }) => this.#tell('goodbye', { code, reason, reconnect }),
      },
    );
    // What was saved is kept until it has its outcome.
    for (const { topic_name: name, type } of options.saved?.topics ?? []) if (type) this.#restored.push(this.#open(name, type));
    this.#connection.start();
  }

  /** This client's id in the room, which outlives connections as long as the server remembers it; 0 before the first connection. */
  get id() {
    return this.#replica.client;
  }

  /** What the connection is up to. @returns {State} */
  get state() {
    return this.#state.state;
  }

  /** The same with what led to it. @returns {ConnectionState} */
  get connection() {
    return this.#state;
  }

  /** What the server takes. @returns {Readonly<Limits>} */
  get limits() {
    return this.#replica.limits;
  }

  /** How many gaps there were in what the server sent; each was healed. */
  get gaps() {
    return this.#gaps;
  }

  /**
   * How many actions have no outcome yet. A page that is left now may lose them: ask before it is, in
   * a `beforeunload` listener, while this is above 0.
   */
  get unsaved() {
    return this.#replica.unsaved;
  }

  /** The same as `unsaved`. */
  get unsettled() {
    return this.unsaved;
  }

  /** Whether there is something to undo. */
  get canUndo() {
    return this.#replica.can('undo');
  }

  /** Whether there is something to redo. */
  get canRedo() {
    return this.#replica.can('redo');
  }

  /**
   * How much is kept for the application at the moment: topics, listeners, registrations, calls,
   * timers for released topics. An idle client with nothing open keeps 0.
   */
  get holdings() {
    let holdings = this.#replica.size + this.#entries.size + this.#calls.size + this.#provided.size + this.#queue.length;
    holdings += this.#flying.size;
    for (const subscription of this.#subscriptions.values()) holdings += 1 + subscription.listened;
    return holdings;
  }

  /**
   * Resolves when the client is online; rejects when it needs a login, was closed, or `signal` aborts.
   * @param {{ signal?: AbortSignal }} [options]
   * @returns {Promise<void>}
   */
  online({ signal } = {}) {
    return new Promise((resolve, reject) => {
      const look = () => {
        const { state, code, reason } = this.#state;
        if (state === 'online') done(resolve);
        else if (state === 'needs_auth' || state === 'closed') done(() => reject(new ConnectionError(code, reason)));
      };
      const abort = () => done(() => reject(signal?.reason));
      const off = this.on('state', look);
      const done = (/** @type {() => void} */ settle) => {
        off();
        signal?.removeEventListener('abort', abort);
        settle();
      };
      if (signal?.aborted) return abort();
      signal?.addEventListener('abort', abort);
      look();
    });
  }

  /**
   * Listens to what the client tells of itself.
   * @template {keyof Events} E
   * @param {E} event
   * @param {(told: Events[E]) => unknown} listener
   * @param {{ signal?: AbortSignal }} [options]
   * @returns {() => void} ends it
   */
  on(event, listener, { signal } = {}) {
    const listening = { listener, removed: signal?.aborted ?? false };
    const off = () => {
      listening.removed = true;
      signal?.removeEventListener('abort', off);
      this.#listeners.set(event, this.#listening(event).filter((other) => other !== listening));
    };
    if (listening.removed) return off;
    this.#listeners.set(event, [...this.#listening(event), listening]);
    signal?.addEventListener('abort', off);
    return off;
  }

  /** @param {keyof Events} event */
  #listening(event) {
    return this.#listeners.get(event) ?? [];
  }

  /**
   * A handle to a topic, which is made if there is none of that name. Everybody names the same type;
   * another one than before is an error here.
   * @template {string} N
   * @template {import('./type.js').TypeFor<import('./type.js').Known<S>, N>} const D
   * @param {N} name
   * @param {D} type its name, such as `'int'`, or one of `types`
   * @param {TopicOptions} [options] count if the room does not have the topic yet
   * @returns {import('./type.js').HandleFor<import('./type.js').Known<S>, N, D>}
   */
  topic(name, type, options) {
    return /** @type {any} */ (this.#open(name, typeof type === 'string' ? type : /** @type {any} */ (type)?.type, options));
  }

  /**
   * A handle to a presence topic.
   * @template [T=Json]
   * @template {string} [N=string]
   * @param {N} name
   * @returns {N extends keyof import('./type.js').Known<S> ? import('./type.js').HandleFor<import('./type.js').Known<S>, N, 'presence'> : PresenceTopic<T>}
   */
  presence(name) {
    return /** @type {any} */ (this.#open(name, 'presence'));
  }

  /** @param {string} name @param {TopicType} type @param {TopicOptions} [options] @returns {AnyTopic} */
  #open(name, type, { persist, ttlMs } = {}) {
    checkName(name, 'topic', this.limits);
    if (!TOPIC_TYPES.includes(type)) {
      throw new ChatroomError('bad_type', `a topic is of type ${TOPIC_TYPES.join(', ')}, not ${String(type)}`);
    }
    if (this.state === 'closed') throw this.#closedError();
    if (persist !== undefined || ttlMs !== undefined) this.#replica.options.set(name, { persist, ttl_ms: ttlMs });
    const subscription = this.#subscriptions.get(name) ?? this.#subscribe(name, type);
    if (subscription.type !== type) {
      throw new ChatroomError('type_mismatch', `the topic ${name} is open with the type ${subscription.type}, not ${type}`);
    }
    this.#environment.clearTimeout(subscription.grace);
    subscription.references += 1;
    // Asking for a topic that was refused or deleted is to try again.
    if (subscription.error) {
      this.#replica.open(name, type);
      subscription.turned();
      this.#pump();
    }
    const make = (/** @type {PublicPart} */ part) => this.#submit([part], {});
    const release = () => this.#release(subscription);
    if (type === 'presence') {
      return new PresenceTopic(subscription, make, release, () => ({ client: this.id, entries: this.#entries }));
    }
    return new HANDLES[type](subscription, make, release);
  }

  /** @param {string} name @param {TopicType} type */
  #subscribe(name, type) {
    const subscription = new Subscription(name, type, this.#replica, this.#delivery, this.#environment);
    this.#subscriptions.set(name, subscription);
    this.#replica.open(name, type);
    this.#pump();
    return subscription;
  }

  /** @param {Subscription} subscription */
  #release(subscription) {
    subscription.references -= 1;
    if (subscription.references > 0 || this.#subscriptions.get(subscription.name) !== subscription) return;
    subscription.grace = this.#environment.setTimeout(() => this.#unsubscribe(subscription), GRACE_MS);
  }

  /** @param {Subscription} subscription */
  #unsubscribe({ name }) {
    if (this.#entries.get(name) !== undefined) {
      this.#entries.set(name, undefined);
      this.#replica.act([{ topic_name: name, change: { type: 'pop' } }], { tracked: false, latest: !this.#online }, 0);
    }
    for (const action of this.#entries.takeLost(name)) action.reject(new Rejected('closed', `the last handle to ${name} was closed`, { topicName: name }));
    this.#subscriptions.delete(name);
    this.#replica.release(name);
    this.#pump();
  }

  /**
   * Makes several changes together or not at all:
   * `room.action('move a card', (tx) => { tx(left).pop(3); tx(right).push(card); })`
   * @typedef {(tx: <H extends import('./topic.js').Topic<any>>(topic: H) => import('./type.js').ChangesOf<H>) => void} Build
   * @overload @param {string} name for people who read about it @param {Build} build @param {ActionOptions} [options] @returns {Action}
   * @overload @param {Build} build @param {ActionOptions} [options] @returns {Action}
   * @param {string | Build} name @param {Build | ActionOptions} [build] @param {ActionOptions} [options]
   * @returns {Action}
   */
  action(name, build, options) {
    if (typeof name === 'function') return this.#submit(record(name), /** @type {ActionOptions} */ (build) ?? {});
    if (typeof name !== 'string' || typeof build !== 'function') throw new TypeError('an action has a function, and a name before it or none');
    return this.#submit(record(build), options ?? {});
  }

  /**
   * Takes back what is left of this client's last action, and nothing that others wrote since. While
   * something is on its way, a moment later.
   */
  undo() {
    this.#replica.turn('undo');
    this.#pump();
  }

  /** Does again what was undone last. */
  redo() {
    this.#replica.turn('redo');
    this.#pump();
  }

  /** What is done from now on is undone together, such as the steps of dragging something. Groups may stand in groups; the outermost counts. */
  beginGroup() {
    if (this.#groups.depth++ === 0) this.#groups.count += 1;
  }

  /** Ends the group. */
  endGroup() {
    this.#groups.depth = Math.max(0, this.#groups.depth - 1);
  }

  /**
   * What this client is made of, for `connect(url, { saved })` in the next run of the program: the
   * session, the values of its topics, and its actions without an outcome. Actions that wait for a
   * value, and what can be undone, are not in it. To be kept as JSON, as secret as a password.
   * @returns {Saved}
   */
  save() {
    return this.#replica.save();
  }

  /**
   * Calls a service, wherever its provider is. Always settles: with the response, or with a
   * CallError by the deadline.
   * @template [R=any]
   * @param {string} name
   * @param {unknown} [args] any JSON
   * @param {import('./service.js').CallOptions} [options]
   * @returns {Promise<R>}
   */
  call(name, args, options = {}) {
    if (this.state !== 'closed') return this.#calls.call(name, args, options);
    return Promise.reject(this.#closedError());
  }

  /**
   * What was committed, the newest first, as far as the server keeps it.
   * @param {import('./past.js').Which} [which]
   * @returns {Promise<CommitPage>}
   */
  commits(which = {}) {
    return commits(this, which);
  }

  /**
   * The value that a topic had when the room stood at a sequence; `topic.set(value)` restores it.
   * @template [T=Json]
   * @param {string} topicName
   * @param {number} sequence
   * @returns {Promise<T>}
   */
  valueAt(topicName, sequence) {
    return valueAt(this, topicName, sequence);
  }

  /**
   * Answers the calls of a service. What `handler` returns is the response; a ServiceError that it
   * throws reaches the caller with its code and data, any other exception with the code 1000.
   * @template [A=any], [R=any]
   * @param {string} name
   * @param {import('./service.js').Handler<A, R>} handler
   * @param {import('./service.js').ProvideOptions} [options]
   * @returns {Registration}
   */
  provide(name, handler, options = {}) {
    if (this.state === 'closed') throw this.#closedError();
    return this.#provided.provide(name, handler, options);
  }

  /** Connects anew at once, also out of `needs_auth`; the token is asked for again. */
  reconnect() {
    this.#connection.reconnect();
  }

  /** Tries to log in again: `reconnect` under the name of what it is for. */
  authenticate() {
    this.#connection.reconnect();
  }

  /**
   * Leaves the room for good. Everything pending settles with the code `closed`.
   * @returns {Promise<void>} resolves when the socket is closed
   */
  close() {
    return this.#connection.close();
  }

  /** @param {string} type @param {Record<string, unknown>} content */
  #send(type, content) {
    this.#connection.send(encode({ type, content }, this.limits));
  }

  /** @param {readonly PublicPart[]} parts @param {ActionOptions} options @returns {Action} */
  #submit(parts, { tracked }) {
    const action = new Action((error) => this.#ignored(error));
    try {
      if (this.state === 'closed') throw this.#closedError();
      for (const { topic } of parts) if (topic.closed) throw new ChatroomError('closed', `this handle to ${topic.name} was closed`);
      this.#make(action, parts, tracked);
    } catch (error) {
      if (!(error instanceof ChatroomError)) throw error;
      action.reject(error instanceof Rejected ? error : new Rejected(error.code, error.reason));
    }
    this.#pump();
    return action;
  }

  /** @param {Action} action @param {readonly PublicPart[]} parts @param {boolean} [tracked] */
  #make(action, parts, tracked) {
    const made = parts.map(({ topic: { name }, change }) => ({ topic_name: name, change }));
    const [{ topic }] = parts;
    const entry = parts.length === 1 && topic.type === 'presence' ? topic.name : undefined;
    const group = this.#groups.depth > 0 ? this.#groups.count : undefined;
    // Only the last entry counts, so those that are made offline do not pile up.
    const latest = entry !== undefined && !this.#online;
    action.id = this.#replica.act(made, { tracked, group, latest }, this.#environment.now());
    for (const { topic, change } of parts) {
      if (topic.type === 'presence') this.#entries.set(topic.name, change.type === 'put' ? plain(change.value) : undefined);
    }
    // What has no outcome yet keeps its topics.
    const held = parts.flatMap(({ topic }) => this.#subscriptions.get(topic.name) ?? []);
    for (const subscription of held) subscription.references += 1;
    this.#flying.set(action.id, { action, held, entry });
  }

  /** Sends what may be sent, and tells what there is to tell. */
  #pump() {
    this.#hear();
    if (this.#online) for (const { type, content } of this.#replica.messages()) this.#send(type, content);
    this.#queue.flush();
  }

  /** Tells what the replica has to tell. */
  #hear() {
    for (let told = this.#replica.told(); told.length > 0; told = this.#replica.told()) {
      for (const notification of told) this.#notify(notification);
    }
  }

  /** @param {Record<string, any>} hello */
  #greeted(hello) {
    this.#online = true;
    this.#replica.receive({ type: 'hello', content: hello });
    this.#hear();
    this.#restore();
    this.#pump();
    this.#provided.online();
  }

  /** Puts the own entries again, which went with the connection. */
  #restore() {
    for (const [name, value] of this.#entries.all()) {
      let put = [...this.#flying.values()].findLast(({ entry }) => entry === name)?.action;
      if (!put) {
        put = new Action(() => {});
        put.id = this.#replica.act([{ topic_name: name, change: { type: 'put', value } }], { tracked: false }, 0);
        this.#flying.set(put.id, { action: put, held: [], entry: name });
      }
      for (const lost of this.#entries.takeLost(name)) void put.then((accepted) => lost.accept(accepted), (error) => lost.reject(error));
    }
  }

  /** @param {Message} message */
  #receive(message) {
    this.#replica.receive(message);
    if (message.type === 'error') this.#complaint(message);
    else if (!this.#provided.receive(message)) this.#calls.receive(message);
    this.#letRestoredGo();
    this.#pump();
    this.#delivery.run();
  }

  /** Nothing of a saved session is pending on these any more, and what was missed is there. */
  #letRestoredGo() {
    if (this.#restored.length === 0 || this.#replica.resuming) return;
    const isPending = (/** @type {AnyTopic} */ { name }) => this.#replica.touches(name);
    for (const topic of this.#restored) if (!isPending(topic)) topic.close();
    this.#restored = this.#restored.filter(isPending);
  }

  /** @param {Message} message */
  #complaint(message) {
    const { code, reason, in_reply_to: about } = message.content;
    if (this.#provided.receive(message) || this.#calls.receive(message)) return;
    // A topic that is refused has its status for that.
    if (about?.type === 'subscribe' && this.#subscriptions.has(about.topic_name)) return;
    if (about?.type === 'unregister_service') return;
    this.#report(new ChatroomError(code, reason));
  }

  /** @param {Notification} notification */
  #notify(notification) {
    if (notification.kind === 'history') return this.#turnedHistory();
    if (notification.kind === 'settled') return this.#settled(notification.action, notification.outcome);
    const { name } = notification;
    const subscription = this.#subscriptions.get(name);
    if (!subscription) return;
    if (notification.kind === 'value') return subscription.told(notification);
    if (notification.kind === 'status') return subscription.turned();
    this.#gaps += 1;
    this.#tell('gap', { topicName: name, known: notification.known, previous: notification.previous });
  }

  /** @param {number} id @param {import('./news.js').Accepted | Rejected} outcome */
  #settled(id, outcome) {
    const flying = this.#flying.get(id);
    if (!flying) {
      // One of a saved session, or an undo: nobody awaits it.
      if (outcome instanceof Rejected && outcome.code !== CODES.cancelled) this.#ignored(outcome);
      return;
    }
    this.#flying.delete(id);
    const { action, held, entry } = flying;
    const isWanted = entry !== undefined && this.#subscriptions.has(entry) && this.#entries.get(entry) !== undefined;
    if (!(outcome instanceof Rejected)) {
      action.accept(outcome);
      this.#tell('accepted', Object.freeze({ action: id, ...outcome }));
    }
    // An entry is put again, and that is as good as having been put before.
    else if (isWanted && outcome.code === CODES.connection_lost) this.#entries.lose(entry, action);
    else action.reject(outcome);
    // One that the server does not take would be refused on every connection to come.
    if (outcome instanceof Rejected && entry !== undefined && !outcome.maybeExecuted && !this.#replica.touches(entry)) this.#entries.set(entry, undefined);
    for (const subscription of held) this.#release(subscription);
  }

  #turnedHistory() {
    const { unsaved, canUndo, canRedo } = this;
    const before = this.#history;
    if (unsaved === before.unsaved && canUndo === before.canUndo && canRedo === before.canRedo) return;
    this.#history = Object.freeze({ unsaved, canUndo, canRedo });
    this.#tell('history', this.#history);
  }

  /** @param {ConnectionError} error @param {'closed' | 'connection_lost'} code */
  #lost(error, code) {
    this.#online = false;
    const lost = new ChatroomError(code, `the connection was lost before the outcome was known (${error.reason})`);
    this.#replica.disconnect();
    this.#calls.fail(lost);
    this.#provided.offline(lost);
    this.#pump();
  }

  /** @param {ConnectionState} state */
  #turned(state) {
    if (state.state === 'closed') this.#end(new ChatroomError('closed', state.reason));
    this.#state = state;
    this.#tell('state', state);
    if (state.state === 'online') this.#queue.flush();
    this.#delivery.run();
  }

  /** Nothing will come any more. @param {ChatroomError} error */
  #end(error) {
    this.#queue.fail(error);
    this.#calls.fail(error);
    this.#provided.close(error);
    for (const [name] of this.#subscriptions) for (const action of this.#entries.takeLost(name)) action.reject(new Rejected(error.code, error.reason));
    this.#replica.close(error);
    this.#pump();
    for (const subscription of this.#subscriptions.values()) {
      this.#environment.clearTimeout(subscription.grace);
      subscription.end(error);
    }
  }

  /**
   * @template {keyof Events} E
   * @param {E} event
   * @param {Events[E]} told
   */
  #tell(event, told) {
    const listeners = this.#listening(event);
    if (listeners.length === 0) return;
    this.#delivery.add(() => {
      for (const listening of listeners) if (!listening.removed) this.#delivery.call(listening.listener, told);
    });
  }

  /** @param {Rejected} error */
  #ignored(error) {
    if (this.#listening('rejected').length > 0) this.#tell('rejected', error);
    // Closing a client is not news to the application that did it.
    else if (error.code !== CODES.closed) console.warn('ChatRoom: a change was refused and nobody awaited it:', error);
  }

  /** @param {unknown} error */
  #report(error) {
    const listeners = this.#listening('error');
    if (listeners.length === 0) console.error('ChatRoom:', error);
    this.#delivery.add(() => {
      for (const { listener, removed } of listeners) {
        // What goes wrong in here must not come back here.
        if (!removed) this.#delivery.attempt(() => listener(error), (again) => console.error('ChatRoom: a listener of errors failed:', again));
      }
    });
  }

  #closedError() {
    return new ConnectionError('closed', 'this client was closed');
  }
}

/** @type {Record<Exclude<TopicType, 'presence'>, new (subscription: Subscription, make: (part: PublicPart) => any, release: () => void) => AnyTopic>} */
const HANDLES = {
  generic: kinds.GenericTopic,
  string: kinds.StringTopic,
  int: kinds.IntTopic,
  float: kinds.FloatTopic,
  bool: kinds.BoolTopic,
  list: kinds.ListTopic,
  set: kinds.SetTopic,
  dict: kinds.DictTopic,
  event: kinds.EventTopic,
};

for (const name of ['dispose', 'asyncDispose']) {
  const symbol = /** @type {Record<string, symbol>} */ (/** @type {unknown} */ (Symbol))[name];
  if (symbol) Object.defineProperty(Client.prototype, symbol, { value: Client.prototype.close, configurable: true, writable: true });
}
