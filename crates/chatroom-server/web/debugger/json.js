// @ts-check
// A JSON value as a foldable tree. It is a virtual list, so a value of any size costs what is in
// sight; what changed since it was last shown lights up.

import { button, h, setText } from './dom.js';
import { List } from './list.js';

/** @typedef {import('./wire.js').Json} Json */
/** @typedef {(string | number)[]} Path */

/**
 * @typedef {object} JsonRow
 * @property {string} id
 * @property {Path} path
 * @property {Json | undefined} value undefined for a row that is not a value
 * @property {string} text
 * @property {string} kind
 * @property {boolean} isFold
 * @property {boolean} isOpen
 */

const ROW_HEIGHT = 20;
const CHILDREN_AT_ONCE = 100;
const OPEN_CHILDREN_MOST = 30;
const OPEN_SIBLINGS_MOST = 8;
const LINE = 88;
const LINES_MOST = 200;
const INDENT = 14;

export class JsonTree {
  #list;
  #rowsMost;
  /** @type {Map<string, boolean>} */
  #choices = new Map();
  /** @type {Map<string, number>} */
  #limits = new Map();
  /** @type {Map<string, string>} */
  #before = new Map();
  /** @type {Json | undefined} */
  #value;
  #round = 0;
  /** @type {Map<string, number>} the round in which a row last changed */
  #changed = new Map();

  /** @param {{ label: string, rowsMost?: number, onPick?: (path: Path, value: Json) => void }} options */
  constructor({ label, rowsMost = 18, onPick }) {
    this.#rowsMost = rowsMost;
    this.#list = new List({
      label,
      role: 'treegrid',
      rowHeight: ROW_HEIGHT,
      key: ({ id }) => id,
      create: () => createRow(onPick),
      update: (row, item, isSame) => this.#update(row, item, isSame),
      onOpen: (item) => this.#toggle(item),
      onSide: (item, isRight) => item.isFold && item.isOpen !== isRight && (this.#toggle(item), true),
    });
    this.element = this.#list.element;
    this.element.classList.add('json');
  }

  /** @param {Json | undefined} value */
  show(value) {
    this.#value = value;
    this.#round += 1;
    const rows = this.#rows();
    const texts = new Map(rows.map(({ id, text }) => [id, text]));
    for (const [id, text] of texts) {
      const before = this.#before.get(id);
      if (this.#round > 1 && before !== text) this.#changed.set(id, this.#round);
    }
    if (this.#changed.size > 5000) this.#changed.clear();
    this.#before = texts;
    this.#set(rows);
  }

  /** Forgets what was folded and shown: the next value is of something else. */
  reset() {
    this.#choices.clear();
    this.#limits.clear();
    this.#before.clear();
    this.#changed.clear();
    this.#round = 0;
    this.element.scrollTop = 0;
  }

  /** @param {JsonRow} item */
  #toggle(item) {
    if (item.kind === 'more') this.#limits.set(parentOf(item.id), (this.#limits.get(parentOf(item.id)) ?? CHILDREN_AT_ONCE) * 4);
    else if (item.isFold) this.#choices.set(item.id, !item.isOpen);
    else return;
    this.#set(this.#rows());
  }

  /** @param {JsonRow[]} rows */
  #set(rows) {
    this.#list.setItems(rows);
    this.element.style.height = `${Math.min(rows.length, this.#rowsMost) * ROW_HEIGHT + 8}px`;
    this.#list.draw();
  }

  #rows() {
    /** @type {JsonRow[]} */
    const rows = [];
    /** @param {string} id @param {Path} path @param {Json} value @param {number} siblings */
    const walk = (id, path, value, siblings) => {
      const children = childrenOf(value);
      const kind = value === null ? 'null' : Array.isArray(value) ? 'list' : typeof value;
      const isText = kind === 'string' && /** @type {string} */ (value).length > LINE;
      const isFold = isText || (children?.length ?? 0) > 0;
      const isOpen = isFold && (this.#choices.get(id) ?? (!isText && (path.length === 0 || (path.length < 3 && siblings <= OPEN_SIBLINGS_MOST && (children?.length ?? 0) <= OPEN_CHILDREN_MOST))));
      rows.push({ id, path, value, text: isOpen && children ? sizeOf(kind, children.length) : preview(value), kind, isFold, isOpen });
      if (!isOpen) return;
      if (!children) {
        const text = /** @type {string} */ (value);
        for (let at = 0; at < Math.min(text.length, LINE * LINES_MOST); at += LINE) {
          rows.push({ id: `${id}\0line${at}`, path: [...path, ''], value: undefined, text: JSON.stringify(text.slice(at, at + LINE)).slice(1, -1), kind: 'line', isFold: false, isOpen: false });
        }
        return;
      }
      const limit = this.#limits.get(id) ?? CHILDREN_AT_ONCE;
      for (const [key, child] of children.slice(0, limit)) walk(`${id}\0${key}`, [...path, key], child, children.length);
      if (children.length > limit) {
        rows.push({ id: `${id}\0more`, path: [...path, ''], value: undefined, text: `${children.length - limit} more`, kind: 'more', isFold: false, isOpen: false });
      }
    };
    if (this.#value !== undefined) walk('', [], this.#value, 1);
    return rows;
  }

  /** @param {HTMLElement} row @param {JsonRow} item @param {boolean} isSame */
  #update(row, item, isSame) {
    const [fold, key, value] = /** @type {HTMLElement[]} */ ([...row.children]);
    row.style.paddingLeft = `${item.path.length * INDENT + 2}px`;
    row.dataset.kind = item.kind;
    row.dataset.depth = String(item.path.length);
    row.dataset.fold = item.isFold ? (item.isOpen ? 'open' : 'shut') : '';
    if (item.isFold) row.setAttribute('aria-expanded', String(item.isOpen));
    else row.removeAttribute('aria-expanded');
    row.setAttribute('aria-level', String(item.path.length + 1));
    setText(fold, item.isFold ? (item.isOpen ? '▾' : '▸') : '');
    const name = item.value === undefined ? undefined : item.path.at(-1);
    setText(key, name === undefined ? '' : String(name));
    key.dataset.index = typeof name === 'number' ? 'true' : '';
    setText(value, item.text);
    pickOf.set(row, item);
    const changed = String(this.#changed.get(item.id) ?? '');
    if (isSame && changed && changed !== row.dataset.changed) flash(value);
    row.dataset.changed = changed;
  }
}

