// @ts-check
// Topics, changes and what happens to them around a connection, with a server in the test's hands.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CODES, Rejected, types } from '../src/index.js';
import { outcome, World } from './fake.js';

/** @typedef {import('./fake.js').FakeSocket} FakeSocket */

/** A client that is online. @param {import('../src/index.js').Options} [options] @param {object} [hello] */
async function online(options, hello) {
  const world = new World();
  const room = world.connect(options);
  room.on('rejected', () => {});
  const socket = await world.greet(hello);
  socket.take();
  return { world, room, socket };
}

/** @param {FakeSocket} socket @param {string} name @param {string} type @param {any} value @param {number} [sequence] */
function loads(socket, name, type, value, sequence = 0) {
  socket.say('subscribed', { topic_name: name, type, value, sequence });
}

/** @param {FakeSocket} socket @param {string} name @param {any} change @param {number} sequence @param {number} previous @param {number} [by] */
function updates(socket, name, change, sequence, previous, by = 9) {
  socket.say('update', { topic_name: name, change, sequence, previous, by });
}

/** The changes that were sent. @param {FakeSocket} socket */
function changes(socket) {
  const pushes = socket.take().filter(({ type }) => type === 'push');
  return pushes.flatMap(({ content }) => content.actions.flatMap((/** @type {any} */ action) => action.changes.map((/** @type {any} */ part) => part.change)));
}

test('handles share a subscription, which ends a while after the last of them', async () => {
  const { world, room, socket } = await online();
  const [one, other] = [room.topic('x', 'int'), room.topic('x', types.int())];
  assert.deepEqual(socket.take().map(({ type }) => type), ['subscribe']);
  assert.deepEqual([one.status, one.value], ['loading', undefined]);
  assert.throws(() => room.topic('x', 'string'), (error) => {
    assert.match(String(error), /int.*string/);
    return /** @type {any} */ (error).code === CODES.type_mismatch;
  });
  loads(socket, 'x', 'int', 3);
  assert.deepEqual([one.value, other.value, one.status], [3, 3, 'live']);
  one.close();
  other.close();
  other.close();
  assert.equal(one.value, undefined);
  assert.throws(() => one.on(() => {}), { code: CODES.closed });
  await assert.rejects(one.add(1), { code: CODES.closed });
  await assert.rejects(one.loaded(), { code: CODES.closed });
  await world.advance(40);
  assert.deepEqual(socket.take(), []);
  const again = room.topic('x', 'int');
  await world.advance(100);
  assert.deepEqual(socket.take(), [], 'mounted again in time');
  assert.equal(again.value, 3);
  again.close();
  await world.advance(50);
  assert.deepEqual(socket.take().map(({ type }) => type), ['unsubscribe']);
  assert.equal(room.holdings, 0);
});

test('names and types are checked on the spot', async () => {
  const { room, socket } = await online();
  for (const name of ['', ' x', 'x\n', 'x'.repeat(257)]) assert.throws(() => room.topic(name, 'int'), { code: CODES.bad_name });
  assert.throws(() => room.topic('\ud800', 'int'), { code: CODES.bad_unicode });
  assert.throws(() => room.topic('x', /** @type {any} */ ('integer')), { code: CODES.bad_type });
  assert.deepEqual(socket.take(), []);
});

