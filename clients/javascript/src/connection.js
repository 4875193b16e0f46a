// @ts-check
/**
 * The connection to a room: one socket after the other, with what decides when there is a next one.
 * Everything about the protocol beyond the hello and its goodbye is its owner's.
 */

import { CODES, codeName, ConnectionError, TokenRefused } from './code.js';
import { decode, encode, SUBPROTOCOL } from './codec.js';
import { DEFAULT_LIMITS } from './limits.js';

/** @typedef {import('./codec.js').Message} Message */
/** @typedef {import('./socket.js').Environment} Environment */
/** @typedef {import('./socket.js').Socket} Socket */
/** @typedef {'connecting' | 'online' | 'offline' | 'needs_auth' | 'closed'} State what the connection is up to */
/**
 * A state and what led to it: a code of the protocol (0: nothing went wrong) in words, and when
 * there will be another attempt.
 * @typedef {{ readonly state: State, readonly code: number, readonly reason: string, readonly retryInMs?: number }} ConnectionState
 */
/**
 * Gives the token for the next hello; `reason` says why it is asked for. A TokenRefused, thrown or
 * returned, ends the attempts; any other error means that it may be tried again.
 * @typedef {(about: { signal: AbortSignal, reason: 'connect' | 'reconnect' | 'unauthenticated' }) => string | null | undefined | TokenRefused | Promise<string | null | undefined | TokenRefused>} TokenProvider
 */
/**
 * @typedef {object} ConnectionOptions
 * @property {string} url
 * @property {{ name?: string, version?: string }} client told in the hello
 * @property {TokenProvider | undefined} token
 * @property {{ minMs: number, maxMs: number }} backoff
 * @property {number} connectTimeoutMs
 * @property {Environment} environment
 */
/**
 * @typedef {object} Owner
 * @property {() => Record<string, any>} hello what the hello says of a session to go on with
 * @property {(hello: Record<string, any>) => void} online the server has said hello
 * @property {(message: Message) => void} receive
 * @property {(error: ConnectionError, forGood: boolean) => void} lost the connection was online and is not any more
 * @property {(state: ConnectionState) => void} state
 * @property {(goodbye: Record<string, any>) => void} goodbye
 */

/** So long a connection must have lasted for the next failure to count as the first. */
const STABLE_MS = 5_000;
/** The id of the call that asks for a sign of life; ids of calls are numbers. */
const PROBE_ID = 'probe';
const PROBE_WAIT_MS = { min: 1_000, max: 10_000 };

export class Connection {
  #options;
  #owner;
  /** @type {ConnectionState} */
  #state = { state: 'connecting', code: 0, reason: '' };
  /** Counts attempts, so that what belongs to an earlier one is recognised and dropped. */
  #attempt = 0;
  /** Failures since the last connection that lasted. */
  #failures = 0;
  /** Whether the server has refused the last token. */
  #challenged = false;
  /** @type {Socket | undefined} */
  #socket;
  /** @type {AbortController | undefined} */
  #asking;
  /** @type {Record<string, any> | undefined} */
  #goodbye;
  #heardAt = 0;
  /** Messages of this connection; a clock is too coarse to tell one that came just after a probe. */
  #heardCount = 0;
  #heartbeatMs = DEFAULT_LIMITS.heartbeat_ms;
  /** @type {Map<'retry' | 'connect' | 'stable' | 'heartbeat', any>} */
  #timers = new Map();
  /** @type {() => void} */
  #endNetwork = () => {};

  /** @param {ConnectionOptions} options @param {Owner} owner */
  constructor(options, owner) {
    this.#options = options;
    this.#owner = owner;
  }

  /** What the connection is up to. */
  get state() {
    return this.#state;
  }

  /** Makes the first attempt. */
  start() {
    this.#endNetwork = this.#options.environment.network((online) => {
      if (online && this.#state.state === 'offline') void this.#connect('reconnect');
      else if (!online && this.#state.state === 'online') this.#probe();
    });
    void this.#connect('connect');
  }

  /** Sends the text of a message; only while online. @param {string} text */
  send(text) {
    this.#socket?.send(text);
  }

