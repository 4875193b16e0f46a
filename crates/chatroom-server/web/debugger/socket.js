// @ts-check
// The socket to the server: says hello, comes back after a loss, and matches commands to results.

/** @typedef {import('./wire.js').Message} Message */
/** @typedef {import('./wire.js').ResultMessage} ResultMessage */
/** @typedef {'connecting' | 'online' | 'silent' | 'lost' | 'refused'} State */

const SUBPROTOCOL = 'chatroom.debugger.v1';
const RETRY_FIRST_MS = 500;
const RETRY_LONGEST_MS = 8000;
// The server says something every second; a socket that says nothing is as good as lost.
const SILENT_MS = 4000;
const GIVE_UP_MS = 15_000;
const COMMAND_MS = 15_000;

export class Socket {
  /** @type {State} */
  state = 'connecting';
  /** Why the connection ended, in the server's words if it had any. */
  reason = '';
  /** When the next attempt is made, as Date.now() counts. */
  retryAt = 0;

  /** @type {WebSocket | null} */
  #socket = null;
  #attempts = 0;
  #lastId = 0;
  #heardAt = 0;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;
  /** @type {Map<number, { resolve(result: ResultMessage): void, timer: ReturnType<typeof setTimeout> }>} */
  #waiting = new Map();
  #token;
  #onMessage;
  #onState;

  /** @param {{ token: string, onMessage(message: Message): void, onState(): void }} options */
  constructor({ token, onMessage, onState }) {
    this.#token = token;
    this.#onMessage = onMessage;
    this.#onState = onState;
    this.#connect();
    addEventListener('online', () => this.retry());
    setInterval(() => this.#listen(), 1000);
  }

  /** Tries again at once. */
  retry() {
    if (this.state !== 'lost' && this.state !== 'refused') return;
    this.#connect();
  }

  /** @param {string} token */
  useToken(token) {
    this.#token = token;
    this.retry();
  }

  /** @param {{ type: string, [field: string]: unknown }} message */
  send(message) {
    if (this.#socket?.readyState === WebSocket.OPEN) this.#socket.send(JSON.stringify(message));
  }

  /**
   * Sends a command and waits for its result; a lost connection is a result too.
   * @param {string} type
   * @param {Record<string, unknown>} fields
   * @param {number} [patience]
   * @returns {Promise<ResultMessage>}
   */
  command(type, fields, patience = COMMAND_MS) {
    if (this.state !== 'online' && this.state !== 'silent') return Promise.resolve(failure('not_connected', 'the debugger is not connected to the server'));
    const id = ++this.#lastId;
    return new Promise((resolve) => {
      const timer = setTimeout(() => {
        this.#waiting.delete(id);
        resolve(failure('no_answer', 'the server did not answer the debugger'));
      }, patience);
      this.#waiting.set(id, { resolve, timer });
      this.send({ type, id, ...fields });
    });
  }

  #connect() {
    clearTimeout(this.#timer);
    this.#socket?.close();
    const address = new URL('socket', location.href);
    address.protocol = address.protocol.replace('http', 'ws');
    address.hash = '';
    const socket = new WebSocket(address, SUBPROTOCOL);
    this.#socket = socket;
    this.#become('connecting');
    socket.onopen = () => {
      this.#heardAt = Date.now();
      this.send(this.#token ? { type: 'hello', token: this.#token } : { type: 'hello' });
    };
    socket.onmessage = ({ data }) => {
      if (socket === this.#socket) this.#receive(String(data));
    };
    socket.onclose = ({ reason }) => {
      if (socket === this.#socket) this.#lose(reason);
    };
  }

  /** @param {string} text */
  #receive(text) {
    this.#heardAt = Date.now();
    if (this.state === 'silent') this.#become('online');
    /** @type {Message} */
    const message = JSON.parse(text);
    if (message.type === 'result') {
      const waiting = this.#waiting.get(message.id ?? -1);
      if (!waiting) return;
      clearTimeout(waiting.timer);
      this.#waiting.delete(message.id ?? -1);
      waiting.resolve(message);
      return;
    }
    if (message.type === 'hello') {
      this.#attempts = 0;
      this.reason = '';
      this.#become('online');
    }
    if (message.type === 'goodbye') this.reason = message.reason;
    if (message.type === 'refused') {
      this.reason = message.reason;
      this.#become('refused');
      return;
    }
    this.#onMessage(message);
  }

  /** @param {string} reason */
  #lose(reason) {
    this.#socket = null;
    for (const { resolve, timer } of this.#waiting.values()) {
      clearTimeout(timer);
      resolve(failure('connection_lost', 'the connection was lost before the answer; it may have been done'));
    }
    this.#waiting.clear();
    if (this.state === 'refused') return;
    if (reason) this.reason = reason;
    const wait = Math.min(RETRY_LONGEST_MS, RETRY_FIRST_MS * 2 ** this.#attempts) * (0.8 + Math.random() * 0.4);
    this.#attempts += 1;
    this.retryAt = Date.now() + wait;
    this.#timer = setTimeout(() => this.#connect(), wait);
    this.#become('lost');
  }

  #listen() {
    const silence = Date.now() - this.#heardAt;
    if (this.state === 'online' && silence > SILENT_MS) this.#become('silent');
    if (this.state !== 'silent' || silence < GIVE_UP_MS) return;
    // A close would wait for an answer that does not come.
    this.#socket?.close();
    this.#lose('the server fell silent');
  }

  /** @param {State} state */
  #become(state) {
    this.state = state;
    this.#onState();
  }
}

/** @param {string} name @param {string} reason @returns {ResultMessage} */
function failure(name, reason) {
  return { type: 'result', id: null, ok: false, error: { code: 0, name, reason } };
}
