// @ts-check
// The inspector of one topic: its value as it lives, who has it, what happened to it, and a form
// to change it.

import { button, empty, h, icon, keyed, setAttribute, setText } from './dom.js';
import { ask } from './dialogs.js';
import { copyButton, Editor } from './editor.js';
import { ago, bytes, count, of, preciseClock, rate, sizeOf } from './format.js';
import { JsonTree } from './json.js';
import { clientLink, go, setClient } from './links.js';
import { Outcome } from './outcome.js';
import { Past } from './past.js';
import { valueAt } from './replay.js';
import { changeInWords } from './words.js';

/** @typedef {import('./wire.js').Entry} Entry */

const TEXT_SHOWN = 20_000;
const CLIENTS_SHOWN = 24;

export class Inspector {
  #store;
  #socket;
  #name = '';
  #seen = -1;
  #second = -1;
  /** Whether the server has no older history. */
  #isWhole = false;
  /** Whether older lines may still be in the log; if not, where to go on in what the server keeps. */
  #reach = { isLogged: true, before: /** @type {number | null} */ (null) };
  #kept;
  /** Values of the past that the server was asked for, by sequence; undefined while it has not answered. @type {Map<number, { value?: import('./wire.js').Json, error?: import('./wire.js').Refusal } | undefined>} */
  #told = new Map();
  #lines = 200;
  #value = h('div', { class: 'value' });
  /** The commit whose value is shown instead of the present one. @type {Entry | null} */
  #past = null;
  #pastNote = h('p', { class: 'note past', hidden: true });
  #text = h('pre', { class: 'text', tabindex: '0', 'aria-label': 'Value' });
  #facts = h('p', { class: 'fact-line' });
  #clients = h('div', { class: 'chips' });
  #clientsTitle = h('h3', {});
  #authority = h('div', { class: 'authority', hidden: true });
  #history = h('ol', { class: 'history' });
  #slider = h('input', { type: 'range', class: 'timeline', min: '0', step: '1', 'aria-label': 'Back in time', input: () => this.#slide() });
  #older = button('Load older', () => this.#loadOlder(), { class: 'small' });
  #historyTitle = h('h3', {}, 'History', this.#older);
  #tree;
  #editor;
  #gone = empty('There is no such topic now.', h('p', {}, 'It was deleted, or forgotten with its last subscriber. The inspector shows it as soon as it is back.'));
  #live;

