// @ts-check
// States, codes, backoff, tokens and heartbeat, with sockets and a clock in the test's hands.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CODES, TokenRefused } from '../src/index.js';
import { socketUrl } from '../src/socket.js';
import { FakeSocket, HELLO, outcome, World } from './fake.js';

/** @param {import('../src/index.js').Client} room */
function states(room) {
  /** @type {string[]} */
  const seen = [];
  room.on('state', ({ state, code }) => seen.push(code ? `${state} ${code}` : state));
  return seen;
}

test('the hello is the first message and carries the label and the token', async () => {
  const world = new World();
  const room = world.connect({ name: 'app', version: '1.2', token: async () => 'secret' });
  await world.settle();
  assert.equal(world.socket.subprotocol, 'chatroom.v1.json');
  assert.ok(!world.socket.url.includes('secret'));
  world.socket.onopen();
  assert.deepEqual(world.socket.take(), [{ type: 'hello', content: { client: { name: 'app', version: '1.2' }, token: 'secret' } }]);
  assert.equal(room.state, 'connecting');
  world.socket.say('hello', { ...HELLO, id: 7, limits: { message_bytes: 100 } });
  assert.deepEqual([room.state, room.id, room.limits.message_bytes, room.limits.items], ['online', 7, 100, 100_000]);
  await room.online();
});

test('what a close means', async () => {
  /** @type {[string, number, object | null, string, number][]} */
  const table = [
    ['cut', 1006, null, 'offline', CODES.connection_lost],
    ['server restarts', 1001, { code: 106, reason: 'soon back', reconnect: 'yes' }, 'offline', CODES.shutting_down],
    ['slow consumer', 4107, null, 'offline', CODES.slow_consumer],
    ['4xx of the server', 4400, null, 'closed', CODES.topic_deleted],
    ['a code of 4xx without a name', 4450, null, 'closed', 450],
    ['goodbye for ever', 4218, { code: 218, reason: 'full', reconnect: 'no' }, 'closed', CODES.limit_reached],
    ['goodbye, elsewhere', 1000, { code: 106, reason: 'moved', reconnect: 'elsewhere' }, 'offline', CODES.shutting_down],
    ['log in again, without a token callback', 4301, null, 'needs_auth', CODES.unauthenticated],
    ['forbidden', 4300, null, 'offline', CODES.forbidden],
  ];
  for (const [name, closeCode, goodbye, state, code] of table) {
    const world = new World();
    const room = world.connect();
    /** @type {any[]} */
    const goodbyes = [];
    room.on('goodbye', (told) => goodbyes.push(told));
    const socket = await world.greet();
    if (goodbye) socket.say('goodbye', goodbye);
    socket.drop(closeCode);
    assert.deepEqual([room.state, room.connection.code], [state, code], name);
    assert.deepEqual(goodbyes, goodbye ? [goodbye] : [], name);
    await world.advance(60_000);
    assert.equal(world.sockets.length > 1, state === 'offline', `${name}: tried again`);
    if (state === 'closed') assert.equal(world.timers.size, 0, name);
  }
});

test('backoff doubles with full jitter, up to its limit, and only time online ends it', async () => {
  const world = new World();
  const room = world.connect();
  const waits = [];
  for (let attempt = 0; attempt < 9; attempt++) {
    await world.settle();
    world.socket.drop();
    waits.push(room.connection.retryInMs);
    world.random = attempt % 2 ? 0.5 : 1;
    await world.advance(Number(room.connection.retryInMs));
  }
  assert.deepEqual(waits, [50, 200, 200, 800, 800, 3200, 3200, 10_000, 5_000]);

  // A server that accepts and drops is not hammered.
  world.random = 1;
  await world.greet();
  await world.advance(4_900);
  world.socket.drop();
  assert.equal(room.connection.retryInMs, 10_000);
  await world.advance(10_000);
  await world.greet();
  await world.advance(5_000);
  world.socket.drop();
  assert.equal(room.connection.retryInMs, 100);
});

