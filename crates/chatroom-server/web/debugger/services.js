// @ts-check
// The view of the services: who provides them, how they do, what is in flight, and a form to call one.

import { button, empty, h, icon, keyed, setText } from './dom.js';
import { copyButton } from './editor.js';
import { section, tree } from './entry.js';
import { clock, count, ms, of, span } from './format.js';
import { requestFrame } from './frame.js';
import { quoted } from './inspector.js';
import { clientLink, go, setClient } from './links.js';
import { Outcome } from './outcome.js';
import { panes } from './panes.js';
import { Table } from './table.js';

/** @typedef {import('./wire.js').Service} Service */
/** @typedef {import('./wire.js').Provider} Provider */
/** @typedef {import('./wire.js').Call} Call */

const ANSWERS_KEPT = 10;

export class ServicesView {
  #store;
  #socket;
  #panes;
  #table;
  #search = h('input', { type: 'search', placeholder: 'Find services', 'aria-label': 'Find services', autocomplete: 'off', spellcheck: 'false', input: () => this.#redraw() });
  #tally = h('span', { class: 'soft tally', role: 'status' });
  #none = h('div', { class: 'none', hidden: true });
  #name = '';
  /** What was last typed as the arguments of each service. @type {Map<string, string>} */
  #typed = new Map();
  #seen = -1;
  #second = -1;

  #gone = h('p', { class: 'note' }, 'Nobody provides this service now.');
  #providers = h('div', { class: 'rows' });
  #calls = h('div', { class: 'rows' });
  #args = h('textarea', { rows: '3', class: 'mono', spellcheck: 'false', 'aria-label': 'Arguments, as JSON', input: () => this.#check() });
  #timeout = h('input', { type: 'number', min: '1', max: '600000', step: '1', placeholder: '30000', class: 'mono', 'aria-label': 'Timeout in milliseconds' });
  #go = h('button', { type: 'submit', class: 'primary' }, 'Call');
  #problem = h('p', { class: 'problem', role: 'alert' });
  #outcome = new Outcome();
  #answers = h('ol', { class: 'answers' });

