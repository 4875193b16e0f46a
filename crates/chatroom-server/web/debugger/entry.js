// @ts-check
// One entry of the log, in full.

import { button, h } from './dom.js';
import { count, ms, preciseClock } from './format.js';
import { JsonTree } from './json.js';
import { clientLink, clientList, go, serviceLink, topicLink } from './links.js';
import { advice, changeInWords, subjectOf } from './words.js';

/** @typedef {import('./wire.js').Entry} Entry */
/** @typedef {import('./wire.js').Json} Json */
/** @typedef {import('./dom.js').Child} Child */

// A tree for a handful of characters takes more room than it gives.
const ONE_LINE = 72;

/** @param {Entry} entry */
export function entryTitle(entry) {
  const name = entry.kind === 'commit' && entry.sequence ? `commit ${count(entry.sequence)}` : entry.kind === 'call' && entry.call ? `call ${entry.call}` : entry.kind;
  return [h('span', { class: 'kind', 'data-kind': entry.kind, 'data-bad': entry.ok === false }, name), h('span', { class: 'soft mono' }, preciseClock(entry.t_ms))];
}

/** @param {Entry} entry @param {Entry[]} around the entries in memory */
export function entryInFull(entry, around) {
  /** @type {[string, Child][]} */
  const facts = [];
  /** @param {string} name @param {unknown} given @param {() => Child} shown */
  const fact = (name, given, shown) => {
    if (given !== undefined && given !== null) facts.push([name, shown()]);
  };
  fact('service', entry.service_name, () => serviceLink(entry.service_name ?? ''));
  fact('topic', entry.topic_name, () => topicLink(entry.topic_name ?? ''));
  fact('author', entry.by, () => clientLink(entry.by ?? 0));
  fact('caller', entry.caller, () => clientLink(entry.caller ?? 0));
  fact('provider', entry.provider, () => clientLink(entry.provider ?? 0));
  fact('client', entry.client, () => clientLink(entry.client ?? 0));
  fact('what', entry.what, () => entry.what);
  fact('address', entry.address, () => h('code', {}, entry.address));
  fact('fault', entry.kind_of_fault, () => `${entry.kind_of_fault}${entry.ms === undefined ? '' : `, ${ms(entry.ms)}`}`);
  fact('action', entry.action_id, () => h('code', {}, String(entry.action_id)));
  fact('change id', entry.id, () => h('code', {}, String(entry.id)));
  fact('validated by', entry.validated_by, () => h('span', {}, clientLink(entry.validated_by ?? 0), entry.kind === 'reject' ? ' said no' : ' said yes'));
  fact('took', entry.took_ms, () => ms(entry.took_ms));
  fact('text', entry.text, () => entry.text);

  const bad = entry.code !== undefined || entry.reason;
  return h(
    'div',
    { class: 'entry' },
    bad &&
      h(
        'div',
        { class: 'refusal' },
        h('strong', {}, [entry.code, entry.name].filter((part) => part !== undefined).join(' ')),
        entry.reason && h('span', {}, entry.reason),
        h('span', { class: 'soft' }, [advice(entry.code ?? 0), entry.maybe_executed && 'a provider had been asked: it may have been executed'].filter(Boolean).join(' · ')),
      ),
    h('dl', { class: 'facts' }, ...facts.flatMap(([name, value]) => [h('dt', {}, name), h('dd', {}, value)])),
    ...(entry.changes ?? []).map((part, index) => changeInFull(part, around, entry.changes?.length === 1 ? 'Change' : `Change ${index + 1} of ${entry.changes?.length}`)),
    entry.change && section('Refused change', h('p', { class: 'mono' }, changeInWords(entry.change)), tree('The change', entry.change)),
    'args' in entry && section('Arguments', tree('Arguments', entry.args)),
    'response' in entry && entry.ok && section('Response', tree('Response', entry.response)),
    entry.received_by && section(`Sent to ${count(entry.received_count ?? entry.received_by.length)}`, entry.received_by.length ? clientList(entry.received_by, entry.received_count) : h('p', { class: 'soft' }, 'Nobody is subscribed.')),
    related(entry, around),
  );
}

/** @param {import('./wire.js').Part} part @param {Entry[]} around @param {string} title */
function changeInFull({ topic_name, type, change, previous }, around, title) {
  const isHere = previous !== undefined && around.some(({ sequence }) => sequence === previous);
  return section(
    title,
    h('p', { class: 'change-line' }, topicLink(topic_name), type && h('span', { class: 'type', 'data-type': type }, type)),
    h('p', { class: 'mono change-words' }, changeInWords(change)),
    tree(`Change of ${topic_name}`, change),
    change.cut === true && h('p', { class: 'soft' }, 'Long values are cut here; the topic has the whole.'),
    previous !== undefined &&
      h(
        'p',
        { class: 'soft' },
        previous ? 'the topic’s commit before: ' : 'the topic’s first commit',
        previous ? (isHere ? button(count(previous), () => go().sequence(previous), { class: 'link mono' }) : h('span', { class: 'mono' }, count(previous))) : null,
      ),
  );
}

/** What belongs to it: other parts of its action, and what its author was told. @param {Entry} entry @param {Entry[]} around */
function related(entry, around) {
  const others = around.filter(
    (other) =>
      other !== entry &&
      Math.abs(other.t_ms - entry.t_ms) < 5000 &&
      ((entry.action_id !== undefined && other.action_id === entry.action_id && other.by === entry.by) ||
        (other.kind === 'message' && entry.kind !== 'message' && entry.by && other.client === entry.by && other.t_ms - entry.t_ms < 500 && other.t_ms >= entry.t_ms)),
  );
  if (!others.length) return null;
  return section(
    'Around it',
    h(
      'ul',
      { class: 'plain' },
      ...others.slice(-6).map((other) => h('li', {}, ...entryTitle(other), ' ', h('span', { class: 'mono' }, other.text ?? subjectOf(other)))),
    ),
  );
}

/** @param {string} label @param {Json | undefined} value */
export function tree(label, value) {
  const line = JSON.stringify(value ?? null);
  if (line.length <= ONE_LINE) return h('code', { class: 'json-line' }, line);
  const shown = new JsonTree({ label, rowsMost: 16 });
  shown.show(value ?? null);
  return shown.element;
}

/** @param {string} title @param {...Child} content */
export function section(title, ...content) {
  return h('section', { class: 'section' }, h('h3', {}, title), ...content);
}
