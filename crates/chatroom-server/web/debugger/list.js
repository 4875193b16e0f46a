// @ts-check
// A virtual list: only the rows in sight are elements, however many items there are. It is one tab
// stop; the arrows move its active row.

import { requestFrame } from './frame.js';
import { h, setAttribute } from './dom.js';

const SPARE_ROWS = 4;
let lists = 0;

/**
 * @template T
 * @typedef {object} ListShape
 * @property {string} label for screen readers
 * @property {'grid' | 'treegrid'} [role]
 * @property {number} rowHeight
 * @property {(item: T) => string | number} key
 * @property {() => HTMLElement} create an empty row
 * @property {(row: HTMLElement, item: T, isSameItem: boolean) => void} update
 * @property {(item: T, isClick: boolean) => void} [onActive] the active row moved here
 * @property {(item: T) => void} [onOpen] Enter, or a click
 * @property {(item: T, isRight: boolean) => boolean} [onSide] an arrow to the side; true if it was of use
 * @property {() => void} [onScroll] the user scrolled
 */

/** @template T */
export class List {
  /** @type {readonly T[]} */
  items = [];
  /** @type {string | number | null} */
  active = null;
  isAtEnd = true;

  #shape;
  #spacer;
  #height = 0;
  #top = 0;
  #name = `list-${++lists}`;
  #made = 0;
  /** @type {Map<string | number, HTMLElement>} */
  #rows = new Map();
  /** @type {HTMLElement[]} */
  #pool = [];
  /** @type {WeakMap<HTMLElement, T>} */
  #itemOf = new WeakMap();
  /** A place to scroll to in the next frame, once the spacer has its size. @type {number | null} */
  #goto = null;

