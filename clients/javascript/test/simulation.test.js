// @ts-check
// Several replicas and a room, on a network that delays and breaks. Whatever the order, in the end
// all hold the same, and on the way every listener's changes lead to the value that it is told.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { decode } from '../src/change.js';
import { DEFAULT_LIMITS } from '../src/limits.js';
import { canonical } from '../src/value.js';
import { CASES, Random } from './changes.js';
import { act, Peer, plainOf, settle, TYPES } from './peer.js';
import { Room } from './room.js';

const HISTORIES = Number(process.env.HISTORIES ?? 150);
const FIRST = Number(process.env.SEED ?? 1);

/** @param {number} seed */
function play(seed) {
  const random = new Random(seed);
  const room = new Room();
  // Some histories are about few types, so that changes meet.
  const types = random.below(3) ? [random.pick(TYPES), random.pick(TYPES)] : TYPES;
  for (const type of TYPES) room.topic(type, type);
  if (random.below(2)) {
    room.rule = ({ topic_name: name, change }) => {
      if (random.below(12) === 0) return 'refuse';
      if (name === 'int' && change.type === 'set' && random.below(4) === 0) return { type: 'set', value: change.value + 100 };
      return change;
    };
  }
  const peers = Array.from({ length: 2 + random.below(2) }, () => new Peer(room, types));
  for (const peer of peers) peer.connect();
  for (let step = 0; step < 150; step++) {
    const peer = random.pick(peers);
    const dice = random.below(100);
    if (dice < 30) act(random, peer, types);
    else if (dice < 50) peer.flush();
    else if (dice < 65) {
      if (peer.up.length > 0) peer.hear(peer.up.shift());
    } else if (dice < 85) peer.receive();
    else if (dice < 88) peer.online ? peer.cut(random.below(2) === 0) : peer.connect();
    else if (dice < 90) {
      if (!peer.online) peer.connect();
    } else if (dice < 95) peer.replica.turn(random.pick(['undo', 'redo']));
    else if (dice < 97) {
      const type = random.pick(types);
      room.commit(type, decode(type, CASES[type].change(random, plainOf(room.value(type))), { limits: DEFAULT_LIMITS, by: 0 }));
    } else if (dice < 98) {
      // What clients have a base of is remembered as long as they are here.
      if (peers.every(({ online, up }) => !online && up.length === 0)) room.trim(random.below(4));
    } else peer.check();
    peer.look();
  }
  settle(peers);
  for (const peer of peers) {
    peer.check();
    assert.equal(peer.replica.unsaved, 0, 'nothing is pending in the end');
    for (const type of types) {
      assert.equal(canonical(peer.replica.value(type)), canonical(room.value(type)), `the end of ${type}`);
      assert.equal(canonical(peer.replica.confirmed(type)), canonical(room.value(type)));
      assert.equal(canonical(peer.views.get(type)?.read() ?? room.value(type)), canonical(room.value(type)), `the view in the end of ${type}`);
    }
  }
}

test('all hold the same in the end', (t) => {
  for (let seed = FIRST; seed < FIRST + HISTORIES; seed++) {
    try {
      play(seed);
    } catch (error) {
      throw new Error(`SEED=${seed}: ${/** @type {Error} */ (error).message}`, { cause: error });
    }
  }
  t.diagnostic(`${HISTORIES} histories ran`);
  assert.ok(HISTORIES > 0);
});
