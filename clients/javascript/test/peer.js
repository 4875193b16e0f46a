// @ts-check
// A replica with a room on the other side of a network that the test has in its hands.
import assert from 'node:assert/strict';
import { decode } from '../src/change.js';
import { Rejected } from '../src/code.js';
import { documentOf } from '../src/document.js';
import { DEFAULT_LIMITS } from '../src/limits.js';
import { Replica } from '../src/replica.js';
import { canonical } from '../src/value.js';
import { CASES } from './changes.js';

/** @typedef {import('../src/change.js').TopicType} TopicType */
/** @typedef {import('./changes.js').Random} Random */
/** @typedef {import('./room.js').Room} Room */

export const TYPES = /** @type {TopicType[]} */ (Object.keys(CASES));

/** A replica with its network: what it said and the room did not hear yet, and the other way round. */
export class Peer {
  replica = new Replica();
  /** @type {any[]} */
  up = [];
  /** @type {any[]} */
  down = [];
  /** @type {import('./room.js').Session | undefined} */
  session;
  online = false;
  /** What a listener comes to by the changes it is told. @type {Map<string, any>} */
  views = new Map();
  /** @type {Map<number, any>} */
  outcomes = new Map();
  made = 0;

  /** @param {Room} room @param {readonly TopicType[]} types */
  constructor(room, types) {
    this.room = room;
    for (const type of types) {
      this.replica.open(type, type);
      this.replica.watch(type, true);
    }
  }

  connect() {
    const down = (this.down = /** @type {any[]} */ ([]));
    this.online = true;
    this.session = this.room.hello(this.replica.hello(), (said) => down.push(plainOf(said)));
  }

  /** @param {boolean} heard whether the room still gets what was said */
  cut(heard) {
    if (heard) for (const said of this.up) this.hear(said);
    this.up = [];
    this.down = [];
    this.online = false;
    const { session } = this;
    if (session) session.say = undefined;
    this.replica.disconnect();
    this.look();
  }

  /** @param {any} said */
  hear(said) {
    if (this.session) this.room.receive(this.session, said);
  }

  flush() {
    this.up.push(...plainOf(this.replica.messages()));
  }

  receive() {
    const said = this.down.shift();
    if (said) this.replica.receive(said);
    this.look();
  }

  /** Every listener's view is what the changes make of it. */
  look() {
    for (const told of this.replica.told()) {
      if (told.kind === 'gap') throw new Error(`a gap in ${told.name}: ${told.previous} after ${told.known}`);
      if (told.kind === 'settled') {
        assert.ok(!this.outcomes.has(told.action), 'an action has one outcome');
        this.outcomes.set(told.action, told.outcome);
      }
      if (told.kind !== 'value') continue;
      const { name, value, changes } = told;
      if (changes === null) {
        this.views.set(name, documentOf(/** @type {TopicType} */ (name), plainOf(value)));
        continue;
      }
      const view = this.views.get(name);
      for (const change of changes) view.perform(change);
      // A sum of floats in another order may end in other bits; ours have none to lose.
      assert.equal(canonical(view.read()), canonical(value), `the view of ${name}`);
    }
  }

  /** The value is what the pending changes make of the confirmed one. */
  check() {
    for (const type of TYPES) {
      const mirror = this.replica.topic(type);
      if (!mirror?.document) continue;
      const whole = documentOf(type, plainOf(this.replica.confirmed(type)));
      for (const { change, lost } of mirror.own) {
        try {
          if (change && !lost) whole.perform(change, { by: this.replica.client });
        } catch {
          // Left out for now.
        }
      }
      assert.equal(canonical(this.replica.value(type)), canonical(whole.read()), `the value of ${type}`);
    }
  }
}

/** @param {any} value */
export function plainOf(value) {
  return value !== null && typeof value === 'object' ? JSON.parse(JSON.stringify(value)) : value;
}

/** @param {Random} random @param {Peer} peer @param {readonly TopicType[]} types @param {{ tracked?: boolean, now?: number }} [how] */
export function act(random, peer, types, { tracked = random.below(4) > 0, now = 0 } = {}) {
  const made = [];
  const { replica } = peer;
  /** @type {Map<string, any>} */
  const after = new Map();
  for (let part = 1 + random.below(3); part > 0; part--) {
    const type = random.pick(types);
    const mirror = replica.topic(type);
    if (!mirror?.document) continue;
    const document = after.get(type) ?? documentOf(type, plainOf(replica.value(type)));
    after.set(type, document);
    const { id: _, ...change } = decode(type, CASES[type].change(random, document.read()), { limits: DEFAULT_LIMITS, by: 0 });
    document.perform(change);
    made.push({ topic_name: type, change });
  }
  if (made.length === 0) return;
  try {
    replica.act(made, { wire: true, tracked }, now);
    peer.made++;
  } catch (error) {
    if (!(error instanceof Rejected)) throw error;
  }
}

/** Lets everything through. @param {readonly Peer[]} peers */
export function settle(peers) {
  for (const peer of peers) if (!peer.online) peer.connect();
  for (let round = 0; ; round++) {
    assert.ok(round < 1_000, 'it comes to an end');
    for (const peer of peers) {
      peer.flush();
      while (peer.up.length > 0) peer.hear(peer.up.shift());
    }
    for (const peer of peers) while (peer.down.length > 0) peer.receive();
    for (const peer of peers) peer.flush();
    if (peers.every(({ replica, down, up }) => replica.unsaved === 0 && down.length === 0 && up.length === 0)) return;
  }
}
