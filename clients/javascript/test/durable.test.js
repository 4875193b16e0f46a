// @ts-check
// What a server keeps outlives it, and a client outlives its program.
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { connect } from '../src/index.js';
import { TestServer } from '../src/testing.js';
import { becomes } from './moments.js';

const backoff = { minMs: 1, maxMs: 20 };
/** @type {string} */
let data;
before(async () => {
  data = await mkdtemp(join(tmpdir(), 'chatroom-'));
});
after(() => rm(data, { recursive: true }));

test('a server that is killed, and a program that ends', async (t) => {
  const first = await TestServer.start({ data });
  const room = connect(first.url, { backoff });
  const [score, text] = [room.topic('score', 'int'), room.topic('text', 'string')];
  await Promise.all([score.loaded(), text.loaded()]);
  await Promise.all([score.add(1), text.insert(0, 'ab')]);
  const { id } = room;
  await first.kill();
  // Nobody hears of these before the program ends.
  room.on('rejected', () => {});
  for (let n = 0; n < 10; n++) void score.add(1).catch(() => {});
  void text.insert(2, '😀c').catch(() => {});
  const saved = JSON.parse(JSON.stringify(room.save()));
  room.close();

  const second = await TestServer.start({ data });
  t.after(() => second.stop());
  const again = connect(second.url, { backoff, saved });
  const refused = /** @type {unknown[]} */ ([]);
  again.on('rejected', (error) => refused.push(error));
  const [sum, words] = [again.topic('score', 'int'), again.topic('text', 'string')];
  assert.equal(sum.value, 11, 'the value is there at once');
  assert.equal(words.value, 'ab😀c');
  assert.equal(again.unsaved, 11);
  await again.online();
  const other = connect(second.url);
  const [seen, read] = [other.topic('score', 'int'), other.topic('text', 'string')];
  await Promise.all([becomes(seen, (value) => value === 11), becomes(read, (value) => value === 'ab😀c')]);
  assert.equal(again.id, id, 'it is who it was');
  assert.deepEqual(refused, []);
  await sum.add(1);
  assert.equal(again.unsaved, 0);
  again.close();
  other.close();
});

test('a saved session that nobody wrote', () => {
  const saved = /** @type {any} */ ({ version: 2 });
  assert.throws(() => connect('ws://127.0.0.1:1', { saved }), { name: 'unsupported' });
  assert.throws(() => connect('ws://127.0.0.1:1', { saved: { ...saved, version: 1 } }), { name: 'bad_type' });
});

test('the past', async (t) => {
  const server = await TestServer.start({ data });
  const room = connect(new URL('rooms/past', server.url));
  t.after(() => (room.close(), server.stop()));
  const [text, score] = [room.topic('text', 'string'), room.topic('score', 'int')];
  await Promise.all([text.loaded(), score.loaded()]);
  const written = [];
  for (const word of ['one', ' two', ' three']) {
    written.push((await text.insert(text.value?.length ?? 0, word)).sequence);
    await score.add(1);
  }
  await text.set('');
  const page = await room.commits({ topicName: 'text', limit: 2 });
  assert.equal(page.commits.length, 2);
  assert.deepEqual(page.commits.map(({ sequence }) => sequence), [written[2] + 2, written[2]]);
  const rest = await room.commits({ topicName: 'text', before: page.next ?? 0 });
  assert.deepEqual([rest.commits.map(({ sequence }) => sequence), rest.next], [[written[1], written[0]], null]);
  const [commit] = rest.commits;
  assert.ok('changes' in commit && commit.by === room.id && commit.at_ms > 0);
  assert.deepEqual(await Promise.all(written.map((at) => room.valueAt('text', at))), ['one', 'one two', 'one two three']);
  assert.equal(await room.valueAt('score', written[1]), 1);
  await assert.rejects(room.valueAt('nobody', 1), { name: 'unknown_topic' });
  await text.set(await room.valueAt('text', written[1]));
  assert.equal(text.confirmed, 'one two');
  assert.ok(room.canUndo, 'to restore is a change like others');
});
