// @ts-check
// What a keystroke and a key cost: node bench/replica.js [TRACE.json.gz]
import { readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import { World } from '../test/fake.js';

/** A client whose topic is loaded, and whose server takes everything at once. @param {string} name @param {any} type @param {any} value */
async function loaded(name, type, value) {
  const world = new World();
  const room = world.connect();
  const socket = await world.greet();
  const topic = room.topic(name, type);
  socket.say('subscribed', { topic_name: name, type, value, sequence: 0 });
  let sequence = 0;
  const accept = () => {
    for (const { type, content } of socket.take()) {
      if (type !== 'push') continue;
      for (const index of content.actions.keys()) socket.say('accepted', { id: content.number + index, sequence: sequence + 1, previous: [sequence++] });
    }
  };
  const remote = (/** @type {any} */ change) => socket.say('update', { topic_name: name, change, sequence: sequence + 1, previous: sequence++, by: 9 });
  return { world, room, socket, topic: /** @type {any} */ (topic), accept, remote };
}

/** @param {string} what @param {number} times @param {(n: number) => unknown} run */
async function measure(what, times, run) {
  for (let n = 0; n < times / 10; n++) await run(n);
  const began = performance.now();
  for (let n = 0; n < times; n++) await run(n);
  console.log(`${what}: ${(((performance.now() - began) / times) * 1_000).toFixed(1)} us`);
}

const MEGABYTE = 'some words of a text that is long, '.repeat(30_000).slice(0, 1_000_000);
for (const [name, text] of [['1 MB of text', MEGABYTE], ['1 MB of text with emoji', `😀${MEGABYTE}😀`], ['1 KB of text', MEGABYTE.slice(0, 1_000)]]) {
  const { topic, accept, remote } = await loaded('t', 'string', text);
  let length = 0;
  topic.on((/** @type {string} */ value) => void (length = value.length));
  await measure(`${name}, own keystroke with a listener, to its outcome`, 2_000, async (n) => {
    topic.insert(500 + (n % 7), 'x');
    await null;
    accept();
  });
  await measure(`${name}, another's keystroke with a listener`, 2_000, (n) => remote({ type: 'edit', components: [{ retain: 400 + (n % 7) }, { insert: 'y' }] }));
  await measure(`${name}, another's keystroke while one is pending`, 2_000, async (n) => {
    topic.insert(500, 'x');
    remote({ type: 'edit', components: [{ retain: 400 + (n % 7) }, { insert: 'y' }] });
    // The outcome comes behind it.
    accept();
  });
  if (length === 0) throw new Error('nobody listened');
}

for (const size of [100, 10_000]) {
  const { topic, accept, remote } = await loaded('d', 'dict', Object.fromEntries(Array.from({ length: size }, (_, n) => [`key ${n}`, n])));
  let sum = 0;
  topic.on((/** @type {any} */ value, /** @type {any} */ change) => change && (sum += value[change.key] ?? 0));
  await measure(`a key of ${size}, own, with a listener that reads it, to its outcome`, 5_000, async (n) => {
    topic.put(`key ${n % size}`, n);
    await null;
    accept();
  });
  await measure(`a key of ${size}, another's, with a listener that reads it`, 5_000, (n) => remote({ type: 'put', key: `key ${n % size}`, value: n }));
  if (Number.isNaN(sum)) throw new Error('nobody listened');
}

const [path] = process.argv.slice(2);
if (path) {
  const trace = JSON.parse(gunzipSync(readFileSync(path)).toString());
  const { topic, accept } = await loaded('t', 'string', trace.startContent ?? '');
  const began = performance.now();
  let count = 0;
  for (const { patches } of trace.txns) {
    for (const [position, deleted, text] of patches) {
      topic.edit([{ retain: position }, { insert: text }, { delete: deleted }].filter((part) => !('insert' in part && part.insert === '')));
      count++;
    }
    accept();
  }
  accept();
  const seconds = (performance.now() - began) / 1_000;
  if (topic.value !== trace.endContent) throw new Error('the trace ends otherwise');
  console.log(`${path.split('/').pop()}: ${count} edits in ${seconds.toFixed(2)} s`);
}
