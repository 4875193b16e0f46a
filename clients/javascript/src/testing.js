// @ts-check
/**
 * A real server for tests, in one line, with faults for its clients. For Node.
 *
 *     const server = await TestServer.start();
 *     const room = connect(server.url);
 *     await room.online();
 *     await server.client(room.id).freeze(2_000);
 *     await server.stop();
 *
 * @module
 */

import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { ChatroomError } from './code.js';
import { ENVIRONMENT } from './socket.js';

/** @typedef {import('./socket.js').Socket} Socket */
/**
 * `binary`: the executable; by default what CHATROOM_BINARY names, else one built in the repository
 * that this module lies in, else `chatroom` on the path. `args`: flags beside those for the ports.
 * `room`: the room of `url`, main by default. `data`: the folder to keep rooms in, for one after the
 * other; without it they are in memory.
 * @typedef {{ binary?: string, args?: readonly string[], room?: string, data?: string }} StartOptions
 */

const START_MS = 15_000;
const STOP_MS = 5_000;

export class TestServer {
  #process;
  /** @type {Promise<number | null>} */
  #exit;
  #debugger;
  /** @type {Faults | undefined} */
  #faults;

  /** @internal @param {import('node:child_process').ChildProcess} process @param {Promise<number | null>} exit @param {string} url @param {string} debuggerUrl @param {string} room */
  constructor(process, exit, url, debuggerUrl, room) {
    this.#process = process;
    this.#exit = exit;
    this.#debugger = debuggerUrl;
    /** Where HTTP is answered, such as `http://127.0.0.1:40123/`. */
    this.http = url;
    /** The name of the room that `url` leads to. */
    this.room = room;
    /** What to give to `connect`. */
    this.url = new URL(room === 'main' ? '' : `rooms/${room}`, url.replace('http', 'ws')).href;
  }

  /**
   * Starts a server on free ports, with its rooms in memory or in a folder, and waits until it serves.
   * @param {StartOptions} [options]
   * @returns {Promise<TestServer>}
   */
  static async start({ binary = findBinary(), args = [], room = 'main', data } = {}) {
    const environment = Object.fromEntries(Object.entries(process.env).filter(([name]) => !/^(CHATROOM_.*|DEBUG)$/.test(name)));
    const kept = data === undefined ? ['--memory'] : ['--data', data];
    const flags = ['serve', ...kept, '--listen', '127.0.0.1:0', '--debugger', '127.0.0.1:0', ...args];
    const server = spawn(binary, flags, { stdio: ['ignore', 'pipe', 'pipe'], env: { RUST_LOG: 'warn', ...environment } });
    // A test that forgets its server does not leave it running.
    const kill = () => void server.kill('SIGKILL');
    process.once('exit', kill);
    let complaints = '';
    server.stderr.setEncoding('utf8').on('data', (text) => (complaints = (complaints + text).slice(-4_000)));
    /** @type {Promise<number | null>} */
    const exit = new Promise((resolve) => {
      server.once('exit', (code) => {
        process.off('exit', kill);
        resolve(code);
      });
      server.once('error', (error) => {
        complaints += error.message;
        process.off('exit', kill);
        resolve(null);
      });
    });
    /** @type {any} */
    let timer;
    const late = new Promise((resolve) => (timer = setTimeout(resolve, START_MS)));
    const said = announced(server);
    const addresses = await Promise.race([said, exit, late]);
    clearTimeout(timer);
    if (typeof addresses === 'object' && addresses !== null) {
      const { url, debuggerUrl } = /** @type {{ url: string, debuggerUrl: string }} */ (addresses);
      return new TestServer(server, exit, url, debuggerUrl, room);
    }
    kill();
    throw new Error(`${binary} did not start to serve: ${complaints.trim() || 'it said nothing'}`);
  }

  /** The client with that id, to do things to. @param {number} id */
  client(id) {
    return new TestClient(id, (kind, ms) => this.#fault(id, kind, ms));
  }

  /** @param {number} client @param {string} kind @param {number} [ms] */
  async #fault(client, kind, ms) {
    this.#faults ??= new Faults(this.#debugger);
    await this.#faults.command({ type: 'fault', room: this.room, client, kind, ms });
  }

  /** Kills the server in the middle of whatever it does, and waits for its end. @returns {Promise<void>} */
  async kill() {
    this.#faults?.close();
    this.#process.kill('SIGKILL');
    await this.#exit;
  }