  /** @param {import('./store.js').Store} store @param {import('./socket.js').Socket} socket */
  constructor(store, socket) {
    this.#store = store;
    this.#socket = socket;
    this.#table = new Table({
      label: 'Services',
      key: (/** @type {Service} */ { name }) => name,
      columns: [
        { title: 'Name', kind: 'mono', text: ({ name }) => name, by: ({ name }) => name },
        { title: 'Providers', kind: 'number', text: ({ providers }) => count(providers.length), by: ({ providers }) => providers.length },
        { title: 'Pick', kind: 'soft', text: ({ pick }) => pick.replaceAll('_', ' '), by: ({ pick }) => pick },
        { title: 'In flight', kind: 'number', text: (service) => zero(inFlight(service)), by: inFlight },
        { title: 'Waiting', kind: 'number warn', text: ({ waiting }) => zero(waiting), by: ({ waiting }) => waiting },
        { title: 'Calls', kind: 'number', text: ({ calls }) => count(calls), by: ({ calls }) => calls },
        { title: 'Errors', kind: 'number bad', text: errorsOf, by: ({ errors }) => errors },
        { title: 'p50', kind: 'number', text: ({ p50_ms }) => ms(p50_ms), by: ({ p50_ms }) => p50_ms ?? -1 },
        { title: 'p99', kind: 'number', text: ({ p99_ms }) => ms(p99_ms), by: ({ p99_ms }) => p99_ms ?? -1 },
      ],
      onOpen: ({ name }) => this.open(name),
      onMove: ({ name }) => this.#panes.isOpen && this.open(name),
    });
    this.#table.onSort = () => this.#redraw();
    this.#panes = panes({ name: 'services', label: 'Service', list: [this.#table.heads, this.#table.list.element, this.#none], onClose: () => this.close() });
    const form = h(
      'form',
      {
        class: 'editor',
        submit: (/** @type {Event} */ event) => {
          event.preventDefault();
          void this.#call();
        },
        keydown: (/** @type {KeyboardEvent} */ { key, ctrlKey, metaKey }) => {
          if (key === 'Enter' && (ctrlKey || metaKey)) form.requestSubmit();
        },
      },
      h('label', { class: 'field' }, h('span', {}, 'args, as JSON'), this.#args),
      this.#problem,
      h('div', { class: 'editor-foot' }, h('label', { class: 'field inline' }, h('span', {}, 'timeout_ms'), this.#timeout), h('span', { class: 'gap' }), this.#go),
      this.#outcome.element,
    );
    this.#panes.body.append(
      h('div', { class: 'inspector' }, this.#gone, section('Call it', form, this.#answers), section('Providers', this.#providers), section('Calls in flight', this.#calls)),
    );
    this.element = h('div', { class: 'view services' }, h('div', { class: 'bar' }, h('label', { class: 'find' }, icon('search'), this.#search), this.#tally), this.#panes.element);
  }

  search() {
    this.#search.focus();
    this.#search.select();
  }

  focus() {
    this.#table.list.element.focus();
  }

  /** @param {string} name */
  open(name) {
    if (name !== this.#name) {
      if (this.#name) this.#typed.set(this.#name, this.#args.value);
      this.#args.value = this.#typed.get(name) ?? '{}';
      this.#check();
      this.#name = name;
      this.#outcome.clear();
      this.#answers.replaceChildren();
      this.#panes.title.replaceChildren(
        h('span', { class: 'mono name', title: name }, name),
        button('', () => go().log(`service:${quoted(name)}`), { class: 'bare', title: 'Show in the log', 'aria-label': 'Show in the log' }, 'list'),
      );
    }
    this.#panes.setOpen(true);
    this.#table.list.reveal(name);
    this.#redraw();
  }

  close() {
    if (!this.#panes.isOpen) return false;
    this.#panes.setOpen(false);
    this.focus();
    return true;
  }

  draw() {
    const { versions, services } = this.#store;
    if (versions.services !== this.#seen || (versions.second !== this.#second && this.#panes.isOpen)) {
      [this.#seen, this.#second] = [versions.services, versions.second];
      const word = this.#search.value.toLowerCase();
      const found = [...services.values()].filter(({ name }) => name.toLowerCase().includes(word));
      this.#table.show(found);
      setText(this.#tally, word ? `${count(found.length)} of ${of(services.size, 'service')}` : of(services.size, 'service'));
      this.#none.hidden = found.length > 0 || !this.#store.loaded;
      this.#table.list.element.hidden = !this.#none.hidden;
      if (!this.#none.hidden && this.#none.dataset.word !== word) this.#drawNone(word);
      if (this.#panes.isOpen) this.#drawOne(services.get(this.#name));
    }
    this.#table.list.draw();
  }

  #redraw() {
    this.#seen = -1;
    requestFrame();
  }

  /** @param {string} word */
  #drawNone(word) {
    this.#none.dataset.word = word;
    this.#none.replaceChildren(
      word
        ? empty('No service matches.')
        : empty('Nobody provides a service in this room.', h('p', {}, 'A client provides one with'), h('pre', {}, "room.provide('sum', (numbers) => numbers.reduce((a, b) => a + b, 0));"), h('p', {}, 'and it can be called from here.')),
    );
  }

  /** @param {Service | undefined} service */
  #drawOne(service) {
    this.#gone.hidden = Boolean(service);
    keyed(this.#providers, service?.providers ?? [], {
      key: ({ client }) => client,
      create: ({ client }) => h('div', { class: 'provider' }, clientLink(client), h('span', { class: 'meter' }, h('span')), h('span', { class: 'mono soft' }), h('span', { class: 'mono soft' })),
      update: (row, provider) => {
        const [chip, meter, load, calls] = /** @type {HTMLElement[]} */ ([...row.children]);
        setClient(chip, provider.client);
        meter.style.setProperty('--part', String(Math.min(1, provider.in_flight / Math.max(1, provider.concurrency))));
        setText(load, `${provider.in_flight} of ${provider.concurrency}`);
        setText(calls, `${of(provider.calls, 'call')}${provider.errors ? `, ${of(provider.errors, 'error')}` : ''}`);
      },
    });
    if (!service?.providers.length) setText(this.#providers, 'none');
    const calls = service?.in_flight ?? [];
    keyed(this.#calls, calls, {
      key: ({ call }) => call,
      create: ({ call, caller }) => h('div', { class: 'flight' }, h('span', { class: 'mono soft' }, `#${call}`), clientLink(caller), h('span', { class: 'soft' }, '→'), h('span'), h('span', { class: 'mono number' })),
      update: (row, { provider, since_ms }) => {
        const [, , , to, age] = /** @type {HTMLElement[]} */ ([...row.children]);
        if (provider === null) setText(to, 'waiting for a provider');
        else if (to.dataset.client !== String(provider)) {
          to.dataset.client = String(provider);
          to.replaceChildren(clientLink(provider));
        }
        setText(age, span(this.#store.now() - since_ms));
      },
    });
    if (!calls.length) this.#calls.replaceChildren(h('span', { class: 'soft' }, 'none'));
  }

  #check() {
    try {
      JSON.parse(this.#args.value);
      setText(this.#problem, '');
      this.#go.disabled = false;
    } catch (error) {
      setText(this.#problem, `args is not JSON: ${error instanceof Error ? error.message : error}`);
      this.#go.disabled = true;
    }
  }

  async #call() {
    this.#check();
    if (this.#go.disabled) return;
    const service_name = this.#name;
    const args = JSON.parse(this.#args.value);
    const timeout_ms = Number(this.#timeout.value) || undefined;
    const started = performance.now();
    this.#outcome.wait();
    const result = await this.#socket.command('call', { service_name, args, timeout_ms }, (timeout_ms ?? 30_000) + 5000);
    if (service_name !== this.#name) return;
    const took = result.took_ms ?? performance.now() - started;
    this.#outcome.show({ ...result, took_ms: took }, 'answered');
    if (!result.ok) return;
    this.#answers.prepend(
      h('li', {}, h('p', { class: 'answer-head soft' }, h('span', { class: 'mono' }, clock(this.#store.now())), h('span', { class: 'mono' }, ms(took)), copyButton(() => JSON.stringify(result.value) ?? '')), tree('Answer', result.value)),
    );
    while (this.#answers.childElementCount > ANSWERS_KEPT) this.#answers.lastElementChild?.remove();
  }
}

/** @param {Service} service */
function inFlight({ providers }) {
  return providers.reduce((sum, { in_flight }) => sum + in_flight, 0);
}

/** @param {number} value */
function zero(value) {
  return value ? count(value) : '';
}

/** @param {Service} service */
function errorsOf({ errors, calls }) {
  if (!errors) return '';
  const part = (errors / Math.max(1, calls)) * 100;
  return `${count(errors)} (${part < 1 ? '<1' : Math.round(part)} %)`;
}
