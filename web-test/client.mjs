// Lets two clients of chatroom.js make changes of every kind and checks that both hold what the
// server holds. Needs a global WebSocket: Node 22, or Node 20 with --experimental-websocket.
//
//     node client.mjs http://127.0.0.1:8765/

import assert from 'node:assert/strict';
import { ChatRoomError, connect } from '../crates/chatroom-server/web/chatroom.js';

const ROUNDS = 300;
const TEXTS = ['a', 'bc', '😀', 'é', '👋🏽', '\n', ''];
const ITEMS = [null, true, 1, '1', [1, { b: 2 }], { y: 1, x: [] }, { x: [], y: 1 }];

if (!process.argv[2]) {
  console.error('usage: node client.mjs http://HOST:PORT/');
  process.exit(1);
}
const room = new URL(`rooms/client-test-${process.pid}`, process.argv[2].replace(/^http/, 'ws'));
const clients = [connect(room), connect(room)];
const seed = Number(process.env.SEED ?? Date.now() % 1e6);
let random = seed;

try {
  for (const type of Object.keys(CHOICES())) await sameAfterAll(type);
  await eventsArrive();
  await presenceGoes();
  await actionsAreWhole();
  await callsEnd();
  console.log('ok: the clients hold what the server holds');
} catch (error) {
  console.error(`failed with SEED=${seed}:`, error);
  process.exitCode = 1;
} finally {
  for (const client of clients) client.close();
}

/** One random change for a value of each type; some of them are refused. */
function CHOICES() {
  return {
    generic: (topic) => topic.set(pick(ITEMS)),
    bool: (topic) => topic.set(pick([true, false])),
    int: (topic) => pick([() => topic.set(below(9)), () => topic.add(below(9) - 4)])(),
    float: (topic) => pick([() => topic.set(below(9) / 4), () => topic.add(0.1)])(),
    string: (topic, value) => {
      const [from, to] = [boundary(value), boundary(value)].sort((a, b) => a - b);
      return pick([
        () => topic.insert(from, pick(TEXTS)),
        () => topic.delete(from, to - from),
        () => topic.edit([{ retain: from }, { insert: pick(TEXTS) }, { delete: to - from }]),
        () => (value.length > 60 ? topic.set('é😀') : topic.insert(to, pick(TEXTS))),
      ])();
    },
    list: (topic, value) =>
      pick([
        () => topic.insert(below(value.length + 1), pick(ITEMS)),
        () => topic.pop(below(value.length + 1)),
        () => topic.set_item(below(value.length + 1), pick(ITEMS)),
        () => topic.move(below(value.length), below(value.length)),
        () => (value.length > 12 ? topic.set([1, 2]) : topic.insert(0, pick(ITEMS))),
      ])(),
    set: (topic) => pick([() => topic.append(pick(ITEMS)), () => topic.remove(pick(ITEMS)), () => topic.set([pick(ITEMS)])])(),
    dict: (topic) => {
      const key = pick(['a', 'b', '__proto__', '7']);
      return pick([
        () => topic.add(key, pick(ITEMS)),
        () => topic.put(key, pick(ITEMS)),
        () => topic.ensure(key, pick(ITEMS)),
        () => topic.change_value(key, pick(ITEMS)),
        () => topic.pop(key),
        () => topic.set({ a: 1 }),
      ])();
    },
  };
}

/** Both clients change at once, a few at a time; then all three copies are equal. */
async function sameAfterAll(type) {
  const name = `all/${type}`;
  const topics = clients.map((client) => client.topic(name, type));
  await Promise.all(topics.map(loaded));
  let refused = 0;
  for (let round = 0; round < ROUNDS; round += 10) {
    const outcomes = await Promise.allSettled(Array.from({ length: 10 }, () => {
      const topic = pick(topics);
      return CHOICES()[type](topic, topic.value);
    }));
    for (const { reason } of outcomes.filter(({ status }) => status === 'rejected')) {
      assert.ok(reason instanceof ChatRoomError && [206, 207, 208].includes(reason.code), `${type}: ${reason}`);
      refused += 1;
    }
    // A call comes back after everything that was committed before it.
    const truths = await Promise.all(clients.map((client) => client.call('_chatroom/get', { topic_name: name })));
    const order = (value) => (type === 'set' ? value.map((item) => JSON.stringify(sorted(item))).sort() : sorted(value));
    topics.forEach((topic, index) => assert.deepEqual(order(topic.value), order(truths[index].value), type));
  }
  assert.ok(refused < ROUNDS / 2, `${type}: ${refused} of ${ROUNDS} refused`);
}