  /** Tries at once, whatever the state; an open connection is given up for a new one. */
  reconnect() {
    if (this.#state.state === 'closed') throw new ConnectionError('closed', 'this client was closed');
    this.#failures = 0;
    this.#challenged = false;
    if (this.#state.state === 'online') this.#drop(new ConnectionError('connection_lost', 'the application asked for a new connection'));
    void this.#connect('reconnect');
  }

  /** Ends it for good. @param {number} [code] @param {string} [reason] @returns {Promise<void>} resolves when the socket is closed */
  close(code = CODES.closed, reason = 'this client was closed') {
    if (this.#state.state === 'closed') return Promise.resolve();
    this.#endNetwork();
    const socket = this.#socket;
    this.#drop(new ConnectionError(code, reason), true);
    this.#become({ state: 'closed', code, reason });
    return new Promise((resolve) => {
      if (!socket) return resolve();
      const timer = this.#options.environment.setTimeout(resolve, PROBE_WAIT_MS.min);
      socket.onclose = () => {
        this.#options.environment.clearTimeout(timer);
        resolve();
      };
    });
  }

  /** @param {'connect' | 'reconnect' | 'unauthenticated'} reason */
  async #connect(reason) {
    this.#abandon();
    const attempt = this.#attempt;
    const { url, environment, connectTimeoutMs } = this.#options;
    this.#become({ state: 'connecting', code: 0, reason: '' });
    // A listener of the state may have closed the client.
    if (attempt !== this.#attempt) return;
    const token = await this.#token(attempt, reason);
    if (attempt !== this.#attempt) return;
    this.#arm('connect', connectTimeoutMs, () => this.#fail(CODES.timeout, `no answer within ${connectTimeoutMs} ms`));
    let socket;
    try {
      socket = await environment.open(url, SUBPROTOCOL);
    } catch (error) {
      if (attempt === this.#attempt) this.#fail(CODES.connection_lost, error instanceof Error ? error.message : String(error));
      return;
    }
    if (attempt !== this.#attempt) return discard(socket);
    this.#socket = socket;
    socket.onopen = () => this.#hello(token);
    socket.onmessage = ({ data }) => this.#heard(data);
    socket.onclose = (event) => this.#ended(event.code, event.reason);
    socket.onerror = ignore;
  }

  /**
   * The token for the hello, if there is a provider and it gives one. When it does not, the attempt
   * is over by then.
   * @param {number} attempt @param {'connect' | 'reconnect' | 'unauthenticated'} reason
   */
  async #token(attempt, reason) {
    const provider = this.#options.token;
    if (!provider) return undefined;
    const asking = new AbortController();
    this.#asking = asking;
    const { connectTimeoutMs } = this.#options;
    const late = new Promise((_, reject) => {
      this.#arm('connect', connectTimeoutMs, () => reject(new Error(`the token callback did not answer within ${connectTimeoutMs} ms`)));
      asking.signal.addEventListener('abort', () => reject(asking.signal.reason));
    });
    try {
      const token = await Promise.race([(async () => provider({ signal: asking.signal, reason }))(), late]);
      if (token instanceof TokenRefused) throw token;
      return typeof token === 'string' ? token : undefined;
    } catch (error) {
      if (attempt !== this.#attempt) return undefined;
      const words = error instanceof Error ? error.message : String(error);
      if (error instanceof TokenRefused) this.#needAuth(words);
      else this.#fail(CODES.connection_lost, `no token: ${words}`);
      return undefined;
    } finally {
      late.catch(ignore);
    }
  }

  /** The first message. @param {string | undefined} token */
  #hello(token) {
    const content = { client: this.#options.client, token, ...this.#owner.hello() };
    this.send(encode({ type: 'hello', content }, DEFAULT_LIMITS));
  }

  /** @param {unknown} data */
  #heard(data) {
    this.#heardAt = this.#options.environment.now();
    this.#heardCount += 1;
    let message;
    try {
      message = decode(data);
    } catch (error) {
      return this.#fail(CODES.malformed, /** @type {import('./code.js').ChatroomError} */ (error).reason);
    }
    const { type, content } = message;
    if (type === 'goodbye') {
      this.#goodbye = content;
      this.#owner.goodbye(content);
    } else if (this.#state.state === 'online') {
      this.#owner.receive(message);
    } else if (type === 'hello') {
      this.#greeted(content);
    } else if (type === 'error') {
      this.#fail(content.code, content.reason);
    }
  }

  /** @param {Record<string, any>} hello */
  #greeted(hello) {
    this.#disarm('connect');
    this.#arm('stable', STABLE_MS, () => {
      this.#failures = 0;
      this.#challenged = false;
    });
    this.#heartbeatMs = hello.heartbeat_ms > 0 ? hello.heartbeat_ms : DEFAULT_LIMITS.heartbeat_ms;
    this.#listen();
    this.#owner.online(hello);
    this.#become({ state: 'online', code: 0, reason: '' });
  }

  /** Looks after the time of a heartbeat whether anything was heard. */
  #listen() {
    const silence = this.#options.environment.now() - this.#heardAt;
    this.#arm('heartbeat', Math.max(0, this.#heartbeatMs - silence), () => {
      if (this.#options.environment.now() - this.#heardAt < this.#heartbeatMs) this.#listen();
      else this.#probe();
    });
  }

