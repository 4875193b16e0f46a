// @ts-check
// Undo and redo: the way back and forth is the same for one, and nobody takes away what others did.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { canonical } from '../src/value.js';
import { Random } from './changes.js';
import { act, Peer, settle, TYPES } from './peer.js';
import { Room } from './room.js';

const HISTORIES = Number(process.env.HISTORIES ?? 100);
const FIRST = Number(process.env.SEED ?? 1);

/** @param {string} about @param {(random: Random) => void} play */
function histories(about, play) {
  test(about, (t) => {
    for (let seed = FIRST; seed < FIRST + HISTORIES; seed++) {
      try {
        play(new Random(seed));
      } catch (error) {
        throw new Error(`SEED=${seed}: ${/** @type {Error} */ (error).message}`, { cause: error });
      }
    }
    t.diagnostic(`${HISTORIES} histories ran`);
    assert.ok(HISTORIES > 0);
  });
}

/** Everything of a room, as one text. @param {Room} room @param {readonly import('../src/change.js').TopicType[]} types */
function whole(room, types) {
  // A float's last bit may differ after it went there and back.
  return canonical(types.map((type) => room.value(type)));
}

/** @param {Random} random @param {number} count */
function begin(random, count) {
  const room = new Room();
  const types = TYPES.filter((type) => type !== 'float');
  for (const type of types) room.topic(type, type);
  const peers = Array.from({ length: count }, () => new Peer(room, types));
  for (const peer of peers) peer.connect();
  settle(peers);
  return { room, types, peers };
}

histories('undo and redo pass through the same states', (random) => {
  const { room, types, peers } = begin(random, 1);
  const [peer] = peers;
  const first = whole(room, types);
  for (let count = 0; count < 12; count++) {
    // Each stands alone: they are made more than 500 ms apart.
    act(random, peer, types, { tracked: true, now: count * 1_000 });
    settle(peers);
  }
  const last = whole(room, types);
  /** @type {string[] | undefined} */
  let known;
  for (let round = 0; round < 2; round++) {
    const [down, up] = /** @type {const} */ (['undo', 'redo']).map((turn) => {
      const passed = [];
      for (; peer.replica.can(turn); settle(peers)) {
        passed.push(whole(room, types));
        peer.replica.turn(turn);
      }
      return [...passed, whole(room, types)];
    });
    assert.deepEqual([down[down.length - 1], up[up.length - 1]], [first, last]);
    assert.deepEqual([...down].reverse(), up);
    assert.deepEqual(up, (known ??= up));
    assert.ok(up.length > 3);
  }
});

histories('what others typed stays, what they kept comes back, and all of one\'s own goes', (random) => {
  const { room, peers } = begin(random, 2);
  const [one, other] = peers;
  /** @type {Set<string>} What the other typed, and deleted. */
  const typed = new Set();
  const gone = new Set();
  /** What the one deleted. */
  const lost = new Set();
  let used = 0;
  const type = (/** @type {Peer} */ peer, /** @type {boolean} */ tracked) => {
    const text = /** @type {string} */ (peer.replica.value('string'));
    const at = random.below(text.length + 1);
    const count = random.below(Math.min(3, text.length - at) + 1);
    // Each letter is typed once, so that its fate can be told.
    const letter = String.fromCharCode((peer === one ? 0x4e00 : 0x6000) + used++);
    const components = [...(at ? [{ retain: at }] : []), { insert: letter }, ...(count ? [{ delete: count }] : [])];
    if (peer === other) typed.add(letter);
    for (const deleted of text.slice(at, at + count)) (peer === other ? gone : lost).add(deleted);
    peer.replica.act([{ topic_name: 'string', change: { type: 'edit', components } }], { wire: true, tracked }, used * 1_000);
  };
  for (let step = 0; step < 60; step++) {
    const peer = random.pick(peers);
    const dice = random.below(6);
    if (dice < 2) type(peer, true);
    else if (dice === 2) peer.flush();
    else if (dice === 3) {
      const said = peer.up.shift();
      if (said) peer.hear(said);
    } else peer.receive();
  }
  settle(peers);
  for (let undos = 0; one.replica.can('undo'); undos++) {
    assert.ok(undos < 100, 'it comes to an end');
    one.replica.turn('undo');
    if (random.below(2)) type(other, true);
    settle(peers);
  }
  const text = /** @type {string} */ (room.value('string'));
  for (const letter of text) assert.ok(letter.charCodeAt(0) >= 0x6000, 'nothing of the one is left');
  assert.equal(new Set(text).size, text.length, 'nothing is there twice');
  for (const letter of typed) {
    // What both deleted comes back with one of them, or does not.
    if (!(gone.has(letter) && lost.has(letter))) assert.equal(text.includes(letter), !gone.has(letter), `what the other made of ${letter}`);
  }
});