test('listeners: snapshots, changes, own changes at their place', async () => {
  const { world, room, socket } = await online();
  const topic = room.topic('x', 'int');
  /** @type {any[]} */
  const heard = [];
  topic.on((value, change, { sequence, by, mine, cause }) => heard.push([value, change?.type, sequence, by, mine, cause]));
  loads(socket, 'x', 'int', 0, 10);
  updates(socket, 'x', { type: 'add', value: 1, id: 'a' }, 11, 4);
  const added = outcome(topic.add(5));
  assert.deepEqual([topic.value, topic.confirmed, room.unsaved], [6, 1, 1], 'shown at once');
  assert.deepEqual(socket.take().slice(-1)[0].content, { number: 1, acknowledged: 0, topics: [{ topic_name: 'x', base: 11 }], actions: [{ changes: [{ topic: 0, change: { type: 'add', value: 5 } }] }] });
  await world.settle();
  updates(socket, 'x', { type: 'add', value: 1, id: 'b' }, 12, 11);
  assert.deepEqual([topic.value, topic.confirmed], [7, 2]);
  socket.say('accepted', { id: 1, sequence: 13, previous: [12] });
  await world.settle();
  assert.deepEqual(added, { state: 'resolved', value: { sequence: 13, effect: true } });
  assert.deepEqual([topic.value, topic.confirmed, room.unsaved], [7, 7, 0]);
  // One that is known already, replayed, is dropped.
  updates(socket, 'x', { type: 'add', value: 1, id: 'b' }, 12, 11);
  /** @type {any[]} */
  const late = [];
  topic.on((value, change) => late.push([value, change]));
  assert.deepEqual(late, [], 'never inside on()');
  await world.settle();
  assert.deepEqual(late, [[7, null]]);
  assert.deepEqual(heard, [
    [0, undefined, 10, 0, false, 'snapshot'],
    [1, 'add', 11, 9, false, 'remote'],
    [6, 'add', 11, 1, true, 'local'],
    [7, 'add', 12, 9, false, 'remote'],
  ]);
  loads(socket, 'x', 'int', 7, 20);
  assert.equal(heard.length, 4, 'an equal snapshot calls nobody');
  loads(socket, 'x', 'int', 8, 21);
  assert.deepEqual(heard[4], [8, undefined, 21, 0, false, 'snapshot']);
});

test('a gap is told, counted and healed', async () => {
  const { room, socket } = await online();
  const topic = room.topic('x', 'int');
  /** @type {any[]} */
  const gaps = [];
  room.on('gap', (gap) => gaps.push(gap));
  loads(socket, 'x', 'int', 1, 5);
  socket.take();
  updates(socket, 'x', { type: 'add', value: 1, id: 'a' }, 9, 8);
  assert.deepEqual([gaps, topic.value, topic.status], [[{ topicName: 'x', known: 5, previous: 8 }], 1, 'stale']);
  assert.deepEqual(socket.take().map(({ type }) => type), ['unsubscribe', 'subscribe']);
  updates(socket, 'x', { type: 'add', value: 1, id: 'b' }, 10, 9);
  loads(socket, 'x', 'int', 30, 10);
  assert.deepEqual([topic.value, topic.status, gaps.length], [30, 'live', 1]);
  // A change that cannot be applied means the same.
  const list = room.topic('l', 'list');
  loads(socket, 'l', 'list', [1], 10);
  updates(socket, 'l', { type: 'pop', position: 4, id: 'c' }, 11, 2);
  assert.equal(list.status, 'stale');
  assert.equal(gaps.length, 2);
});

test('an action is in place as a whole before anyone hears of it', async () => {
  const { room, socket } = await online();
  const [a, b] = [room.topic('a', 'int'), room.topic('b', 'list')];
  loads(socket, 'a', 'int', 0);
  loads(socket, 'b', 'list', ['x']);
  /** @type {any[]} */
  const heard = [];
  a.on((value, change, { cause }) => cause !== 'snapshot' && heard.push(['a', value, change?.type, b.value]));
  b.on((value, change, { cause, changes }) => cause !== 'snapshot' && heard.push(['b', value, change, changes?.length, a.value]));
  socket.take();
  const moved = outcome(room.action('move', (tx) => {
    tx(a).add(1);
    tx(b).push('y');
    tx(b).pop(0);
    tx(b).insert(-1, 'z');
  }));
  const [{ type, content }] = socket.take();
  assert.equal(type, 'push');
  assert.deepEqual(content.topics, [{ topic_name: 'a', base: 0 }, { topic_name: 'b', base: 0 }]);
  assert.deepEqual(content.actions[0].changes, [
    { topic: 0, change: { type: 'add', value: 1 } },
    { topic: 1, change: { type: 'insert', position: 1, item: 'y' } },
    { topic: 1, change: { type: 'pop', position: 0 } },
    { topic: 1, change: { type: 'insert', position: 0, item: 'z' } },
  ]);
  socket.say('accepted', { id: 1, sequence: 1, previous: [0, 0] });
  await null;
  assert.equal(moved.state, 'resolved');
  assert.deepEqual(heard, [['a', 1, 'add', ['z', 'y']], ['b', ['z', 'y'], null, 3, 1]]);
  assert.throws(() => room.action('nothing', () => {}), { code: CODES.precondition });
  assert.throws(() => room.action('later', /** @type {any} */ (async () => {})), { code: CODES.precondition });
  const refused = outcome(room.action('bad', (tx) => {
    tx(a).add(1);
    tx(b).pop(7);
  }));
  await null;
  assert.deepEqual([refused.error.code, refused.error.topicName], [CODES.out_of_range, 'b']);
  assert.deepEqual(socket.take(), []);
});

