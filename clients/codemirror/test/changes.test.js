// @ts-check
// Changes of CodeMirror as components and back.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ChangeSet, Text } from '@codemirror/state';
import { difference, toChangeSet, toComponents } from '../src/changes.js';

const TEXT = 'one 😀\ntwo\r\n\nthree';

/** @param {string} text */
const docOf = (text) => Text.of(text.split('\n'));

/** @param {Text} doc */
const textOf = (doc) => doc.sliceString(0, doc.length, '\n');

test('a change is the same edit there and back', () => {
  /** @type {[import('@codemirror/state').ChangeSpec, object[], string][]} */
  const table = [
    [{ from: 0, insert: 'x' }, [{ insert: 'x' }], `x${TEXT}`],
    [{ from: 4, to: 6 }, [{ retain: 4 }, { delete: 2 }], TEXT.replace('😀', '')],
    [{ from: 6, to: 8, insert: 'a\nb' }, [{ retain: 6 }, { insert: 'a\nb' }, { delete: 2 }], TEXT.replace('\nt', 'a\nb')],
    [[{ from: 0, to: 1 }, { from: 12, insert: Text.of(['', '']) }], [{ delete: 1 }, { retain: 11 }, { insert: '\n' }], `${TEXT.slice(1, 12)}\n${TEXT.slice(12)}`],
  ];
  for (const [spec, components, after] of table) {
    const changes = ChangeSet.of(spec, TEXT.length);
    assert.deepEqual(toComponents(changes), components);
    const back = toChangeSet(/** @type {any} */ (components), TEXT.length);
    assert.equal(textOf(changes.apply(docOf(TEXT))), after);
    assert.equal(textOf(back.apply(docOf(TEXT))), after);
  }
});

test('the difference of two texts leads from one to the other', () => {
  for (const after of [TEXT, '', 'x', `${TEXT}!`, TEXT.slice(3), TEXT.replace('two', 'tw0o'), 'three\none']) {
    const changes = difference(docOf(TEXT), after);
    assert.equal(textOf(changes.apply(docOf(TEXT))), after);
    assert.equal(changes.empty, after === TEXT);
  }
});
