// @ts-check
/** Opens a WebSocket in whichever runtime this is, and tells of what the runtime knows of the network. */

/**
 * The part of a WebSocket that is used here.
 * @typedef {object} Socket
 * @property {(text: string) => void} send
 * @property {(code?: number, reason?: string) => void} close
 * @property {(() => void) | null} onopen
 * @property {((event: { data: any }) => void) | null} onmessage
 * @property {((event: { code: number, reason: string }) => void) | null} onclose
 * @property {((event: any) => void) | null} onerror
 */

/**
 * What the library needs of its surroundings. Tests and unusual runtimes put their own in.
 * @typedef {object} Environment
 * @property {(url: string, subprotocol: string) => Socket | Promise<Socket>} open
 * @property {(callback: () => void, ms: number) => any} setTimeout
 * @property {(timer: any) => void} clearTimeout
 * @property {() => number} now milliseconds; may begin anywhere
 * @property {() => number} random from 0 to 1
 * @property {(told: (online: boolean) => void) => () => void} network tells when the network comes and goes; gives what ends that
 */

/** @type {Environment} */
export const ENVIRONMENT = {
  open,
  setTimeout: (callback, ms) => setTimeout(callback, ms),
  clearTimeout: (timer) => clearTimeout(timer),
  now: () => performance.now(),
  random: () => Math.random(),
  network(told) {
    if (typeof globalThis.addEventListener !== 'function') return () => {};
    const [online, offline] = [() => told(true), () => told(false)];
    globalThis.addEventListener('online', online);
    globalThis.addEventListener('offline', offline);
    return () => {
      globalThis.removeEventListener('online', online);
      globalThis.removeEventListener('offline', offline);
    };
  },
};

/**
 * @param {string} url
 * @param {string} subprotocol
 * @returns {Socket | Promise<Socket>}
 */
function open(url, subprotocol) {
  // Node below 22 has no WebSocket of its own. A browser never comes past this line.
  if (typeof WebSocket === 'function') return /** @type {Socket} */ (new WebSocket(url, subprotocol));
  // @ts-ignore Its types are there only where it is installed.
  return import('ws').then(({ default: NodeSocket }) => /** @type {any} */ (new NodeSocket(url, subprotocol)));
}

/**
 * The WebSocket URL of a room: http(s) becomes ws(s), and in a page a relative one is resolved
 * against it. None: the room main of the page's host.
 * @param {string | URL} [url]
 * @returns {string}
 */
export function socketUrl(url) {
  const page = typeof location === 'object' ? location.href : undefined;
  if (url === undefined && page === undefined) throw new TypeError('connect needs a URL, such as ws://localhost:8765');
  const whole = new URL(url ?? '/', page);
  if (whole.protocol === 'http:') whole.protocol = 'ws:';
  if (whole.protocol === 'https:') whole.protocol = 'wss:';
  if (whole.protocol !== 'ws:' && whole.protocol !== 'wss:') throw new TypeError(`${whole.href} is no WebSocket URL`);
  whole.hash = '';
  return whole.href;
}
