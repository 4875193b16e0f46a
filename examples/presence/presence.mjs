// Who is here: each client has an entry that goes with it, however its connection ends.
import { connect } from '@chatroom/client';

const room = connect(process.env.CHATROOM_URL ?? 'ws://localhost:8765');
const people = room.presence('people');

people.put({ name: process.argv[2] ?? 'somebody' });
people.on((value) => {
  const names = Object.values(value).map((person) => /** @type {{ name: string }} */ (person).name);
  console.log(`here: ${names.join(', ')}`);
});