test('what the server would refuse is refused here', async () => {
  const { world, room, socket } = await online({}, { limits: { message_bytes: 500, presence_bytes: 20, key_bytes: 8, items: 3 } });
  const topics = {
    int: room.topic('int', 'int'), float: room.topic('float', 'float'), text: room.topic('text', 'string'), list: room.topic('list', 'list'),
    dict: room.topic('dict', 'dict'), set: room.topic('set', 'set'), who: room.presence('who'), any: room.topic('any', 'generic'),
  };
  loads(socket, 'int', 'int', 2 ** 53 - 2);
  loads(socket, 'float', 'float', 1e308);
  loads(socket, 'text', 'string', 'a😀b');
  loads(socket, 'list', 'list', [1, 2, 3]);
  loads(socket, 'dict', 'dict', { a: 1 });
  loads(socket, 'set', 'set', [1, 2, 3]);
  socket.take();
  /** @type {[string, () => PromiseLike<unknown>][]} */
  const table = [
    ['out_of_range', () => topics.int.add(5)],
    ['bad_type', () => topics.int.add(0.5)],
    ['bad_type', () => topics.int.set(/** @type {any} */ ('1'))],
    ['not_finite', () => topics.float.add(1e308)],
    ['not_finite', () => topics.float.set(NaN)],
    ['out_of_range', () => topics.text.insert(5, 'x')],
    ['out_of_range', () => topics.text.insert(-1, 'x')],
    ['bad_unicode', () => topics.text.insert(2, 'x')],
    ['bad_unicode', () => topics.text.delete(0, 2)],
    ['bad_unicode', () => topics.text.insert(0, '\ud83d')],
    ['bad_type', () => topics.text.edit([/** @type {any} */ ({ keep: 1 })])],
    ['bad_type', () => topics.text.edit(/** @type {any} */ ('x'))],
    ['out_of_range', () => topics.list.pop(3)],
    ['out_of_range', () => topics.list.pop(-4)],
    ['out_of_range', () => topics.list.move(0, 3)],
    ['too_big', () => topics.list.push(4)],
    ['too_big', () => topics.set.append(4)],
    ['key_exists', () => topics.dict.add('a', 1)],
    ['no_such_key', () => topics.dict.pop('b')],
    ['no_such_key', () => topics.dict.changeValue('toString', 1)],
    ['too_big', () => topics.dict.put('far too long', 1)],
    ['too_big', () => topics.who.put('a'.repeat(30))],
    ['too_big', () => topics.any.set('é'.repeat(250))],
    ['bad_type', () => topics.any.set(/** @type {any} */ (() => 1))],
    ['bad_type', () => topics.any.set(/** @type {any} */ ([new Map()]))],
    ['bad_type', () => topics.any.set(/** @type {any} */ (10n))],
    ['out_of_range', () => topics.any.set([2 ** 53])],
  ];
  for (const [name, change] of table) {
    const refused = outcome(change());
    await world.settle();
    assert.ok(refused.error instanceof Rejected, `${change}`);
    assert.equal(refused.error.name, name, `${change}`);
  }
  assert.deepEqual(socket.take(), [], 'nothing was sent');
  assert.equal(room.unsettled, 0);
});

test('positions count what is on its way', async () => {
  const { room, socket } = await online();
  const [list, text] = [room.topic('l', 'list'), room.topic('t', 'string')];
  loads(socket, 'l', 'list', ['a']);
  loads(socket, 't', 'string', '😀');
  socket.take();
  list.push('b');
  list.push('c');
  list.pop();
  list.setItem(-1, 'B');
  list.move(0, -1);
  text.insert(2, '👋');
  text.insert(4, 'x');
  text.delete(0, 2);
  text.edit([{ retain: 2 }, { delete: 0 }, { insert: 'é' }, { delete: 1 }]);
  assert.deepEqual(changes(socket), [{ type: 'insert', position: 1, item: 'b' }], 'one push at a time for a list');
  socket.say('accepted', { id: 1, sequence: 1, previous: [0] });
  assert.deepEqual(changes(socket), [
    { type: 'insert', position: 2, item: 'c' },
    { type: 'pop', position: 2 },
    { type: 'set_item', position: 1, item: 'B' },
    { type: 'move', from: 0, to: 1 },
    { type: 'edit', components: [{ insert: '👋é' }, { delete: 1 }] },
  ], 'edits of a text that were not sent yet are one');
});

