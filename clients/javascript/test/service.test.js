// @ts-check
// Services and calls: outcomes, deadlines, cancellation, progress, errors and registrations.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { CallError, connect, ServiceError } from '../src/index.js';
import { TestServer } from '../src/testing.js';
import { outcome, World } from './fake.js';

/** @type {TestServer} */
let server;
/** @type {import('../src/index.js').Client} */
let caller;
/** @type {import('../src/index.js').Client} */
let provider;
before(async () => {
  server = await TestServer.start();
  [caller, provider] = [connect(server.url), connect(server.url)];
  await Promise.all([caller.online(), provider.online()]);
});
after(async () => {
  await Promise.all([caller.close(), provider.close()]);
  await server.stop();
});

test('a response, its progress, and who asked', async () => {
  /** @type {any[]} */
  const asked = [];
  const registration = provider.provide('sum', async (/** @type {number[]} */ numbers, call) => {
    asked.push(call.by, typeof call.requestId, Number(call.timeoutMs) <= 5_000);
    call.progress(0.5);
    call.progress({ nearly: true });
    return numbers.reduce((sum, one) => sum + one, 0);
  });
  await registration.ready;
  assert.equal(registration.state, 'ready');
  /** @type {any[]} */
  const progress = [];
  assert.equal(await caller.call('sum', [1, 2, 3], { timeoutMs: 5_000, onProgress: (data) => progress.push(data) }), 6);
  assert.deepEqual([asked[0], asked[2], progress], [caller.id, true, [0.5, { nearly: true }]]);
  assert.equal(await provider.call('sum', [4]), 4, 'its own service');
  registration.close();
  // A round trip on its own connection: the server has heard it.
  await provider.call('_chatroom/time');
  await assert.rejects(caller.call('sum', []), { name: 'no_provider', retryable: true, maybeExecuted: false });
});

test('what a handler throws', async () => {
  /** @type {[unknown, object][]} */
  const table = [
    [new ServiceError(1234, 'no list', { by: 1 }), { code: 1234, reason: 'no list', data: { by: 1 }, name: 'application' }],
    [new Error('oops'), { code: 1000, reason: 'oops' }],
    [new RangeError('half \ud800'), { code: 1000, reason: 'half \ufffd' }],
    ['text', { code: 1000, reason: 'text' }],
    [undefined, { code: 1000, reason: 'undefined' }],
    [{ code: 5, message: 'low' }, { code: 1000, reason: 'low' }],
    [{ code: 2000, message: 'odd', data: () => 1 }, { code: 2000, reason: 'odd', data: undefined }],
  ];
  let thrown = /** @type {unknown} */ (undefined);
  const registration = provider.provide('throws', () => {
    throw thrown;
  });
  await registration.ready;
  for (const [what, expected] of table) {
    thrown = what;
    const error = await caller.call('throws').catch((error) => error);
    assert.ok(error instanceof CallError);
    for (const [field, value] of Object.entries(expected)) assert.deepEqual(/** @type {any} */ (error)[field], value, field);
  }
  registration.close();
  assert.throws(() => new ServiceError(999, 'low'), RangeError);
});

test('what a handler returns', async () => {
  let returned = /** @type {any} */ (undefined);
  const registration = provider.provide('returns', () => returned);
  await registration.ready;
  assert.equal(await caller.call('returns'), null);
  returned = new Date(0);
  assert.equal(await caller.call('returns'), '1970-01-01T00:00:00.000Z');
  for (const bad of [() => 1, 10n, new Map(), NaN, 'x'.repeat(2_000_000)]) {
    returned = bad;
    await assert.rejects(caller.call('returns'), { code: 1000 });
  }
  registration.close();
  await assert.rejects(caller.call('returns', 'x'.repeat(2_000_000)), { name: 'too_big' });
  await assert.rejects(caller.call('returns', [undefined]), { name: 'bad_type' });
});