/** Plays the soft light of a change from its start. @param {HTMLElement} element */
export function flash(element) {
  // Two names of one animation: a change of name restarts it without asking for a layout.
  element.dataset.flash = element.dataset.flash === 'a' ? 'b' : 'a';
}

/** @type {WeakMap<HTMLElement, JsonRow>} */
const pickOf = new WeakMap();

/** @param {((path: Path, value: Json) => void) | undefined} onPick */
function createRow(onPick) {
  const row = h('div', { class: 'json-row' }, h('span', { class: 'fold', role: 'gridcell' }), h('span', { class: 'json-key', role: 'gridcell' }), h('span', { class: 'json-value', role: 'gridcell' }));
  if (onPick) {
    const pick = () => {
      const item = pickOf.get(row);
      if (item?.value !== undefined) onPick(item.path, item.value);
    };
    row.append(button('edit', pick, { class: 'pick', tabindex: '-1' }));
  }
  return row;
}

/** @param {Json} value @returns {[string | number, Json][] | null} */
function childrenOf(value) {
  if (Array.isArray(value)) return value.map((item, index) => [index, item]);
  return value !== null && typeof value === 'object' ? Object.entries(value) : null;
}

/** @param {Json} value */
function preview(value) {
  const text = JSON.stringify(value);
  return text.length > 160 ? `${text.slice(0, 159)}…` : text;
}

/** @param {string} kind @param {number} size */
function sizeOf(kind, size) {
  return kind === 'list' ? `[${size}]` : `{${size}}`;
}

/** @param {string} id */
function parentOf(id) {
  return id.slice(0, id.lastIndexOf('\0'));
}
