// @ts-check
/** Own actions on their way: what the replica keeps of one until its outcome. */

/** @typedef {import('./change.js').Change} Change */
/** @typedef {import('./mirror.js').Mirror} Mirror */
/** @typedef {import('./mirror.js').Part} Part */
/** @typedef {'plain' | 'undo' | 'redo'} Kind */
/**
 * How an action is made: `tracked`: whether undo takes it back; `group`: what it is undone together
 * with; `latest`: takes the place of an earlier entry of the same presence topic that was not sent.
 * @typedef {{ tracked?: boolean, group?: number, latest?: boolean, wire?: boolean }} How
 */

/** A push says so much beside its changes, and so much beside each of them. */
const ENVELOPE_BYTES = 200;
const PART_BYTES = 40;

export class Pending {
  /** @type {Part[]} */
  parts = [];
  /** @type {number[]} Later actions that it stands for as well. */
  joined = [];
  /** Whether it was on its way once; then it stays as it is. */
  wasSent = false;
  /** @type {number | undefined} What it is undone together with. */
  group;
  /** @type {readonly string[]} The topics that it named when it was sent, each once. */
  named = [];

  /** @param {number} count which of the client's actions it is @param {Kind} kind @param {boolean} tracked @param {number} at when it was made @param {number} turn how often undo or redo was asked for before */
  constructor(count, kind, tracked, at, turn) {
    this.count = count;
    this.kind = kind;
    this.tracked = tracked;
    this.at = at;
    this.turn = turn;
  }

  /** The topics that it touches. @returns {Set<Mirror>} */
  get mirrors() {
    return new Set(this.parts.map(({ mirror }) => mirror));
  }

  /** What is left of its changes. */
  get left() {
    return this.parts.filter(({ change }) => change !== null);
  }

  /** How long it is in a push, roughly and rather too long. */
  get size() {
    return this.left.reduce((sum, { mirror, change }) => sum + JSON.stringify(change).length + mirror.name.length + PART_BYTES, ENVELOPE_BYTES);
  }
}

/**
 * A push of some actions, which are taken as sent.
 * @param {readonly Pending[]} actions
 * @param {number} number that of the first
 * @param {number} acknowledged
 */
export function pushOf(actions, number, acknowledged) {
  /** @type {Map<Mirror, number>} */
  const indexes = new Map();
  const written = actions.map((action) => {
    const changes = action.left.map(({ mirror, change }) => {
      const topic = indexes.get(mirror) ?? indexes.size;
      indexes.set(mirror, topic);
      return { topic, change };
    });
    action.named = [...new Set(action.left.map(({ mirror }) => mirror.name))];
    return { changes };
  });
  const topics = [...indexes.keys()].map(({ name, document, sequence }) => (document ? { topic_name: name, base: sequence } : { topic_name: name }));
  return { type: 'push', content: { number, acknowledged, topics, actions: written } };
}
