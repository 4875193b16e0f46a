// @ts-check
/**
 * A small ChatRoom client: one ES module without dependencies, for browsers and for Node 22 or later.
 *
 *     const room = connect();
 *     const score = room.topic('score', 'int');
 *     score.on((value) => console.log(value));
 *     await score.add(1);
 *
 * It speaks the dialect `chatroom.v1.json` of docs/protocol.md. Own changes show when the room has
 * given them their place, so all clients go through the same values in the same order. While the
 * connection is down, changes and calls are refused; subscriptions, services and the own presence
 * come back by themselves.
 */

/** @typedef {'connecting' | 'online' | 'offline' | 'closed'} State */
/** @typedef {{ type: string, [field: string]: any }} Change */
/** @typedef {{ retain: number } | { insert: string } | { delete: number }} Component */
/**
 * Who made the change that led to a value (0: the server), whether that was this client, and its
 * place in the room. A value that the server sent whole comes without `change`.
 * @typedef {{ by: number, mine: boolean, sequence: number, change?: Change }} Meta
 */
/** @typedef {Promise<number>} Done resolves with the sequence, rejects with a ChatRoomError */
/**
 * @typedef {{
 *   generic: unknown, string: string, int: number, float: number, bool: boolean, event: unknown,
 *   list: unknown[], set: unknown[], dict: Record<string, unknown>, presence: Record<string, unknown>,
 * }} Values
 */
/**
 * Positions and lengths in text are JavaScript's own (UTF-16 units); the wire's are made from them.
 * @typedef {{
 *   generic: { set(value: unknown): Done },
 *   string: {
 *     set(value: string): Done, edit(components: Component[]): Done,
 *     insert(position: number, text: string): Done, delete(position: number, length: number): Done,
 *   },
 *   int: { set(value: number): Done, add(value: number): Done },
 *   float: { set(value: number): Done, add(value: number): Done },
 *   bool: { set(value: boolean): Done },
 *   list: {
 *     set(value: unknown[]): Done, insert(position: number, item: unknown): Done, pop(position: number): Done,
 *     set_item(position: number, item: unknown): Done, move(from: number, to: number): Done,
 *   },
 *   set: { set(value: unknown[]): Done, append(item: unknown): Done, remove(item: unknown): Done },
 *   dict: {
 *     set(value: Record<string, unknown>): Done, add(key: string, value: unknown): Done,
 *     put(key: string, value: unknown): Done, ensure(key: string, value: unknown): Done,
 *     change_value(key: string, value: unknown): Done, pop(key: string): Done,
 *   },
 *   event: { emit(args: unknown): Done },
 *   presence: { put(value: unknown): Done, pop(): Done },
 * }} Changes
 */
/** @typedef {keyof Values} TopicType */
/** @template {TopicType} K @typedef {Topic<K> & Changes[K]} TopicOf */
/** @typedef {{ by: number, timeout: number, signal: AbortSignal }} CallContext */
/** @typedef {{ topic: Topic<any>, change: Change }} Part */

/** The changes of each type and what their arguments are called on the wire. */
const CHANGES = {
  generic: { set: ['value'] },
  string: { set: ['value'], edit: ['components'], insert: ['position', 'insertion'], delete: ['position', 'length'] },
  int: { set: ['value'], add: ['value'] },
  float: { set: ['value'], add: ['value'] },
  bool: { set: ['value'] },
  list: { set: ['value'], insert: ['position', 'item'], pop: ['position'], set_item: ['position', 'item'], move: ['from', 'to'] },
  set: { set: ['value'], append: ['item'], remove: ['item'] },
  dict: { set: ['value'], add: ['key', 'value'], put: ['key', 'value'], ensure: ['key', 'value'], change_value: ['key', 'value'], pop: ['key'] },
  event: { emit: ['args'] },
  presence: { put: ['value'], pop: [] },
};

/** The longest wait between two attempts to connect. */
const MAX_BACKOFF_MS = 10_000;

/** What went wrong, with a code of docs/protocol.md section 8; 0 when the connection was lost. */
export class ChatRoomError extends Error {
  /** @param {number} code @param {string} message @param {{ data?: unknown, maybeExecuted?: boolean }} [more] */
  constructor(code, message, more = {}) {
    super(message);
    this.name = 'ChatRoomError';
    this.code = code;
    this.data = more.data;
    /** For a failed call: whether the provider may have run it. */
    this.maybeExecuted = more.maybeExecuted ?? false;
  }
}

/**
 * Enters a room: `wss://host/` is the room main, `wss://host/rooms/NAME` any other.
 * @param {string | URL} [url] by default the room main of the host that served the page
 */