async function eventsArrive() {
  const [here, there] = clients.map((client) => client.topic('event', 'event'));
  const heard = new Promise((resolve) => there.on((args, meta) => resolve([args, meta.by, meta.mine])));
  const echoed = new Promise((resolve) => here.on((args, meta) => resolve([args, meta.mine])));
  await settled();
  await here.emit({ wave: 1 });
  assert.deepEqual(await heard, [{ wave: 1 }, clients[0].id, false]);
  assert.deepEqual(await echoed, [{ wave: 1 }, true]);
}

async function presenceGoes() {
  const third = connect(room);
  const watched = clients[0].topic('people', 'presence');
  const own = third.topic('people', 'presence');
  await own.put({ x: 1 });
  await until(watched, (value) => third.id in value);
  assert.deepEqual({ ...own.value }, { [third.id]: { x: 1 } });
  third.close();
  await until(watched, (value) => !(third.id in value));
}

async function actionsAreWhole() {
  const [client] = clients;
  const [money, shelf] = [client.topic('money', 'int'), client.topic('shelf', 'dict')];
  await client.action((tx) => {
    tx(money).add(5);
    tx(shelf).add('tea', 1);
  });
  assert.deepEqual([money.value, shelf.value.tea], [5, 1]);
  const again = client.action((tx) => {
    tx(money).add(5);
    tx(shelf).add('tea', 2);
  });
  await assert.rejects(again, { code: 207 });
  assert.deepEqual([money.value, shelf.value.tea], [5, 1]);
}

async function callsEnd() {
  const [caller, provider] = clients;
  const service = provider.provide('test/sum', (list, { by }) => {
    if (!Array.isArray(list)) throw Object.assign(new Error('no list'), { code: 1234, data: { by } });
    return list.reduce((sum, one) => sum + one, 0);
  });
  provider.provide('test/never', () => new Promise(() => {}));
  await settled();
  assert.equal(await caller.call('test/sum', [1, 2, 3]), 6);
  await assert.rejects(caller.call('test/sum', 'x'), { code: 1234, message: 'no list', data: { by: caller.id } });
  await assert.rejects(caller.call('test/never', null, { timeout: 20 }), { code: 102, maybeExecuted: true });
  service.stop();
  await settled();
  await assert.rejects(caller.call('test/sum', [1]), { code: 104 });
}

/** What both clients have sent so far has been handled. */
async function settled() {
  await Promise.all(clients.map((client) => client.call('_chatroom/time')));
}

function loaded(topic) {
  return until(topic, () => true);
}

function until(topic, holds) {
  return new Promise((resolve) => {
    const off = topic.on((value) => {
      if (!holds(value)) return;
      resolve(value);
      queueMicrotask(() => off());
    });
  });
}

/** A number below `limit`, from a generator that SEED repeats. */
function below(limit) {
  random = (Math.imul(random, 1_664_525) + 1_013_904_223) >>> 0;
  return Math.floor((random / 2 ** 32) * limit);
}

function pick(list) {
  return list[below(list.length)];
}

/** A place between two characters, not between the halves of one. */
function boundary(text) {
  return [...text].slice(0, below([...text].length + 1)).join('').length;
}

function sorted(value) {
  if (Array.isArray(value)) return value.map(sorted);
  if (value === null || typeof value !== 'object') return value;
  return Object.keys(value).sort().map((key) => [key, sorted(value[key])]);
}
