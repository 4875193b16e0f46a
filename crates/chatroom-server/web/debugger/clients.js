// @ts-check
// The view of the clients: who is connected, how they keep up, and faults to try them with.

import { button, empty, h, icon, keyed, setText } from './dom.js';
import { ask } from './dialogs.js';
import { section } from './entry.js';
import { bytes, clock, count, ms, of, rate, span } from './format.js';
import { requestFrame } from './frame.js';
import { go, serviceLink, setClient, topicLink } from './links.js';
import { Outcome } from './outcome.js';
import { panes } from './panes.js';
import { Table } from './table.js';

/** @typedef {import('./wire.js').Client} Client */
/** @typedef {import('./wire.js').FaultKind} FaultKind */

export class ClientsView {
  #store;
  #socket;
  #panes;
  #table;
  #search = h('input', { type: 'search', placeholder: 'Find clients by number, name or address', 'aria-label': 'Find clients', autocomplete: 'off', spellcheck: 'false', input: () => this.#redraw() });
  #tally = h('span', { class: 'soft tally', role: 'status' });
  #none = h('div', { class: 'none', hidden: true });
  #id = 0;
  #seen = -1;
  #second = -1;

  #facts = h('dl', { class: 'facts' });
  #gone = h('p', { class: 'note' }, 'This client has left.');
  #fault = h('p', { class: 'note warn', hidden: true });
  #topicsTitle = h('h3', {});
  #topics = h('div', { class: 'rows names' });
  #services = h('div', { class: 'rows names' });
  #freeze = spanInput('10000', 'Freeze for, in milliseconds');
  #delay = spanInput('500', 'Delay by, in milliseconds');
  #outcome = new Outcome();

