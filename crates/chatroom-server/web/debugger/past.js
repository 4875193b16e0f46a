// @ts-check
// The past of a topic as the server keeps it: commits and values that are not in the log any more.

/** @typedef {import('./wire.js').Entry} Entry */
/** @typedef {import('./wire.js').Json} Json */
/** @typedef {import('./wire.js').Part} Part */
/** @typedef {import('./wire.js').Refusal} Refusal */
/** @typedef {{ sequence: number, at_ms: number, by?: number, action_id?: string | number, changes?: Part[] }} Commit */

export class Past {
  #socket;

  /** @param {import('./socket.js').Socket} socket */
  constructor(socket) {
    this.#socket = socket;
  }

  /**
   * Commits of a topic before a place, oldest first, and where to go on; `next` is null at the end.
   * @param {string} topic
   * @param {string} type
   * @param {number | null} before
   * @returns {Promise<{ entries: Entry[], next: number | null }>}
   */
  async commits(topic, type, before) {
    const { ok, value } = await this.#ask('_chatroom/history', { topic_name: topic, limit: 100, ...(before === null ? {} : { before }) });
    if (!ok) return { entries: [], next: null };
    const { commits, next } = /** @type {{ commits: Commit[], next: number | null }} */ (/** @type {unknown} */ (value));
    const entries = commits.filter(({ changes }) => changes).map((commit) => entryOf(commit, type));
    return { entries: entries.reverse(), next };
  }

  /** The value that a topic had, or why it is not known. @param {string} topic @param {number} sequence @returns {Promise<{ value?: Json, error?: Refusal }>} */
  async value(topic, sequence) {
    const { ok, value, error } = await this.#ask('_chatroom/get', { topic_name: topic, at: sequence });
    return ok ? { value: /** @type {{ value: Json }} */ (/** @type {unknown} */ (value)).value } : { error };
  }

  /** @param {string} service @param {Record<string, unknown>} args */
  #ask(service, args) {
    return this.#socket.command('call', { service_name: service, args });
  }
}

/** A commit as a line of the log. @param {Commit} commit @param {string} type @returns {Entry} */
function entryOf({ sequence, at_ms, by = 0, action_id, changes = [] }, type) {
  // Its keys are none of the log's.
  const place = { key: -1e9 - sequence, n: 0, t_ms: at_ms, sequence, by };
  return { ...place, kind: 'commit', action_id, changes: changes.map((part) => ({ ...part, type })) };
}
