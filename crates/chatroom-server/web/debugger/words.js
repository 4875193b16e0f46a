// @ts-check
// Log entries and changes in a few words.

import { json, ms, of } from './format.js';

/** @typedef {import('./wire.js').Entry} Entry */
/** @typedef {import('./wire.js').Kind} Kind */
/** @typedef {import('./wire.js').Change} Change */

/** @type {Kind[]} */
export const KINDS = ['commit', 'reject', 'call', 'service', 'client', 'message', 'status', 'fault'];

/** @param {Change | undefined} change */
export function changeInWords(change) {
  if (!change) return '';
  if (change.cut === true) return String(change.preview);
  const { type } = change;
  switch (type) {
    case 'set':
      return `= ${json(change.value)}`;
    case 'add':
      if ('key' in change) return `add ${json(change.key)}: ${json(change.value)}`;
      return typeof change.value === 'number' ? `${change.value < 0 ? '−' : '+'} ${Math.abs(change.value)}` : `+ ${json(change.value)}`;
    case 'put':
    case 'ensure':
    case 'change_value':
      return `${type} ${'key' in change ? `${json(change.key)}: ` : ''}${json(change.value)}`;
    case 'pop':
      return `pop ${json(change.key ?? change.position ?? null)}`;
    case 'append':
    case 'remove':
      return `${type} ${json(change.item)}`;
    case 'insert':
      return `insert ${json(change.item ?? change.insertion)} at ${json(change.position)}`;
    case 'delete':
      return `delete ${json(change.deletion)} at ${json(change.position)}`;
    case 'set_item':
      return `[${json(change.position)}] = ${json(change.item)}`;
    case 'move':
      return `move ${json(change.from)} to ${json(change.to)}`;
    case 'emit':
      return `emit ${json(change.args)}`;
    case 'edit':
      return `edit ${editInWords(change.components)}`;
    default:
      return json(change);
  }
}

/** What an entry is about: the name in its own column. @param {Entry} entry */
export function subjectOf({ kind, topic_name, changes, service_name }) {
  if (kind === 'commit') return changes?.[0]?.topic_name ?? '';
  return topic_name ?? service_name ?? '';
}

/** @param {Entry} entry */
export function entryInWords(entry) {
  switch (entry.kind) {
    case 'commit': {
      const others = (entry.changes?.length ?? 0) - 1;
      return `${changeInWords(entry.changes?.[0]?.change)}${others > 0 ? `, and ${of(others, 'more change')}` : ''}`;
    }
    case 'reject':
      return `${entry.name ?? ''}: ${entry.reason ?? ''}`;
    case 'call':
      return entry.ok ? `${json(entry.args, 60)} → ${json(entry.response, 60)}` : `${entry.name ?? entry.code ?? 'failed'}: ${entry.reason ?? ''}`;
    case 'service':
      return entry.what ?? '';
    case 'client':
      return [entry.what, entry.address, entry.code && `code ${entry.code}`, entry.reason].filter(Boolean).join(' · ');
    case 'fault':
      return `${entry.kind_of_fault}${entry.ms === undefined ? '' : ` for ${ms(entry.ms)}`}`;
    default:
      return entry.text ?? '';
  }
}

/** The clients that an entry names. @param {Entry} entry */
export function clientsOf({ by, caller, provider, client, validated_by }) {
  return [by, caller, provider, client, validated_by].filter((id) => typeof id === 'number');
}

/** Whether something went wrong. @param {Entry} entry */
export function isBad(entry) {
  return entry.kind === 'reject' || (entry.kind === 'call' && !entry.ok);
}

/** What a code asks for, by its hundred. @param {number} code */
export function advice(code) {
  if (code >= 1000) return 'an error of the service itself';
  if (code >= 400) return 'stop';
  if (code >= 300) return 'not allowed as this client';
  if (code >= 200) return 'fix the request';
  return code >= 100 ? 'try again later' : '';
}

/** @param {unknown} components */
function editInWords(components) {
  if (!Array.isArray(components)) return '';
  let at = 0;
  const words = [];
  for (const { retain = 0, insert, delete: deleted = 0 } of components) {
    at += retain;
    if (insert) {
      words.push(`+${json(insert, 40)} at ${at}`);
      at += [...insert].length;
    }
    if (deleted) words.push(`−${deleted} at ${at}`);
  }
  return words.length > 3 ? `${words.slice(0, 3).join(', ')}, …` : words.join(', ');
}