  /** Stops the server as an operator would, and waits for its end. @returns {Promise<void>} */
  async stop() {
    this.#faults?.close();
    const timer = setTimeout(() => this.#process.kill('SIGKILL'), STOP_MS);
    this.#process.kill('SIGTERM');
    await this.#exit;
    clearTimeout(timer);
  }
}

const asyncDispose = /** @type {{ asyncDispose?: symbol }} */ (Symbol).asyncDispose;
if (asyncDispose) Object.defineProperty(TestServer.prototype, asyncDispose, { value: TestServer.prototype.stop });

/** One client of a test server. */
export class TestClient {
  #fault;

  /** @internal @param {number} id @param {(kind: string, ms?: number) => Promise<void>} fault */
  constructor(id, fault) {
    this.id = id;
    this.#fault = fault;
  }

  /** The server neither reads nor writes its socket for a while. @param {number} ms @returns {Promise<void>} resolves when that has begun */
  freeze(ms) {
    return this.#fault('freeze', ms);
  }

  /** Its socket is cut without a word. @returns {Promise<void>} */
  drop() {
    return this.#fault('drop');
  }

  /** The server says goodbye and closes. @returns {Promise<void>} */
  disconnect() {
    return this.#fault('disconnect');
  }

  /** Each message, either way, waits so long from now on; 0 ends that. @param {number} ms @returns {Promise<void>} */
  delay(ms) {
    return this.#fault('delay', ms);
  }
}

/** A connection to the server's debugger. */
class Faults {
  /** @type {Promise<Socket>} */
  #socket;
  #lastId = 0;
  /** @type {Map<number, { resolve: () => void, reject: (error: Error) => void }>} */
  #waiting = new Map();

  /** @param {string} url of the debugger's page */
  constructor(url) {
    this.#socket = this.#open(url);
  }

  /** @param {string} url @returns {Promise<Socket>} */
  async #open(url) {
    const socket = await ENVIRONMENT.open(new URL('socket', url.replace('http', 'ws')).href, 'chatroom.debugger.v1');
    await new Promise((resolve, reject) => {
      socket.onopen = () => {
        socket.send(JSON.stringify({ type: 'hello' }));
        resolve(undefined);
      };
      socket.onmessage = ({ data }) => this.#receive(JSON.parse(data));
      socket.onclose = () => {
        const error = new Error('the debugger closed the connection');
        reject(error);
        for (const { reject } of this.#waiting.values()) reject(error);
        this.#waiting.clear();
      };
      socket.onerror = () => {};
    });
    return socket;
  }

  /** @param {any} message */
  #receive({ type, id, ok, error }) {
    const waiting = this.#waiting.get(id);
    if (type !== 'result' || !waiting) return;
    this.#waiting.delete(id);
    if (ok) waiting.resolve();
    else waiting.reject(new ChatroomError(error.code, error.reason));
  }

  /** @param {Record<string, unknown>} command @returns {Promise<void>} */
  async command(command) {
    const socket = await this.#socket;
    const id = ++this.#lastId;
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject });
      socket.send(JSON.stringify({ ...command, id }));
    });
  }

  close() {
    this.#socket.then((socket) => socket.close(1000), () => {});
  }
}

/** What the server says of where it is. @param {import('node:child_process').ChildProcess} server @returns {Promise<{ url: string, debuggerUrl: string }>} */
function announced(server) {
  return new Promise((resolve) => {
    let url = '';
    let debuggerUrl = '';
    const lines = createInterface({ input: /** @type {import('node:stream').Readable} */ (server.stdout) });
    lines.on('line', (line) => {
      const [address] = /https?:\/\/[^\s/]+\//.exec(line) ?? [];
      if (!address) return;
      if (/debugger/i.test(line)) debuggerUrl = address;
      else url = address;
      if (url && debuggerUrl) resolve({ url, debuggerUrl });
    });
  });
}

/** The executable that a test means when it names none. */
function findBinary() {
  if (process.env.CHATROOM_BINARY) return process.env.CHATROOM_BINARY;
  for (let folder = new URL('.', import.meta.url); ; folder = new URL('..', folder)) {
    const built = new URL('target/debug/chatroom', folder);
    if (existsSync(new URL('Cargo.toml', folder)) && existsSync(built)) return fileURLToPath(built);
    if (new URL('..', folder).href === folder.href) return 'chatroom';
  }
}
