// @ts-check
/**
 * The ChatRoom client, for browsers and Node 20 or later.
 *
 *     const room = connect('ws://localhost:8765');
 *     const score = room.topic('game/score', 'int');
 *     score.on((value) => console.log(value));
 *     await score.add(1);
 *
 * @module
 */

export { Action } from './action.js';
export { Client, connect } from './client.js';
export { APPLICATION_CODE, CallError, ChatroomError, CODES, ConnectionError, Rejected, ServiceError, TokenRefused } from './code.js';
export { BoolTopic, DictTopic, EventTopic, FloatTopic, GenericTopic, IntTopic, ListTopic, SetTopic, StringTopic } from './kinds.js';
export { DEFAULT_LIMITS } from './limits.js';
export { PresenceTopic } from './presence.js';
export { Registration } from './service.js';
export { Topic } from './topic.js';
export { types } from './type.js';
export { Updates } from './updates.js';
export { canonical, equal, parse } from './value.js';

/** @typedef {import('./news.js').Accepted} Accepted */
/** @typedef {import('./change.js').Change} Change */
/** @typedef {import('./change.js').TopicType} TopicType */
/** @typedef {import('./client.js').ActionOptions} ActionOptions */
/** @typedef {import('./client.js').Events} Events */
/** @typedef {import('./client.js').History} History */
/** @typedef {import('./past.js').CommitPage} CommitPage */
/** @typedef {import('./client.js').Options} Options */
/** @typedef {import('./past.js').PastCommit} PastCommit */
/** @typedef {import('./client.js').TopicOptions} TopicOptions */
/** @typedef {import('./saved.js').Saved} Saved */
/** @typedef {import('./code.js').CodeName} CodeName */
/** @typedef {import('./connection.js').ConnectionState} ConnectionState */
/** @typedef {import('./connection.js').State} State */
/** @typedef {import('./connection.js').TokenProvider} TokenProvider */
/** @typedef {import('./limits.js').Limits} Limits */
/** @typedef {import('./listening.js').Deliver} Deliver */
/** @typedef {import('./news.js').Cause} Cause */
/** @typedef {import('./news.js').Meta} Meta */
/** @typedef {import('./mirror.js').TopicStatus} TopicStatus */
/** @typedef {import('./service.js').Call} Call */
/** @typedef {import('./service.js').CallOptions} CallOptions */
/** @typedef {import('./service.js').ProvideOptions} ProvideOptions */
/** @typedef {import('./socket.js').Environment} Environment */
/** @typedef {import('./text.js').Component} Component */
/** @typedef {import('./type.js').Bool} Bool */
/** @typedef {import('./type.js').Float} Float */
/** @typedef {import('./type.js').Int} Int */
/** @typedef {import('./type.js').Text} Text */
/** @typedef {import('./value.js').Json} Json */
/** @template [T=Json] @typedef {import('./type.js').Dict<T>} Dict */
/** @template [T=Json] @typedef {import('./type.js').Event<T>} Event */
/** @template [T=Json] @typedef {import('./type.js').Generic<T>} Generic */
/** @template [T=Json] @typedef {import('./type.js').List<T>} List */
/** @template [T=Json] @typedef {import('./type.js').Presence<T>} Presence */
/** @template [T=Json] @typedef {import('./type.js').SetOf<T>} SetOf */
/** @template T @typedef {import('./updates.js').Update<T>} Update */
