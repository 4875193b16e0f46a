// A list of cards that several people edit. `shared-list.mjs buy milk` puts a card on it; without
// words it shows the list whenever it changes.
import { connect, types } from '@chatroom/client';

/** @typedef {{ title: string, done: boolean }} Card */

const room = connect(process.env.CHATROOM_URL ?? 'ws://localhost:8765');
const cards = room.topic('cards', /** @type {typeof types.list<Card>} */ (types.list)());

const title = process.argv.slice(2).join(' ');
if (title) {
  await cards.push({ title, done: false });
  room.close();
} else {
  cards.on((value) => console.log(value.map((card) => card.title).join(', ')));
}
