// @ts-check
// A form for the changes that a topic's type has. It shows the change as it goes over the wire.

import { button, h, icon, setText } from './dom.js';
import { Outcome } from './outcome.js';

/** @typedef {import('./wire.js').Json} Json */
/** @typedef {import('./wire.js').Change} Change */
/** @typedef {'json' | 'text' | 'line' | 'index' | 'number' | 'bool'} FieldKind */
/** @typedef {Record<string, FieldKind>} Fields */
/** @typedef {HTMLInputElement | HTMLTextAreaElement | HTMLSelectElement} Input */

/** The changes of each type and their fields; the first is the likeliest. @type {Record<string, Record<string, Fields>>} */
const CHANGES = {
  generic: { set: { value: 'json' } },
  string: { set: { value: 'text' }, insert: { position: 'index', insertion: 'line' }, delete: { position: 'index', deletion: 'line' } },
  int: { add: { value: 'number' }, set: { value: 'number' } },
  float: { add: { value: 'number' }, set: { value: 'number' } },
  bool: { set: { value: 'bool' } },
  list: {
    insert: { position: 'index', item: 'json' },
    set_item: { position: 'index', item: 'json' },
    pop: { position: 'index' },
    move: { from: 'index', to: 'index' },
    set: { value: 'json' },
  },
  set: { append: { item: 'json' }, remove: { item: 'json' }, set: { value: 'json' } },
  dict: {
    put: { key: 'line', value: 'json' },
    add: { key: 'line', value: 'json' },
    ensure: { key: 'line', value: 'json' },
    change_value: { key: 'line', value: 'json' },
    pop: { key: 'line' },
    set: { value: 'json' },
  },
  event: { emit: { args: 'json' } },
  presence: { put: { value: 'json' } },
};

export const TYPES = Object.keys(CHANGES);

/** The value a topic of each type begins with, as one would write it. @type {Record<string, string>} */
export const ZEROS = { generic: 'null', string: '""', int: '0', float: '0', bool: 'false', list: '[]', set: '[]', dict: '{}' };

/** What each field starts with where empty would be refused. @type {Partial<Record<FieldKind, string>>} */
const STARTS = { index: '0', number: '1', json: 'null' };

