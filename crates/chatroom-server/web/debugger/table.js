// @ts-check
// A table over a virtual list: columns with titles, sorted by any of them.

import { button, h, setText } from './dom.js';
import { List } from './list.js';

const ROW_HEIGHT = 28;

/**
 * @template T
 * @typedef {object} Column
 * @property {string} title
 * @property {string} [kind] the classes of its cells
 * @property {(item: T) => string} [text] what its cells show
 * @property {(cell: HTMLElement, item: T) => void} [fill] instead of `text`
 * @property {(item: T) => number | string} by what it sorts by
 */

/** @template T */
export class Table {
  /** @type {Column<T>[]} */
  #columns;
  #sort;
  #isRising;
  #heads;

  /** @param {{ label: string, columns: Column<T>[], key: (item: T) => string | number, onOpen: (item: T) => void, onMove: (item: T) => void }} options */
  constructor({ label, columns, key, onOpen, onMove }) {
    this.#columns = columns;
    this.#sort = 0;
    this.#isRising = true;
    this.#heads = columns.map(({ title }, index) => h('span', { role: 'columnheader', class: `sortable ${columns[index].kind?.includes('number') ? 'number' : ''}` }, button(title, () => this.#sortBy(index))));
    this.heads = h('div', { class: 'heads cols' }, ...this.#heads);
    this.list = new List({
      label,
      rowHeight: ROW_HEIGHT,
      key,
      create: () => h('div', { class: 'cols' }, ...columns.map(({ kind }) => h('span', { role: 'gridcell', class: kind ?? '' }))),
      update: (row, item) => {
        columns.forEach(({ text, fill }, index) => {
          const cell = /** @type {HTMLElement} */ (row.children[index]);
          if (fill) fill(cell, item);
          else setText(cell, text?.(item) ?? '');
        });
      },
      onOpen,
      onActive: (item, isClick) => void (isClick || onMove(item)),
    });
    this.#drawHeads();
  }

  /** @param {Iterable<T>} items */
  show(items) {
    const { by } = this.#columns[this.#sort];
    const sign = this.#isRising ? 1 : -1;
    const measured = [...items].map((item) => ({ item, size: by(item) }));
    measured.sort((a, b) => (a.size < b.size ? -sign : a.size > b.size ? sign : 0));
    this.list.setItems(measured.map(({ item }) => item));
    this.list.draw();
  }

  /** @type {() => void} */
  onSort = () => {};

  /** @param {number} index */
  #sortBy(index) {
    // Numbers are asked for by their largest.
    this.#isRising = index === this.#sort ? !this.#isRising : !this.#columns[index].kind?.includes('number');
    this.#sort = index;
    this.#drawHeads();
    this.onSort();
  }

  #drawHeads() {
    this.#heads.forEach((head, index) => head.setAttribute('aria-sort', index !== this.#sort ? 'none' : this.#isRising ? 'ascending' : 'descending'));
  }
}
