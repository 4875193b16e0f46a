// @ts-check
// A socket that is killed a hundred times under load changes nothing of what the application has.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { connect } from '../src/index.js';
import { TestServer } from '../src/testing.js';
import { becomes } from './moments.js';
import { proxy } from './proxy.js';

const KILLS = 100;

/** @type {TestServer} */
let server;
before(async () => {
  server = await TestServer.start();
});
after(() => server.stop());

test('a hundred kills', async (t) => {
  const between = await proxy(server.url);
  const shaken = connect(between.url, { backoff: { minMs: 1, maxMs: 5 } });
  const steady = connect(server.url);
  shaken.on('rejected', () => {});
  await Promise.all([shaken.online(), steady.online()]);

  const topics = { int: shaken.topic('n', 'int'), list: shaken.topic('l', 'list'), text: shaken.topic('t', 'string') };
  const me = shaken.presence('who');
  const others = steady.presence('who');
  const [count, list, text] = [steady.topic('n', 'int'), steady.topic('l', 'list'), steady.topic('t', 'string')];
  await Promise.all([...Object.values(topics), count, list, text, others].map((topic) => topic.loaded()));
  await me.put('here');
  const registration = shaken.provide('echo', (args) => args);
  await registration.ready;

  // Each listener's view is built from changes alone, so that a lost or doubled one would show.
  let view = NaN;
  let wrong = 0;
  topics.int.on((value, change) => {
    if (change && value !== view + change.value) wrong++;
    view = value;
  });
  const holdings = shaken.holdings;

  let accepted = 0;
  let unknown = 0;
  let written = 0;
  let stop = false;
  const load = (async () => {
    for (let n = 0; !stop; n++) {
      void topics.int.add(1).then(() => accepted++, (error) => {
        assert.equal(error.name, 'connection_lost');
        unknown++;
      });
      await Promise.all([count.add(1), n % 10 ? list.push(n) : list.set([]), text.insert(0, n % 50 ? '😀' : 'a')]);
      written++;
    }
  })();

  for (let kill = 0; kill < KILLS; kill++) {
    const lost = becomesOffline(shaken);
    assert.ok(between.kill() > 0);
    await lost;
    await shaken.online();
    // Some kills hit a connection that is barely up; some hit one with all of it back.
    if (kill % 2) assert.equal(await steady.call('echo', kill, { timeoutMs: 5_000 }).catch(retried(() => steady.call('echo', kill))), kill);
  }
  stop = true;
  await load;
  // Nothing is on its way any more: what was sent has its outcome.
  await shaken.online();
  await shaken.call('_chatroom/time');
  const [truth] = await Promise.all(['n'].map((topic_name) => steady.call('_chatroom/get', { topic_name })));
  await becomes(topics.int, (value) => value === truth.value);

  assert.equal(wrong, 0);
  assert.equal(view, truth.value);
  assert.equal(unknown, 0, 'every change outlives its connection');
  assert.equal(truth.value, written + accepted, 'and is made once');
  assert.deepEqual(topics.list.value, (await steady.call('_chatroom/get', { topic_name: 'l' })).value);
  assert.equal(topics.text.value, (await steady.call('_chatroom/get', { topic_name: 't' })).value);
  assert.equal(shaken.holdings, holdings, 'no listener, registration or topic more or less');
  assert.equal(await steady.call('echo', 'still'), 'still');
  await becomes(others, (value) => Object.values(value).length === 1 && value[shaken.id] === 'here');
  assert.equal(shaken.gaps, 0);
  t.diagnostic(`${KILLS} kills ran: ${written} rounds of changes, ${accepted} own accepted, ${unknown} unknown`);
  await Promise.all([shaken.close(), steady.close()]);
  between.close();
});

/** @param {import('../src/index.js').Client} room */
function becomesOffline(room) {
  return new Promise((resolve) => {
    const off = room.on('state', ({ state }) => {
      if (state !== 'offline') return;
      off();
      resolve(undefined);
    });
  });
}

/** The registration may be on its way still. @param {() => Promise<any>} again */
function retried(again) {
  return async (/** @type {import('../src/index.js').CallError} */ error) => {
    assert.ok(error.retryable, String(error));
    for (;;) {
      try {
        return await again();
      } catch (error) {
        assert.equal(/** @type {Error} */ (error).name, 'no_provider');
      }
    }
  };
}
