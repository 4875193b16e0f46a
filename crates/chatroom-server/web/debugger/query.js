// @ts-check
// The filter of the log: words, and `topic:` `client:` `service:` `code:` `by:` `validator:` `seq:`, each with `-` before it for
// "not". All must hold.

import { changeInWords, clientsOf, entryInWords, subjectOf } from './words.js';

/** @typedef {import('./wire.js').Entry} Entry */
/** @typedef {{ field: string, value: string, isNot: boolean }} Term */

const FIELDS = new Set(['topic', 'client', 'service', 'code', 'seq', 'by', 'validator']);

/** @param {string} text @returns {Term[]} */
export function parse(text) {
  const terms = [];
  for (const [, minus, field, quoted, plain] of text.matchAll(/(-?)(?:([a-z]+):)?(?:"((?:[^"\\]|\\.)*)"?|(\S+))/g)) {
    const value = quoted === undefined ? plain : quoted.replace(/\\(.)/g, '$1');
    if (field && FIELDS.has(field)) terms.push({ field, value, isNot: minus === '-' });
    else terms.push({ field: '', value: (field ? `${field}:${value}` : value).toLowerCase(), isNot: minus === '-' });
  }
  return terms;
}

/** @param {Term[]} terms @param {Entry} entry */
export function matches(terms, entry) {
  return terms.every((term) => holds(term, entry) !== term.isNot);
}

/** @param {Term} term @param {Entry} entry */
function holds({ field, value }, entry) {
  if (field === 'topic') return topicsOf(entry).some((name) => name === value || name.startsWith(value.endsWith('/') ? value : `${value}/`));
  if (field === 'service') return entry.service_name === value || (entry.service_name?.startsWith(`${value}/`) ?? false);
  if (field === 'validator') return entry.validated_by === Number(value);
  if (field === 'by') return entry.by === Number(value);
  if (field === 'client') return clientsOf(entry).includes(Number(value)) || (entry.received_by?.includes(Number(value)) ?? false);
  if (field === 'code') return String(entry.code) === value || entry.name === value;
  if (field === 'seq') return String(entry.sequence) === value;
  return textOf(entry).includes(value);
}

/** @param {Entry} entry */
function topicsOf(entry) {
  const names = entry.changes?.map(({ topic_name }) => topic_name) ?? [];
  return entry.topic_name === undefined ? names : [...names, entry.topic_name];
}

/** @type {WeakMap<Entry, string>} */
const texts = new WeakMap();

/** @param {Entry} entry */
function textOf(entry) {
  let text = texts.get(entry);
  if (text === undefined) {
    const parts = entry.changes?.map(({ topic_name, change }) => `${topic_name} ${changeInWords(change)}`) ?? [];
    text = [entry.kind, entry.sequence, subjectOf(entry), entryInWords(entry), entry.action_id, entry.id, entry.reason, changeInWords(entry.change), ...parts].join(' ').toLowerCase();
    texts.set(entry, text);
  }
  return text;
}