test('text reaches listeners in UTF-16 units', async () => {
  const { room, socket } = await online();
  const text = room.topic('t', 'string');
  /** @type {any[]} */
  const heard = [];
  text.on((value, change) => heard.push([value, change?.components]));
  loads(socket, 't', 'string', '😀a👋🏽b');
  updates(socket, 't', { type: 'edit', id: 1, components: [{ retain: 2 }, { delete: 2 }, { insert: 'é' }] }, 1, 0);
  assert.deepEqual(heard, [['😀a👋🏽b', undefined], ['😀aéb', [{ retain: 3 }, { insert: 'é' }, { delete: 4 }]]]);
});

test('values that were handed out do not change, and every key is data', async () => {
  const { room, socket } = await online();
  const [dict, list] = [room.topic('d', 'dict'), room.topic('l', 'list')];
  socket.onmessage({ data: '{"type":"subscribed","content":{"topic_name":"d","type":"dict","value":{"__proto__":{"x":1},"a":[1]},"sequence":0}}' });
  loads(socket, 'l', 'list', [1]);
  const [before, items] = [dict.value, list.value];
  assert.deepEqual(Object.keys(/** @type {object} */ (before)).sort(), ['__proto__', 'a']);
  updates(socket, 'd', { type: 'put', key: 'constructor', value: 5, id: 1 }, 1, 0);
  updates(socket, 'd', { type: 'pop', key: '__proto__', id: 2 }, 2, 1);
  updates(socket, 'l', { type: 'insert', position: 1, item: 2, id: 3 }, 3, 0);
  assert.deepEqual({ ...before }, JSON.parse('{"__proto__":{"x":1},"a":[1]}'));
  assert.deepEqual(items, [1]);
  assert.deepEqual({ ...dict.value }, { a: [1], constructor: 5 });
  assert.equal(dict.value?.toString, undefined);
  // What an application gives is copied: it may go on using it.
  const mine = { deep: [1] };
  list.push(/** @type {any} */ (mine));
  mine.deep.push(2);
  assert.deepEqual(changes(socket), [{ type: 'insert', position: 2, item: { deep: [1] } }]);
  socket.say('accepted', { id: 1, sequence: 4, previous: [3] });
  assert.deepEqual(list.value?.at(-1), { deep: [1] });
  assert.throws(() => (/** @type {any} */ (dict.value).b = 1), TypeError, 'nobody writes into a value');
});

test('changes before the value came wait for it, in their order, and keep the topic', async () => {
  const { world, room, socket } = await online();
  const list = room.topic('l', 'list');
  const pushed = outcome(list.push('x'));
  const popped = outcome(list.pop(0));
  const other = room.topic('n', 'int');
  const added = outcome(other.add(1));
  list.close();
  await world.advance(100);
  // What needs no value does not wait for that of another topic.
  assert.deepEqual(changes(socket), [{ type: 'add', value: 1 }]);
  assert.equal(room.unsaved, 3);
  loads(socket, 'l', 'list', ['a', 'b']);
  assert.deepEqual(changes(socket), [{ type: 'insert', position: 2, item: 'x' }, { type: 'pop', position: 0 }]);
  assert.deepEqual([pushed.state, popped.state, added.state], ['pending', 'pending', 'pending']);
  for (const id of [1, 2, 3]) socket.say('accepted', { id, sequence: id, previous: [0] });
  await world.advance(100);
  assert.deepEqual([pushed.state, popped.state, added.state], ['resolved', 'resolved', 'resolved']);
  assert.deepEqual(socket.take().map(({ type }) => type), ['unsubscribe'], 'what has no outcome keeps its topic');

  const denied = room.topic('m', 'list');
  const refused = outcome(denied.push(1));
  socket.say('error', { code: 211, reason: 'it is an int', in_reply_to: { type: 'subscribe', topic_name: 'm' } });
  await world.settle();
  assert.equal(refused.error.name, 'type_mismatch');
  assert.deepEqual([denied.status, denied.error?.name], ['denied', 'type_mismatch']);
  await assert.rejects(denied.loaded(), { name: 'type_mismatch' });
});

