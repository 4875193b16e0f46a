// @ts-check
// The view of the topics: a tree of their names with the values as they change.

import { button, empty, h, icon, setMarked, setText } from './dom.js';
import { ask } from './dialogs.js';
import { TYPES, ZEROS } from './editor.js';
import { ago, bytes, count, of, rate, sizeOf } from './format.js';
import { requestFrame } from './frame.js';
import { Inspector } from './inspector.js';
import { flash } from './json.js';
import { List } from './list.js';
import { Outcome } from './outcome.js';
import { panes } from './panes.js';
import { plant, rowsOf, sorted } from './tree.js';

/** @typedef {import('./wire.js').Topic} Topic */
/** @typedef {import('./tree.js').Branch} Branch */
/** @typedef {{ path: string, label: string, depth: number, isFolder: boolean, isOpen: boolean, branch: Branch | null, topic: Topic | undefined }} TopicRow */
/** @typedef {'name' | 'subscribers' | 'bytes' | 'rate' | 'changed'} Order */

const ROW_HEIGHT = 26;
const INDENT = 16;
// Thousands of names that come and go at once are sorted a few times a second, not per batch.
const REBUILD_MS = 300;

/** @type {[Order | '', string][]} */
const COLUMNS = [
  ['name', 'Name'],
  ['', 'Value'],
  ['', 'Type'],
  ['subscribers', 'Subscribers'],
  ['bytes', 'Size'],
  ['rate', 'Commits/s'],
  ['changed', 'Changed'],
];

export class TopicsView {
  #store;
  #socket;
  #inspector;
  #panes;
  #list;
  #search = h('input', { type: 'search', placeholder: 'Find topics', 'aria-label': 'Find topics', autocomplete: 'off', spellcheck: 'false', input: () => this.#rebuild() });
  #types = h('select', { 'aria-label': 'Type', change: () => this.#rebuild() }, h('option', { value: '' }, 'All types'), ...TYPES.map((type) => h('option', {}, type)));
  #tally = h('span', { class: 'soft tally', role: 'status' });
  #none = h('div', { class: 'none', hidden: true });
  #heads;
  /** @type {Map<string, boolean>} */
  #choices = new Map();
  /** @type {Order} */
  #order = 'name';
  #isRising = false;
  #names = -1;
  #second = -1;
  #builtAt = 0;
  #isStale = true;
  /** @type {string[]} */
  #words = [];
  /** @type {Map<string, number>} */
  #folderRates = new Map();

