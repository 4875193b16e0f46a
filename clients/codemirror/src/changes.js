// @ts-check
/** Changes of CodeMirror and components of a ChatRoom edit, each from the other. Both count UTF-16 units. */

import { ChangeSet, Text } from '@codemirror/state';

/** @typedef {import('@chatroom/client').Component} Component */

/**
 * @param {ChangeSet} changes
 * @returns {Component[]}
 */
export function toComponents(changes) {
  /** @type {Component[]} */
  const components = [];
  let at = 0;
  changes.iterChanges((from, to, _from, _to, inserted) => {
    if (from > at) components.push({ retain: from - at });
    if (inserted.length > 0) components.push({ insert: inserted.sliceString(0, inserted.length, '\n') });
    if (to > from) components.push({ delete: to - from });
    at = to;
  });
  return components;
}

/**
 * @param {readonly Component[]} components
 * @param {number} length of the text that they edit
 * @returns {ChangeSet}
 */
export function toChangeSet(components, length) {
  /** @type {{ from: number, to?: number, insert?: Text }[]} */
  const specs = [];
  let at = 0;
  for (const { retain = 0, insert, delete: gone = 0 } of /** @type {readonly { retain?: number, insert?: string, delete?: number }[]} */ (components)) {
    if (insert) specs.push({ from: at, insert: Text.of(insert.split('\n')) });
    if (gone > 0) specs.push({ from: at, to: at + gone });
    at += retain + gone;
  }
  return ChangeSet.of(specs, length);
}

/**
 * The change that makes one text of another, leaving alone what they begin and end with.
 * @param {Text} doc
 * @param {string} value
 * @returns {ChangeSet}
 */
export function difference(doc, value) {
  const old = doc.sliceString(0, doc.length, '\n');
  const shorter = Math.min(old.length, value.length);
  let start = 0;
  while (start < shorter && old.charCodeAt(start) === value.charCodeAt(start)) start++;
  let same = 0;
  while (same < shorter - start && old.charCodeAt(old.length - 1 - same) === value.charCodeAt(value.length - 1 - same)) same++;
  if (start === old.length && start === value.length) return ChangeSet.empty(old.length);
  return ChangeSet.of({ from: start, to: old.length - same, insert: Text.of(value.slice(start, value.length - same).split('\n')) }, old.length);
}
