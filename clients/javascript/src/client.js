// @ts-check
/** The client of a room: what an application holds, and what ties all parts together. */

import { Action, mustWait, record, resolve } from './action.js';
import { TOPIC_TYPES } from './change.js';
import { ChatroomError, CODES, ConnectionError, Rejected } from './code.js';
import { encode } from './codec.js';
import { Connection } from './connection.js';
import { Delivery } from './delivery.js';
import * as kinds from './kinds.js';
import { checkName, limitsFrom } from './limits.js';
import { Entries, PresenceTopic } from './presence.js';
import { Queue } from './queue.js';
import { Replica } from './replica.js';
import { Calls, Provided } from './service.js';
import { ENVIRONMENT, socketUrl } from './socket.js';
import { Subscription } from './subscription.js';
import { SUBSCRIPTION } from './topic.js';

/** @typedef {import('./change.js').TopicType} TopicType */
/** @typedef {import('./codec.js').Message} Message */
/** @typedef {import('./connection.js').ConnectionState} ConnectionState */
/** @typedef {import('./connection.js').State} State */
/** @typedef {import('./connection.js').TokenProvider} TokenProvider */
/** @typedef {import('./limits.js').Limits} Limits */
/** @typedef {import('./replica.js').Notification} Notification */
/** @typedef {import('./replica.js').Part} Part */
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
 * @property {number} [queueLimit] how many changes and calls may wait to be sent: 10,000
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
 */
