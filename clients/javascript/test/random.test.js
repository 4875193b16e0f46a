// @ts-check
// Two clients make changes of every kind at once, and both come to hold what the server holds. A
// failure names the SEED that repeats it.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { canonical, ChatroomError, connect } from '../src/index.js';
import { TestServer } from '../src/testing.js';

const ROUNDS = 300;
const AT_ONCE = 10;
const TEXTS = ['a', 'bc', '😀', 'é', '👋🏽', '\n', ''];
const ITEMS = [null, true, 1, '1', [1, { b: 2 }], { y: 1, x: [] }, { x: [], y: 1 }];
const KEYS = ['a', 'b', '__proto__', '7', 'constructor'];

const seed = Number(process.env.SEED ?? Date.now() % 1e6);
let random = seed;

/** A number below `limit`, from a generator that SEED repeats. @param {number} limit */
function below(limit) {
  random = (Math.imul(random, 1_664_525) + 1_013_904_223) >>> 0;
  return Math.floor((random / 2 ** 32) * limit);
}

/** @template T @param {readonly T[]} list @returns {T} */
function pick(list) {
  return list[below(list.length)];
}

/** A place between two characters, not between the halves of one. @param {string} text */
function boundary(text) {
  return [...text].slice(0, below([...text].length + 1)).join('').length;
}

/** One random change for a value of each type; some of them are refused. @type {Record<string, (topic: any, value: any) => Promise<unknown>>} */
const CHANGES = {
  generic: (topic) => topic.set(pick(ITEMS)),
  bool: (topic) => topic.set(pick([true, false])),
  int: (topic) => (below(2) ? topic.set(below(9)) : topic.add(below(9) - 4)),
  float: (topic) => (below(2) ? topic.set(below(9) / 4) : topic.add(0.1)),
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
      () => topic.push(pick(ITEMS)),
      () => topic.pop(below(2) ? -1 : below(value.length + 1)),
      () => topic.setItem(below(value.length + 1), pick(ITEMS)),
      () => topic.move(below(value.length), -1 - below(value.length)),
      () => (value.length > 12 ? topic.set([1, 2]) : topic.insert(0, pick(ITEMS))),
    ])(),
  set: (topic) => pick([() => topic.append(pick(ITEMS)), () => topic.remove(pick(ITEMS)), () => topic.set([pick(ITEMS)])])(),
  dict: (topic) => {
    const key = pick(KEYS);
    return pick([
      () => topic.add(key, pick(ITEMS)),
      () => topic.put(key, pick(ITEMS)),
      () => topic.ensure(key, pick(ITEMS)),
      () => topic.changeValue(key, pick(ITEMS)),
      () => topic.pop(key),
      () => topic.set({ a: 1 }),
    ])();
  },
};

/** @type {TestServer} */
let server;
before(async () => {
  server = await TestServer.start();
});
after(() => server.stop());

test(`both hold what the server holds, SEED=${seed}`, async (t) => {
  const clients = [connect(server.url), connect(server.url)];
  for (const [type, change] of Object.entries(CHANGES)) {
    const topics = clients.map((client) => client.topic(type, /** @type {any} */ (type)));
    await Promise.all(topics.map((topic) => topic.loaded()));
    /** What listeners come to by changes alone. @type {unknown[]} */
    const seen = [undefined, undefined];
    topics.forEach((topic, index) => topic.on((/** @type {unknown} */ value) => (seen[index] = value)));
    let refused = 0;
    for (let round = 0; round < ROUNDS; round += AT_ONCE) {
      const made = Array.from({ length: AT_ONCE }, () => {
        const topic = pick(topics);
        return change(topic, topic.value);
      });
      for (const outcome of await Promise.allSettled(made)) {
        if (outcome.status === 'fulfilled') continue;
        assert.ok(outcome.reason instanceof ChatroomError && [204, 206, 207, 208].includes(outcome.reason.code), `${type}: ${outcome.reason}`);
        refused++;
      }
      // A call comes back after everything that was committed before it.
      const truths = await Promise.all(clients.map((client) => client.call('_chatroom/get', { topic_name: type })));
      topics.forEach((topic, index) => {
        assert.equal(canonical(topic.value), canonical(truths[index].value), type);
        assert.equal(canonical(seen[index]), canonical(truths[index].value), type);
      });
    }
    assert.ok(refused < ROUNDS / 2, `${type}: ${refused} of ${ROUNDS} refused`);
  }
  assert.deepEqual(clients.map(({ gaps }) => gaps), [0, 0]);
  t.diagnostic(`${Object.keys(CHANGES).length * ROUNDS} random changes ran`);
  await Promise.all(clients.map((client) => client.close()));
});

test('events and presence reach the other client', async () => {
  const [here, there, third] = [connect(server.url), connect(server.url), connect(server.url)];
  const [emits, hears] = [here, there].map((room) => room.topic('event', 'event'));
  await Promise.all([emits.loaded(), hears.loaded()]);
  const heard = Promise.all([emits, hears].map((topic) => new Promise((resolve) => topic.on((args, _, { by, mine }) => resolve([args, by, mine])))));
  await emits.emit({ wave: 1 });
  assert.deepEqual(await heard, [[{ wave: 1 }, here.id, true], [{ wave: 1 }, here.id, false]]);

  const [watches, own] = [here.presence('people'), third.presence('people')];
  await watches.loaded();
  await own.put({ x: 1 });
  const came = await seen(watches, (others) => third.id in others);
  assert.deepEqual({ ...came }, { [third.id]: { x: 1 } });
  const { id } = third;
  await third.close();
  await seen(watches, (others) => !(id in others));
  await Promise.all([here.close(), there.close()]);
});

/** @param {import('../src/index.js').PresenceTopic<any>} topic @param {(others: any) => boolean} holds @returns {Promise<any>} */
function seen(topic, holds) {
  return new Promise((resolve) => topic.on(() => holds(topic.others) && resolve(topic.others)));
}
