// @ts-check
/** Everybody's cursors and selections, through a presence topic. */

import { RangeSet, StateEffect } from '@codemirror/state';
import { Decoration, EditorView, ViewPlugin, WidgetType } from '@codemirror/view';

/** @typedef {{ name: string, color: string, anchor: number, head: number }} Cursor what an entry says; positions in the text as its client had it */
/** @typedef {import('@chatroom/client').PresenceTopic<any>} PresenceTopic */
/** @typedef {Cursor & { entry: Cursor }} Shown a cursor, moved along with what was typed since */

/** So often an own cursor that moves is told, at most. */
const INTERVAL_MS = 50;

/** Tells an editor to draw anew. */
const moved = StateEffect.define();

/**
 * Shows the cursors of others in their colours, and tells them of the own one while the editor has
 * the focus.
 * @param {PresenceTopic} topic closed by whoever opened it
 * @param {{ name: string, color: string }} self
 * @returns {import('@codemirror/state').Extension}
 */
export function sharedCursors(topic, self) {
  return [ViewPlugin.define((view) => new Cursors(view, topic, self), { decorations: (cursors) => cursors.decorations }), THEME];
}

class Cursors {
  decorations = RangeSet.empty;
  #view;
  #topic;
  #self;
  #off;
  /** @type {Map<string, Shown>} */
  #others = new Map();
  /** @type {any} */
  #timer;
  /** @type {string} The own entry that was told last. */
  #told = '';

  /** @param {EditorView} view @param {PresenceTopic} topic @param {{ name: string, color: string }} self */
  constructor(view, topic, self) {
    this.#view = view;
    this.#topic = topic;
    this.#self = self;
    this.#off = topic.on(() => this.#heard());
  }

  /** @param {import('@codemirror/view').ViewUpdate} update */
  update({ docChanged, changes, selectionSet, focusChanged, transactions, state }) {
    if (docChanged) {
      for (const cursor of this.#others.values()) {
        // Whoever types is behind what they typed. A cursor may be in text that has not come here yet.
        cursor.anchor = changes.mapPos(Math.min(cursor.anchor, changes.length), 1);
        cursor.head = changes.mapPos(Math.min(cursor.head, changes.length), 1);
      }
    }
    if (docChanged || transactions.some(({ effects }) => effects.some((effect) => effect.is(moved)))) this.#draw(state.doc.length);
    if (docChanged || selectionSet || focusChanged) this.#tellSoon();
  }

  /** Somebody moved, came or went. */
  #heard() {
    const entries = this.#topic.others;
    let changed = false;
    for (const id of this.#others.keys()) {
      if (isCursor(entries[id])) continue;
      this.#others.delete(id);
      changed = true;
    }
    for (const [id, entry] of Object.entries(entries)) {
      if (!isCursor(entry) || this.#others.get(id)?.entry === entry) continue;
      this.#others.set(id, { ...entry, entry });
      changed = true;
    }
    if (changed) this.#view.dispatch({ effects: moved.of(null) });
  }

  /** @param {number} length of the text */
  #draw(length) {
    const ranges = [];
    for (const { name, color, anchor, head } of this.#others.values()) {
      const [from, to, at] = [Math.min(anchor, head), Math.max(anchor, head), head].map((place) => Math.min(place, length));
      if (from < to) ranges.push(Decoration.mark({ class: 'cm-sharedSelection', attributes: { style: `--color: ${safe(color)}` } }).range(from, to));
      ranges.push(Decoration.widget({ widget: new Caret(name, safe(color)), side: 1 }).range(at));
    }
    this.decorations = Decoration.set(ranges, true);
  }

  #tellSoon() {
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      this.#tell();
    }, INTERVAL_MS);
  }

  #tell() {
    const { state, hasFocus } = this.#view;
    const { anchor, head } = state.selection.main;
    const entry = hasFocus ? { ...this.#self, anchor, head } : undefined;
    const text = JSON.stringify(entry) ?? '';
    if (text === this.#told) return;
    this.#told = text;
    const put = entry ? this.#topic.put(entry) : this.#topic.clear();
    // A cursor that is not taken is no matter for anybody; the next one may be.
    put.catch(() => {});
  }

  destroy() {
    clearTimeout(this.#timer);
    this.#off();
  }
}

/** Whether an entry of somebody is one of this module's. @param {any} entry */
function isCursor(entry) {
  return typeof entry?.name === 'string' && typeof entry.color === 'string' && entry.anchor >= 0 && entry.head >= 0;
}

/** A colour that somebody else gave may not be more than that. @param {string} color */
function safe(color) {
  return CSS.supports('color', color) && !/[;{}]/.test(color) ? color : 'gray';
}

class Caret extends WidgetType {
  /** @param {string} name @param {string} color */
  constructor(name, color) {
    super();
    this.name = name;
    this.color = color;
  }

  /** @override @param {Caret} other */
  eq(other) {
    return other.name === this.name && other.color === this.color;
  }

  /** @override */
  toDOM() {
    const caret = document.createElement('span');
    caret.className = 'cm-sharedCaret';
    caret.style.setProperty('--color', this.color);
    const label = document.createElement('span');
    label.className = 'cm-sharedName';
    label.textContent = this.name;
    caret.append(label);
    return caret;
  }

  /** @override */
  get estimatedHeight() {
    return -1;
  }

  /** @override */
  ignoreEvent() {
    return true;
  }
}

const THEME = EditorView.baseTheme({
  '.cm-sharedSelection': { backgroundColor: 'color-mix(in srgb, var(--color) 25%, transparent)' },
  '.cm-sharedCaret': { position: 'relative', borderLeft: '2px solid var(--color)', marginLeft: '-1px', marginRight: '-1px' },
  '.cm-sharedName': {
    position: 'absolute', bottom: '100%', left: '-1px', padding: '0 4px', borderRadius: '4px 4px 4px 0', whiteSpace: 'nowrap',
    backgroundColor: 'var(--color)', color: 'white', fontSize: '11px', lineHeight: '16px', pointerEvents: 'none', zIndex: '10',
  },
});