  /** @param {ListShape<T>} shape */
  constructor(shape) {
    this.#shape = shape;
    this.#spacer = h('div', { class: 'list-rows', role: 'rowgroup' });
    this.element = h(
      'div',
      { class: 'list', role: shape.role ?? 'grid', tabindex: '0', 'aria-label': shape.label, keydown: this.#press.bind(this), click: this.#click.bind(this) },
      this.#spacer,
    );
    this.element.addEventListener('scroll', () => {
      this.#top = this.element.scrollTop;
      const isAtEnd = this.#top + this.#height >= this.items.length * shape.rowHeight - 4;
      if (this.#goto === null) {
        this.isAtEnd = isAtEnd;
        shape.onScroll?.();
      }
      this.draw();
    }, { passive: true });
    new ResizeObserver(() => {
      this.#height = this.element.clientHeight;
      requestFrame();
      this.draw();
    }).observe(this.element);
  }

  /** @param {readonly T[]} items */
  setItems(items) {
    this.items = items;
    setAttribute(this.element, 'aria-rowcount', items.length);
    this.#spacer.style.height = `${items.length * this.#shape.rowHeight}px`;
    const most = Math.max(0, items.length * this.#shape.rowHeight - this.#height);
    if (this.#top > most) this.#top = most;
  }

  /** The item of the active row, if it is (still) in the list. */
  activeItem() {
    return this.active === null ? undefined : this.items.find((item) => this.#shape.key(item) === this.active);
  }

  /** @param {string | number | null} key */
  setActive(key) {
    this.active = key;
    requestFrame();
  }

  /** Makes a row active and brings it into sight. @param {string | number} key */
  reveal(key) {
    this.setActive(key);
    const index = this.items.findIndex((item) => this.#shape.key(item) === key);
    if (index >= 0) this.#show(index);
    return index >= 0;
  }

  scrollToEnd() {
    this.isAtEnd = true;
    this.#scroll(Math.max(0, this.items.length * this.#shape.rowHeight - this.#height));
  }

  /** Brings the rows in sight up to date. */
  draw() {
    const { rowHeight, key, create, update } = this.#shape;
    if (!this.#height) return;
    const from = Math.max(0, Math.floor(this.#top / rowHeight) - SPARE_ROWS);
    const to = Math.min(this.items.length, Math.ceil((this.#top + this.#height) / rowHeight) + SPARE_ROWS);
    const before = this.#rows;
    /** @type {typeof before} */
    const rows = new Map();
    for (let index = from; index < to; index += 1) {
      const name = key(this.items[index]);
      const row = before.get(name);
      if (row) {
        rows.set(name, row);
        before.delete(name);
      }
    }
    for (const row of before.values()) this.#pool.push(row);
    let activeId = '';
    for (let index = from; index < to; index += 1) {
      const item = this.items[index];
      const name = key(item);
      let row = rows.get(name);
      const isSame = row !== undefined;
      if (!row) {
        row = this.#pool.pop() ?? this.#make(create);
        rows.set(name, row);
        if (!row.isConnected) this.#spacer.append(row);
        row.hidden = false;
      }
      this.#itemOf.set(row, item);
      const place = `translateY(${index * rowHeight}px)`;
      if (row.style.transform !== place) row.style.transform = place;
      setAttribute(row, 'aria-rowindex', index + 1);
      setAttribute(row, 'aria-selected', name === this.active ? 'true' : 'false');
      if (name === this.active) activeId = row.id;
      update(row, item, isSame);
    }
    for (const row of this.#pool) if (!row.hidden) row.hidden = true;
    this.#rows = rows;
    setAttribute(this.element, 'aria-activedescendant', activeId || null);
  }

  /** @param {() => HTMLElement} create */
  #make(create) {
    const row = create();
    row.id = `${this.#name}-row-${++this.#made}`;
    row.setAttribute('role', 'row');
    row.classList.add('row');
    row.style.height = `${this.#shape.rowHeight}px`;
    return row;
  }

  /** @param {number} index */
  #show(index) {
    const { rowHeight } = this.#shape;
    const y = index * rowHeight;
    if (y < this.#top) this.#scroll(y);
    else if (y + rowHeight > this.#top + this.#height) this.#scroll(y + rowHeight - this.#height);
    else this.draw();
  }

  /** @param {number} top */
  #scroll(top) {
    this.#top = top;
    this.#goto = top;
    this.element.scrollTop = top;
    requestAnimationFrame(() => (this.#goto = null));
    this.draw();
  }

  /** @param {MouseEvent} event */
  #click({ target }) {
    const row = target instanceof Element ? /** @type {HTMLElement | null} */ (target.closest('.row')) : null;
    const item = row && this.#itemOf.get(row);
    if (!item || (target instanceof Element && target.closest('button, a, input'))) return;
    this.setActive(this.#shape.key(item));
    this.#shape.onActive?.(item, true);
    this.#shape.onOpen?.(item);
    this.draw();
  }

  /** @param {KeyboardEvent} event */
  #press(event) {
    if (event.target !== this.element || event.ctrlKey || event.metaKey || event.altKey) return;
    const { key, onActive, onOpen, onSide } = this.#shape;
    const page = Math.max(1, Math.floor(this.#height / this.#shape.rowHeight) - 1);
    const index = this.active === null ? -1 : this.items.findIndex((item) => key(item) === this.active);
    const item = this.items[index];
    /** @type {Record<string, number>} */
    const targets = { ArrowDown: index + 1, ArrowUp: index < 0 ? this.items.length - 1 : index - 1, PageDown: index + page, PageUp: index - page, Home: 0, End: this.items.length - 1 };
    if (event.key in targets && this.items.length) {
      const target = Math.min(this.items.length - 1, Math.max(0, targets[event.key]));
      this.active = key(this.items[target]);
      onActive?.(this.items[target], false);
      this.#show(target);
    } else if (event.key === 'Enter' && item !== undefined) onOpen?.(item);
    else if ((event.key === 'ArrowLeft' || event.key === 'ArrowRight') && item !== undefined) {
      if (!onSide?.(item, event.key === 'ArrowRight')) return;
    } else return;
    event.preventDefault();
  }
}
