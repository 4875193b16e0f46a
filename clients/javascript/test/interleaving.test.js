// @ts-check
// Every order in which handles, answers, drops and listeners can meet, up to a depth, against a
// server of one topic. INTERLEAVING_DEPTH looks deeper.
//
// The server handles what it is sent at once; its answers wait until the order says `answer`, and
// are lost with the connection. In the end everything is let through and compared.
import assert from 'node:assert/strict';
import { World } from './fake.js';

const DEPTH = Number(process.env.INTERLEAVING_DEPTH ?? 6);

/** A client, its handles, and a server of the topic `x`. */
class Stage {
  world = new World();
  room = this.world.connect();
  /** @type {any[]} */
  handles = [];
  /** @type {{ type: string, content: any }[]} What the server said and the client did not get yet. */
  answers = [];
  /** The server's side of it. */
  value = 0;
  sequence = 0;
  last = 0;
  subscribed = false;
  /** How many subscribe messages will be refused. */
  refusals = 0;
  /** Whether the subscription that counts was refused or ended by the server. */
  ended = false;
  /** @type {((handle: any) => void)[]} What listeners do when they are called. */
  deeds = [];
  /** How many subscribe messages came, and how many were refused or ended. */
  asked = 0;
  refused = 0;
  /** @type {Error[]} What assertions in listeners said. */
  failures = [];

  async begin() {
    this.room.on('error', (error) => void (error instanceof assert.AssertionError && this.failures.push(error)));
    await this.connect();
  }

  async connect() {
    await this.world.settle();
    this.world.socket.server = (message) => this.serve(message);
    await this.world.greet({ sequence: this.sequence });
  }

  /** @param {{ type: string, content: any }} message */
  serve({ type, content }) {
    if (type === 'unsubscribe') this.subscribed = false;
    if (type === 'push') content.actions.forEach((/** @type {any} */ { changes }, /** @type {number} */ index) => this.commit({ ...changes[0].change, id: content.number + index }, 'accepted'));
    if (type !== 'subscribe') return;
    this.asked += 1;
    this.ended = this.refusals > 0;
    if (this.refusals > 0) {
      this.refusals -= 1;
      this.refused += 1;
      this.answers.push({ type: 'error', content: { code: 300, reason: 'not you', in_reply_to: { type: 'subscribe', topic_name: 'x' } } });
      return;
    }
    this.subscribed = true;
    this.answers.push({ type: 'subscribed', content: { topic_name: 'x', type: 'int', value: this.value, sequence: this.sequence } });
  }

  /** @param {any} change @param {'accepted' | 'update'} how */
  commit(change, how) {
    this.value += change.value;
    const previous = this.last;
    this.last = ++this.sequence;
    if (how === 'accepted') this.answers.push({ type: 'accepted', content: { id: change.id, sequence: this.sequence, previous: [previous] } });
    else if (this.subscribed) {
      this.answers.push({ type: 'update', content: { topic_name: 'x', change, sequence: this.sequence, previous, by: 9 } });
    }
  }

  open() {
    const { asked, refused } = this;
    const handle = this.room.topic('x', 'int');
    const record = { handle, saw: /** @type {number | undefined} */ (undefined), off: false };
    // One that was asked for anew hears nothing that is older than that.
    const isNew = this.asked > asked;
    const oldest = isNew ? this.sequence : 0;
    handle.loaded().catch((error) => {
      if (isNew && error.code !== 401 && this.refused === refused) this.failures.push(new Error('loaded() failed by an earlier refusal'));
    });
    handle.on((value, change, meta) => {
      assert.ok(!record.off, 'a listener was called after its handle was closed');
      assert.ok(meta.sequence >= oldest, 'an answer to an earlier question');
      if (change === null) assert.notEqual(value, record.saw, 'a snapshot brought nothing new');
      else if (meta.cause !== 'snapshot') assert.equal(value, Number(record.saw) + change.value, 'a change does not follow on what was seen');
      record.saw = value;
      this.deeds.shift()?.(record);
    });
    this.handles.push(record);
  }

  /** @param {any} record */
  close(record) {
    record.off = true;
    record.handle.close();
    this.handles = this.handles.filter((other) => other !== record);
  }

  get online() {
    return this.room.state === 'online';
  }

  /** Lets through whatever waits. */
  async finish() {
    if (!this.online) await this.reconnect();
    await this.world.advance(60);
    while (this.answers.length > 0) await this.answer();
    // A change that has its outcome now has kept its topic until then.
    await this.world.advance(60);
    while (this.answers.length > 0) await this.answer();
  }