test('a connection that does not come up is given up', async () => {
  for (const stage of ['socket', 'hello', 'throws', 'rubbish']) {
    const world = new World();
    if (stage === 'throws') {
      world.opens = () => {
        throw new Error('no network');
      };
    }
    const room = world.connect({ connectTimeoutMs: 3_000 });
    await world.settle();
    if (stage === 'hello') world.socket.onopen();
    if (stage === 'rubbish') world.socket.onmessage({ data: '[' });
    await world.advance(stage === 'throws' || stage === 'rubbish' ? 0 : 3_000);
    const code = { socket: 'timeout', hello: 'timeout', throws: 'connection_lost', rubbish: 'malformed' }[stage];
    assert.equal(room.connection.state, 'offline', stage);
    assert.equal(room.connection.code, CODES[/** @type {keyof typeof CODES} */ (code)], stage);
    if (stage !== 'throws') assert.ok(world.sockets[0].closed, stage);
    await room.close();
  }
});

test('the outcomes of the token callback', async (t) => {
  await t.test('refused, thrown or returned: stops until the application logs in', async () => {
    for (const thrown of [true, false]) {
      const world = new World();
      let good = false;
      const room = world.connect({
        token: () => {
          if (good) return 'good';
          if (thrown) throw new TokenRefused('logged out');
          return new TokenRefused('logged out');
        },
      });
      const online = outcome(room.online());
      await world.advance(100_000);
      assert.deepEqual([room.state, room.connection.reason, world.sockets.length], ['needs_auth', 'logged out', 0]);
      assert.equal(online.error.code, CODES.unauthenticated);
      assert.equal(world.timers.size, 0);
      good = true;
      room.authenticate();
      await world.greet();
      assert.equal(room.state, 'online');
    }
  });

  await t.test('an error or silence: tried again with backoff', async () => {
    const world = new World();
    let asked = 0;
    /** @type {AbortSignal[]} */
    const signals = [];
    const room = world.connect({
      connectTimeoutMs: 2_000,
      token: async ({ signal }) => {
        signals.push(signal);
        if (++asked === 1) throw new Error('no route');
        if (asked === 2) return new Promise(() => {});
        return 'good';
      },
    });
    await world.settle();
    assert.deepEqual([room.state, room.connection.reason], ['offline', 'no token: no route']);
    await world.advance(50);
    assert.equal(room.state, 'connecting');
    await world.advance(2_000);
    assert.equal(room.state, 'offline');
    assert.ok(signals[1].aborted, 'the hung callback is told');
    await world.advance(100);
    await world.greet();
    assert.equal(room.state, 'online');
  });

  await t.test('the server refuses it: asked for once more, then the application must', async () => {
    const world = new World();
    /** @type {string[]} */
    const reasons = [];
    const room = world.connect({ token: ({ reason }) => (reasons.push(reason), 'old') });
    await world.settle();
    world.socket.onopen();
    world.socket.drop(4301, 'expired');
    await world.settle();
    assert.deepEqual([reasons, room.state], [['connect', 'unauthenticated'], 'connecting']);
    world.socket.onopen();
    world.socket.drop(4301, 'expired');
    await world.advance(100_000);
    assert.deepEqual([room.state, room.connection.reason, world.sockets.length], ['needs_auth', 'expired', 2]);
  });
});

