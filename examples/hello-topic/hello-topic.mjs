// Shows a score that everybody shares, whenever it changes.
import { connect } from '@chatroom/client';

const room = connect(process.env.CHATROOM_URL ?? 'ws://localhost:8765');
const score = room.topic('game/score', 'int');

score.on((value) => console.log(`the score is ${value}`));
