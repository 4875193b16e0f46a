// @ts-check
// What a client promises about its own changes: shown at once, undone, grouped, and never lost with a
// connection. The server is a room in the test's hands.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FakeSocket, HELLO, outcome, World } from './fake.js';
import { Room } from './room.js';

/** A world whose sockets all lead to one room. */
class Place {
  world = new World();
  room = new Room();

  constructor() {
    this.world.opens = (url, subprotocol) => {
      const socket = new FakeSocket(url, subprotocol);
      /** @type {import('./room.js').Session | undefined} */
      let session;
      const say = (/** @type {import('./room.js').Said} */ { type, content }) => queueMicrotask(() => socket.closed || socket.say(type, content));
      socket.server = (message) => {
        if (message.type === 'hello') session = this.room.hello(message.content, say, HELLO);
        else if (session) this.room.receive(session, message);
      };
      void this.world.settle().then(() => socket.onopen?.());
      return socket;
    };
  }

  async enter() {
    const client = this.world.connect();
    client.on('rejected', () => {});
    for (let turn = 0; turn < 3; turn++) await this.world.settle();
    assert.equal(client.state, 'online');
    return client;
  }
}

test('undo, redo and what the application is told of them', async () => {
  const { world, enter } = own(new Place());
  const client = await enter();
  const [count, text, who] = [client.topic('n', 'int'), client.topic('t', 'string'), client.presence('who')];
  await world.settle();
  /** @type {any[]} */
  const told = [];
  client.on('history', (history) => told.push(history));
  await count.add(5);
  assert.deepEqual(told, [{ unsaved: 1, canUndo: true, canRedo: false }, { unsaved: 0, canUndo: true, canRedo: false }]);
  await world.advance(1_000);
  await text.insert(0, 'a');
  client.undo();
  assert.equal(text.value, '', 'at once');
  await world.settle();
  assert.deepEqual([text.confirmed, count.value, client.canRedo], ['', 5, true]);
  await who.put('here');
  assert.equal(client.canRedo, true, 'presence has no part in it');
  client.undo();
  client.redo();
  client.redo();
  await world.settle();
  assert.deepEqual([text.confirmed, count.confirmed, client.canUndo, client.canRedo], ['a', 5, true, false]);
  await client.action((tx) => tx(count).add(1), { tracked: false });
  client.undo();
  client.undo();
  await world.settle();
  assert.deepEqual([text.confirmed, count.confirmed, client.canUndo], ['', 1, false], 'what is not tracked stays');
});

test('what is done close together, or in a group, is undone together', async () => {
  const { world, enter } = own(new Place());
  const client = await enter();
  const [text, count] = [client.topic('t', 'string'), client.topic('n', 'int')];
  await world.settle();
  for (const letter of 'abc') {
    await text.insert(text.value?.length ?? 0, letter);
    await world.advance(100);
  }
  await world.advance(500);
  client.beginGroup();
  client.beginGroup();
  await text.insert(3, 'd');
  client.endGroup();
  await world.advance(2_000);
  await count.set(7);
  client.endGroup();
  const states = [];
  while (client.canUndo) {
    client.undo();
    await world.settle();
    states.push([text.value, count.value]);
  }
  assert.deepEqual(states, [['abc', 0], ['', 0]]);
});

test('an outcome outlives its connection, whether the room heard of the change or not', async () => {
  const place = new Place();
  const { world, enter } = own(place);
  const client = await enter();
  const other = await enter();
  const [count, seen] = [client.topic('n', 'int'), other.topic('n', 'int')];
  /** @type {string[]} */
  const causes = [];
  count.on((_, __, { cause }) => causes.push(cause));
  await world.settle();
  const id = client.id;
  const [heard] = world.sockets;
  heard.onmessage = null;
  const reached = outcome(count.add(1));
  await world.settle();
  assert.equal(reached.state, 'pending');
  heard.server = undefined;
  const unheard = outcome(count.add(10));
  heard.drop();
  const offline = outcome(count.add(100));
  await seen.add(1_000);
  assert.deepEqual([count.value, count.confirmed, client.unsaved], [111, 0, 3]);
  await world.advance(1_000);
  for (let turn = 0; turn < 3; turn++) await world.settle();
  assert.deepEqual([client.state, client.id], ['online', id]);
  assert.deepEqual([reached, unheard, offline].map(({ state }) => state), Array(3).fill('resolved'));
  assert.deepEqual([count.value, count.confirmed, seen.value, client.unsaved, client.gaps], [1_111, 1_111, 1_111, 0, 0]);
  assert.deepEqual(causes, ['snapshot', 'local', 'local', 'local', 'remote']);
});

test('listeners are called as often as they want to be', async () => {
  const { world, enter } = own(new Place());
  const client = await enter();
  const count = client.topic('n', 'int');
  await world.settle();
  /** @type {Record<string, any[]>} */
  const heard = { every: [], latest: [], hz: [], slow: [] };
  count.on((value) => heard.every.push(value));
  count.on((value) => heard.latest.push(value), { deliver: 'latest' });
  count.on((value, change, { changes }) => heard.hz.push([value, change?.value, changes?.length]), { deliver: { hz: 10 } });
  /** @type {() => void} */
  let done = () => {};
  count.on((value) => {
    heard.slow.push(value);
    return new Promise((resolve) => (done = () => resolve(undefined)));
  }, { deliver: 'latest' });
  await world.advance(1);
  for (let n = 0; n < 3; n++) void count.add(1);
  await world.settle();
  assert.deepEqual(heard, { every: [0, 1, 2, 3], latest: [0], hz: [[0, undefined, undefined]], slow: [0] });
  await world.advance(50);
  assert.deepEqual([heard.latest, heard.hz.length, heard.slow], [[0, 3], 1, [0]], 'skipped to the newest');
  await world.advance(60);
  assert.deepEqual(heard.hz, [[0, undefined, undefined], [3, undefined, 3]]);
  done();
  await world.advance(1);
  assert.deepEqual(heard.slow, [0, 3]);
  assert.throws(() => count.on(() => {}, { deliver: { hz: 0 } }), { name: 'bad_type' });
});

test('one key of many: whoever kept an old value keeps it', async () => {
  const { world, enter } = own(new Place());
  const client = await enter();
  const dict = client.topic('d', 'dict');
  await world.settle();
  await dict.set(Object.fromEntries(Array.from({ length: 500 }, (_, n) => [`${n}`, n])));
  /** @type {any[]} */
  const kept = [];
  dict.on((value) => kept.push(value));
  await world.settle();
  for (let n = 0; n < 300; n++) await dict.put(`${n % 7}`, -n - 1);
  assert.equal(kept.length, 301);
  kept.forEach((value, at) => {
    assert.equal(Object.keys(value).length, 500);
    for (let key = 0; key < 7; key++) {
      const last = at - 1 - ((at - 1 - key + 7) % 7);
      assert.equal(value[key], last < 0 ? key : -last - 1, `${key} after ${at}`);
    }
  });
  assert.equal(JSON.stringify(dict.value), JSON.stringify({ ...dict.value }));
  assert.ok(!('toString' in /** @type {object} */ (dict.value)));
});

/** @param {Place} place */
function own(place) {
  return { world: place.world, enter: () => place.enter() };
}
