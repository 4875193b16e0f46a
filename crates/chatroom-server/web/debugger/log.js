// @ts-check
// The view of the log: what happens in the room, as it happens.

import { Activity } from './activity.js';
import { button, empty, h, icon, setMarked, setText } from './dom.js';
import { entryInFull, entryTitle } from './entry.js';
import { brief, count, ms, of, preciseClock } from './format.js';
import { requestFrame } from './frame.js';
import { setClient } from './links.js';
import { List } from './list.js';
import { panes } from './panes.js';
import { matches, parse } from './query.js';
import { ENTRIES_MOST } from './store.js';
import { clientsOf, entryInWords, isBad, KINDS, subjectOf } from './words.js';

/** @typedef {import('./wire.js').Entry} Entry */
/** @typedef {import('./wire.js').Kind} Kind */

const ROW_HEIGHT = 24;

export class LogView {
  #store;
  #socket;
  #panes;
  #list;
  #query = h('input', {
    type: 'search',
    placeholder: 'Filter: words, topic:board client:7 code:207 -presence',
    'aria-label': 'Filter the log',
    autocomplete: 'off',
    spellcheck: 'false',
    input: () => this.#refilter(),
  });
  #follow = button('Following', () => this.#setFollowing(!this.#isFollowing), { class: 'quiet follow', 'aria-pressed': 'true', title: 'Follow or pause (p)' }, 'pause');
  #fresh = button('0 new', () => this.#setFollowing(true), { class: 'fresh', hidden: true }, 'down');
  #tally = h('span', { class: 'tally', role: 'status' });
  #older = button('Load older', () => this.#loadOlder(), { class: 'small' });
  #none = h('div', { class: 'none', hidden: true });
  /** @type {Map<Kind, HTMLButtonElement>} */
  #kinds = new Map();
  /** @type {Set<Kind>} */
  #hidden = new Set();
  /** @type {import('./query.js').Term[]} */
  #terms = [];
  /** @type {string[]} */
  #words = [];
  #isFollowing = true;
  /** What is shown, out of `#source`. @type {Entry[]} */
  #shown = [];
  /** What there was when the log was paused, so that it holds still. @type {Entry[] | null} */
  #held = null;
  #pausedAt = 0;
  #activity = new Activity((t) => this.#goTo(t));
  #seen = -1;
  #samples = -1;
  #filteredTo = 0;
  #isStale = true;
  #opened = 0;

  /** @param {import('./store.js').Store} store @param {import('./socket.js').Socket} socket */
  constructor(store, socket) {
    this.#store = store;
    this.#socket = socket;
    this.#list = new List({
      label: 'Log',
      rowHeight: ROW_HEIGHT,
      key: (/** @type {Entry} */ { key }) => key,
      create: createRow,
      update: (row, entry) => this.#update(row, entry),
      onActive: (entry, isClick) => {
        this.#setFollowing(false);
        if (!isClick && this.#panes.isOpen) this.#show(entry);
      },
      onOpen: (entry) => this.#show(entry),
      onScroll: () => {
        if (this.#list.isAtEnd !== this.#isFollowing && !(this.#list.isAtEnd && this.#panes.isOpen)) this.#setFollowing(this.#list.isAtEnd);
      },
    });
    // A press holds the rows still, or they would be gone before it becomes a click.
    this.#list.element.addEventListener('pointerdown', () => this.#setFollowing(false));
    // Where every frame scrolls to the end, a turn of the wheel would be undone by the next one.
    this.#list.element.addEventListener('wheel', ({ deltaY }) => {
      if (deltaY < 0 && this.#list.element.scrollTop > 0) this.#setFollowing(false);
    }, { passive: true });
    const kinds = h('div', { class: 'kinds', role: 'group', 'aria-label': 'Kinds' });
    for (const kind of KINDS) {
      const toggle = h('button', { type: 'button', class: 'kind-toggle', 'data-kind': kind, 'aria-pressed': 'true', click: (/** @type {MouseEvent} */ event) => this.#toggle(kind, event.altKey || event.shiftKey), title: `Show or hide; with Shift: only ${kind}` }, kind, h('span', { class: 'tally' }));
      this.#kinds.set(kind, toggle);
      kinds.append(toggle);
    }
    this.#panes = panes({
      name: 'log',
      label: 'Entry',
      list: [
        this.#activity.element,
        h('div', { class: 'heads cols' }, ...['Time', 'Sequence', 'Kind', 'Who', 'Where', 'What', 'Took', 'Sent to'].map((title) => h('span', { role: 'columnheader' }, title))),
        this.#list.element,
        this.#none,
        this.#fresh,
        h('div', { class: 'foot' }, this.#tally, this.#older),
      ],
      onClose: () => this.close(),
    });
    this.element = h(
      'div',
      { class: 'view log' },
      h(
        'div',
        { class: 'bar' },
        this.#follow,
        h('label', { class: 'find wide' }, icon('search'), this.#query),
        kinds,
        h('span', { class: 'gap' }),
        button('Clear', () => this.#clear(), { class: 'quiet', title: 'Empty the list on this page' }),
        button('Export', () => this.#export(), { class: 'quiet', title: 'Save what is shown as JSON lines' }, 'save'),
      ),
      this.#panes.element,
    );
  }

  search() {
    this.#query.focus();
    this.#query.select();
  }

  focus() {
    this.#list.element.focus();
  }

  /** Shows only what a query matches. @param {string} query */
  filter(query) {
    this.#query.value = query;
    this.#hidden.clear();
    this.#refilter();
  }

  /** Shows the commit with a sequence, if it is still known. @param {number} sequence */
  open(sequence) {
    const entry = this.#store.entries.find((entry) => entry.sequence === sequence);
    if (!entry) {
      this.filter(`seq:${sequence}`);
      return false;
    }
    if (!this.#shown.includes(entry)) this.filter('');
    this.#setFollowing(false);
    this.#refresh();
    this.#list.reveal(entry.key);
    this.#show(entry);
    return true;
  }

  togglePause() {
    this.#setFollowing(!this.#isFollowing);
  }

  close() {
    if (!this.#panes.isOpen) return false;
    this.#panes.setOpen(false);
    this.#opened = 0;
    this.#list.element.focus();
    return true;
  }

  draw() {
    const { versions, samples } = this.#store;
    if (versions.samples !== this.#samples) {
      this.#samples = versions.samples;
      this.#activity.draw(samples);
    }
    if (versions.entries !== this.#seen || this.#isStale) {
      this.#seen = versions.entries;
      this.#refresh();
    }
    this.#list.draw();
  }

  #refilter() {
    this.#terms = parse(this.#query.value);
    this.#words = this.#terms.filter(({ field, isNot }) => !field && !isNot).map(({ value }) => value);
    this.#isStale = true;
    requestFrame();
  }

  #refresh() {
    const source = this.#held ?? this.#store.entries;
    const first = source[0]?.key ?? 0;
    if (this.#isStale) {
      this.#shown = source.filter((entry) => this.#matches(entry));
      this.#isStale = false;
    } else {
      // Only what is new is matched; what memory has let go of goes here too.
      let gone = 0;
      while (gone < this.#shown.length && this.#shown[gone].key < first) gone += 1;
      if (gone) this.#shown.splice(0, gone);
      let from = source.length;
      while (from > 0 && source[from - 1].key > this.#filteredTo) from -= 1;
      for (let index = from; index < source.length; index += 1) if (this.#matches(source[index])) this.#shown.push(source[index]);
    }
    this.#filteredTo = source.at(-1)?.key ?? 0;
    this.#list.setItems(this.#shown);
    if (this.#isFollowing) this.#list.scrollToEnd();
    this.#drawTally(source);
    this.#drawNone();
  }

  /** @param {Entry} entry */
  #matches(entry) {
    return !this.#hidden.has(entry.kind) && (!this.#terms.length || matches(this.#terms, entry));
  }

  /** @param {Entry[]} source */
  #drawTally(source) {
    const { entries, skipped, forgotten } = this.#store;
    /** @type {Record<string, number>} */
    const tallies = {};
    for (const { kind } of source) tallies[kind] = (tallies[kind] ?? 0) + 1;
    for (const [kind, toggle] of this.#kinds) {
      toggle.setAttribute('aria-pressed', String(!this.#hidden.has(kind)));
      toggle.dataset.none = tallies[kind] ? '' : 'true';
      setText(/** @type {Element} */ (toggle.lastElementChild), tallies[kind] ? brief(tallies[kind]) : '');
    }
    const isFiltered = this.#shown.length !== source.length;
    setText(
      this.#tally,
      [
        isFiltered ? `${count(this.#shown.length)} of ${of(source.length, 'entry', 'entries')}` : of(source.length, 'entry', 'entries'),
        forgotten ? `${count(forgotten)} older ones let go (${count(ENTRIES_MOST)} are kept)` : '',
        skipped ? `${count(skipped)} skipped: they came faster than a page can take` : '',
      ].filter(Boolean).join('  ·  '),
    );
    this.#older.hidden = entries.length >= ENTRIES_MOST || !entries.length || this.#store.entries[0].n <= 1;
    const fresh = this.#isFollowing ? 0 : Math.max(0, (entries.at(-1)?.key ?? 0) - this.#pausedAt);
    this.#fresh.hidden = !fresh;
    if (fresh) setText(/** @type {Element} */ (this.#fresh.lastElementChild), `${count(fresh)} new`);
  }

  #drawNone() {
    this.#none.hidden = this.#shown.length > 0 || !this.#store.loaded;
    this.#list.element.hidden = !this.#none.hidden;
    if (this.#none.hidden) return;
    const isFiltered = this.#store.entries.length > 0;
    const key = isFiltered ? 'filtered' : 'empty';
    if (this.#none.dataset.shown === key) return;
    this.#none.dataset.shown = key;
    this.#none.replaceChildren(
      isFiltered
        ? empty(
            'Nothing here matches the filter.',
            h('p', {}, 'Words must all be in the entry. ', h('code', {}, 'topic:board'), ' takes a topic or what is below it, ', h('code', {}, 'client:7'), ' whatever client 7 made or received, ', h('code', {}, 'code:207'), ' a refusal, a ', h('code', {}, '-'), ' before a word means not.'),
            h('p', {}, button('Clear the filter', () => this.filter(''), { class: 'link' })),
          )
        : empty('Nothing has happened yet.', h('p', {}, 'Commits, refusals, calls and clients that come and go appear here as they happen. Change a topic, here or in a client, to see the first.')),
    );
  }

  /** @param {HTMLElement} row @param {Entry} entry */
  #update(row, entry) {
    const [time, sequence, kind, who, where, what, took, sent] = /** @type {HTMLElement[]} */ ([...row.children]);
    row.dataset.kind = entry.kind;
    row.dataset.bad = isBad(entry) ? 'true' : '';
    setText(time, preciseClock(entry.t_ms));
    setText(sequence, entry.sequence ? count(entry.sequence) : '');
    setText(kind, entry.kind === 'commit' && (entry.changes?.length ?? 0) > 1 ? 'action' : entry.kind);
    const [id] = clientsOf(entry);
    who.hidden = false;
    const chip = /** @type {HTMLElement} */ (who.firstElementChild);
    chip.hidden = id === undefined;
    if (id !== undefined) setClient(chip, id);
    setMarked(/** @type {HTMLElement} */ (where.firstElementChild), subjectOf(entry), this.#words);
    where.title = where.textContent ?? '';
    setMarked(what, entryInWords(entry), this.#words);
    what.title = what.textContent ?? '';
    setText(took, entry.took_ms === undefined ? '' : ms(entry.took_ms));
    setText(sent, entry.received_count === undefined ? '' : count(entry.received_count));
  }

  /** Shows what is there of a time. @param {number} t */
  #goTo(t) {
    this.#setFollowing(false);
    this.#refresh();
    const entry = this.#shown.find(({ t_ms }) => t_ms >= t - 1000) ?? this.#shown.at(-1);
    if (entry) this.#list.reveal(entry.key);
    this.focus();
  }

  /** @param {Entry} entry */
  #show(entry) {
    if (this.#opened === entry.key) return;
    this.#opened = entry.key;
    this.#setFollowing(false);
    this.#panes.title.replaceChildren(...entryTitle(entry));
    this.#panes.body.replaceChildren(entryInFull(entry, this.#store.entries));
    this.#panes.body.scrollTop = 0;
    this.#panes.setOpen(true);
  }

  /** @param {boolean} isFollowing */
  #setFollowing(isFollowing) {
    if (isFollowing === this.#isFollowing) return;
    this.#isFollowing = isFollowing;
    // It holds what is in sight, not what came since: the row under the pointer stays there.
    const inSight = this.#filteredTo || Infinity;
    this.#held = isFollowing ? null : this.#store.entries.filter(({ key }) => key <= inSight);
    this.#pausedAt = this.#held?.at(-1)?.key ?? 0;
    this.#isStale = true;
    this.#follow.setAttribute('aria-pressed', String(isFollowing));
    this.#follow.replaceChildren(icon(isFollowing ? 'pause' : 'play'), h('span', {}, isFollowing ? 'Following' : 'Paused'));
    if (isFollowing) this.#list.isAtEnd = true;
    requestFrame();
  }

  /** @param {Kind} kind @param {boolean} isOnly */
  #toggle(kind, isOnly) {
    const isAlone = KINDS.every((other) => this.#hidden.has(other) === (other !== kind));
    if (isOnly) this.#hidden = new Set(isAlone ? [] : KINDS.filter((other) => other !== kind));
    else if (!this.#hidden.delete(kind)) this.#hidden.add(kind);
    this.#none.dataset.shown = '';
    this.#refilter();
  }

  #clear() {
    this.#setFollowing(true);
    this.#held = null;
    this.#store.clearEntries();
    this.#isStale = true;
  }

  async #loadOlder() {
    this.#older.disabled = true;
    const result = await this.#socket.command('history', { before: this.#store.entries[0]?.n });
    this.#older.disabled = false;
    const older = /** @type {Entry[]} */ (/** @type {any} */ (result.value)?.entries ?? []);
    const added = this.#store.addOlder(older);
    if (!added) this.#older.hidden = true;
    this.#setFollowing(false);
    this.#held = [...this.#store.entries];
    this.#isStale = true;
    this.#list.element.scrollTop = 0;
    requestFrame();
  }

  #export() {
    // The key is the page's own, nothing the server said.
    const lines = this.#shown.map((entry) => `${JSON.stringify({ ...entry, key: undefined })}\n`);
    const address = URL.createObjectURL(new Blob(lines, { type: 'application/x-ndjson' }));
    h('a', { href: address, download: `chatroom-${this.#store.room}-${new Date().toISOString().slice(0, 19).replaceAll(':', '')}.jsonl` }).click();
    setTimeout(() => URL.revokeObjectURL(address), 10_000);
  }
}

function createRow() {
  const cell = (kind = '') => h('span', { role: 'gridcell', class: kind });
  return h('div', { class: 'cols' }, cell('mono soft'), cell('mono number'), cell('kind'), h('span', { role: 'gridcell' }, h('span', { class: 'chip still' })), h('span', { role: 'gridcell', class: 'mono where' }, h('bdi')), cell('mono what'), cell('number'), cell('number'));
}
