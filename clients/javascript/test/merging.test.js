// @ts-check
// Transform, rectangle and invert: the vectors of docs/merging.md, and what must hold of any changes.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Chunks } from '../src/chunks.js';
import { decode } from '../src/change.js';
import { documentOf } from '../src/document.js';
import { componentsOf, compose } from '../src/edit.js';
import { invert } from '../src/invert.js';
import { DEFAULT_LIMITS } from '../src/limits.js';
import { rectangle, transform } from '../src/transform.js';
import { canonical } from '../src/value.js';
import { CASES, Random } from './changes.js';
import { cases } from './vectors.js';

/** @typedef {import('../src/change.js').Change} Change */
/** @typedef {import('../src/change.js').TopicType} TopicType */

/** Changes as vectors write them. @param {TopicType} type @param {Change | null} change */
function written(type, change) {
  if (type === 'string' && change && change.type !== 'set') return { type: 'edit', components: componentsOf(change) };
  return change;
}

/** Nothing in it can be altered. @template T @param {T} value @returns {T} */
function frozen(value) {
  if (value !== null && typeof value === 'object') {
    Object.values(value).forEach(frozen);
    Object.freeze(value);
  }
  return value;
}

/** @param {any} a @param {any} b @param {string} id */
function same(a, b, id) {
  assert.equal(canonical(a), canonical(b), id);
}

/** @param {TopicType} type @param {any} state @param {readonly Change[]} changes */
function after(type, state, changes) {
  const document = documentOf(type, state);
  for (const change of changes) document.perform(change, { by: 1 });
  return document.read();
}

test('transform', (t) => {
  let ran = 0;
  for (const { id, type, a, b, side, result } of cases('transform')) {
    same(written(type, transform(type, frozen(a), frozen(b), side)), result, id);
    ran++;
  }
  t.diagnostic(`${ran} transform vectors ran`);
  assert.ok(ran > 0);
});

test('rectangle', (t) => {
  let ran = 0;
  for (const { id, type, a, b, a_result, b_result } of cases('rectangle')) {
    const { later, first } = rectangle(type, frozen(a), frozen(b));
    same(later.map((change) => written(type, change)), a_result, id);
    same(first.map((change) => written(type, change)), b_result, id);
    ran++;
  }
  t.diagnostic(`${ran} rectangle vectors ran`);
  assert.ok(ran > 0);
});

test('invert', (t) => {
  let ran = 0;
  for (const { id, type, state, change, inverse } of cases('invert')) {
    const back = invert(frozen(change), documentOf(type, frozen(state)), type === 'presence');
    same(back, inverse, id);
    if (type !== 'presence') same(after(type, state, [change, ...back]), after(type, state, []), id);
    ran++;
  }
  t.diagnostic(`${ran} invert vectors ran`);
  assert.ok(ran > 0);
});

test('positions in text', (t) => {
  let ran = 0;
  for (const { id, text, positions, inside } of cases('index')) {
    const chunks = new Chunks(text);
    for (const [scalar, utf16, utf8] of positions) {
      assert.equal(chunks.unitAt(scalar), utf16, id);
      assert.equal(chunks.scalarAt(utf16), scalar, id);
      assert.equal(Buffer.byteLength(chunks.slice(0, scalar)), utf8, id);
    }
    for (const [utf16, scalar] of inside ?? []) assert.equal(chunks.scalarAt(utf16), scalar, id);
    ran++;
  }
  t.diagnostic(`${ran} index vectors ran`);
  assert.ok(ran > 0);
});

test('of two changes of one value, either comes to the same behind the other', (t) => {
  const seed = Number(process.env.SEED ?? 1);
  const random = new Random(seed);
  let ran = 0;
  for (const [type, { state, change }] of Object.entries(CASES)) {
    for (let round = 0; round < 3_000; round++) {
      const before = state(random);
      const [a, b] = [change(random, before), change(random, before)].map((made) => frozen(decode(/** @type {TopicType} */ (type), made, { limits: DEFAULT_LIMITS, by: 1 })));
      check(/** @type {TopicType} */ (type), frozen(before), a, b, `SEED=${seed} ${type} ${JSON.stringify([before, a, b])}`);
      ran++;
    }
  }
  t.diagnostic(`${ran} random pairs ran`);
  assert.ok(ran > 0);
});

test('two edits of a text as one do what both do in turn', (t) => {
  const seed = Number(process.env.SEED ?? 1);
  const random = new Random(seed);
  const { state, change } = CASES.string;
  let ran = 0;
  for (let round = 0; round < 5_000; round++) {
    const before = state(random);
    const first = edit(random, before, change);
    const between = after('string', before, [first]);
    const next = edit(random, between, change);
    const both = compose(first.components, next.components);
    const id = `SEED=${seed} ${JSON.stringify([before, first, next, both])}`;
    same(after('string', before, [{ type: 'edit', components: both }]), after('string', between, [next]), id);
    assert.deepEqual(componentsOf({ type: 'edit', components: both }), both, `${id} in canonical form`);
    ran++;
  }
  t.diagnostic(`${ran} pairs of edits ran`);
});

/** @param {Random} random @param {string} value @param {(random: Random, value: any) => any} make @returns {Change} */
function edit(random, value, make) {
  for (;;) {
    const change = decode('string', make(random, value), { limits: DEFAULT_LIMITS, by: 1 });
    if (change.type !== 'set') return { type: 'edit', components: componentsOf(change) };
  }
}

/** @param {TopicType} type @param {any} before @param {Change} a @param {Change} b @param {string} id */
function check(type, before, a, b, id) {
  const document = documentOf(type, before);
  const back = invert(a, document);
  const step = document.perform(a);
  assert.equal(back.length > 0, step.changed, id);
  // A float's sum may come back a bit beside itself; the way back of a step may not.
  if (type !== 'float') same(after(type, before, [a, ...back]), before, `${id} inverse ${JSON.stringify(back)}`);
  step.back();
  same(document.read(), before, `${id} back`);
  // The model of ensure over ensure cannot know whether the key was there; clients never make one that has no effect.
  if ([a, b].some((change) => change.type === 'ensure' && change.key in before)) return;
  const over = transform(type, a, b, 'later');
  const under = transform(type, b, a, 'first');
  let refused = 0;
  /** @type {any[]} */
  const ends = [];
  for (const changes of [[b, over], [a, under]]) {
    try {
      ends.push(after(type, before, /** @type {Change[]} */ (changes.filter((change) => change !== null))));
    } catch {
      refused++;
    }
  }
  // A claim that comes second is refused; before its outcome it is shown, and taken back then.
  if (refused > 0) return assert.ok(a.type === 'add', id);
  same(ends[0], ends[1], id);
}
