// @ts-check
/** What a server takes. A client refuses by itself what the server would refuse. */

import { ChatroomError } from './code.js';

/**
 * The limits that a client has a use for, as `hello` announces them.
 * @typedef {{ -readonly [K in keyof typeof DEFAULT_LIMITS]: number }} Limits
 */

/** The limits of a server that was not configured otherwise, in force until `hello` has come. */
export const DEFAULT_LIMITS = Object.freeze({
  message_bytes: 1_048_576,
  depth: 64,
  name_bytes: 256,
  id_bytes: 128,
  text_scalars: 1_048_576,
  items: 100_000,
  key_bytes: 1024,
  presence_bytes: 16_384,
  edit_components: 10_000,
  action_changes: 1000,
  push_actions: 256,
  call_timeout_ms: 30_000,
  call_timeout_ms_max: 600_000,
  heartbeat_ms: 25_000,
});

/**
 * The limits of a `hello`: its numbers where it has them, the defaults elsewhere.
 * @param {unknown} announced
 * @returns {Limits}
 */
export function limitsFrom(announced) {
  const given = /** @type {Record<string, unknown>} */ (announced ?? {});
  const entries = Object.entries(DEFAULT_LIMITS).map(([name, usual]) => [name, typeof given[name] === 'number' ? given[name] : usual]);
  return Object.fromEntries(entries);
}

/**
 * Refuses names that the server would refuse.
 * @param {string} name
 * @param {'topic' | 'service'} what
 * @param {Limits} limits
 */
export function checkName(name, what, limits) {
  const refuse = (/** @type {string} */ why) => {
    throw new ChatroomError('bad_name', `a ${what} name ${why}`);
  };
  if (typeof name !== 'string') throw new ChatroomError('bad_type', `a ${what} name must be a string`);
  if (name === '') refuse('may not be empty');
  if (/\p{Surrogate}/u.test(name)) throw new ChatroomError('bad_unicode', `a ${what} name has a lone surrogate`);
  if (byteLength(name) > limits.name_bytes) refuse(`has at most ${limits.name_bytes} bytes, this one has ${byteLength(name)}`);
  if (/\p{Cc}/u.test(name)) refuse('may not have control characters');
  if (/^\p{White_Space}|\p{White_Space}$/u.test(name)) refuse('may not begin or end with white space');
}

/**
 * How many bytes a text has in UTF-8.
 * @param {string} text
 */
export function byteLength(text) {
  let bytes = text.length;
  for (let at = 0; at < text.length; at++) {
    const unit = text.charCodeAt(at);
    if (unit < 0x80) continue;
    // Each half of a surrogate pair counts two of its four bytes.
    bytes += unit < 0x800 || (unit >= 0xd800 && unit < 0xe000) ? 1 : 2;
  }
  return bytes;
}

/**
 * Whether a text is longer than so many bytes; short texts are not counted.
 * @param {string} text
 * @param {number} bytes
 */
export function isLonger(text, bytes) {
  return text.length > bytes || (text.length * 3 > bytes && byteLength(text) > bytes);
}