  /** @param {import('./store.js').Store} store @param {import('./socket.js').Socket} socket */
  constructor(store, socket) {
    this.#store = store;
    this.#socket = socket;
    this.#editor = new Editor((topic_name, change) => socket.command('update', { topic_name, change }));
    this.#kept = new Past(socket);
    this.#tree = new JsonTree({ label: 'Value', rowsMost: 15, onPick: (path, value) => this.#editor.use(path, value) });
    this.#live = h(
      'div',
      { class: 'inspector' },
      this.#facts,
      this.#authority,
      h('section', { class: 'section' }, h('h3', {}, 'Value', copyButton(() => JSON.stringify(this.#shownValue()) ?? '')), this.#pastNote, this.#value),
      h('section', { class: 'section' }, h('h3', {}, 'Change'), this.#editor.element),
      h('section', { class: 'section' }, this.#clientsTitle, this.#clients),
      h('section', { class: 'section' }, this.#historyTitle, this.#slider, this.#history),
    );
    this.element = h('div', {}, this.#gone, this.#live);
    this.title = h('div', { class: 'side-name' });
  }

  /** @param {string | null} name */
  show(name) {
    if (name === this.#store.inspected?.name) return;
    this.#store.inspect(name);
    this.#socket.send({ type: 'inspect', topic_name: name });
  }

  draw() {
    const { inspected, versions } = this.#store;
    if (!inspected || (versions.inspected === this.#seen && versions.second === this.#second)) return;
    const isNews = versions.inspected !== this.#seen;
    [this.#seen, this.#second] = [versions.inspected, versions.second];
    const topic = this.#store.topics.get(inspected.name) ?? inspected.topic;
    const isThere = inspected.known ? inspected.topic !== null : Boolean(topic);
    this.#gone.hidden = isThere;
    this.#live.hidden = !isThere;
    if (inspected.name !== this.#name) this.#begin(inspected.name);
    if (!topic || !isThere) return;

    setText(
      this.#facts,
      [
        topic.sequence ? `commit ${count(topic.sequence)}` : '',
        topic.changed_ms ? `changed ${ago(this.#store.now() - topic.changed_ms)}` : 'never changed',
        `${rate(this.#store.rates.topic(topic.name))} commits/s`,
        bytes(sizeOf(topic)),
      ].filter(Boolean).join('  ·  '),
    );
    if (!isNews) return;
    const type = /** @type {HTMLElement} */ (this.title.querySelector('.type'));
    setText(type, topic.type);
    type.dataset.type = topic.type;
    this.#drawValue(inspected);
    if (inspected.known) this.#editor.show(topic.name, topic.type, inspected.value);
    this.#drawClients(inspected, topic.subscribers);
    this.#drawHistory(inspected);
  }

  /** @param {string} name */
  #begin(name) {
    this.#name = name;
    this.#past = null;
    this.#tree.reset();
    this.#value.replaceChildren();
    this.#isWhole = false;
    this.#reach = { isLogged: true, before: null };
    this.#told.clear();
    this.#lines = 200;
    this.title.replaceChildren(
      h('span', { class: 'mono name', title: name }, name),
      h('span', { class: 'type' }),
      button('', () => go().log(`topic:${quoted(name)}`), { class: 'bare', title: 'Show in the log', 'aria-label': 'Show in the log' }, 'list'),
      button('', () => this.#askDelete(name), { class: 'bare', title: 'Delete this topic', 'aria-label': 'Delete this topic' }, 'bin'),
    );
  }

  /** @param {import('./store.js').Inspected} inspected */
  #drawValue({ known, topic }) {
    const value = this.#shownValue();
    this.#drawPast(value);
    /** @type {(Node | string)[]} */
    let shown;
    if (topic?.type === 'event') shown = [h('p', { class: 'soft' }, 'An event topic keeps no value: what was emitted is in its history.')];
    else if (value === undefined && this.#past) shown = [h('p', { class: 'soft' }, this.#whyNot())];
    else if (value === undefined && known) shown = [h('p', { class: 'soft' }, `Too big to show whole (${bytes(topic?.bytes ?? 0)}). It begins:`), h('pre', { class: 'text' }, topic?.preview ?? '')];
    else if (typeof value === 'string') {
      setText(this.#text, value.length > TEXT_SHOWN ? `${value.slice(0, TEXT_SHOWN)}…` : value || ' ');
      shown = [this.#text, h('p', { class: 'soft tiny' }, `${of([...value].length, 'character')}, ${of(value.split('\n').length, 'line')}`)];
    } else if (value === undefined) shown = [h('pre', { class: 'text soft' }, topic?.preview ?? '')];
    else {
      this.#tree.show(value);
      shown = [this.#tree.element];
    }
    // A tree keeps its place: only another kind of value is put in anew.
    if (this.#value.firstChild !== shown[0] || typeof value === 'string') this.#value.replaceChildren(...shown);
  }

  /** @param {import('./store.js').Inspected} inspected @param {number} total */
  #drawClients({ subscribers, authorities, name }, total) {
    setText(this.#clientsTitle, `Subscribers ${count(Math.max(total, subscribers.length))}`);
    keyed(this.#clients, subscribers.slice(0, CLIENTS_SHOWN), { key: (id) => id, create: clientLink, update: setClient });
    const rest = Math.max(total, subscribers.length) - Math.min(subscribers.length, CLIENTS_SHOWN);
    if (rest > 0) this.#clients.append(h('span', { class: 'soft', 'data-key': 'rest' }, `and ${rest} more`));
    if (!total && !subscribers.length) this.#clients.append(h('span', { class: 'soft', 'data-key': 'none' }, 'Nobody is subscribed.'));
    this.#authority.hidden = !authorities.length;
    if (!authorities.length || this.#authority.dataset.of === `${name} ${authorities}`) return;
    this.#authority.dataset.of = `${name} ${authorities}`;
    this.#authority.replaceChildren(
      icon('lock'),
      h('span', {}, 'Guarded: every change is decided by'),
      clientLink(authorities[0]),
      authorities.length > 1 && h('span', { class: 'soft' }, ` with ${of(authorities.length - 1, 'standby', 'standbys')}`) || '',
      button('its decisions', () => go().log(`topic:${quoted(name)} validator:${authorities[0]}`), { class: 'link' }),
    );
  }

  /** @param {import('./store.js').Inspected} inspected */
  #drawHistory({ entries, name, known }) {
    const newest = entries.slice(-this.#lines).reverse();
    this.#older.hidden = this.#isWhole;
    this.#drawSlider(entries);
    if (!newest.length) {
      this.#history.replaceChildren(h('li', { class: 'soft', 'data-key': 'none' }, known ? 'Nothing happened to it that the server still remembers.' : 'Loading'));
      return;
    }
    keyed(this.#history, newest, {
      key: ({ key }) => key,
      create: (entry) => historyLine(entry, name, () => void this.#showPast(this.#past === entry ? null : entry)),
      update: (line, entry) => setAttribute(line, 'data-past', this.#past === entry),
    });
  }

  /** What the value section is about: the value now, or as it was. */
  #shownValue() {
    const { inspected } = this.#store;
    if (!this.#past || !inspected) return inspected?.value;
    const sequence = this.#past.sequence ?? 0;
    return this.#told.get(sequence)?.value ?? valueAt(inspected.entries, inspected.name, sequence);
  }

  /** Why the value of the past is not there. */
  #whyNot() {
    const told = this.#told.get(this.#past?.sequence ?? 0);
    return told?.error ? `It cannot be told: ${told.error.reason}.` : 'Asking the server …';
  }

  /** @param {Entry | null} entry */
  async #showPast(entry) {
    this.#past = entry;
    this.#store.touch('inspected');
    const { inspected } = this.#store;
    const sequence = entry?.sequence ?? 0;
    if (!entry || !inspected || this.#told.has(sequence) || valueAt(inspected.entries, inspected.name, sequence) !== undefined) return;
    this.#told.set(sequence, undefined);
    const told = await this.#kept.value(inspected.name, sequence);
    if (inspected !== this.#store.inspected) return;
    this.#told.set(sequence, told);
    this.#store.touch('inspected');
  }

  /** One step for each commit, and the last for now. @param {Entry[]} entries */
  #drawSlider(entries) {
    const commits = entries.filter(({ sequence }) => sequence);
    this.#slider.hidden = commits.length < 2;
    this.#slider.max = String(commits.length);
    const at = this.#past ? commits.findIndex(({ sequence }) => sequence === this.#past?.sequence) : commits.length;
    this.#slider.value = String(at < 0 ? commits.length : at);
    setAttribute(this.#slider, 'aria-valuetext', this.#past ? `commit ${this.#past.sequence}` : 'now');
  }

  #slide() {
    const commits = this.#store.inspected?.entries.filter(({ sequence }) => sequence) ?? [];
    void this.#showPast(commits[Number(this.#slider.value)] ?? null);
  }

  /** Sets the value of the past, as a change like any other. */
  async #restore() {
    const { inspected } = this.#store;
    const value = this.#shownValue();
    if (!this.#past || !inspected || value === undefined) return;
    const result = await this.#socket.command('update', { topic_name: inspected.name, change: { type: 'set', value } });
    if (result.ok) void this.#showPast(null);
    else this.#pastNote.append(h('span', { class: 'bad' }, result.error?.reason ?? 'it was refused'));
  }

  /** @param {import('./wire.js').Json | undefined} value */
  #drawPast(value) {
    this.#pastNote.hidden = !this.#past;
    const shown = `${this.#past?.sequence} ${value === undefined}`;
    if (!this.#past || this.#pastNote.dataset.shown === shown) return;
    this.#pastNote.dataset.shown = shown;
    this.#pastNote.replaceChildren(
      h('span', {}, value === undefined ? 'Then: ' : 'As it was after ', h('strong', {}, `commit ${count(this.#past.sequence ?? 0)}`), ` at ${preciseClock(this.#past.t_ms)}`),
      value !== undefined && button('Restore', () => void this.#restore(), { class: 'small', title: 'Set this value, as a change by the server' }) || '',
      button('Back to now', () => void this.#showPast(null), { class: 'small' }),
    );
  }

  async #loadOlder() {
    const { inspected } = this.#store;
    if (!inspected) return;
    this.#older.disabled = true;
    let older = this.#reach.isLogged ? await this.#loggedBefore(inspected) : [];
    if (!older.length) older = await this.#keptBefore(inspected);
    this.#older.disabled = false;
    inspected.entries.unshift(...older);
    this.#lines += older.length;
    this.#store.touch('inspected');
  }

  /** What the log has before the oldest line. @param {import('./store.js').Inspected} inspected */
  async #loggedBefore({ name, entries }) {
    const [oldest] = entries;
    if (!oldest) return [];
    const result = await this.#socket.command('history', { topic_name: name, before: oldest.n });
    const older = /** @type {Entry[]} */ (/** @type {any} */ (result.value)?.entries ?? []).filter(({ n }) => n < oldest.n);
    older.forEach((entry) => (entry.key = -entry.n));
    return older;
  }

  /** What the server keeps before the oldest commit. @param {import('./store.js').Inspected} inspected */
  async #keptBefore({ name, entries, topic }) {
    const known = this.#reach.isLogged ? (entries.find(({ sequence }) => sequence)?.sequence ?? null) : this.#reach.before;
    const { entries: older, next } = await this.#kept.commits(name, topic?.type ?? '', known);
    this.#reach = { isLogged: false, before: next };
    this.#isWhole = next === null;
    return older;
  }

  /** @param {string} name */
  #askDelete(name) {
    const outcome = new Outcome();
    const subscribers = this.#store.topics.get(name)?.subscribers ?? 0;
    ask(
      'Delete this topic?',
      [
        h('p', {}, h('code', {}, name), ' and its value will be gone for everyone. This cannot be undone.'),
        h('p', {}, subscribers ? `${of(subscribers, 'client is', 'clients are')} subscribed and will be told topic_deleted.` : 'Nobody is subscribed.'),
        outcome.element,
      ],
      {
        action: 'Delete',
        isGrave: true,
        act: async () => {
          const result = await this.#socket.command('delete', { topic_name: name });
          if (!result.ok) outcome.show(result);
          return result.ok;
        },
      },
    );
  }
}

/** @param {string} name */
export function quoted(name) {
  return /[\s"]/.test(name) ? JSON.stringify(name) : name;
}

/** @param {Entry} entry @param {string} name @param {() => void} showValue */
function historyLine(entry, name, showValue) {
  const changes = entry.changes?.filter(({ topic_name }) => topic_name === name) ?? [];
  const words = changes.length ? changes.map(({ change }) => changeInWords(change)).join(', ') : `${changeInWords(entry.change)}`;
  const open = () => entry.sequence && go().sequence(entry.sequence);
  return h(
    'li',
    { 'data-kind': entry.kind },
    entry.sequence ? button(count(entry.sequence), open, { class: 'link mono at', title: 'Show in the log' }) : h('span', { class: 'at bad' }, entry.name ?? entry.kind),
    entry.sequence
      ? h('button', { type: 'button', class: 'mono words', title: 'Show the value as it was then', click: showValue }, words)
      : h('span', { class: 'mono words', title: entry.reason ?? words }, h('span', {}, words), ` ${entry.reason ?? ''}`),
    typeof entry.by === 'number' ? clientLink(entry.by) : h('span'),
    h('time', { class: 'mono soft', title: new Date(entry.t_ms).toISOString() }, preciseClock(entry.t_ms)),
  );
}