  /** Asks for a sign of life: browsers do not show the server's pings. */
  #probe() {
    const heard = this.#heardCount;
    const content = { service_name: '_chatroom/time', args: null, request_id: PROBE_ID };
    this.send(encode({ type: 'request', content }, DEFAULT_LIMITS));
    const wait = Math.min(PROBE_WAIT_MS.max, Math.max(PROBE_WAIT_MS.min, this.#heartbeatMs / 2));
    this.#arm('heartbeat', wait, () => {
      if (this.#heardCount > heard) this.#listen();
      else this.#fail(CODES.heartbeat_missed, 'the server gives no sign of life');
    });
  }

  /** The socket was closed by the other side. @param {number} closeCode @param {string} words */
  #ended(closeCode, words) {
    this.#socket = undefined;
    const code = this.#goodbye?.code ?? codeOf(closeCode);
    const reason = this.#goodbye?.reason || words || codeName(code);
    if (code === CODES.unauthenticated) return this.#unauthenticated(reason);
    if (this.#goodbye?.reconnect === 'no' || (code >= 400 && code < 500)) {
      void this.close(code, reason);
      return;
    }
    this.#fail(code, reason);
  }

  /** @param {string} reason */
  #unauthenticated(reason) {
    if (this.#challenged || !this.#options.token) return this.#needAuth(reason);
    this.#challenged = true;
    this.#drop(new ConnectionError('unauthenticated', reason));
    void this.#connect('unauthenticated');
  }

  /** @param {string} reason */
  #needAuth(reason) {
    this.#drop(new ConnectionError('unauthenticated', reason));
    this.#become({ state: 'needs_auth', code: CODES.unauthenticated, reason });
  }

  /** This attempt is over; there will be another. @param {number} code @param {string} reason */
  #fail(code, reason) {
    const { backoff, environment } = this.#options;
    this.#drop(new ConnectionError(code, reason));
    // Full jitter: clients that lost one server must not all come back at one moment.
    const retryInMs = environment.random() * Math.min(backoff.maxMs, backoff.minMs * 2 ** this.#failures);
    this.#failures += 1;
    this.#arm('retry', retryInMs, () => void this.#connect('reconnect'));
    this.#become({ state: 'offline', code, reason, retryInMs });
  }

  /** Lets go of the socket, and tells the owner if it was in use. @param {ConnectionError} error */
  #drop(error, forGood = false) {
    this.#abandon();
    if (this.#state.state === 'online') this.#owner.lost(error, forGood);
  }

  /** Whatever belongs to the present attempt counts no more. */
  #abandon() {
    this.#attempt += 1;
    for (const name of this.#timers.keys()) this.#disarm(name);
    this.#asking?.abort(new Error('the attempt to connect is over'));
    this.#asking = undefined;
    this.#goodbye = undefined;
    const socket = this.#socket;
    this.#socket = undefined;
    if (socket) discard(socket);
  }

  /** @param {ConnectionState} state */
  #become(state) {
    if (state.state === 'connecting' && this.#state.state === 'connecting') return;
    this.#state = Object.freeze(state);
    this.#owner.state(state);
  }

  /** @param {'retry' | 'connect' | 'stable' | 'heartbeat'} name @param {number} ms @param {() => void} callback */
  #arm(name, ms, callback) {
    this.#disarm(name);
    const run = () => {
      this.#timers.delete(name);
      callback();
    };
    this.#timers.set(name, this.#options.environment.setTimeout(run, ms));
  }

  /** @param {'retry' | 'connect' | 'stable' | 'heartbeat'} name */
  #disarm(name) {
    this.#options.environment.clearTimeout(this.#timers.get(name));
    this.#timers.delete(name);
  }
}

/** The code behind a close code of WebSocket. @param {number} closeCode */
function codeOf(closeCode) {
  if (closeCode >= 4000 && closeCode < 5000) return closeCode - 4000;
  if (closeCode === 1001) return CODES.shutting_down;
  return CODES.connection_lost;
}

/** @param {Socket} socket */
function discard(socket) {
  socket.onopen = socket.onmessage = socket.onclose = null;
  // `ws` throws what nobody listens to.
  socket.onerror = ignore;
  socket.close(1000);
}

function ignore() {}
