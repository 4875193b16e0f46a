// @ts-check
/** Messages as text: `{"type": T, "content": {...}}`. */

import { ChatroomError } from './code.js';
import { isLonger } from './limits.js';

/** @typedef {import('./limits.js').Limits} Limits */
/** @typedef {{ readonly type: string, readonly content: Readonly<Record<string, any>> }} Message */

/** The dialect that this library speaks, asked for as WebSocket subprotocol. */
export const SUBPROTOCOL = 'chatroom.v1.json';

/**
 * Writes a message, or refuses one that the server would find too big.
 * @param {Message} message its content is plain JSON
 * @param {Limits} limits
 * @returns {string}
 */
export function encode({ type, content }, limits) {
  const text = JSON.stringify({ type, content });
  if (isLonger(text, limits.message_bytes)) {
    throw new ChatroomError('too_big', `a message has at most ${limits.message_bytes} bytes`);
  }
  return text;
}

/**
 * Reads a message of the server.
 * @param {unknown} data
 * @returns {Message}
 */
export function decode(data) {
  let message;
  try {
    message = typeof data === 'string' ? JSON.parse(data) : undefined;
  } catch {
    message = undefined;
  }
  const { type, content } = message ?? {};
  if (typeof type !== 'string' || content === null || typeof content !== 'object' || Array.isArray(content)) {
    throw new ChatroomError('malformed', 'the server sent what is no message');
  }
  return { type, content };
}
