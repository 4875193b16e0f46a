// A client that decides which changes of a topic are valid: nobody may take a score below zero.
import { connect } from '@chatroom/client';

/** @typedef {{ change: { type: string, value: number }, value: number }} Question */

const room = connect(process.env.CHATROOM_URL ?? 'ws://localhost:8765');
const authority = room.provide('_chatroom/validate_change/game/score', (args) => {
  const { change, value } = /** @type {Question} */ (args);
  const after = change.type === 'add' ? value + change.value : change.value;
  return after >= 0 ? { valid: true } : { valid: false, reason: 'a score is at least 0' };
});
await authority.ready;
console.log('deciding about game/score; end with Ctrl-C');
