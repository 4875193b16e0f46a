// @ts-check
/** Services: the functions that this client provides, and the calls that it makes. */

import { APPLICATION_CODE, CallError, ChatroomError, CODES } from './code.js';
import { checkName } from './limits.js';
import { plain } from './value.js';

/** @typedef {import('./codec.js').Message} Message */
/** @typedef {import('./limits.js').Limits} Limits */
/** @typedef {import('./queue.js').Item} Item */
/** @typedef {import('./queue.js').Queue} Queue */
/** @typedef {import('./socket.js').Environment} Environment */
/** @typedef {'waiting' | 'ready' | 'refused' | 'closed'} RegistrationState */
/**
 * What a handler is told of a call beside its arguments.
 * @typedef {object} Call
 * @property {number} by the caller's client id
 * @property {string | number} requestId
 * @property {number | undefined} timeoutMs how long the caller waited still when the call came
 * @property {AbortSignal} signal aborted when the caller does not wait any more
 * @property {(data: unknown) => void} progress tells the caller how far it is
 */
/**
 * @template A, R
 * @typedef {(args: A, call: Call) => R | Promise<R>} Handler
 */
/**
 * `pick`: how the server chooses among providers; `concurrency`: how many calls at a time (64);
 * `idempotent`: whether a call may be made again when this provider is lost; `signal`: ends it.
 * @typedef {{ pick?: 'least_busy' | 'first' | 'round_robin', concurrency?: number, idempotent?: boolean, signal?: AbortSignal }} ProvideOptions
 */
/**
 * `timeoutMs`: the deadline (30 s); `signal`: cancels; `onProgress`: told how far the provider is.
 * @typedef {{ timeoutMs?: number, signal?: AbortSignal, onProgress?: (data: any) => unknown }} CallOptions
 */
/**
 * What services need of their client.
 * @typedef {object} Home
 * @property {(type: string, content: Record<string, unknown>) => void} send refuses what is too big
 * @property {() => boolean} online
 * @property {() => Limits} limits
 * @property {() => number} nextId
 * @property {Queue} queue
 * @property {Environment} environment
 * @property {<A extends any[]>(listener: (...given: A) => unknown, ...given: A) => void} deliver calls the application
 * @property {(error: ChatroomError) => void} report tells of what no promise stands for
 */

/** A deadline is kept by the server; this client ends a call itself only so long after it. */
const GRACE_MS = 1_000;

/** A service that this client provides. */
export class Registration {
  /** @type {RegistrationState} What the server makes of it: `refused` is tried again on the next connection. */
  state = 'waiting';
  /** @type {ChatroomError | undefined} Why it is refused. */
  error;
  /** @type {Promise<void>} Resolves when the server has answered for the first time; rejects if it refused. */
  ready;
  /** @type {() => void} */
  #resolve = () => {};
  /** @type {(error: ChatroomError) => void} */
  #reject = () => {};
  #close;

  /** @internal @param {string} name @param {Handler<any, any>} handler @param {object} options @param {(registration: Registration) => void} close */
  constructor(name, handler, options, close) {
    /** The service's name. */
    this.name = name;
    /** @internal */
    this.handler = handler;
    /** @internal */
    this.options = options;
    this.#close = close;
    this.ready = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
    this.ready.catch(() => {});
  }

  /** Provides it no longer. Calls being answered are told so by their signal. */
  close() {
    if (this.state === 'closed') return;
    this.turn('closed', new ChatroomError('closed', `the service ${this.name} is provided no longer`));
    this.#close(this);
  }

  /** @internal @param {RegistrationState} state @param {ChatroomError} [error] */
  turn(state, error) {
    this.state = state;
    this.error = error;
    if (error) this.#reject(error);
    else if (state === 'ready') this.#resolve();
  }
}

/** Answers the calls of others. */
export class Provided {
  #home;
  /** @type {Map<string, Registration>} */
  #registrations = new Map();
  /** Registrations whose answers are missing, in the order they went out. @type {Registration[]} */
  #unanswered = [];
  /** @type {Map<string | number, { registration: Registration, ended: AbortController }>} */
  #running = new Map();

  /** @param {Home} home */
  constructor(home) {
    this.#home = home;
  }

  /** How many registrations and running calls there are. */
  get size() {
    return this.#registrations.size + this.#unanswered.length + this.#running.size;
  }

