// @ts-check
/**
 * What outlives the program: the session, the values, and the own actions without an outcome. A
 * replica made of it is as one that lost its connection: it goes on with the session, and what has no
 * outcome is sent again under the same numbers. All three clients read and write the same form. What
 * can be undone is not in it, nor actions that wait for a value.
 */

import { decode, TOPIC_TYPES } from './change.js';
import { ChatroomError } from './code.js';
import { withoutId } from './own.js';
import { Pending } from './pending.js';
import { plain } from './value.js';

/** @typedef {import('./change.js').Change} Change */
/** @typedef {import('./change.js').TopicType} TopicType */
/** @typedef {import('./mirror.js').Mirror} Mirror */
/** @typedef {import('./mirror.js').Part} Part */
/** @typedef {import('./replica.js').Replica} Replica */
/** @typedef {import('./value.js').Json} Json */
/** @typedef {{ topic_name: string, type?: TopicType, sequence?: number, value?: Json }} SavedTopic */
/** @typedef {{ topic_name: string, change: Change, lost?: true }} SavedChange */
/** @typedef {{ changes: SavedChange[], named?: readonly string[], tracked: boolean }} SavedAction */
/**
 * What a client is made of when its program starts again, for `connect(url, { saved })`. Keep it as
 * JSON, as secret as a password: who has it can go on as this client.
 * @typedef {object} Saved
 * @property {1} version
 * @property {{ id: number, secret: string }} [session]
 * @property {number} acknowledged
 * @property {number} sent
 * @property {SavedTopic[]} topics
 * @property {SavedAction[]} actions
 */

/** @param {Replica} replica @param {{ id: number, secret: string } | undefined} session @returns {Saved} */
export function save(replica, session) {
  const { own, mirrors } = replica;
  const kept = [...mirrors.values()].filter((mirror) => mirror.own.length > 0 || (mirror.wanted && mirror.document && !mirror.error));
  kept.sort((one, other) => (one.name < other.name ? -1 : 1));
  return {
    version: 1,
    ...(session ? { session } : {}),
    acknowledged: own.acknowledged,
    sent: own.sent,
    topics: kept.map((mirror) => {
      const known = mirror.document ? { sequence: mirror.sequence, value: /** @type {Json} */ (plain(mirror.confirmed())) } : {};
      return { topic_name: mirror.name, type: mirror.type, ...known };
    }),
    actions: own.actions.map((action) => ({
      changes: action.left.map(({ mirror, change, lost }) => ({ topic_name: mirror.name, change: /** @type {Change} */ (change), ...(lost ? { lost } : {}) })),
      ...(action.wasSent ? { named: action.named } : {}),
      tracked: action.kind === 'plain' && action.tracked,
    })),
  };
}

/**
 * Puts what was saved into a new replica. Topics that it had are wanted until they are released.
 * @param {Replica} replica @param {Saved} saved
 */
export function restore(replica, saved) {
  if (saved?.version !== 1) throw new ChatroomError('unsupported', `the saved session is of version ${saved?.version}; this client reads version 1`);
  try {
    restoreAll(replica, saved);
  } catch (error) {
    throw new ChatroomError('bad_type', `the saved session: ${error instanceof ChatroomError ? error.reason : error}`);
  }
}

/** @param {Replica} replica @param {Saved} saved */
function restoreAll(replica, { session, acknowledged, sent, topics, actions }) {
  const { own, mirrors } = replica;
  if (!(sent <= actions.length)) throw new ChatroomError('bad_type', 'it has another number of actions than it says');
  replica.client = session?.id ?? 0;
  for (const { topic_name: name, type } of topics) {
    if (!type) continue;
    if (!TOPIC_TYPES.includes(type)) throw new ChatroomError('bad_type', `there is no topic type ${type}`);
    replica.open(name, type);
  }
  own.acknowledged = acknowledged;
  own.sent = sent;
  for (const { changes, named, tracked } of actions) {
    const action = new Pending(++own.count, 'plain', tracked, 0, 0);
    action.wasSent = named !== undefined;
    action.named = named ?? [];
    for (const { topic_name: name, change, lost = false } of changes) {
      const mirror = mirrors.get(name);
      if (!mirror) throw new ChatroomError('bad_type', `it has a change of ${name}, and not the topic`);
      const decoded = withoutId(decode(mirror.type, change, { limits: replica.limits, by: replica.client }));
      /** @type {Part} */
      const part = { action, mirror, change: decoded, step: undefined, inverse: [], slid: false, lost };
      mirror.own.push(part);
      action.parts.push(part);
    }
    own.actions.push(action);
  }
  for (const { topic_name: name, sequence = 0, value } of topics) {
    const mirror = mirrors.get(name);
    if (!mirror || value === undefined) continue;
    mirror.load(value, sequence);
    mirror.status = 'stale';
  }
}