test('a black hole is found by a probe', async () => {
  const world = new World();
  const room = world.connect();
  const seen = states(room);
  const socket = await world.greet({ heartbeat_ms: 4_000 });
  socket.take();
  await world.advance(3_000);
  socket.say('accepted', { id: 99, sequence: 1 });
  await world.advance(3_900);
  assert.deepEqual(socket.take(), [], 'something was heard, so there is no probe');
  await world.advance(100);
  assert.deepEqual(socket.take().map(({ content }) => content.service_name), ['_chatroom/time']);
  socket.say('response', { request_id: 'probe', response: { unix_ms: 1 } });
  await world.advance(4_100);
  assert.equal(socket.take().length, 1, 'the next probe');
  await world.advance(1_800);
  assert.equal(room.state, 'online');
  await world.advance(100);
  assert.deepEqual([room.state, room.connection.code, socket.closed], ['offline', CODES.heartbeat_missed, true]);
  // What the given-up socket still has to say is nobody's business.
  socket.say('goodbye', { code: 401, reason: '', reconnect: 'no' });
  socket.drop(4400);
  await world.advance(100);
  await world.greet();
  assert.deepEqual(seen, ['online', 'offline 108', 'connecting', 'online']);
});

test('the network of the device', async () => {
  const world = new World();
  const room = world.connect();
  const socket = await world.greet();
  socket.take();
  for (const told of world.networks) told(false);
  assert.equal(socket.take().length, 1, 'a probe at once');
  await world.advance(10_000);
  assert.equal(room.state, 'offline');
  world.random = 1;
  await world.advance(100);
  world.socket.drop();
  world.socket.drop();
  assert.equal(room.state, 'offline');
  const before = world.sockets.length;
  for (const told of world.networks) told(true);
  await world.settle();
  assert.equal(world.sockets.length, before + 1, 'no wait when the network is back');
  void room.close();
  assert.equal(world.networks.size, 0);
});

test('reconnect and close', async () => {
  const world = new World();
  const room = world.connect();
  const seen = states(room);
  const first = await world.greet();
  room.reconnect();
  await world.settle();
  assert.ok(first.closed);
  const second = await world.greet();
  assert.equal(room.id, 2);
  const closed = outcome(room.close());
  const again = outcome(room.close());
  await world.settle();
  assert.deepEqual([room.state, second.closed], ['closed', true]);
  second.onclose?.({ code: 1000, reason: '' });
  await world.settle();
  assert.deepEqual([closed.state, again.state], ['resolved', 'resolved']);
  assert.throws(() => room.reconnect(), { code: CODES.closed });
  assert.throws(() => room.topic('x', 'int'), { code: CODES.closed });
  assert.throws(() => room.provide('x', () => 1), { code: CODES.closed });
  await assert.rejects(room.call('x'), { code: CODES.closed });
  await assert.rejects(room.online(), { code: CODES.closed });
  assert.deepEqual(seen, ['online', 'connecting', 'online', 'closed 401']);
  assert.equal(world.timers.size, 0);
});

test('a socket that opens after it is wanted no more is closed', async () => {
  const world = new World();
  /** @type {(socket: FakeSocket) => void} */
  let open = () => {};
  const room = world.connect();
  await world.settle();
  world.environment.open = () => /** @type {any} */ (new Promise((resolve) => (open = resolve)));
  const late = world.connect();
  await world.settle();
  await late.close();
  const socket = new FakeSocket('ws://fake/', '');
  open(socket);
  await world.settle();
  assert.ok(socket.closed);
  void room.close();
});

test('online() ends with its signal', async () => {
  const world = new World();
  const room = world.connect();
  const signal = AbortSignal.abort(new Error('enough'));
  await assert.rejects(room.online({ signal }), /enough/);
});

test('URLs', () => {
  assert.equal(socketUrl('http://a:1/rooms/x#y'), 'ws://a:1/rooms/x');
  assert.equal(socketUrl('https://a'), 'wss://a/');
  assert.equal(socketUrl(new URL('ws://a')), 'ws://a/');
  assert.throws(() => socketUrl('ftp://a'), TypeError);
  assert.throws(() => socketUrl(), TypeError);
  Object.assign(globalThis, { location: new URL('https://page.example/app/') });
  try {
    assert.equal(socketUrl(), 'wss://page.example/');
    assert.equal(socketUrl('/rooms/x'), 'wss://page.example/rooms/x');
  } finally {
    Reflect.deleteProperty(globalThis, 'location');
  }
});