  async answer() {
    const message = this.answers.shift();
    if (message) this.world.socket.say(message.type, message.content);
    await this.world.settle();
  }

  async reconnect() {
    this.room.reconnect();
    await this.connect();
  }

  async drop() {
    this.subscribed = false;
    this.answers = [];
    this.world.socket.drop();
    await this.world.settle();
  }
}

/** What can happen, and when. @type {Record<string, { may: (stage: Stage) => boolean, run: (stage: Stage) => unknown }>} */
const STEPS = {
  open: { may: ({ handles }) => handles.length < 2, run: (stage) => stage.open() },
  close: { may: ({ handles }) => handles.length > 0, run: (stage) => stage.close(stage.handles[0]) },
  grace: { may: ({ world }) => [...world.timers.values()].some(({ at }) => at <= world.now + 50), run: ({ world }) => world.advance(50) },
  answer: { may: ({ answers }) => answers.length > 0, run: (stage) => stage.answer() },
  change: { may: ({ subscribed }) => subscribed, run: (stage) => stage.commit({ type: 'add', value: 1, id: 'other' }, 'update') },
  own: { may: ({ handles, online }) => handles.length > 0 && online, run: ({ handles }) => void handles[0].handle.add(1).catch(() => {}) },
  refuse: { may: ({ refusals }) => refusals === 0, run: (stage) => (stage.refusals = 1) },
  remove: {
    may: ({ subscribed }) => subscribed,
    run: (stage) => {
      stage.subscribed = false;
      stage.ended = true;
      stage.refused += 1;
      stage.answers.push({ type: 'error', content: { code: 400, reason: 'deleted', in_reply_to: { type: 'subscribe', topic_name: 'x' } } });
    },
  },
  drop: { may: ({ online }) => online, run: (stage) => stage.drop() },
  reconnect: { may: ({ online }) => !online, run: (stage) => stage.reconnect() },
  'close inside': { may: ({ deeds, handles }) => deeds.length === 0 && handles.length > 0, run: (stage) => stage.deeds.push((record) => stage.close(record)) },
  'close another inside': {
    may: ({ deeds, handles }) => deeds.length === 0 && handles.length === 2,
    run: (stage) => stage.deeds.push((record) => stage.handles.filter((other) => other !== record).forEach((other) => stage.close(other))),
  },
  'open inside': { may: ({ deeds, handles }) => deeds.length === 0 && handles.length === 1, run: (stage) => stage.deeds.push(() => stage.open()) },
};

/** Plays an order, checks the end, and gives the steps that could have come next. @param {string[]} order */
async function play(order) {
  const stage = new Stage();
  await stage.begin();
  for (const name of order) {
    await STEPS[name].run(stage);
    await stage.world.settle();
  }
  const next = Object.keys(STEPS).filter((name) => STEPS[name].may(stage));
  // What listeners were going to do, they do not do in the end, where two opens would be a refusal more.
  stage.deeds = [];
  await stage.finish();
  const last = stage.handles.map(({ handle, saw }) => ({ status: handle.status, value: handle.value, saw }));
  const { value } = stage;
  for (const end of last) {
    if (stage.ended) assert.ok(['denied', 'removed'].includes(end.status), `status ${end.status} of an ended subscription`);
    else assert.deepEqual(end, { status: 'live', value, saw: value });
  }
  assert.equal(stage.subscribed, stage.handles.length > 0 && !stage.ended, 'the server and the client agree on the subscription');
  for (const record of [...stage.handles]) stage.close(record);
  await stage.finish();
  assert.equal(stage.subscribed, false, 'nothing is subscribed in the end');
  assert.equal(stage.room.holdings, 0, 'nothing is kept in the end');
  assert.ok(stage.world.timers.size <= 2, 'no timers but those of the connection');
  if (stage.failures.length > 0) throw stage.failures[0];
  return next;
}

let ran = 0;

/** @param {string[]} order */
async function explore(order) {
  let next;
  try {
    next = await play(order);
  } catch (error) {
    throw new Error(`after ${order.join(', ')}: ${/** @type {Error} */ (error).message}`, { cause: error });
  }
  ran++;
  if (order.length < DEPTH) for (const step of next) await explore([...order, step]);
}

const failure = await explore([]).catch((error) => error);

// The test runner follows every promise, which takes four times as long as the test itself.
const { test } = await import('node:test');
test('all interleavings end well', (t) => {
  t.diagnostic(`${ran} interleavings of up to ${DEPTH} steps ran`);
  if (failure) throw failure;
  assert.ok(ran > 5_000 || DEPTH < 5);
});