test('deadlines and cancellation reach the provider', async () => {
  /** @type {AbortSignal[]} */
  const signals = [];
  /** @type {() => void} */
  let entered = () => {};
  const registration = provider.provide('never', (_, { signal }) => {
    signals.push(signal);
    entered();
    return new Promise(() => {});
  });
  await registration.ready;
  await assert.rejects(caller.call('never', null, { timeoutMs: 30 }), { name: 'timeout', maybeExecuted: true });

  const enough = new AbortController();
  const inside = new Promise((resolve) => (entered = () => resolve(undefined)));
  const call = caller.call('never', null, { signal: enough.signal });
  await inside;
  enough.abort(new Error('changed my mind'));
  const error = await call.catch((error) => error);
  assert.deepEqual([error.name, error.maybeExecuted, error.cause.message], ['cancelled', true, 'changed my mind']);
  await assert.rejects(caller.call('never', null, { signal: enough.signal }), { name: 'cancelled', maybeExecuted: false });
  await Promise.all(signals.map((signal) => signal.aborted || new Promise((resolve) => signal.addEventListener('abort', resolve))));
  assert.equal(signals.length, 2);

  const lost = assert.rejects(caller.call('never'), { name: 'provider_lost', maybeExecuted: true });
  await new Promise((resolve) => (entered = () => resolve(undefined)));
  registration.close();
  await lost;
  assert.ok(signals[2].aborted);
  assert.equal(caller.holdings + provider.holdings, 0);
});

test('registrations: once per client, refusals, signals', async () => {
  const stop = new AbortController();
  const first = provider.provide('once', () => 1, { pick: 'first', signal: stop.signal });
  assert.throws(() => provider.provide('once', () => 2), /once/);
  await first.ready;
  // The service's way to pick is fixed by then.
  const other = caller.provide('once', () => 2, { pick: 'round_robin' });
  /** @type {any[]} */
  const told = [];
  const off = caller.on('error', (error) => told.push(error));
  await assert.rejects(other.ready, { name: 'already_registered' });
  assert.deepEqual([other.state, told.length], ['refused', 1]);
  off();
  other.close();
  stop.abort();
  assert.equal(first.state, 'closed');
  const again = provider.provide('once', () => 3);
  await again.ready;
  assert.equal(await caller.call('once'), 3);
  again.close();
  assert.throws(() => provider.provide('', () => 1), { name: 'bad_name' });
});

test('a call always settles: the client keeps the deadline that the server does not', async () => {
  const world = new World();
  const room = world.connect();
  const offline = outcome(room.call('x', null, { timeoutMs: 500 }));
  await world.advance(499);
  assert.equal(offline.state, 'pending');
  await world.advance(1);
  assert.deepEqual([offline.error.name, offline.error.maybeExecuted], ['timeout', false]);

  const later = outcome(room.call('x', null, { timeoutMs: 2_000 }));
  await world.advance(400);
  const socket = await world.greet();
  const [request] = socket.take().filter(({ type }) => type === 'request');
  assert.equal(request.content.timeout_ms, 1_600, 'what is left of it');
  await world.advance(2_600);
  assert.deepEqual([later.error.name, later.error.maybeExecuted], ['timeout', true]);
  socket.say('response', { request_id: request.content.request_id, response: 1, error: null });
  assert.equal(room.holdings, 0);
});

test('answers go to the connection that asked', async () => {
  const world = new World();
  const room = world.connect();
  const socket = await world.greet();
  /** @type {(value: unknown) => void} */
  let answer = () => {};
  /** @type {AbortSignal | undefined} */
  let signal;
  const registration = room.provide('slow', (_, call) => {
    signal = call.signal;
    return new Promise((resolve) => (answer = resolve));
  });
  socket.say('registered', { service_name: 'slow' });
  socket.say('request', { service_name: 'slow', args: 1, request_id: 'r', by: 2, timeout_ms: 9 });
  await world.settle();
  assert.equal(signal?.aborted, false);
  socket.drop();
  assert.equal(signal?.aborted, true);
  assert.equal(registration.state, 'waiting');
  await world.advance(100);
  const next = await world.greet();
  next.take();
  answer(1);
  await world.settle();
  assert.deepEqual(next.take(), []);
  room.on('error', () => {});
  next.say('error', { code: 300, reason: 'no', in_reply_to: { type: 'register_service', service_name: 'slow' } });
  assert.deepEqual([registration.state, registration.error?.name], ['refused', 'forbidden']);
});