test('what was made offline goes out in its order after what there is to come back', async () => {
  const { world, room, socket } = await online({ queueLimit: 6 });
  const score = room.topic('score', 'int');
  loads(socket, 'score', 'int', 1);
  const me = room.presence('who');
  loads(socket, 'who', 'presence', {});
  const put = outcome(me.put({ x: 1 }));
  room.provide('sum', () => 0);
  const flying = outcome(score.add(1));
  const asked = outcome(room.call('far'));
  socket.take();
  socket.drop();
  await world.settle();
  assert.equal(flying.state, 'pending', 'its outcome may come with the next connection');
  assert.deepEqual([asked.error.name, asked.error.maybeExecuted], ['connection_lost', true]);
  assert.equal(put.state, 'pending', 'an entry is put again, which is as good');
  assert.deepEqual([score.status, score.value, score.confirmed], ['stale', 2, 1]);

  const outcomes = [score.add(10), room.call('near', 5), score.add(20), me.put({ x: 2 }), me.put({ x: 3 })].map(outcome);
  room.provide('more', () => 0);
  room.topic('new', 'bool');
  const [fits, over] = [outcome(score.add(30)), outcome(score.add(40))];
  await world.settle();
  assert.deepEqual([fits.state, over.error.name], ['pending', 'busy']);

  await world.advance(1_000);
  const next = await world.greet();
  await world.settle();
  assert.deepEqual([flying.error.name, flying.error.maybeExecuted, flying.error.retryable], ['connection_lost', true, true], 'the server does not know this client');
  loads(next, 'score', 'int', 1);
  loads(next, 'who', 'presence', {});
  const sent = next.take().map(({ type, content }) => [type, content.topic_name ?? content.service_name ?? content.number, content.actions?.map((/** @type {any} */ { changes: [{ change }] }) => change.value) ?? content.args]);
  assert.deepEqual(sent, [
    ['hello', undefined, undefined],
    ['subscribe', 'score', undefined], ['subscribe', 'who', undefined], ['subscribe', 'new', undefined],
    ['request', 'near', 5], ['register_service', 'sum', undefined], ['register_service', 'more', undefined],
    ['push', 1, [10, 20, { x: 3 }, 30]],
  ]);
  assert.deepEqual([put.state, ...outcomes.map(({ state }) => state)], Array(6).fill('pending'));
  for (const id of [1, 2, 3, 4]) next.say('accepted', { id, sequence: id, previous: [0] });
  await world.settle();
  assert.deepEqual([put, ...outcomes].map(({ state }) => state), ['resolved', 'resolved', 'pending', 'resolved', 'resolved', 'resolved']);
});

test('an own entry: again after each reconnection, refused for good, gone with its handle', async () => {
  const { world, room, socket } = await online();
  const me = room.presence('who');
  loads(socket, 'who', 'presence', { 5: 'other' });
  socket.take();
  const [one, two] = [outcome(me.put('a')), outcome(me.put('b'))];
  assert.deepEqual(changes(socket), [{ type: 'put', value: 'a' }, { type: 'put', value: 'b' }]);
  socket.say('accepted', { id: 1, sequence: 1, previous: [0] });
  assert.deepEqual([me.mine, { ...me.others }, { ...me.value }], ['b', { 5: 'other' }, { 5: 'other', 1: 'b' }]);
  socket.say('reject_update', { topic_name: 'who', change: { type: 'put', value: 'b' }, code: 212, reason: 'rude', retryable: false, action_id: 2 });
  await world.settle();
  assert.deepEqual([one.state, two.error.name, me.mine, { ...me.value }], ['resolved', 'invalid', undefined, { 5: 'other', 1: 'a' }]);

  me.put('c');
  assert.deepEqual(changes(socket), [{ type: 'put', value: 'c' }]);
  socket.drop();
  await world.advance(200);
  const next = await world.greet();
  assert.deepEqual(changes(next), [{ type: 'put', value: 'c' }]);
  next.say('accepted', { id: 1, sequence: 9, previous: [0] });
  me.close();
  await world.advance(50);
  const sent = next.take();
  assert.deepEqual(sent.map(({ type, content }) => [type, content.actions?.[0].changes[0].change.type]), [['push', 'pop'], ['unsubscribe', undefined]]);
});

