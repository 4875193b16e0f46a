// @ts-check
// The test server and its faults.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { ChatroomError, connect } from '../src/index.js';
import { TestServer } from '../src/testing.js';
import { turned } from './moments.js';

/** @type {TestServer} */
let server;
before(async () => {
  server = await TestServer.start();
});
after(() => server.stop());

test('a client is dropped, disconnected, delayed and frozen, and others are not', async () => {
  const room = connect(server.url, { backoff: { minMs: 1, maxMs: 10 } });
  const other = connect(server.url);
  await Promise.all([room.online(), other.online()]);

  for (const [kind, code] of /** @type {const} */ ([['drop', 110], ['disconnect', 106]])) {
    const offline = turned(room, 'offline');
    await server.client(room.id)[kind]();
    const { code: told } = await offline;
    if (kind === 'drop') assert.equal(told, code);
    await room.online();
  }

  const before = performance.now();
  await server.client(room.id).delay(150);
  await room.call('_chatroom/time');
  assert.ok(performance.now() - before >= 150, 'a delay of each message');
  await server.client(room.id).delay(0);

  await server.client(room.id).freeze(300);
  const frozen = performance.now();
  await other.call('_chatroom/time');
  assert.ok(performance.now() - frozen < 290, 'the other client is not frozen');
  await room.call('_chatroom/time');
  assert.ok(performance.now() - frozen >= 250, 'the call has waited for the end of it');

  await assert.rejects(server.client(999).drop(), ChatroomError);
  await Promise.all([room.close(), other.close()]);
});

test('a server that does not start says why', async () => {
  await assert.rejects(TestServer.start({ args: ['--nonsense'] }), /--nonsense/);
  await assert.rejects(TestServer.start({ binary: '/no/such/chatroom' }), /ENOENT/);
});

test('rooms are apart, and the server ends cleanly', async () => {
  const own = await TestServer.start({ room: 'attic' });
  const room = connect(own.url);
  await room.online();
  assert.match(room.url, /\/rooms\/attic$/);
  const offline = turned(room, 'offline');
  await own.stop();
  assert.equal((await offline).code, 106);
  await room.close();
});
