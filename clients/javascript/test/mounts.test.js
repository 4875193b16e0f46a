// @ts-check
// Components that come and go, as React's StrictMode makes them, leave nothing behind.
import assert from 'node:assert/strict';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { after, before, test } from 'node:test';
import { connect } from '../src/index.js';
import { TestServer } from '../src/testing.js';
import { World } from './fake.js';
import { becomes } from './moments.js';

/** @type {TestServer} */
let server;
before(async () => {
  server = await TestServer.start();
});
after(() => server.stop());

test('a thousand mounts and unmounts', async () => {
  const room = connect(server.url);
  const watcher = connect(server.url);
  const listing = watcher.topic('_chatroom/topics', 'dict');
  await Promise.all([room.online(), listing.loaded()]);
  const keep = room.topic('kept', 'int');
  await keep.set(1);
  const { holdings } = room;
  for (let mount = 0; mount < 1_000; mount++) {
    const name = `mounted/${mount % 10}`;
    // Mounted, unmounted and mounted again at once, then gone.
    for (let twice = 0; twice < 2; twice++) {
      const [topic, me] = [room.topic(name, 'int'), room.presence('mounted/who')];
      topic.on(() => {});
      me.on(() => {}, { signal: new AbortController().signal });
      void topic.loaded().catch(() => {});
      void me.put(mount);
      topic.close();
      me.close();
    }
    if (mount % 100 === 0) await room.call('_chatroom/time');
  }
  await becomes(listing, (topics) => 'kept' in topics && Object.keys(topics).length === 1);
  await room.call('_chatroom/time');
  assert.equal(room.holdings, holdings, 'the topic that is in use, and no more');
  keep.close();
  await Promise.all([room.close(), watcher.close()]);
});

test('StrictMode sends one subscribe, and no timer is left', async () => {
  const world = new World();
  const room = world.connect();
  const socket = await world.greet();
  socket.take();
  const timers = world.timers.size;
  for (let mount = 0; mount < 1_000; mount++) {
    room.topic('x', 'int').close();
    await world.advance(10);
  }
  assert.deepEqual(socket.take().map(({ type }) => type), ['subscribe']);
  await world.advance(60);
  assert.deepEqual(socket.take().map(({ type }) => type), ['unsubscribe']);
  assert.equal(room.holdings, 1, 'the answer that is missing');
  socket.say('subscribed', { topic_name: 'x', type: 'int', value: 0, sequence: 0 });
  assert.equal(room.holdings, 0);
  assert.ok(world.timers.size <= timers);
});

test('the heap stays flat', async () => {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc');
  const world = new World();
  const room = world.connect();
  const socket = await world.greet();
  socket.server = ({ type, content }) => {
    socket.sent.length = 0;
    if (type === 'subscribe') socket.say('subscribed', { topic_name: content.topic_name, type: 'dict', value: { a: 1 }, sequence: 0 });
    if (content.request_id === 'probe') socket.say('response', { request_id: 'probe', response: null });
    if (type === 'push') content.actions.forEach((/** @type {any} */ _, /** @type {number} */ index) => socket.say('accepted', { id: content.number + index, sequence: 1, previous: [0] }));
  };
  const cycle = async (/** @type {number} */ times) => {
    for (let n = 0; n < times; n++) {
      const topic = room.topic(`heap/${n}`, 'dict');
      topic.on(() => {});
      await topic.put('b', n);
      void room.call('x', null, { timeoutMs: 1 }).catch(() => {});
      topic.close();
      if (n % 20 === 0) await world.advance(2_000);
    }
    await world.advance(2_000);
    collect();
    return process.memoryUsage().heapUsed;
  };
  await cycle(2_000);
  const before = await cycle(2_000);
  const after = await cycle(6_000);
  assert.ok(after - before < 500_000, `${after - before} bytes more after 6,000 topics`);
  assert.equal(room.holdings, 0);
});
