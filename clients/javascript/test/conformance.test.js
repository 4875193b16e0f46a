// @ts-check
// The vectors of values and changes. Every case runs; none run is a failure.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { decode } from '../src/change.js';
import { ChatroomError, CODES } from '../src/code.js';
import { documentOf } from '../src/document.js';
import { DEFAULT_LIMITS } from '../src/limits.js';
import { canonical, equal, parse } from '../src/value.js';
import * as codec from '../src/codec.js';
import { World } from './fake.js';
import { cases, textOf } from './vectors.js';

/** @param {() => unknown} run @param {string} code @param {string} id */
function refuses(run, code, id) {
  assert.ok(code in CODES, `${id}: ${code} is a code`);
  assert.throws(run, (error) => error instanceof ChatroomError && error.name === code, id);
}

test('values', (t) => {
  let ran = 0;
  for (const vector of cases('values')) {
    const { id, canonical: expected, code, a, b, equal: same } = vector;
    if (a !== undefined) {
      assert.equal(equal(parse(a), parse(b)), same, id);
      assert.equal(canonical(parse(a)) === canonical(parse(b)), same, id);
    } else if (code !== undefined) {
      refuses(() => parse(textOf(vector)), code, id);
    } else {
      assert.equal(canonical(parse(textOf(vector))), expected, id);
      assert.equal(canonical(parse(expected)), expected, id);
    }
    ran++;
  }
  t.diagnostic(`${ran} value vectors ran`);
  assert.ok(ran > 0);
});

test('changes', (t) => {
  let ran = 0;
  for (const { id, type, state, change, change_text, by = 1, result, code, changed } of cases('changes')) {
    const context = { limits: { ...DEFAULT_LIMITS }, by };
    const document = documentOf(type, state);
    const before = document.read();
    const whole = canonical(state);
    // A float topic's numbers are read without the rule on large integers, so its text is too.
    const read = () => change ?? (type === 'float' ? JSON.parse(change_text) : parse(change_text));
    const run = () => document.perform(decode(type, change_text === undefined ? change : (parseKeys(change_text), read()), context), context);
    if (code !== undefined) {
      refuses(run, code, id);
      assert.equal(canonical(document.read()), whole, id);
    } else {
      const step = run();
      // The order of a set's items counts, that of a dict's keys does not.
      assert.equal(canonical(document.read()), canonical(result), id);
      if (changed === false) assert.equal(step.changed, false, id);
      if (canonical(result) !== whole) assert.equal(step.changed, true, id);
      step.back();
      assert.equal(canonical(document.read()), whole, `${id}: the way back`);
    }
    assert.equal(canonical(before), whole, `${id}: what was handed out is untouched`);
    ran++;
  }
  t.diagnostic(`${ran} change vectors ran`);
  assert.ok(ran > 0);
});

/** Refuses a key that stands twice, whatever the numbers are. @param {string} text */
function parseKeys(text) {
  parse(text.replace(/:\s*-?\d[\d.eE+-]*/g, ':0'));
}

test('messages of v1', async (t) => {
  const world = new World();
  const room = world.connect();
  const socket = await world.greet();
  socket.take();
  let ran = 0;
  let beyond = 0;
  for (const { id, text, ok, code } of cases('messages').filter(({ dialect, ok, code }) => dialect === 'v1' && (ok || code))) {
    if (code === 'malformed') {
      // A server that breaks the protocol in this way is not followed.
      refuses(() => codec.decode(JSON.stringify(parse(text))), code, id);
      ran++;
      continue;
    }
    const message = codec.decode(text);
    if (ok) {
      assert.deepEqual(JSON.parse(codec.encode(message, DEFAULT_LIMITS)), message, id);
      await asked(room, message);
      ran++;
    } else if (isAskable(message)) {
      const error = await asked(room, message);
      assert.equal(error?.name, code, id);
      ran++;
    } else {
      // Ids, shapes, pushes and message types are made by this library and not by applications.
      beyond++;
    }
  }
  t.diagnostic(`${ran} message vectors ran`);
  t.diagnostic(`${beyond} message vectors are about what no application can make`);
  assert.ok(ran > 80 && beyond < 90, `${ran} ${beyond}`);
});

/** Whether an application can ask for what the message asks. @param {codec.Message} message */
function isAskable({ type, content }) {
  if (type === 'request') return Number.isInteger(content.request_id) && !Object.is(content.timeout_ms, 0.5);
  if (type === 'update') return content.base === undefined && content.change !== undefined;
  return ['subscribe', 'unsubscribe', 'register_service', 'unregister_service', 'request'].includes(type);
}

/**
 * Asks the client for what the message asks, and gives what it refuses with.
 * @param {import('../src/index.js').Client} room
 * @param {codec.Message} message
 */
async function asked(room, { type, content }) {
  const { topic_name, service_name } = content;
  try {
    if (topic_name !== undefined || type === 'update' || type.endsWith('subscribe')) room.topic(topic_name, 'type' in content ? content.type : 'int').close();
    else if (type === 'request') {
      const enough = new AbortController();
      const call = room.call(service_name, content.args, { timeoutMs: content.timeout_ms, signal: enough.signal });
      enough.abort();
      await call.catch((error) => {
        if (error.name !== 'cancelled') throw error;
      });
    } else if (type.endsWith('register_service')) room.provide(service_name, () => null, content.options).close();
    return undefined;
  } catch (error) {
    if (error instanceof ChatroomError) return error;
    throw error;
  }
}
