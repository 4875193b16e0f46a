// @ts-check
// The replica without a network: the scripts of the conformance vectors, every step of them.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ChatroomError } from '../src/code.js';
import { DEFAULT_LIMITS } from '../src/limits.js';
import { Replica } from '../src/replica.js';
import { canonical } from '../src/value.js';
import { cases } from './vectors.js';

/** @typedef {import('../src/news.js').Notification} Notification */

/** A replica, and what it told that no step has looked at. */
class Stage {
  replica = new Replica();
  now = 0;
  /** @type {any[]} */
  settled = [];
  /** @type {any[]} */
  told = [];

  /** @param {Record<string, number>} limits */
  constructor(limits = {}) {
    this.limits = limits;
    Object.assign(this.replica.limits, limits);
  }

  /** @param {any} step */
  async play({ ...step }) {
    const [kind] = Object.keys(step).filter((name) => name in STEPS);
    assert.ok(kind, `the step ${JSON.stringify(step)} is known`);
    STEPS[kind](this, step);
    for (const notification of this.replica.told()) this.#note(notification);
  }

  /** @param {Notification} notification */
  #note(notification) {
    if (notification.kind === 'settled') {
      const { action, outcome } = notification;
      if (outcome instanceof ChatroomError) this.settled.push({ action, code: outcome.name });
      else this.settled.push({ action, sequence: outcome.sequence, ...(outcome.effect ? {} : { effect: false }) });
    } else if (notification.kind === 'value') {
      const { name, meta, changes } = notification;
      this.told.push({ topic_name: name, cause: meta.cause, ...(changes === null ? {} : { changes }) });
    }
  }
}

/** @param {any} a @param {any} b */
function same(a, b) {
  assert.equal(canonical(a), canonical(b));
}

/** @type {Record<string, (stage: Stage, step: any) => void>} */
const STEPS = {
  open: ({ replica }, { open: { topic_name, type } }) => {
    replica.open(topic_name, type);
    replica.watch(topic_name, true);
  },
  release: ({ replica }, { release }) => replica.release(release),
  receive: ({ replica, limits }, { receive: { type, content } }) =>
    replica.receive({ type, content: type === 'hello' ? { ...content, limits: { ...DEFAULT_LIMITS, ...limits, ...content.limits } } : content }),
  disconnect: ({ replica }) => replica.disconnect(),
  restart: (stage) => {
    stage.replica = Replica.restore(JSON.parse(JSON.stringify(stage.replica.save())));
    Object.assign(stage.replica.limits, stage.limits);
  },
  saved: ({ replica }, { saved }) => same(replica.save(), saved),
  act: ({ replica, now }, { act, refused, tracked, group }) => {
    const make = () => replica.act(act, { tracked, group, wire: true }, now);
    if (refused === undefined) make();
    else assert.throws(make, { name: refused });
  },
  undo: ({ replica }) => replica.turn('undo'),
  redo: ({ replica }) => replica.turn('redo'),
  advance_ms: (stage, { advance_ms }) => void (stage.now += advance_ms),
  send: ({ replica }, { send }) => same(replica.messages().filter(({ type }) => type === 'push'), send),
  hello: ({ replica }, { hello }) => {
    const said = replica.hello();
    const sorted = (/** @type {any} */ { resume, ...rest }) => ({ ...rest, ...(resume ? { resume: [...resume].sort((/** @type {any} */ a, /** @type {any} */ b) => (a.topic_name < b.topic_name ? -1 : 1)) } : {}) });
    same(sorted(said), sorted(hello));
  },
  value: ({ replica }, { value }) => same(Object.fromEntries(Object.keys(value).map((name) => [name, replica.value(name)])), value),
  confirmed: ({ replica }, { confirmed }) => same(Object.fromEntries(Object.keys(confirmed).map((name) => [name, replica.confirmed(name)])), confirmed),
  unsaved: ({ replica }, { unsaved }) => assert.equal(replica.unsaved, unsaved),
  can_undo: ({ replica }, { can_undo }) => assert.equal(replica.can('undo'), can_undo),
  can_redo: ({ replica }, { can_redo }) => assert.equal(replica.can('redo'), can_redo),
  settled: (stage, { settled }) => same(stage.settled.splice(0), settled),
  told: (stage, { told }) => same(stage.told.splice(0), told),
};

const ASIDE = ['refused', 'tracked', 'group'];

test('scripts', async (t) => {
  let ran = 0;
  let steps = 0;
  for (const { id, limits, steps: script } of cases('replica')) {
    const stage = new Stage(limits);
    for (const [index, step] of script.entries()) {
      const unknown = Object.keys(step).filter((name) => !(name in STEPS) && !ASIDE.includes(name));
      assert.deepEqual(unknown, [], `${id}, step ${index}`);
      try {
        await stage.play(step);
      } catch (error) {
        throw new Error(`${id}, step ${index} ${JSON.stringify(step)}: ${/** @type {Error} */ (error).message}`, { cause: error });
      }
      steps++;
    }
    ran++;
  }
  t.diagnostic(`${ran} replica scripts ran, ${steps} steps`);
  assert.ok(ran > 0);
});
