// @ts-check
// Waiting for what is to happen, and never for time to pass.

/** @typedef {import('../src/index.js').Client} Client */

/**
 * Resolves when the client's connection comes into a state.
 * @param {Client} room
 * @param {import('../src/index.js').State} state
 * @returns {Promise<import('../src/index.js').ConnectionState>}
 */
export function turned(room, state) {
  return new Promise((resolve) => {
    const off = room.on('state', (told) => {
      if (told.state !== state) return;
      off();
      resolve(told);
    });
  });
}

/**
 * Resolves with the value of a topic once `holds` is true for it.
 * @template T
 * @param {import('../src/index.js').Topic<T>} topic
 * @param {(value: T) => boolean} holds
 * @returns {Promise<T>}
 */
export function becomes(topic, holds) {
  return new Promise((resolve) => {
    const off = topic.on((value) => {
      if (!holds(value)) return;
      queueMicrotask(() => off());
      resolve(value);
    });
  });
}

/** Resolves when everything that the client has sent so far was handled. @param {Client} room */
export async function settled(room) {
  await room.call('_chatroom/time');
}
