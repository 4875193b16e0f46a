// @ts-check
/** What the server tells of the past. */

/** @typedef {import('./change.js').Change} Change */
/** @typedef {{ call: (name: string, args: unknown) => Promise<any> }} Caller */
/** @typedef {{ readonly topic_name: string, readonly change: Change & { readonly id: string | number }, readonly previous: number }} PastChange */
/**
 * A commit of the past: its place, when it was, its author's client id, and its changes; or a topic
 * that was deleted.
 * @typedef {{ readonly sequence: number, readonly at_ms: number, readonly by: number, readonly changes: readonly PastChange[] }
 *   | { readonly sequence: number, readonly at_ms: number, readonly deleted: string }} PastCommit
 */
/** @typedef {{ readonly commits: readonly PastCommit[], readonly next: number | null }} CommitPage `next`: the `before` of the next page */
/**
 * Which commits: of one topic; before a sequence, such as `next` of the page before; how many (100).
 * @typedef {{ topicName?: string, before?: number, limit?: number }} Which
 */

/** @param {Caller} room @param {Which} which @returns {Promise<CommitPage>} */
export function commits(room, { topicName, before, limit }) {
  return room.call('_chatroom/history', { topic_name: topicName, before, limit });
}

/** @param {Caller} room @param {string} topicName @param {number} sequence @returns {Promise<any>} */
export async function valueAt(room, topicName, sequence) {
  return (await room.call('_chatroom/get', { topic_name: topicName, at: sequence })).value;
}
