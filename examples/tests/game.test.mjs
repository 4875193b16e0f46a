// Bots play the game against a real server: every coin is picked once, and all see the same.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { connect } from '@chatroom/client';
import { TestServer } from '@chatroom/client/testing';
import { bot } from '../game/bots.mjs';
import { open } from '../game/game.mjs';
import { referee } from '../game/referee.mjs';

const BOTS = 12;
const COINS = 4;
const PICKS = 60;

test('many players, and every coin is picked once', async (t) => {
  const server = await TestServer.start();
  const judge = connect(server.url);
  await referee(judge, COINS);
  const watcher = connect(server.url);
  const { players, coins, scores, shots } = open(watcher);
  await Promise.all([players.loaded(), coins.loaded(), scores.loaded(), shots.loaded()]);
  let seen = 0;
  shots.on(() => seen++);
  let drawn = 0;
  players.on(() => void drawn++, { deliver: { hz: 20 } });

  const rooms = Array.from({ length: BOTS }, () => connect(server.url));
  const bots = rooms.map((room, index) => bot(room, `bot ${index}`));
  const points = () => Object.values(scores.value ?? {}).reduce((sum, one) => sum + one, 0);
  await new Promise((resolve) => scores.on(() => points() >= PICKS && resolve(undefined)));
  assert.equal(Object.keys(players.others).length, BOTS);
  for (const { leave } of bots) leave();
  await new Promise((resolve) => players.on(() => Object.keys(players.others).length === 0 && resolve(undefined)));
  // What was on its way when they left comes to its end.
  await Promise.all(rooms.map((room) => room.call('_chatroom/time')));
  await judge.call('_chatroom/time');
  await watcher.call('_chatroom/time');
  const picked = bots.reduce((sum, { player }) => sum + player.picked, 0);
  assert.equal(points(), picked, 'each pick made one point');
  assert.equal(Object.keys(coins.value ?? {}).length, COINS, 'and one new coin');
  t.diagnostic(`${picked} coins picked by ${BOTS} bots, ${seen} shots seen, players drawn ${drawn} times`);
  assert.deepEqual([judge, watcher, ...rooms].map(({ gaps }) => gaps), Array(BOTS + 2).fill(0));
  await Promise.all([judge, watcher, ...rooms].map((room) => room.close()));
  await server.stop();
});
