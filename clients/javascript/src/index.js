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