export function connect(url) {
  return new Room(String(url ?? `${location.protocol === 'https:' ? 'wss:' : 'ws:'}//${location.host}/`));
}

/** @template {TopicType} K */
class Topic {
  /** @type {Values[K] | undefined} The value as the room has it; undefined until it has arrived. */
  value;
  /** @type {Set<(value: any, meta: Meta) => void>} */
  #listeners = new Set();
  /** @type {Meta} */
  #last = { by: 0, mine: false, sequence: 0 };

  /** @param {string} name @param {K} type */
  constructor(name, type) {
    this.name = name;
    this.type = type;
  }

  /**
   * Calls `listener` with the value as soon as it is there, and after every change. Listeners of an
   * event topic get what was emitted.
   * @param {(value: Values[K], meta: Meta) => void} listener
   * @returns {() => void} ends it
   */
  on(listener) {
    this.#listeners.add(listener);
    if (this.value !== undefined && this.type !== 'event') call(listener, this.value, this.#last);
    return () => void this.#listeners.delete(listener);
  }

  /** @internal @param {any} value @param {Meta} meta */
  load(value, meta) {
    const keyed = this.type === 'dict' || this.type === 'presence';
    this.value = keyed ? Object.assign(Object.create(null), value) : value;
    this.notify(meta);
  }

  /** @internal @param {Change} wire @param {Meta} meta @returns {Meta | undefined} what to tell the listeners */
  apply(wire, meta) {
    if (this.value === undefined) return undefined;
    const change = fromWire(/** @type {any} */ (this.value), wire);
    this.value = applied(this.type, this.value, change, meta.by);
    return { ...meta, change };
  }

  /** @internal @param {Meta} meta */
  notify(meta) {
    const { change, ...rest } = meta;
    this.#last = rest;
    for (const listener of [...this.#listeners]) {
      if (this.type !== 'event') call(listener, this.value, meta);
      else if (change) call(listener, change.args, meta);
    }
  }
}

class Room {
  /** This client's id, given by the server anew on every connection; 0 before the first. */
  id = 0;
  /** @type {State} */
  state = 'connecting';
  #url;
  /** @type {WebSocket | undefined} */
  #socket;
  #attempt = 0;
  #lastId = 0;
  #mayReturn = true;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #retry;
  /** @type {[string, object][]} What was asked for before the first connection. */
  #waiting = [];
  /** @type {Map<string, Topic<any>>} */
  #topics = new Map();
  /** @type {Map<Topic<any>, unknown>} What this client has put into presence topics. */
  #present = new Map();
  /** @type {Map<string, { fn: (args: any, context: CallContext) => unknown, options: object }>} */
  #services = new Map();
  /** @type {Map<number, { parts: Part[], resolve: (sequence: number) => void, reject: (error: Error) => void }>} */
  #changes = new Map();
  /** @type {Map<number, { resolve: (value: any) => void, reject: (error: Error) => void }>} */
  #calls = new Map();
  /** @type {Map<unknown, AbortController>} */
  #answering = new Map();
  /** @type {{ state: Set<(state: State) => void>, error: Set<(error: ChatRoomError) => void> }} */
  #listeners = { state: new Set(), error: new Set() };

  /** @param {string} url */
  constructor(url) {
    this.#url = url;
    this.#open();
    globalThis.addEventListener?.('online', () => this.state === 'offline' && this.#open());
  }

  /**
   * The topic of that name, made if need be. Everybody names the same type.
   * @template {TopicType} K
   * @param {string} name
   * @param {K} type
   * @returns {TopicOf<K>}
   */
  topic(name, type) {
    const topic = this.#topics.get(name) ?? this.#newTopic(name, type);
    if (topic.type !== type) throw new TypeError(`topic ${name} is of type ${topic.type}, not ${type}`);
    return /** @type {TopicOf<K>} */ (topic);
  }

  /**
   * Makes several changes together or not at all: `room.action((tx) => { tx(a).pop(0); tx(b).add(1); })`
   * @param {(tx: <K extends TopicType>(topic: TopicOf<K>) => Changes[K]) => void} build
   * @returns {Done}
   */
  action(build) {
    /** @type {Part[]} */
    const parts = [];
    build((topic) => methods(topic, (change) => void parts.push({ topic, change })));
    return this.#submit(parts, true);
  }

  /**
   * Answers calls of a service. What `fn` returns or resolves with is the answer; what it throws
   * reaches the caller as an error (`code` 1000 or more, 1000 if it has none).
   * @param {string} name
   * @param {(args: any, context: CallContext) => unknown} fn
   * @param {{ pick?: 'least_busy' | 'first' | 'round_robin', concurrency?: number, idempotent?: boolean }} [options]
   */
  provide(name, fn, options = {}) {
    if (this.#services.has(name)) throw new TypeError(`service ${name} is provided already`);
    const service = { fn, options };
    this.#services.set(name, service);
    if (this.state === 'online') this.#send('register_service', { service_name: name, options });
    return {
      stop: () => {
        if (this.#services.get(name) !== service) return;
        this.#services.delete(name);
        if (this.state === 'online') this.#send('unregister_service', { service_name: name });
      },
    };
  }

  /**
   * Calls a service, wherever its provider is.
   * @param {string} name
   * @param {unknown} [args]
   * @param {{ timeout?: number }} [options] milliseconds
   * @returns {Promise<any>}
   */
  call(name, args = null, { timeout } = {}) {
    return new Promise((resolve, reject) => {
      const request_id = ++this.#lastId;
      const lost = this.#post('request', { service_name: name, args, request_id, timeout_ms: timeout });
      if (lost) reject(lost);
      else this.#calls.set(request_id, { resolve, reject });
    });
  }

  /**
   * `state`: the connection's state changed. `error`: the server could not do something that no
   * promise stands for, such as a subscription.
   * @template {'state' | 'error'} E
   * @param {E} event
   * @param {E extends 'state' ? (state: State) => void : (error: ChatRoomError) => void} listener
   * @returns {() => void} ends it
   */
  on(event, listener) {
    const set = /** @type {Set<any>} */ (this.#listeners[event]);
    set.add(listener);
    return () => void set.delete(listener);
  }

  /** Leaves the room for good. */
  close() {
    this.#mayReturn = false;
    clearTimeout(this.#retry);
    const socket = this.#socket;
    this.#socket = undefined;
    socket?.close(1000);
    this.#dropped('closed');
  }

  /** @param {string} name @param {TopicType} type @returns {Topic<any>} */
  #newTopic(name, type) {
    const topic = new Topic(name, type);
    Object.assign(topic, methods(topic, (change) => this.#submit([{ topic, change }], false)));
    this.#topics.set(name, topic);
    if (this.state === 'online') this.#send('subscribe', { topic_name: name, type });
    return topic;
  }

  #open() {
    clearTimeout(this.#retry);
    this.#become('connecting');
    const socket = new WebSocket(this.#url, 'chatroom.v1.json');
    this.#socket = socket;
    socket.onopen = () => this.#send('hello', { client: { name: 'chatroom.js' } });
    socket.onmessage = ({ data }) => {
      if (socket !== this.#socket) return;
      const { type, content } = JSON.parse(data);
      this.#receive(type, content);
    };
    socket.onclose = () => {
      if (socket !== this.#socket) return;
      this.#dropped(this.#mayReturn ? 'offline' : 'closed');
      if (!this.#mayReturn) return;
      // Full jitter: clients that lost one server must not all come back at the same moment.
      const wait = Math.random() * Math.min(MAX_BACKOFF_MS, 250 * 2 ** this.#attempt++);
      this.#retry = setTimeout(() => this.#open(), wait);
    };
  }

  /** @param {State} state */
  #become(state) {
    if (state === this.state) return;
    this.state = state;
    for (const listener of [...this.#listeners.state]) call(listener, state);
  }

  /** @param {'offline' | 'closed'} state */
  #dropped(state) {
    if (this.id || state === 'closed') {
      const lost = new ChatRoomError(0, 'the connection was lost; whether it was done is not known');
      for (const { reject } of [...this.#changes.values(), ...this.#calls.values()]) reject(lost);
      this.#changes.clear();
      this.#calls.clear();
    }
    for (const answer of this.#answering.values()) answer.abort();
    this.#answering.clear();
    this.#become(state);
  }

  /** @param {string} type @param {object} content */
  #send(type, content) {
    this.#socket?.send(JSON.stringify({ type, content }));
  }

  /** Sends, or keeps for the first connection. @param {string} type @param {object} content */
  #post(type, content) {
    if (this.state === 'online') this.#send(type, content);
    else if (this.id || this.state === 'closed') return new ChatRoomError(0, 'not connected; nothing was sent');
    else this.#waiting.push([type, content]);
    return undefined;
  }

  /** @param {Part[]} made @param {boolean} together @returns {Done} */
  async #submit(made, together) {
    const id = ++this.#lastId;
    /** @type {Part[]} */
    const parts = made.map(({ topic, change }, index) => ({
      topic,
      change: { ...toWire(topic.value, change), id: together ? `${id}/${index}` : id },
    }));
    for (const { topic, change } of parts) {
      if (topic.type !== 'presence') continue;
      if (change.type === 'put') this.#present.set(topic, change.value);
      else this.#present.delete(topic);
    }
    const changes = parts.map(({ topic, change }) => ({ topic_name: topic.name, change }));
    const lost = together ? this.#post('action', { action_id: id, changes }) : this.#post('update', changes[0]);
    if (lost) throw lost;
    return new Promise((resolve, reject) => this.#changes.set(id, { parts, resolve, reject }));
  }

  /** @param {Part[]} parts @param {Meta} meta */
  #commit(parts, meta) {
    // All of an action is in place before anyone hears of a part of it.
    const told = parts.map(({ topic, change }) => topic?.apply(change, meta));
    told.forEach((meta, index) => meta && parts[index].topic.notify(meta));
  }

  /** @param {string} type @param {any} m */
  #receive(type, m) {
    switch (type) {
      case 'hello': {
        // Before the first connection, presence waits with the other changes.
        const present = this.id ? [...this.#present] : [];
        this.id = m.id;
        this.#attempt = 0;
        for (const { name, type } of this.#topics.values()) this.#send('subscribe', { topic_name: name, type });
        for (const [topic, value] of present) {
          const change = { type: 'put', value, id: ++this.#lastId };
          this.#changes.set(change.id, { parts: [{ topic, change }], resolve() {}, reject() {} });
          this.#send('update', { topic_name: topic.name, change });
        }
        for (const [service_name, { options }] of this.#services) this.#send('register_service', { service_name, options });
        for (const [type, content] of this.#waiting.splice(0)) this.#send(type, content);
        return this.#become('online');
      }
      case 'subscribed':
        return this.#topics.get(m.topic_name)?.load(m.value, { by: 0, mine: false, sequence: m.sequence });
      case 'update':
      case 'action': {
        const changes = /** @type {{ topic_name: string, change: Change }[]} */ (m.changes ?? [m]);
        const parts = changes.flatMap(({ topic_name, change }) => {
          const topic = this.#topics.get(topic_name);
          return topic ? [{ topic, change }] : [];
        });
        return this.#commit(parts, { by: m.by, mine: m.by === this.id, sequence: m.sequence });
      }
      case 'accepted': {
        const own = take(this.#changes, m.id);
        if (own) this.#commit(own.parts, { by: this.id, mine: true, sequence: m.sequence });
        return own?.resolve(m.sequence);
      }
      case 'reject_update':
        return take(this.#changes, m.action_id ?? m.change?.id)?.reject(new ChatRoomError(m.code, m.reason));
      case 'request':
        return void this.#answer(m);
      case 'cancel':
        return this.#answering.get(m.request_id)?.abort();
      case 'response': {
        const asked = take(this.#calls, m.request_id);
        if (!m.error) return asked?.resolve(m.response);
        return asked?.reject(new ChatRoomError(m.error.code, m.error.message, { data: m.error.data, maybeExecuted: m.maybe_executed }));
      }
      case 'error': {
        const error = new ChatRoomError(m.code, m.reason, { data: m.in_reply_to });
        const asked = m.in_reply_to?.type === 'request' ? take(this.#calls, m.in_reply_to.request_id) : undefined;
        if (asked) return asked.reject(error);
        if (!this.#listeners.error.size) console.error(error);
        for (const listener of [...this.#listeners.error]) call(listener, error);
        return;
      }
      case 'goodbye':
        this.#mayReturn = m.reconnect !== 'no';
    }
  }

  /** @param {{ service_name: string, request_id: unknown, args: any, by: number, timeout_ms: number }} request */
  async #answer({ service_name, request_id, args, by, timeout_ms }) {
    const socket = this.#socket;
    const ended = new AbortController();
    this.#answering.set(request_id, ended);
    /** @type {object} */
    let content;
    try {
      const service = this.#services.get(service_name);
      if (!service) throw new ChatRoomError(1000, `${service_name} is no longer provided`);
      const response = await service.fn(args, { by, timeout: timeout_ms, signal: ended.signal });
      content = { response: response ?? null };
    } catch (thrown) {
      const { code, message = String(thrown), data } = /** @type {any} */ (thrown ?? {});
      content = { response: null, error: { code: code >= 1000 ? code : 1000, message, data } };
    }
    // A lost connection or a cancelled call has nobody who waits for the answer.
    if (socket === this.#socket && this.#answering.delete(request_id) && !ended.signal.aborted) {
      this.#send('response', { ...content, request_id });
    }
  }
}

/**
 * @param {Topic<any>} topic
 * @param {(change: Change) => any} sink
 * @returns {any}
 */
function methods(topic, sink) {
  /** @type {Record<string, string[]>} */
  const changes = CHANGES[/** @type {TopicType} */ (topic.type)];
  const entries = Object.entries(changes).map(([type, fields]) => [
    type,
    (/** @type {any[]} */ ...given) => sink({ type, ...Object.fromEntries(fields.map((field, index) => [field, given[index]])) }),
  ]);
  return Object.fromEntries(entries);
}

/**
 * What `change` leaves of `value`. Dicts are changed in place.
 * @param {TopicType} type @param {any} value @param {Change} change @param {number} by
 */
function applied(type, value, change, by) {
  switch (`${type} ${change.type}`) {
    case 'int add':
    case 'float add':
      return value + change.value;
    case 'string edit': {
      let from = 0;
      let text = '';
      for (const { retain = 0, insert = '', delete: gone = 0 } of change.components) {
        text += value.slice(from, from + retain) + insert;
        from += retain + gone;
      }
      return text + value.slice(from);
    }
    case 'list insert':
      return value.toSpliced(change.position, 0, change.item);
    case 'list pop':
      return value.toSpliced(change.position, 1);
    case 'list set_item':
      return value.with(change.position, change.item);
    case 'list move':
      return value.toSpliced(change.from, 1).toSpliced(change.to, 0, value[change.from]);
    case 'set append':
    case 'set remove': {
      const item = canonical(change.item);
      const at = value.findIndex((/** @type {unknown} */ other) => canonical(other) === item);
      if (change.type === 'append') return at < 0 ? [...value, change.item] : value;
      return at < 0 ? value : value.toSpliced(at, 1);
    }
    case 'dict ensure':
      if (!(change.key in value)) value[change.key] = change.value;
      return value;
    case 'dict add':
    case 'dict put':
    case 'dict change_value':
    case 'presence put':
      value[change.key ?? by] = change.value;
      return value;
    case 'dict pop':
    case 'presence pop':
      delete value[change.key ?? by];
      return value;
    case 'dict set':
      return Object.assign(Object.create(null), change.value);
    default:
      return change.type === 'set' ? change.value : value;
  }
}

/** An item's text with sorted keys: equal items have equal texts. @param {any} item @returns {string} */
function canonical(item) {
  if (item === null || typeof item !== 'object') return JSON.stringify(item);
  if (Array.isArray(item)) return `[${item.map(canonical)}]`;
  return `{${Object.keys(item).sort().map((key) => `${JSON.stringify(key)}:${canonical(item[key])}`)}}`;
}

/**
 * Text changes leave as `edit`, with lengths in Unicode scalar values.
 * @param {any} text @param {Change} change @returns {Change}
 */
function toWire(text, change) {
  if (typeof text !== 'string' || !['edit', 'insert', 'delete'].includes(change.type)) return change;
  const { type, components, position, insertion, length } = change;
  /** @type {any[]} */
  const parts = type === 'edit' ? components : [{ retain: position }, type === 'insert' ? { insert: insertion } : { delete: length }];
  let at = 0;
  const wire = parts.map(({ retain, insert, delete: gone }) => {
    if (insert !== undefined) return { insert };
    const end = at + (retain ?? gone);
    if (end > text.length) throw new ChatRoomError(206, `position ${end} is past the end of the text`);
    const scalars = text.slice(at, end).replace(/[\u{10000}-\u{10ffff}]/gu, '.').length;
    at = end;
    return retain === undefined ? { delete: scalars } : { retain: scalars };
  });
  return { type: 'edit', components: wire.filter((part) => Object.values(part)[0]) };
}

/** The other way round. @param {any} text @param {Change} change @returns {Change} */
function fromWire(text, change) {
  if (typeof text !== 'string' || change.type !== 'edit') return change;
  let at = 0;
  const components = change.components.map((/** @type {any} */ { retain, insert, delete: gone }) => {
    if (insert !== undefined) return { insert };
    const start = at;
    for (let left = retain ?? gone; left > 0; left--) at += (text.codePointAt(at) ?? 0) > 0xffff ? 2 : 1;
    return retain === undefined ? { delete: at - start } : { retain: at - start };
  });
  return { ...change, components };
}

/** @template T @param {Map<number, T>} map @param {number} key */
function take(map, key) {
  const value = map.get(key);
  map.delete(key);
  return value;
}

/** A listener that throws must not keep the message from the others. @param {Function} listener @param {any[]} given */
function call(listener, ...given) {
  try {
    listener(...given);
  } catch (error) {
    queueMicrotask(() => {
      throw error;
    });
  }
}