test('a topic that was deleted comes back only when it is asked for', async () => {
  const { world, room, socket } = await online();
  const topic = room.topic('x', 'int');
  /** @type {string[]} */
  const statuses = [];
  topic.onStatus((status) => statuses.push(status));
  loads(socket, 'x', 'int', 5);
  socket.say('error', { code: 400, reason: 'the topic x was deleted', in_reply_to: { type: 'subscribe', topic_name: 'x' } });
  assert.deepEqual([topic.status, topic.value, topic.error?.name], ['removed', undefined, 'topic_deleted']);
  await assert.rejects(topic.set(1), { name: 'topic_deleted' });
  await assert.rejects(topic.loaded(), { name: 'topic_deleted' });
  socket.drop();
  await world.advance(200);
  const next = await world.greet();
  assert.deepEqual(next.take().map(({ type }) => type), ['hello']);
  const again = room.topic('x', 'int');
  assert.deepEqual(next.take().map(({ type }) => type), ['subscribe']);
  loads(next, 'x', 'int', 0);
  assert.deepEqual([topic.value, again.value], [0, 0]);
  await world.settle();
  assert.deepEqual(statuses, ['live', 'removed', 'loading', 'live']);
});

test('a topic that comes back after a refusal is handed out as before', async () => {
  const { room, socket } = await online();
  const refuse = () => socket.say('error', { code: 300, reason: 'not you', in_reply_to: { type: 'subscribe', topic_name: 'x' } });
  const topic = room.topic('x', 'list');
  refuse();
  /** @type {any[]} */
  const heard = [];
  topic.on((value) => heard.push(value));
  room.topic('x', 'list');
  loads(socket, 'x', 'list', []);
  for (const n of [1, 2]) updates(socket, 'x', { type: 'insert', position: 0, item: n, id: n }, n, n - 1);
  assert.deepEqual(heard, [[], [1], [2, 1]], 'what a listener was given does not change');
});

test('close() settles everything', async () => {
  const { world, room, socket } = await online();
  const live = room.topic('x', 'int');
  loads(socket, 'x', 'int', 5);
  const waiting = room.topic('y', 'list');
  const registration = room.provide('s', () => 0);
  const pending = [live.add(1), waiting.push(1), waiting.loaded(), room.call('z'), registration.ready, room.presence('who').put(1)].map(outcome);
  let heard = 0;
  live.on(() => heard++);
  void room.close();
  await world.settle();
  assert.deepEqual(pending.map(({ state, error }) => [state, error?.name]), Array(6).fill(['rejected', 'closed']));
  assert.deepEqual([room.state, registration.state, live.value, heard], ['closed', 'closed', 5, 0]);
  await assert.rejects(live.add(1), { name: 'closed' });
  await world.advance(2_000);
  assert.equal(world.timers.size, 0);
});

test('a rejection that nobody awaits is told, one that is awaited is not', async () => {
  const { room, socket } = await online();
  const topic = room.topic('x', 'dict');
  loads(socket, 'x', 'dict', { a: 1 });
  /** @type {any[]} */
  const told = [];
  const first = new Promise((resolve) => room.on('rejected', (rejected) => (told.push(rejected), resolve(undefined))));
  await assert.rejects(Promise.resolve(topic.add('a', 1)));
  topic.add('a', 2);
  await first;
  assert.deepEqual(told.map(({ change }) => change.value), [2]);
});

test('updates() as an iterator, bounded', async () => {
  const { room, socket } = await online();
  const topic = room.topic('x', 'int');
  loads(socket, 'x', 'int', 0);
  const updatesOf = topic.updates({ limit: 3 });
  const first = await updatesOf.next();
  assert.deepEqual([first.value?.value, first.value?.meta.cause], [0, 'snapshot']);
  for (let n = 1; n <= 10; n++) updates(socket, 'x', { type: 'add', value: 1, id: n }, n, n - 1);
  const seen = [];
  for await (const { value, change, skipped } of updatesOf) {
    seen.push([value, change?.type, skipped]);
    if (value === 10) break;
  }
  assert.deepEqual(seen, [[10, undefined, 9]], 'three times, the last value stood for three before it');
  assert.ok((await updatesOf.next()).done);

  const stop = new AbortController();
  const ended = topic.updates({ signal: stop.signal });
  await ended.next();
  const next = ended.next();
  stop.abort();
  assert.ok((await next).done);
  const closed = topic.updates().next().then(() => topic.updates());
  const last = await closed;
  topic.close();
  await last.next();
  assert.ok((await last.next()).done);
});