export class Editor {
  element = h('form', { class: 'editor', submit: this.#submit.bind(this), keydown: this.#press.bind(this) });

  #send;
  #outcome = new Outcome();
  #wire = h('code', { class: 'wire' });
  #problem = h('p', { class: 'problem', role: 'alert' });
  #go = h('button', { type: 'submit', class: 'primary' }, 'Send');
  #fields = h('div', { class: 'fields' });
  #tabs = h('div', { class: 'segments', role: 'radiogroup', 'aria-label': 'Change' });
  #name = '';
  #type = '';
  #op = '';
  /** @type {Map<string, { kind: FieldKind, input: Input }>} */
  #inputs = new Map();
  /** @type {Json | undefined} */
  #value;
  /** The value that the form was filled from, if it was. */
  #base = '';
  #stale = h('p', { class: 'soft tiny', hidden: true }, 'The value has changed since this was filled in; sending it undoes that. ', button('Take it as it is now', () => this.#choose(this.#op), { class: 'link' }));

  /** @param {(topic: string, change: Change) => Promise<import('./wire.js').ResultMessage>} send */
  constructor(send) {
    this.#send = send;
    this.element.append(this.#tabs, this.#fields, this.#stale, h('div', { class: 'editor-foot' }, this.#wire, this.#go), this.#problem, this.#outcome.element);
  }

  /** @param {string} name @param {string} type @param {Json | undefined} value */
  show(name, type, value) {
    this.#value = value;
    this.#stale.hidden = !this.#base || this.#base === JSON.stringify(value);
    if (name === this.#name && type === this.#type) return;
    [this.#name, this.#type] = [name, type];
    this.#outcome.clear();
    const names = Object.keys(CHANGES[type] ?? {});
    this.#tabs.replaceChildren(...names.map((op) => h('button', { type: 'button', role: 'radio', 'data-op': op, click: () => this.#choose(op) }, op)));
    this.#tabs.hidden = names.length < 2;
    this.#choose(names[0] ?? '');
  }

  /** Fills the form from a place in the value. @param {(string | number)[]} path @param {Json} value */
  use(path, value) {
    const [key] = path;
    const item = /** @type {Json} */ (this.#value !== null && typeof this.#value === 'object' && path.length ? /** @type {any} */ (this.#value)[key] : value);
    if (path.length && this.#type === 'dict') this.#choose('change_value', { key: String(key), value: JSON.stringify(item) });
    else if (path.length && this.#type === 'list') this.#choose('set_item', { position: String(key), item: JSON.stringify(item) });
    else if (path.length && this.#type === 'set') this.#choose('remove', { item: JSON.stringify(item) });
    else if ('set' in (CHANGES[this.#type] ?? {})) this.#choose('set', { value: this.#type === 'string' ? String(this.#value) : JSON.stringify(this.#value) });
    this.element.scrollIntoView({ block: 'nearest' });
    const last = [...this.#inputs.values()].at(-1)?.input;
    last?.focus();
  }

  /** @param {string} op @param {Record<string, string>} [given] */
  #choose(op, given = {}) {
    this.#op = op;
    this.#base = op === 'set' && this.#value !== undefined ? JSON.stringify(this.#value) : '';
    this.#stale.hidden = true;
    this.#inputs.clear();
    this.#outcome.clear();
    for (const tab of this.#tabs.children) tab.setAttribute('aria-checked', String(/** @type {HTMLElement} */ (tab).dataset.op === op));
    const fields = Object.entries(CHANGES[this.#type]?.[op] ?? {});
    const isStepper = op === 'add' && (this.#type === 'int' || this.#type === 'float');
    this.#fields.replaceChildren(
      ...fields.map(([name, kind]) => {
        const input = createInput(kind);
        input.value = given[name] ?? (op === 'set' ? this.#current(kind) : (STARTS[kind] ?? ''));
        input.addEventListener('input', () => this.#check());
        this.#inputs.set(name, { kind, input });
        const label = h('label', { class: `field field-${kind}` }, h('span', {}, name), input);
        if (!isStepper) return label;
        return h('div', { class: 'stepper' }, this.#step('minus', -1), label, this.#step('plus', 1));
      }),
    );
    this.#go.hidden = isStepper;
    this.#check();
  }

  /** What `set` starts with: the value as it is. @param {FieldKind} kind */
  #current(kind) {
    if (this.#value === undefined) return kind === 'text' ? '' : 'null';
    if (kind === 'text') return String(this.#value);
    return kind === 'json' ? JSON.stringify(this.#value, null, 1).slice(0, 100_000) : String(this.#value);
  }

  /** @param {'plus' | 'minus'} picture @param {1 | -1} sign */
  #step(picture, sign) {
    const act = () => {
      const { change } = this.#read();
      if (change && typeof change.value === 'number') void this.#commit({ ...change, value: sign * change.value });
    };
    return h('button', { type: 'button', class: 'step', 'aria-label': sign > 0 ? 'add' : 'subtract', click: act }, icon(picture));
  }

  /** @returns {{ change?: Change, problem?: string }} */
  #read() {
    /** @type {Change} */
    const change = { type: this.#op };
    for (const [name, { kind, input }] of this.#inputs) {
      const text = input.value;
      if (kind === 'line' || kind === 'text') change[name] = text;
      else if (kind === 'bool') change[name] = text === 'true';
      else if (kind === 'json') {
        try {
          change[name] = JSON.parse(text);
        } catch (error) {
          return { problem: `${name} is not JSON: ${error instanceof Error ? error.message : error}` };
        }
      } else {
        const number = Number(text);
        if (text.trim() === '' || !Number.isFinite(number)) return { problem: `${name} is not a number` };
        change[name] = number;
      }
    }
    return { change };
  }

  #check() {
    const { change, problem } = this.#read();
    const text = change ? JSON.stringify(change) : '';
    setText(this.#wire, text.length > 300 ? `${text.slice(0, 299)}…` : text);
    setText(this.#problem, problem ?? '');
    this.#go.disabled = !change;
  }

  /** @param {Event} event */
  #submit(event) {
    event.preventDefault();
    const { change } = this.#read();
    if (change) void this.#commit(change);
  }

  /** @param {KeyboardEvent} event */
  #press(event) {
    if (event.key === 'Enter' && (event.ctrlKey || event.metaKey)) this.element.requestSubmit();
  }

  /** @param {Change} change */
  async #commit(change) {
    this.#outcome.wait();
    const name = this.#name;
    const started = performance.now();
    const result = await this.#send(name, change);
    if (name === this.#name) this.#outcome.show({ took_ms: performance.now() - started, ...result }, 'accepted');
  }
}

/** @param {FieldKind} kind @returns {Input} */
function createInput(kind) {
  const plain = { autocomplete: 'off', spellcheck: 'false' };
  if (kind === 'json') return grow(h('textarea', { ...plain, rows: '1', class: 'mono' }));
  if (kind === 'text') return grow(h('textarea', { ...plain, rows: '3' }));
  if (kind === 'bool') return h('select', {}, h('option', {}, 'false'), h('option', {}, 'true'));
  if (kind === 'line') return h('input', { ...plain, type: 'text', class: 'mono' });
  return h('input', { ...plain, type: 'number', step: kind === 'index' ? '1' : 'any', class: 'mono' });
}

/** Lets a text area be as high as its lines. @param {HTMLTextAreaElement} area */
function grow(area) {
  const fit = () => {
    area.style.height = 'auto';
    if (area.isConnected) area.style.height = `${Math.min(area.scrollHeight + 2, 260)}px`;
  };
  area.addEventListener('input', fit);
  requestAnimationFrame(fit);
  return area;
}

/** A button that puts text where it can be pasted from. @param {() => string} text */
export function copyButton(text) {
  const copy = button('Copy', async () => {
    await navigator.clipboard.writeText(text()).catch(() => {});
    setText(/** @type {Element} */ (copy.lastElementChild), 'Copied');
    setTimeout(() => setText(/** @type {Element} */ (copy.lastElementChild), 'Copy'), 1200);
  }, { class: 'small' }, 'copy');
  return copy;
}
