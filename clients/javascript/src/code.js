// @ts-check
/**
 * The codes of docs/protocol.md section 8, and the errors that carry them.
 *
 * The hundreds of a code say what to do: 1xx try again later, 2xx fix the request, 3xx not allowed
 * as this client, 4xx stop. 1000 and above belong to applications.
 */

/** Every code by its name. */
export const CODES = Object.freeze({
  internal: 100,
  busy: 101,
  timeout: 102,
  provider_lost: 103,
  no_provider: 104,
  cancelled: 105,
  shutting_down: 106,
  slow_consumer: 107,
  heartbeat_missed: 108,
  no_authority: 109,
  connection_lost: 110,
  storage_full: 111,
  malformed: 200,
  unknown_message: 201,
  bad_name: 202,
  bad_type: 203,
  bad_unicode: 204,
  not_finite: 205,
  out_of_range: 206,
  key_exists: 207,
  no_such_key: 208,
  too_big: 209,
  unknown_topic: 210,
  type_mismatch: 211,
  invalid: 212,
  precondition: 213,
  duplicate_request: 214,
  unknown_request: 215,
  already_registered: 216,
  not_registered: 217,
  limit_reached: 218,
  hello_expected: 219,
  unsupported: 220,
  unknown_change: 221,
  stale_base: 222,
  forbidden: 300,
  unauthenticated: 301,
  topic_deleted: 400,
  closed: 401,
});

/** @typedef {keyof typeof CODES} CodeName the name of a code of the protocol */
/** @typedef {import('./change.js').Change} Change */

/** The lowest code that belongs to applications. */
export const APPLICATION_CODE = 1000;

/** @type {Map<number, string>} */
const NAMES = new Map(Object.entries(CODES).map(([name, code]) => [code, name]));

/**
 * The name of a code; `application` for those of applications.
 * @param {number} code
 * @returns {string}
 */
export function codeName(code) {
  return NAMES.get(code) ?? (code >= APPLICATION_CODE ? 'application' : `code_${code}`);
}

/** What every error of this library is. */
export class ChatroomError extends Error {
  /**
   * @param {number | CodeName} code
   * @param {string} reason
   * @param {ErrorOptions} [options]
   */
  constructor(code, reason, options) {
    super(reason, options);
    /** @type {number} What to branch on; see CODES. */
    this.code = typeof code === 'number' ? code : CODES[code];
    /** @type {string} The code's name, such as `out_of_range`. */
    this.name = codeName(this.code);
    /** @type {string} What went wrong, in words. */
    this.reason = reason;
  }

  /** Whether the same thing may go well later. */
  get retryable() {
    return this.code >= 100 && this.code < 200;
  }
}

/** A change or an action that was not made. */
export class Rejected extends ChatroomError {
  /**
   * @param {number | CodeName} code
   * @param {string} reason
   * @param {{ topicName?: string, change?: Change, changes?: readonly { readonly topicName: string, readonly change: Change }[], maybeExecuted?: boolean, retryable?: boolean }} [about]
   */
  constructor(code, reason, about = {}) {
    super(code, reason);
    /** @type {string | undefined} The topic of the change that failed. */
    this.topicName = about.topicName;
    /** @type {Change | undefined} The change that failed. */
    this.change = about.change;
    /** All changes of the action as they were by then, positions as the wire counts them; empty if it is one that failed here. */
    this.changes = about.changes ?? [];
    /** Whether it may have been made all the same: the connection was lost before the answer. */
    this.maybeExecuted = about.maybeExecuted ?? false;
    this.#retryable = about.retryable;
  }

  /** @type {boolean | undefined} */
  #retryable;

  /** Whether the same change may be accepted later. @override */
  get retryable() {
    return this.#retryable ?? super.retryable;
  }
}

/** A call that ended without a result. */
export class CallError extends ChatroomError {
  /**
   * @param {number | CodeName} code
   * @param {string} reason
   * @param {{ data?: unknown, maybeExecuted?: boolean, cause?: unknown }} [about]
   */
  constructor(code, reason, about = {}) {
    super(code, reason, 'cause' in about ? { cause: about.cause } : undefined);
    /** @type {unknown} What the provider added to its error. */
    this.data = about.data;
    /** Whether a provider may have run the call. */
    this.maybeExecuted = about.maybeExecuted ?? false;
  }
}

/** The connection is closed, or waits for a login. */
export class ConnectionError extends ChatroomError {}

/** Thrown by a service's handler to answer with an error; `code` is 1000 or more. */
export class ServiceError extends ChatroomError {
  /**
   * @param {number} code 1000 or more
   * @param {string} message
   * @param {unknown} [data] any JSON
   */
  constructor(code, message, data) {
    if (!Number.isSafeInteger(code) || code < APPLICATION_CODE) {
      throw new RangeError(`the code of a ServiceError is ${APPLICATION_CODE} or more, not ${code}`);
    }
    super(code, message);
    /** @type {unknown} */
    this.data = data;
  }
}

/** Thrown or returned by a token callback: there is no token, and asking again will not help. */
export class TokenRefused extends ChatroomError {
  /** @param {string} [reason] */
  constructor(reason = 'the token was refused') {
    super('unauthenticated', reason);
  }
}