/** @typedef {{ listener: (told: any) => unknown, removed: boolean }} Listening */
/** @typedef {{ actions: readonly Action[], parts: readonly Part[], entry?: string }} Flying an action without an outcome */

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
  #replica = new Replica();
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
  /** @type {Map<number | string, Flying>} */
  #flying = new Map();
  /** @type {Map<keyof Events, Listening[]>} */
  #listeners = new Map();
  /** @type {Set<Action>} */
  #unsettled = new Set();

  /** @param {string | URL} [url] @param {Options} [options] */
  constructor(url, options = {}) {
    const { token, name = '@chatroom/client', version, backoff = {}, connectTimeoutMs = 10_000, queueLimit = 10_000 } = options;
    /** The WebSocket URL of the room. */
    this.url = socketUrl(url);
    this.#environment = { ...ENVIRONMENT, ...options.environment };
    this.#queue = new Queue(queueLimit);
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
        online: (hello) => this.#greeted(hello),
        receive: (message) => this.#receive(message),
        lost: (error, forGood) => this.#lost(error, forGood ? 'closed' : 'connection_lost'),
        state: (state) => this.#turned(state),
        goodbye: ({ code, reason, reconnect }) => this.#tell('goodbye', { code, reason, reconnect }),
      },
    );
    this.#connection.start();
  }

  /** This client's id in the room; another after each reconnection, 0 before the first connection. */
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

  /** How many actions have no outcome yet. */
  get unsettled() {
    return this.#unsettled.size;
  }

  /**
   * How much is kept for the application at the moment: topics, listeners, registrations, calls,
   * timers for released topics. An idle client with nothing open keeps 0.
   */
  get holdings() {
    let holdings = this.#replica.size + this.#entries.size + this.#calls.size + this.#provided.size + this.#queue.length;
    holdings += this.#flying.size + this.#unsettled.size;
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
   * @returns {import('./type.js').HandleFor<import('./type.js').Known<S>, N, D>}
   */
  topic(name, type) {
    return /** @type {any} */ (this.#open(name, typeof type === 'string' ? type : /** @type {any} */ (type)?.type));
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

  /** @param {string} name @param {TopicType} type @returns {AnyTopic} */
  #open(name, type) {
    checkName(name, 'topic', this.limits);
    if (!TOPIC_TYPES.includes(type)) {
      throw new ChatroomError('bad_type', `a topic is of type ${TOPIC_TYPES.join(', ')}, not ${String(type)}`);
    }
    if (this.state === 'closed') throw this.#closedError();
    const subscription = this.#subscriptions.get(name) ?? this.#subscribe(name, type);
    if (subscription.type !== type) {
      throw new ChatroomError('type_mismatch', `the topic ${name} is open with the type ${subscription.type}, not ${type}`);
    }
    this.#environment.clearTimeout(subscription.grace);
    subscription.references += 1;
    // Asking for a topic that was refused or deleted is to try again.
    if (subscription.error) {
      this.#ask(subscription);
      subscription.turned();
    }
    const make = (/** @type {PublicPart} */ part) => this.#submit([part]);
    const release = () => this.#release(subscription);
    if (type === 'presence') {
      return new PresenceTopic(subscription, make, release, () => ({ client: this.id, entries: this.#entries }));
    }
    return new HANDLES[type](subscription, make, release);
  }

  /** @param {string} name @param {TopicType} type */
  #subscribe(name, type) {
    const subscription = new Subscription(name, type, this.#replica, this.#delivery);
    this.#subscriptions.set(name, subscription);
    this.#ask(subscription);
    return subscription;
  }

  /** Wants the topic, from the beginning. @param {Subscription} subscription */
  #ask({ name, type }) {
    this.#replica.want(name, type);
    if (this.#online) this.#sendSubscribe(name, type);
  }

  /** @param {string} name @param {TopicType} type */
  #sendSubscribe(name, type) {
    this.#replica.asked(name);
    this.#send('subscribe', { topic_name: name, type });
  }

  /** @param {Subscription} subscription */
  #release(subscription) {
    subscription.references -= 1;
    if (subscription.references > 0 || this.#subscriptions.get(subscription.name) !== subscription) return;
    subscription.grace = this.#environment.setTimeout(() => this.#unsubscribe(subscription), GRACE_MS);
  }

  /** @param {Subscription} subscription */
  #unsubscribe({ name }) {
    if (this.#entries.get(name) !== undefined) this.#putEntry(name, undefined, []);
    for (const action of this.#entries.drop(name)) action.reject(new Rejected('closed', `the last handle to ${name} was closed`, { topicName: name }));
    this.#subscriptions.delete(name);
    this.#replica.drop(name);
    if (this.#online) this.#send('unsubscribe', { topic_name: name });
  }

  /**
   * Makes several changes together or not at all:
   * `room.action('move a card', (tx) => { tx(left).pop(3); tx(right).push(card); })`
   * @param {string} name for people who read about it
   * @param {(tx: <H extends import('./topic.js').Topic<any>>(topic: H) => import('./type.js').ChangesOf<H>) => void} build
   * @returns {Action}
   */
  action(name, build) {
    if (typeof name !== 'string') throw new TypeError('an action has a name and a function');
    return this.#submit(record(build));
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

  /** @param {readonly PublicPart[]} parts @returns {Action} */
  #submit(parts) {
    const action = new Action(++this.#lastId, (error) => this.#ignored(error));
    this.#unsettled.add(action);
    try {
      if (this.state === 'closed') throw this.#closedError();
      for (const { topic } of parts) if (topic.closed) throw new ChatroomError('closed', `this handle to ${topic.name} was closed`);
      this.#make(action, parts);
    } catch (error) {
      if (!(error instanceof ChatroomError)) throw error;
      this.#reject(action, error);
    }
    return action;
  }

  /** @param {Action} action @param {readonly PublicPart[]} parts */
  #make(action, parts) {
    const [{ topic, change }] = parts;
    const blocked = this.#queue.length > 0 && this.#online;
    // Only what stands at the end counts of an entry, so entries do not queue.
    const entry = parts.length === 1 && topic.type === 'presence' ? topic.name : undefined;
    /** @type {Part[] | undefined} */
    let made = blocked || mustWait(parts, this.#replica) ? undefined : resolve(parts, action.id, this.#replica);
    if (entry !== undefined) {
      const [{ change: wire }] = made ?? resolve(parts, action.id, this.#replica);
      return this.#putEntry(entry, change.type === 'put' ? wire.value : undefined, [action]);
    }
    if (made) this.#replica.pend(action.id, made);
    // What waits for its topic to load keeps the topic.
    const held = made ? [] : parts.map(({ topic }) => topic[SUBSCRIPTION]);
    for (const subscription of held) subscription.references += 1;
    const letGo = () => {
      for (const subscription of held.splice(0)) this.#release(subscription);
    };
    const fail = (/** @type {ChatroomError} */ error) => {
      letGo();
      this.#flying.delete(action.id);
      this.#replica.settle(action.id);
      this.#reject(action, error);
    };
    this.#queue.add({
      ready: () => this.#online && (made !== undefined || !mustWait(parts, this.#replica)),
      send: () => {
        try {
          if (!made) {
            made = resolve(parts, action.id, this.#replica);
            this.#replica.pend(action.id, made);
          }
          this.#flying.set(action.id, { actions: [action], parts: made });
          const alone = made.length === 1;
          this.#send(alone ? 'update' : 'action', alone ? { ...made[0] } : { action_id: action.id, changes: made });
          this.#noteEntries(parts, made);
          letGo();
        } catch (error) {
          if (!(error instanceof ChatroomError)) throw error;
          fail(error);
        }
      },
      fail,
    });
    this.#queue.flush();
  }

  /** Entries that go with an action are put again after a reconnection as well. @param {readonly PublicPart[]} parts @param {readonly Part[]} made */
  #noteEntries(parts, made) {
    parts.forEach(({ topic, change }, index) => {
      if (topic.type === 'presence') this.#entries.set(topic.name, change.type === 'put' ? made[index].change.value : undefined);
    });
  }

  /** Sends the own entry of a presence topic, now or on the next connection. @param {string} name @param {any} value @param {readonly Action[]} actions */
  #putEntry(name, value, actions) {
    if (this.#online) {
      const id = actions.length === 1 ? actions[0].id : ++this.#lastId;
      const change = value === undefined ? { type: 'pop', id } : { type: 'put', id, value };
      const parts = [{ topic_name: name, change }];
      this.#replica.pend(id, parts);
      this.#flying.set(id, { actions, parts, entry: name });
      try {
        this.#send('update', { topic_name: name, change });
      } catch (error) {
        this.#replica.settle(id);
        this.#flying.delete(id);
        for (const action of actions) this.#reject(action, /** @type {ChatroomError} */ (error));
        return;
      }
    } else if (actions.length > 0) {
      this.#entries.wait(name, actions);
    }
    this.#entries.set(name, value);
  }

  /** @param {Action} action @param {ChatroomError} error */
  #reject(action, error) {
    this.#unsettled.delete(action);
    action.reject(error instanceof Rejected ? error : new Rejected(error.code, error.reason));
  }

  /** @param {Record<string, any>} hello */
  #greeted(hello) {
    this.#replica.online(hello.id, limitsFrom(hello.limits));
    this.#online = true;
    for (const [name, { type, status }] of [...this.#replica.topics()]) {
      // A topic that was deleted comes back only when somebody asks for it.
      if (status === 'removed') continue;
      // One that was refused is a new question.
      if (status === 'denied') {
        this.#replica.want(name, type);
        this.#subscriptions.get(name)?.turned();
      }
      this.#sendSubscribe(name, type);
    }
    this.#provided.online();
    for (const { name, value, actions } of this.#entries.take()) this.#putEntry(name, value, actions);
  }

  /** @param {Message} message */
  #receive(message) {
    const { type, content } = message;
    const notifications = this.#replica.receive(message);
    if (type === 'accepted' || type === 'reject_update') this.#outcome(type, content);
    else if (type === 'error') this.#complaint(message);
    else if (!this.#provided.receive(message)) this.#calls.receive(message);
    for (const notification of notifications) this.#notify(notification);
    this.#queue.flush();
    this.#delivery.run();
  }

  /** @param {string} type @param {Record<string, any>} content */
  #outcome(type, content) {
    const id = content.id ?? content.action_id ?? content.change?.id;
    const flying = this.#flying.get(id);
    this.#flying.delete(id);
    for (const action of flying?.actions ?? []) {
      if (type === 'accepted') {
        this.#unsettled.delete(action);
        action.accept(content.sequence);
      } else {
        const { topic_name: topicName, change, code, reason, retryable } = content;
        this.#reject(action, new Rejected(code, reason, { topicName, change, retryable }));
      }
    }
    // An entry that the server does not take would be refused on every connection to come.
    if (flying?.entry !== undefined && type === 'reject_update' && !this.#stillPuts(flying.entry)) this.#entries.set(flying.entry, undefined);
  }

  /** Whether a later entry is on its way. @param {string} name */
  #stillPuts(name) {
    return [...this.#flying.values()].some(({ entry }) => entry === name);
  }

  /** @param {Message} message */
  #complaint(message) {
    const { code, reason, in_reply_to: about } = message.content;
    if (about?.type === 'action' && this.#flying.has(about.action_id)) {
      this.#replica.settle(about.action_id);
      return this.#outcome('reject_update', { action_id: about.action_id, code, reason });
    }
    if (this.#provided.receive(message) || this.#calls.receive(message)) return;
    // A topic that is refused has its status for that.
    if (about?.type === 'subscribe' && this.#subscriptions.has(about.topic_name)) return;
    if (about?.type === 'unregister_service') return;
    this.#report(new ChatroomError(code, reason));
  }

  /** @param {Notification} notification */
  #notify(notification) {
    const { name } = notification;
    const subscription = this.#subscriptions.get(name);
    if (!subscription) return;
    if (notification.kind === 'value') return subscription.told(notification);
    if (notification.kind === 'status') return subscription.turned();
    this.#gaps += 1;
    this.#tell('gap', { topicName: name, known: notification.known, previous: notification.previous });
    this.#send('unsubscribe', { topic_name: name });
    this.#sendSubscribe(name, subscription.type);
  }

  /** @param {ConnectionError} error @param {'closed' | 'connection_lost'} code */
  #lost(error, code) {
    this.#online = false;
    const reason = `the connection was lost before the outcome was known (${error.reason})`;
    const lost = new ChatroomError(code, reason);
    for (const [id, { actions, parts: [{ topic_name: topicName, change }], entry }] of [...this.#flying]) {
      this.#replica.settle(id);
      this.#flying.delete(id);
      // Entries are put again, and that is as good as having been put before.
      if (entry !== undefined && this.#subscriptions.has(entry)) this.#entries.wait(entry, actions);
      else for (const action of actions) this.#reject(action, new Rejected(code, reason, { topicName, change, maybeExecuted: true }));
    }
    this.#calls.fail(lost);
    this.#provided.offline(lost);
    for (const notification of this.#replica.offline()) this.#notify(notification);
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
    for (const { name, actions } of this.#entries.take()) {
      this.#entries.drop(name);
      for (const action of actions) this.#reject(action, error);
    }
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
