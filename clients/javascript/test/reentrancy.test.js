// @ts-check
// Everything may be awaited everywhere: inside listeners, inside handlers, on one's own service.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { connect } from '../src/index.js';
import { TestServer } from '../src/testing.js';
import { World } from './fake.js';
import { becomes, settled } from './moments.js';

/** @type {TestServer} */
let server;
before(async () => {
  server = await TestServer.start();
});
after(() => server.stop());

/**
 * Every part of the client that can be awaited, and some that cannot.
 * @param {import('../src/index.js').Client} room
 * @param {string} name
 */
async function everything(room, name) {
  await room.online();
  const count = room.topic(`${name}/count`, 'int');
  assert.equal(await count.loaded(), 0);
  await count.add(1);
  const list = room.topic(`${name}/list`, 'list');
  await room.action('both', (tx) => {
    tx(count).add(1);
    tx(list).push('x');
  });
  assert.deepEqual([count.value, list.value], [2, ['x']]);
  await assert.rejects(list.pop(5), { name: 'out_of_range' });
  const me = room.presence(`${name}/who`);
  await me.put(name);
  await me.clear();
  const own = room.provide(`${name}/own`, async (args) => {
    await count.add(5);
    return [args, await room.call('_chatroom/get', { topic_name: `${name}/count` })];
  });
  await own.ready;
  const [args, got] = await room.call(`${name}/own`, 'hi');
  assert.deepEqual([args, got.value], ['hi', 7]);
  for await (const { value } of count.updates()) if (value === 7) break;
  const off = count.on(() => off());
  await becomes(count, (value) => value === 7);
  own.close();
  for (const handle of [count, list, me]) handle.close();
}

test('inside a listener, a handler, a status listener and an event listener', async () => {
  const room = connect(server.url);
  await room.online();
  const trigger = room.topic('trigger', 'int');
  const event = room.topic('event', 'event');
  await event.loaded();
  const done = Promise.all([
    new Promise((resolve, reject) => trigger.on((value) => value === 1 && everything(room, 'listener').then(resolve, reject))),
    new Promise((resolve, reject) => event.on(() => everything(room, 'event').then(resolve, reject))),
    new Promise((resolve, reject) => room.topic('late', 'int').onStatus(() => everything(room, 'status').then(resolve, reject))),
  ]);
  await trigger.set(1);
  await event.emit(null);
  await done;
  const handler = room.provide('handler', () => everything(room, 'handler').then(() => 'done'));
  await handler.ready;
  assert.equal(await room.call('handler'), 'done');
  await room.close();
});

test('closing inside a listener, also the client itself', async () => {
  const room = connect(server.url);
  const topic = room.topic('closing', 'int');
  let calls = 0;
  const closed = new Promise((resolve) => topic.on(() => {
    calls++;
    resolve(room.close());
  }));
  topic.on(() => calls++);
  await closed;
  assert.deepEqual([room.state, calls], ['closed', 1]);
});

test('an exception in one listener does not keep it from the others', async (t) => {
  const world = new World();
  const room = world.connect();
  const socket = await world.greet();
  const topic = room.topic('x', 'int');
  /** @type {any[]} */
  const heard = [];
  /** @type {any[]} */
  const errors = [];
  room.on('error', (error) => errors.push(/** @type {Error} */ (error).message));
  const off = room.on('error', () => {
    throw new Error('in the listener of errors');
  });
  t.mock.method(console, 'error', (/** @type {unknown[]} */ ...words) => printed.push(words.join(' ')));
  /** @type {string[]} */
  const printed = [];
  topic.on(() => {
    throw new Error('first');
  });
  topic.on(async () => {
    throw new Error('async');
  });
  topic.on((value) => heard.push(value));
  socket.say('subscribed', { topic_name: 'x', type: 'int', value: 1, sequence: 0 });
  assert.deepEqual(heard, [1]);
  await world.settle();
  assert.deepEqual(errors, ['first', 'async']);
  assert.equal(printed.length, 2, 'what a listener of errors throws is printed, and no error of its own');
  off();
});

test('in the order they came, never nested, not after they were removed', async () => {
  const world = new World();
  const room = world.connect();
  const socket = await world.greet();
  const [x, y] = [room.topic('x', 'int'), room.topic('y', 'int')];
  socket.say('subscribed', { topic_name: 'x', type: 'int', value: 1, sequence: 0 });
  socket.say('subscribed', { topic_name: 'y', type: 'int', value: 1, sequence: 0 });
  /** @type {string[]} */
  const heard = [];
  x.on((value) => {
    heard.push(`a${value}`);
    if (value !== 2) return;
    // A server message inside of a listener is the worst that can happen.
    socket.say('update', { topic_name: 'y', change: { type: 'add', value: 1, id: 1 }, sequence: 2, previous: 0, by: 9 });
    offB();
    x.on((late) => heard.push(`late${late}`));
    heard.push('a ends');
  });
  const offB = x.on((value) => heard.push(`b${value}`));
  x.on((value) => heard.push(`c${value}`));
  y.on((value) => heard.push(`y${value}`));
  await world.settle();
  heard.length = 0;
  socket.say('update', { topic_name: 'x', change: { type: 'add', value: 1, id: 1 }, sequence: 1, previous: 0, by: 9 });
  assert.deepEqual(heard, ['a2', 'a ends', 'c2', 'y2', 'late2']);
});

test('a client that is not used any more lets the process end', async () => {
  const room = connect(server.url);
  const topic = room.topic('x', 'int');
  await topic.add(1);
  await settled(room);
  topic.close();
  await room.close();
  assert.equal(room.state, 'closed');
});