  /** @param {import('./store.js').Store} store @param {import('./socket.js').Socket} socket */
  constructor(store, socket) {
    this.#store = store;
    this.#socket = socket;
    this.#inspector = new Inspector(store, socket);
    this.#list = new List({
      label: 'Topics',
      role: 'treegrid',
      rowHeight: ROW_HEIGHT,
      key: (/** @type {TopicRow} */ { path }) => path,
      create: createRow,
      update: (row, item, isSame) => this.#update(row, item, isSame),
      onActive: (item, isClick) => {
        if (!isClick && this.#panes.isOpen && item.topic) this.#inspector.show(item.path);
      },
      onOpen: (item) => (item.topic ? this.open(item.path) : this.#fold(item, !item.isOpen)),
      onSide: (item, isRight) => this.#side(item, isRight),
    });
    this.#heads = COLUMNS.map(([order, title]) =>
      h('span', { role: 'columnheader', class: order ? 'sortable' : '' }, order ? button(title, () => this.#sort(order), { 'data-order': order }) : title),
    );
    this.#panes = panes({
      name: 'topics',
      label: 'Topic',
      list: [h('div', { class: 'heads cols' }, ...this.#heads), this.#list.element, this.#none],
      onClose: () => this.close(),
    });
    this.#panes.title.append(this.#inspector.title);
    this.#panes.body.append(this.#inspector.element);
    this.element = h(
      'div',
      { class: 'view topics' },
      h(
        'div',
        { class: 'bar' },
        h('label', { class: 'find' }, icon('search'), this.#search),
        this.#types,
        this.#tally,
        h('span', { class: 'gap' }),
        button('Unfold', () => this.#foldAll(true), { class: 'quiet optional', title: 'Open all folders' }),
        button('Fold', () => this.#foldAll(false), { class: 'quiet optional', title: 'Close all folders' }),
        button('New topic', () => this.#askCreate(), { class: 'quiet' }, 'plus'),
      ),
      this.#panes.element,
    );
  }

  search() {
    this.#search.focus();
    this.#search.select();
  }

  focus() {
    this.#list.element.focus();
  }

  /** @param {string} name */
  open(name) {
    for (let at = name.indexOf('/'); at >= 0; at = name.indexOf('/', at + 1)) this.#choices.set(name.slice(0, at), true);
    this.#inspector.show(name);
    this.#panes.setOpen(true);
    this.#build();
    if (!this.#list.reveal(name) && (this.#search.value || this.#types.value)) {
      this.#search.value = this.#types.value = '';
      this.#build();
      this.#list.reveal(name);
    }
  }

  close() {
    if (!this.#panes.isOpen) return false;
    this.#inspector.show(null);
    this.#panes.setOpen(false);
    this.#list.element.focus();
    return true;
  }

  draw() {
    const { versions } = this.#store;
    if (versions.names !== this.#names) {
      this.#names = versions.names;
      this.#isStale = true;
    }
    if (versions.second !== this.#second) {
      this.#second = versions.second;
      this.#folderRates.clear();
      if (this.#order !== 'name') this.#isStale = true;
    }
    if (this.#isStale) {
      const wait = this.#store.topics.size > 1000 ? this.#builtAt + REBUILD_MS - performance.now() : 0;
      if (wait > 0) setTimeout(requestFrame, wait);
      else this.#build();
    }
    this.#list.draw();
    if (this.#panes.isOpen) this.#inspector.draw();
  }

  #rebuild() {
    this.#isStale = true;
    this.#builtAt = 0;
    requestFrame();
  }

  #build() {
    this.#isStale = false;
    this.#builtAt = performance.now();
    const { topics } = this.#store;
    this.#words = this.#search.value.toLowerCase().split(/\s+/).filter(Boolean);
    const type = this.#types.value;
    let names = [...topics.keys()];
    const isFiltered = this.#words.length > 0 || type !== '';
    if (isFiltered) names = names.filter((name) => (!type || topics.get(name)?.type === type) && this.#words.every((word) => name.toLowerCase().includes(word)));
    /** @type {TopicRow[]} */
    let rows;
    if (this.#order === 'name') {
      const order = sorted(names);
      rows = rowsOf(plant(order), this.#choices, isFiltered).map(({ branch, label, depth, isFolder, isOpen }) => {
        return { path: branch.path, label, depth, isFolder, isOpen, branch, topic: branch.isTopic ? topics.get(branch.path) : undefined };
      });
      if (this.#isRising) rows.reverse();
    } else {
      const measure = this.#measure(this.#order);
      const sign = this.#isRising ? 1 : -1;
      rows = names
        .map((name) => ({ name, size: measure(name) }))
        .sort((a, b) => sign * (a.size - b.size) || (a.name < b.name ? -1 : 1))
        .map(({ name }) => ({ path: name, label: name, depth: 0, isFolder: false, isOpen: false, branch: null, topic: topics.get(name) }));
    }
    this.#list.setItems(rows);
    const total = Math.max(this.#store.topicsTotal, topics.size);
    setText(this.#tally, isFiltered ? `${count(names.length)} of ${of(total, 'topic')}` : total > topics.size ? `${count(topics.size)} of ${of(total, 'topic')} shown` : of(total, 'topic'));
    for (const head of this.#heads) {
      const order = head.querySelector('button')?.dataset.order;
      head.setAttribute('aria-sort', order !== this.#order ? 'none' : order === 'name' || this.#isRising ? 'ascending' : 'descending');
    }
    this.#drawNone(names.length, isFiltered);
  }

  /** @param {number} shown @param {boolean} isFiltered */
  #drawNone(shown, isFiltered) {
    this.#none.hidden = shown > 0 || !this.#store.loaded;
    this.#list.element.hidden = !this.#none.hidden;
    if (this.#none.hidden) return;
    this.#none.replaceChildren(
      isFiltered
        ? empty('No topic matches.', h('p', {}, 'All words must be in the name. ', button('Show all', () => {
            this.#search.value = this.#types.value = '';
            this.#rebuild();
          }, { class: 'link' })))
        : empty(
            'This room has no topics yet.',
            h('p', {}, 'A topic appears with its first subscriber:'),
            h('pre', {}, `import { connect } from 'http://${this.#store.address || 'HOST:PORT'}/chatroom.js';\nconst room = connect('ws://${this.#store.address || 'HOST:PORT'}${this.#store.room === 'main' ? '/' : `/rooms/${this.#store.room}`}');\nroom.topic('score', 'int').add(1);`),
            h('p', {}, 'or ', button('make one here', () => this.#askCreate(), { class: 'link' }), '.'),
          ),
    );
  }

  /** @param {Order} order @returns {(name: string) => number} */
  #measure(order) {
    const { topics, rates } = this.#store;
    if (order === 'rate') return (name) => rates.topic(name);
    if (order === 'changed') return (name) => topics.get(name)?.changed_ms ?? 0;
    return (name) => {
      const topic = topics.get(name);
      return topic ? (order === 'bytes' ? sizeOf(topic) : topic.subscribers) : 0;
    };
  }

  /** @param {Order} order */
  #sort(order) {
    if (order === 'name') this.#isRising = false;
    else if (this.#order === order && this.#isRising) [order, this.#isRising] = ['name', false];
    else this.#isRising = this.#order === order;
    this.#order = order;
    this.#rebuild();
  }

  /** @param {HTMLElement} row @param {TopicRow} item @param {boolean} isSame */
  #update(row, item, isSame) {
    const cells = /** @type {HTMLElement[]} */ ([...row.children]);
    const [name, value, type, subscribers, size, speed, changed] = cells;
    const [fold, label, tally, lock] = /** @type {HTMLElement[]} */ ([...name.children]);
    row.dataset.folder = item.isFolder && !item.topic ? 'true' : '';
    name.style.paddingLeft = `${item.depth * INDENT}px`;
    row.setAttribute('aria-level', String(item.depth + 1));
    if (item.isFolder) row.setAttribute('aria-expanded', String(item.isOpen));
    else row.removeAttribute('aria-expanded');
    setText(fold, item.isFolder ? (item.isOpen ? '▾' : '▸') : '');
    fold.onclick = item.isFolder
      ? (event) => {
          event.stopPropagation();
          this.#fold(item, !item.isOpen);
        }
      : null;
    setMarked(label, item.label, this.#words);
    label.title = item.path;
    setText(tally, item.isFolder && item.branch ? count(item.branch.topics) : '');
    // The store's topic, not the row's: rows are built when names change, values change between.
    const topic = item.topic && (this.#store.topics.get(item.path) ?? item.topic);
    lock.hidden = !topic?.authority;
    setText(value, topic ? (topic.type === 'event' ? '' : topic.preview) : '');
    setText(type, topic?.type ?? '');
    type.dataset.type = topic?.type ?? '';
    setText(subscribers, topic ? count(topic.subscribers) : '');
    subscribers.dataset.zero = topic?.subscribers ? '' : 'true';
    setText(size, topic ? bytes(sizeOf(topic)) : '');
    const perSecond = topic ? this.#store.rates.topic(item.path) : item.branch ? this.#folderRate(item.branch) : 0;
    setText(speed, perSecond < 0.05 ? '' : rate(perSecond));
    setText(changed, topic?.changed_ms ? ago(this.#store.now() - topic.changed_ms) : '');
    const sequence = String(topic?.sequence ?? '');
    if (isSame && row.dataset.sequence && row.dataset.sequence !== sequence) flash(value);
    row.dataset.sequence = sequence;
  }

  /** @param {Branch} branch @returns {number} */
  #folderRate(branch) {
    const known = this.#folderRates.get(branch.path);
    if (known !== undefined) return known;
    const own = branch.isTopic ? this.#store.rates.topic(branch.path) : 0;
    const sum = branch.children.reduce((total, child) => total + this.#folderRate(child), own);
    this.#folderRates.set(branch.path, sum);
    return sum;
  }

  /** @param {TopicRow} item @param {boolean} isOpen */
  #fold(item, isOpen) {
    this.#choices.set(item.path, isOpen);
    this.#rebuild();
  }

  /** @param {boolean} isOpen */
  #foldAll(isOpen) {
    this.#choices.clear();
    for (const name of this.#store.topics.keys()) {
      for (let at = name.indexOf('/'); at >= 0; at = name.indexOf('/', at + 1)) this.#choices.set(name.slice(0, at), isOpen);
    }
    this.#rebuild();
  }

  /** @param {TopicRow} item @param {boolean} isRight */
  #side(item, isRight) {
    if (item.isFolder && item.isOpen !== isRight) this.#fold(item, isRight);
    else if (!isRight && item.depth) {
      const parent = this.#list.items.findLast(({ path, isFolder }) => isFolder && item.path.startsWith(`${path}/`));
      if (parent) this.#list.reveal(parent.path);
    } else return false;
    return true;
  }

  #askCreate() {
    const active = this.#list.activeItem();
    const folder = active && (active.topic ? active.path.slice(0, active.path.lastIndexOf('/') + 1) : `${active.path}/`);
    const name = h('input', { type: 'text', required: true, autocomplete: 'off', spellcheck: 'false', class: 'mono', placeholder: 'board/title' });
    name.value = folder ?? '';
    const value = h('textarea', { rows: '3', class: 'mono', spellcheck: 'false' });
    const type = h('select', { change: () => (value.value = ZEROS[type.value] ?? '') }, ...TYPES.map((name) => h('option', {}, name)));
    value.value = ZEROS[type.value];
    const outcome = new Outcome();
    ask(
      'New topic',
      [
        h('label', { class: 'field' }, h('span', {}, 'Name'), name),
        h('label', { class: 'field' }, h('span', {}, 'Type'), type),
        h('label', { class: 'field' }, h('span', {}, 'Value, as JSON; empty for none'), value),
        outcome.element,
      ],
      {
        action: 'Create',
        act: async () => {
          /** @type {Record<string, unknown>} */
          const fields = { topic_name: name.value, topic_type: type.value };
          try {
            if (value.value.trim()) fields.value = JSON.parse(value.value);
          } catch (error) {
            outcome.refuse({ code: 0, name: 'not JSON', reason: String(error instanceof Error ? error.message : error) });
            return false;
          }
          const result = await this.#socket.command('create', fields);
          if (result.ok) this.open(name.value);
          else outcome.show(result);
          return result.ok;
        },
      },
    );
    name.focus();
  }
}

function createRow() {
  const cell = (kind = '') => h('span', { role: 'gridcell', class: kind });
  return h(
    'div',
    { class: 'cols' },
    h('span', { role: 'gridcell', class: 'name' }, h('span', { class: 'fold' }), h('span', { class: 'label mono' }), h('span', { class: 'tally' }), h('span', { class: 'lock', title: 'guarded by an authority' }, icon('lock'))),
    cell('value mono'),
    cell('type'),
    cell('number'),
    cell('number'),
    cell('number'),
    cell('number soft'),
  );
}