  /** @param {string} name @param {Handler<any, any>} handler @param {ProvideOptions} options @returns {Registration} */
  provide(name, handler, { signal, ...options }) {
    checkName(name, 'service', this.#home.limits());
    if (this.#registrations.has(name)) {
      throw new ChatroomError('already_registered', `this client provides ${name} already; close that registration first`);
    }
    checkOptions(options);
    const close = (/** @type {Registration} */ closed) => {
      signal?.removeEventListener('abort', abort);
      if (this.#registrations.get(name) !== closed) return;
      this.#registrations.delete(name);
      this.#end(closed.error, ({ registration }) => registration === closed);
      if (this.#home.online()) this.#home.send('unregister_service', { service_name: name });
    };
    const registration = new Registration(name, handler, options, close);
    const abort = () => registration.close();
    this.#registrations.set(name, registration);
    if (signal?.aborted) registration.close();
    else signal?.addEventListener('abort', abort);
    if (this.#home.online() && registration.state === 'waiting') this.#register(registration);
    return registration;
  }

  /** @param {Registration} registration */
  #register(registration) {
    this.#unanswered.push(registration);
    this.#home.send('register_service', { service_name: registration.name, options: registration.options });
  }

  /** A connection begins. */
  online() {
    for (const registration of this.#registrations.values()) this.#register(registration);
  }

  /** The connection is gone, and with it everyone who waits for an answer. @param {ChatroomError} error */
  offline(error) {
    this.#unanswered = [];
    for (const registration of this.#registrations.values()) registration.state = 'waiting';
    this.#end(error, () => true);
  }

  /** The client was closed. @param {ChatroomError} error */
  close(error) {
    this.offline(error);
    for (const registration of this.#registrations.values()) registration.turn('closed', error);
    this.#registrations.clear();
  }

  /** @param {unknown} reason @param {(running: { registration: Registration, ended: AbortController }) => boolean} which */
  #end(reason, which) {
    for (const [id, running] of this.#running) {
      if (!which(running)) continue;
      this.#running.delete(id);
      running.ended.abort(reason);
    }
  }

  /** @param {Message} message @returns {boolean} whether it was about a registration or a call of others */
  receive({ type, content }) {
    if (type === 'registered') this.#answered(content.service_name, undefined);
    else if (type === 'request') void this.#answer(content);
    else if (type === 'cancel') {
      const running = this.#running.get(content.request_id);
      this.#running.delete(content.request_id);
      running?.ended.abort(new ChatroomError('cancelled', 'the caller does not wait any more'));
    } else if (type === 'error' && content.in_reply_to?.type === 'register_service') {
      this.#answered(content.in_reply_to.service_name, new ChatroomError(content.code, content.reason));
    } else return false;
    return true;
  }

  /** @param {string} name @param {ChatroomError | undefined} error */
  #answered(name, error) {
    const at = this.#unanswered.findIndex((registration) => registration.name === name);
    const [registration] = at < 0 ? [] : this.#unanswered.splice(at, 1);
    if (!registration || registration.state === 'closed') return;
    registration.turn(error ? 'refused' : 'ready', error);
    if (error) this.#home.report(error);
  }

  /** @param {Record<string, any>} request */
  async #answer({ service_name, args, request_id, by, timeout_ms }) {
    const registration = this.#registrations.get(service_name);
    const ended = new AbortController();
    if (registration) this.#running.set(request_id, { registration, ended });
    const isWanted = () => this.#running.get(request_id)?.ended === ended;
    /** @type {Record<string, unknown>} */
    let content;
    try {
      if (!registration) throw new ChatroomError('closed', `${service_name} is provided no longer`);
      /** @type {Call} */
      const call = {
        by,
        requestId: request_id,
        timeoutMs: timeout_ms,
        signal: ended.signal,
        progress: (data) => {
          const told = plain(data ?? null, 'the progress');
          if (isWanted()) this.#home.send('progress', { request_id, data: told });
        },
      };
      // Later, so that a handler never runs inside the reading of a message.
      const response = await Promise.resolve().then(() => registration.handler(args, call));
      content = { response: plain(response ?? null, 'the response') };
    } catch (thrown) {
      content = { response: null, error: errorOf(thrown) };
    }
    if (registration && !isWanted()) return;
    this.#running.delete(request_id);
    if (!this.#home.online()) return;
    try {
      this.#home.send('response', { ...content, request_id });
    } catch (error) {
      this.#home.send('response', { response: null, request_id, error: errorOf(error) });
    }
  }
}

const PICKS = ['least_busy', 'first', 'round_robin'];

/** Refuses options that the server would refuse. @param {ProvideOptions} options */
function checkOptions({ pick, concurrency, idempotent }) {
  if (pick !== undefined && !PICKS.includes(pick)) throw new ChatroomError('bad_type', `pick is one of ${PICKS.join(', ')}`);
  if (concurrency !== undefined) {
    if (!Number.isInteger(concurrency)) throw new ChatroomError('bad_type', 'concurrency must be an integer');
    if (concurrency < 1) throw new ChatroomError('out_of_range', 'concurrency must be at least 1');
  }
  if (idempotent !== undefined && typeof idempotent !== 'boolean') throw new ChatroomError('bad_type', 'idempotent must be true or false');
}

/** What a caller is told of what a handler threw. @param {any} thrown */
function errorOf(thrown) {
  const code = Number.isSafeInteger(thrown?.code) && thrown.code >= APPLICATION_CODE ? thrown.code : APPLICATION_CODE;
  const message = String(thrown?.message ?? thrown).replace(/\p{Surrogate}/gu, '\ufffd').slice(0, 10_000);
  try {
    return { code, message, ...(thrown?.data === undefined ? {} : { data: plain(thrown.data, 'the data of the error') }) };
  } catch {
    return { code, message };
  }
}

/** @typedef {{ settle: (outcome: CallError | { response: any }) => void, onProgress?: (data: any) => unknown }} Flying */

/** Makes calls. */
export class Calls {
  #home;
  /** Calls that went out, by their ids. @type {Map<number, Flying>} */
  #flying = new Map();

  /** @param {Home} home */
  constructor(home) {
    this.#home = home;
  }

  /** How many calls are under way. */
  get size() {
    return this.#flying.size;
  }

  /** @param {string} name @param {unknown} args @param {CallOptions} options @returns {Promise<any>} */
  call(name, args, { timeoutMs, signal, onProgress }) {
    return new Promise((resolve, reject) => {
      const { environment, queue } = this.#home;
      const limits = this.#home.limits();
      /** @type {unknown} */
      let given;
      try {
        checkName(name, 'service', limits);
        given = plain(args ?? null, 'the arguments');
      } catch (error) {
        return reject(callError(error));
      }
      if (timeoutMs !== undefined && typeof timeoutMs !== 'number') return reject(new CallError('bad_type', 'timeoutMs must be a number'));
      const span = Math.min(timeoutMs ?? limits.call_timeout_ms, limits.call_timeout_ms_max);
      if (!(span >= 0)) return reject(new CallError('out_of_range', 'timeoutMs must be 0 or more'));
      if (signal?.aborted) return reject(cancelled(signal, false));
      const id = this.#home.nextId();
      const deadline = environment.now() + span;
      /** @type {any} */
      let timer;

      /** @param {CallError | { response: any }} outcome */
      const settle = (outcome) => {
        environment.clearTimeout(timer);
        signal?.removeEventListener('abort', abort);
        this.#flying.delete(id);
        if (outcome instanceof CallError) reject(outcome);
        else resolve(outcome.response);
      };
      const expire = () => {
        queue.remove(item);
        settle(new CallError('timeout', `no answer of ${name} within ${span} ms`, { maybeExecuted: this.#flying.has(id) }));
      };
      const abort = () => {
        const flies = this.#flying.has(id);
        queue.remove(item);
        if (flies && this.#home.online()) this.#home.send('cancel', { request_id: id });
        settle(cancelled(/** @type {AbortSignal} */ (signal), flies));
      };
      /** @type {Item} */
      const item = {
        ready: () => this.#home.online(),
        send: () => {
          const left = Math.max(0, Math.round(deadline - environment.now()));
          this.#flying.set(id, { settle, onProgress });
          try {
            this.#home.send('request', { service_name: name, args: given, request_id: id, timeout_ms: left });
          } catch (error) {
            return settle(callError(error));
          }
          environment.clearTimeout(timer);
          timer = environment.setTimeout(expire, left + GRACE_MS);
        },
        fail: (error) => settle(callError(error)),
      };
      timer = environment.setTimeout(expire, span);
      signal?.addEventListener('abort', abort);
      queue.add(item);
      queue.flush();
    });
  }

  /** @param {Message} message @returns {boolean} whether it was about a call */
  receive({ type, content }) {
    const id = type === 'error' ? content.in_reply_to?.request_id : content.request_id;
    const call = this.#flying.get(id);
    if (type === 'progress') {
      if (call?.onProgress) this.#home.deliver(call.onProgress, content.data);
      return true;
    }
    if (type === 'response') {
      const { response, error, maybe_executed } = content;
      call?.settle(error ? new CallError(error.code, error.message, { data: error.data, maybeExecuted: maybe_executed }) : { response });
      return true;
    }
    if (type !== 'error') return false;
    const about = content.in_reply_to?.type;
    // An answer or a cancellation that came too late is nobody's mistake.
    if (about === 'cancel' || ((about === 'response' || about === 'progress') && content.code === CODES.unknown_request)) return true;
    if (about !== 'request' || !call) return false;
    call.settle(new CallError(content.code, content.reason));
    return true;
  }

  /** Nothing of what is under way will be answered. @param {ChatroomError} error */
  fail(error) {
    for (const call of [...this.#flying.values()]) call.settle(new CallError(error.code, error.reason, { maybeExecuted: true }));
  }
}

/** @param {unknown} error */
function callError(error) {
  if (error instanceof ChatroomError) return new CallError(error.code, error.reason);
  return new CallError('internal', error instanceof Error ? error.message : String(error), { cause: error });
}

/** @param {AbortSignal} signal @param {boolean} maybeExecuted */
function cancelled(signal, maybeExecuted) {
  return new CallError('cancelled', 'the caller cancelled the call', { maybeExecuted, cause: signal.reason });
}
