// One of three clients of a soak: node soak.mjs URL SEED STEPS. See crates/chatroom/tests/soak.rs.
import { connect } from '../src/index.js';
import { canonical } from '../src/value.js';

const [url, seed, steps] = [process.argv[2], BigInt(process.argv[3] ?? 1), Number(process.argv[4] ?? 100)];
let state = seed;
/** @param {number} bound */
function below(bound) {
  state = (state * 1103515245n + 12345n) % 2147483648n;
  return Number((state >> 8n) % BigInt(bound));
}

const room = connect(url);
const [text, list, dict, sum, ended] = [room.topic('text', 'string'), room.topic('list', 'list'), room.topic('dict', 'dict'), room.topic('sum', 'int'), room.topic('ended', 'int')];
await Promise.all([text, list, dict, sum, ended].map((topic) => topic.loaded()));
for (let number = 0; number < steps; number++) {
  const [length, items] = [[...text.value].length, list.value.length];
  const step = below(8);
  const place = below(1000);
  if (step < 2) text.insert([...text.value].slice(0, place % (length + 1)).join('').length, '😀j');
  else if (step === 2 && length > 0) text.delete([...text.value].slice(0, place % length).join('').length, [...text.value][place % length].length);
  else if (step === 3) list.insert(place % (items + 1), `j${number}`);
  else if (step === 4 && items > 0) list.pop(place % items);
  else if (step === 5 && items > 0) list.move(place % items, (place >> 3) % items);
  else if (step === 6) dict.put(`k${place % 5}`, `j${number}`);
  else sum.add(place % 9);
  if (number % 7 === 0) await room.call('_chatroom/time');
  if (number % 50 === 49) room.undo();
}
while (room.unsaved > 0) await room.call('_chatroom/time');
await ended.add(1);
while (ended.confirmed < 3) await room.call('_chatroom/time');
const all = { text: text.value, list: list.value, dict: { ...dict.value }, sum: sum.value };
console.log(canonical(all));
room.close();