  /** @param {import('./store.js').Store} store @param {import('./socket.js').Socket} socket */
  constructor(store, socket) {
    this.#store = store;
    this.#socket = socket;
    const { rates } = store;
    this.#table = new Table({
      label: 'Clients',
      key: (/** @type {Client} */ { id }) => id,
      columns: [
        {
          title: 'Client',
          fill: (cell, { id }) => {
            if (!cell.firstElementChild) cell.append(h('span', { class: 'chip still' }));
            setClient(/** @type {HTMLElement} */ (cell.firstElementChild), id);
          },
          by: ({ id }) => id,
        },
        { title: 'Version', kind: 'soft', text: ({ version }) => version ?? '', by: ({ version }) => version ?? '' },
        { title: 'Address', kind: 'mono soft', text: ({ address }) => address, by: ({ address }) => address },
        { title: 'Dialect', kind: 'dialect', text: ({ dialect }) => dialect, by: ({ dialect }) => dialect },
        { title: 'Here for', kind: 'number', text: ({ since_ms }) => span(store.now() - since_ms), by: ({ since_ms }) => -since_ms },
        { title: 'Topics', kind: 'number', text: ({ subscriptions }) => zero(subscriptions), by: ({ subscriptions }) => subscriptions },
        { title: 'Sends /s', kind: 'number', text: ({ id }) => zero(rates.client(id).receivedRate, rate), by: ({ id }) => rates.client(id).receivedRate },
        { title: 'Receives /s', kind: 'number', text: ({ id }) => zero(rates.client(id).sentRate, rate), by: ({ id }) => rates.client(id).sentRate },
        { title: 'Queue', kind: 'number warn', text: ({ queue_bytes }) => zero(queue_bytes, bytes), by: ({ queue_bytes }) => queue_bytes },
        { title: 'Stale', kind: 'number warn', text: ({ stale_topics }) => zero(stale_topics), by: ({ stale_topics }) => stale_topics },
        {
          title: 'Fault',
          fill: (cell, { fault }) => {
            setText(cell, fault?.kind ?? '');
            cell.className = fault ? 'fault' : '';
          },
          by: ({ fault }) => (fault ? 0 : 1),
        },
      ],
      onOpen: ({ id }) => this.open(id),
      onMove: ({ id }) => this.#panes.isOpen && this.open(id),
    });
    this.#table.onSort = () => this.#redraw();
    this.#panes = panes({ name: 'clients', label: 'Client', list: [this.#table.heads, this.#table.list.element, this.#none], onClose: () => this.close() });
    this.#panes.body.append(
      h(
        'div',
        { class: 'inspector' },
        this.#gone,
        this.#fault,
        this.#facts,
        section(
          'Try it',
          h(
            'div',
            { class: 'faults' },
            fault(button('Disconnect', () => this.#askCut('disconnect')), 'Goodbye, and the socket is closed. A good client comes back.'),
            fault(button('Drop', () => this.#askCut('drop')), 'The socket is cut without a word, as a lost network does.'),
            fault(h('span', { class: 'with' }, button('Freeze', () => this.#inflict('freeze', Number(this.#freeze.value))), this.#freeze, 'ms'), 'The server neither reads nor writes; the queue fills up.'),
            fault(h('span', { class: 'with' }, button('Delay', () => this.#inflict('delay', Number(this.#delay.value))), this.#delay, 'ms'), 'Each message waits, both ways. 0 ends it.'),
          ),
          this.#outcome.element,
        ),
        h('section', { class: 'section' }, this.#topicsTitle, this.#topics),
        section('Provides', this.#services),
      ),
    );
    this.element = h('div', { class: 'view clients' }, h('div', { class: 'bar' }, h('label', { class: 'find wide' }, icon('search'), this.#search), this.#tally), this.#panes.element);
  }

  search() {
    this.#search.focus();
    this.#search.select();
  }

  focus() {
    this.#table.list.element.focus();
  }

  /** @param {number} id */
  open(id) {
    if (id !== this.#id) {
      this.#id = id;
      this.#outcome.clear();
      const chip = h('span', { class: 'chip still' });
      setClient(chip, id);
      this.#panes.title.replaceChildren(chip, button('', () => go().log(`client:${id}`), { class: 'bare', title: 'Show in the log', 'aria-label': 'Show in the log' }, 'list'));
    }
    this.#panes.setOpen(true);
    this.#table.list.reveal(id);
    this.#redraw();
  }

  close() {
    if (!this.#panes.isOpen) return false;
    this.#panes.setOpen(false);
    this.focus();
    return true;
  }

  draw() {
    const { versions, clients, clientsTotal } = this.#store;
    if (versions.clients !== this.#seen || versions.second !== this.#second) {
      [this.#seen, this.#second] = [versions.clients, versions.second];
      const word = this.#search.value.toLowerCase();
      const found = [...clients.values()].filter(({ id, name, address }) => `${id} ${name ?? ''} ${address}`.toLowerCase().includes(word));
      this.#table.show(found);
      const total = Math.max(clientsTotal, clients.size);
      setText(this.#tally, word ? `${count(found.length)} of ${of(total, 'client')}` : of(total, 'client'));
      this.#none.hidden = found.length > 0 || !this.#store.loaded;
      this.#table.list.element.hidden = !this.#none.hidden;
      if (!this.#none.hidden && this.#none.dataset.word !== word) this.#drawNone(word);
      if (this.#panes.isOpen) this.#drawOne(clients.get(this.#id));
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
    const { room, address } = this.#store;
    this.#none.replaceChildren(
      word ? empty('No client matches.') : empty('Nobody is connected to this room.', h('p', {}, 'Clients connect to'), h('pre', {}, `ws://${address || 'HOST:PORT'}${room === 'main' ? '/' : `/rooms/${room}`}`)),
    );
  }

  /** @param {Client | undefined} client */
  #drawOne(client) {
    this.#gone.hidden = Boolean(client);
    this.#fault.hidden = !client?.fault;
    for (const control of this.#panes.body.querySelectorAll('.faults button')) /** @type {HTMLButtonElement} */ (control).disabled = !client;
    if (!client) return;
    const { rates } = this.#store;
    const { receivedRate, sentRate, bytesRate } = rates.client(client.id);
    if (client.fault) setText(this.#fault, faultInWords(client.fault, this.#store.now()));
    /** @type {[string, string][]} */
    const facts = [
      ['client', [client.name, client.version].filter(Boolean).join(' ') || 'unnamed'],
      ['address', client.address],
      ['dialect', client.dialect],
      ['since', `${clock(client.since_ms)}, ${span(this.#store.now() - client.since_ms)}`],
      ['sends', `${count(client.received)} messages, ${rate(receivedRate)}/s`],
      ['receives', `${count(client.sent)} messages, ${rate(sentRate)}/s, ${bytes(bytesRate)}/s`],
      ['queue', `${bytes(client.queue_bytes)}${client.stale_topics ? `, ${of(client.stale_topics, 'stale topic')}` : ''}`],
      ['calls in flight', count(client.calls)],
    ];
    keyed(this.#facts, facts, {
      key: ([name]) => name,
      create: ([name]) => h('div', {}, h('dt', {}, name), h('dd', {})),
      update: (row, [, value]) => setText(/** @type {Element} */ (row.lastElementChild), value),
    });
    setText(this.#topicsTitle, `Subscribed to ${count(client.subscriptions)}`);
    keyed(this.#topics, client.topics, { key: (name) => name, create: topicLink });
    if (client.subscriptions > client.topics.length) this.#topics.append(h('span', { class: 'soft', 'data-key': '\0' }, `and ${client.subscriptions - client.topics.length} more`));
    keyed(this.#services, client.services, { key: (name) => name, create: serviceLink });
    if (!client.services.length) this.#services.replaceChildren(h('span', { class: 'soft' }, 'no service'));
    if (!client.subscriptions) this.#topics.replaceChildren(h('span', { class: 'soft' }, 'no topic'));
  }

  /** @param {'disconnect' | 'drop'} kind */
  #askCut(kind) {
    const id = this.#id;
    const client = this.#store.clients.get(id);
    const services = client?.services.length ?? 0;
    ask(
      kind === 'disconnect' ? `Disconnect client ${id}?` : `Cut the socket of client ${id}?`,
      [
        h('p', {}, kind === 'disconnect' ? 'It is told goodbye and may connect again under another number.' : 'It is not told; it finds out as it would when a network is lost.'),
        services > 0 && h('p', {}, `It provides ${of(services, 'service')}: their calls in flight end with provider_lost.`),
      ],
      {
        action: kind === 'disconnect' ? 'Disconnect' : 'Drop',
        isGrave: true,
        act: async () => {
          await this.#inflict(kind);
          return true;
        },
      },
    );
  }

  /** @param {FaultKind} kind @param {number} [length] */
  async #inflict(kind, length) {
    const client = this.#id;
    this.#outcome.wait();
    const result = await this.#socket.command('fault', { client, kind, room: this.#store.room, ...(length === undefined ? {} : { ms: length }) });
    if (client !== this.#id) return;
    if (!result.ok) this.#outcome.show(result);
    else this.#outcome.succeed({ disconnect: 'disconnected', drop: 'cut', freeze: `frozen for ${ms(length)}`, delay: length ? `each message waits ${ms(length)}` : 'no delay any more' }[kind]);
  }
}

/** @param {NonNullable<Client['fault']>} fault @param {number} now */
function faultInWords({ kind, ms: length, until_ms }, now) {
  if (kind === 'delay') return `Under a fault: each message waits${length === undefined ? '' : ` ${ms(length)}`}.`;
  const left = until_ms === undefined ? length : until_ms - now;
  return `Under a fault: ${kind}${left === undefined ? '' : `, for another ${ms(Math.max(0, left))}`}.`;
}

/** @param {string} value @param {string} label */
function spanInput(value, label) {
  const input = h('input', { type: 'number', min: '0', step: '100', class: 'mono', 'aria-label': label });
  input.value = value;
  return input;
}

/** @param {HTMLElement} control @param {string} words */
function fault(control, words) {
  return h('div', { class: 'fault-line' }, control, h('span', { class: 'soft' }, words));
}

/** Nothing for nothing: a table of zeros hides what is not zero. @param {number} value @param {(value: number) => string} [format] */
function zero(value, format = count) {
  return value ? format(value) : '';
}
