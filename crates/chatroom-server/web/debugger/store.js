// @ts-check
// What the page knows of the watched room. Every part is bounded, and counts its versions so that
// a view can tell whether it has anything to draw.

import { requestFrame } from './frame.js';

/** @typedef {import('./wire.js').Topic} Topic */
/** @typedef {import('./wire.js').Entry} Entry */
/** @typedef {import('./wire.js').Client} Client */
/** @typedef {import('./wire.js').Service} Service */
/** @typedef {import('./wire.js').Json} Json */
/** @typedef {'rooms' | 'names' | 'topics' | 'services' | 'clients' | 'entries' | 'samples' | 'inspected' | 'connection' | 'second'} Part */

/**
 * The topic in the inspector. `known` is false until the server has answered, `value` is
 * undefined when it is too big to be sent.
 * @typedef {object} Inspected
 * @property {string} name
 * @property {boolean} known
 * @property {Topic | null} topic
 * @property {Json | undefined} value
 * @property {number[]} subscribers
 * @property {number[]} authorities
 * @property {Entry[]} entries oldest first
 */

export const ENTRIES_MOST = 2000;
const SAMPLES_MOST = 600;
const INSPECTED_ENTRIES_MOST = 200;

export class Store {
  room = '';
  sequence = 0;
  started = 0;
  version = '';
  address = '';
  /** What the server's clock is ahead of this one. */
  ahead = 0;
  /** Whether the room has been received at all, ever. */
  loaded = false;
  topicsTotal = 0;
  clientsTotal = 0;
  /** Entries of this session that are not in `entries`: left out by the server, and let go here. */
  skipped = 0;
  forgotten = 0;

  /** @type {import('./wire.js').Room[]} */
  rooms = [];
  /** @type {Map<string, Topic>} */
  topics = new Map();
  /** @type {Map<string, Service>} */
  services = new Map();
  /** @type {Map<number, Client>} */
  clients = new Map();
  /** @type {Entry[]} oldest first */
  entries = [];
  /** @type {import('./wire.js').Sample[]} */
  samples = [];
  /** @type {Inspected | null} */
  inspected = null;

  /** @type {Record<Part, number>} */
  versions = { rooms: 0, names: 0, topics: 0, services: 0, clients: 0, entries: 0, samples: 0, inspected: 0, connection: 0, second: 0 };
  rates = new Rates();

  #lastKey = 0;
  #firstKey = 0;
  #lastN = 0;
  /** The life of the server that the newest entries are of. */
  #entriesOf = 0;

  /** The server's time now. */
  now() {
    return Date.now() + this.ahead;
  }

  /** @param {Part} part */
  touch(part) {
    this.versions[part] += 1;
    requestFrame();
  }

  /** @param {import('./wire.js').Message} message */
  receive(message) {
    if (message.type === 'hello') {
      this.version = message.version;
      this.address = message.address;
      this.started = message.started_ms;
      this.#setRooms(message.rooms);
    } else if (message.type === 'rooms') {
      this.ahead = message.now_ms - Date.now();
      this.rates.measure(this.topics, this.clients);
      this.#setRooms(message.rooms);
      this.touch('second');
    } else if (message.type === 'room') this.#replace(message);
    else if (message.type === 'batch' && message.room === this.room) this.#merge(message);
    else if (message.type === 'topic') this.#setInspected(message);
  }

  /** Empties what belongs to the room before. @param {string} room */
  enter(room) {
    if (room === this.room) return;
    this.room = room;
    this.loaded = false;
    this.entries = [];
    this.skipped = this.forgotten = this.sequence = this.topicsTotal = this.clientsTotal = 0;
    this.topics.clear();
    this.services.clear();
    this.clients.clear();
    this.samples = [];
    this.#lastN = this.#entriesOf = 0;
    this.inspect(null);
    for (const part of /** @type {Part[]} */ (Object.keys(this.versions))) this.touch(part);
  }

  /** @param {string | null} name */
  inspect(name) {
    this.inspected = name === null ? null : { name, known: false, topic: this.topics.get(name) ?? null, value: undefined, subscribers: [], authorities: [], entries: [] };
    this.touch('inspected');
  }

  /** Puts entries that the server had kept before those that are here. @param {Entry[]} older */
  addOlder(older) {
    const first = this.entries[0]?.n ?? Infinity;
    const fresh = older.filter(({ n }) => n < first).slice(-Math.max(0, ENTRIES_MOST - this.entries.length));
    for (const entry of fresh.toReversed()) entry.key = --this.#firstKey;
    this.entries = [...fresh, ...this.entries];
    this.touch('entries');
    return fresh.length;
  }

  clearEntries() {
    this.entries = [];
    this.skipped = this.forgotten = 0;
    this.touch('entries');
  }

  /** @param {import('./wire.js').RoomMessage} message */
  #replace(message) {
    this.ahead = message.now_ms - Date.now();
    this.sequence = message.sequence;
    this.topicsTotal = message.topics_total;
    this.clientsTotal = message.clients_total;
    this.topics = new Map(message.topics.map((topic) => [topic.name, topic]));
    this.services = new Map(message.services.map((service) => [service.name, service]));
    this.clients = new Map(message.clients.map((client) => [client.id, client]));
    this.samples = message.series.slice(-SAMPLES_MOST);
    this.rates.forget();
    this.rates.measure(this.topics, this.clients);
    if (this.#entriesOf && this.#entriesOf !== this.started) {
      this.#lastN = 0;
      this.#append([{ key: 0, n: 0, t_ms: message.now_ms, kind: 'status', text: 'the server was started again; what is above is of its life before' }]);
    }
    this.#entriesOf = this.started;
    const fresh = message.entries.filter(({ n }) => n > this.#lastN);
    if (this.#lastN && fresh.length) this.skipped += fresh[0].n - this.#lastN - 1;
    this.#append(fresh);
    this.loaded = true;
    for (const part of /** @type {Part[]} */ (['names', 'topics', 'services', 'clients', 'samples'])) this.touch(part);
  }

  /** @param {import('./wire.js').BatchMessage} batch */
  #merge(batch) {
    this.ahead = batch.now_ms - Date.now();
    this.sequence = batch.sequence;
    this.skipped += batch.skipped ?? 0;
    const before = this.topics.size;
    for (const topic of batch.topics ?? []) this.topics.set(topic.name, topic);
    let named = this.topics.size !== before;
    for (const name of batch.topics_gone ?? []) {
      named = this.topics.delete(name) || named;
      this.rates.drop(name);
    }
    if (named) this.touch('names');
    if (batch.topics?.length) this.touch('topics');

    for (const service of batch.services ?? []) this.services.set(service.name, service);
    for (const name of batch.services_gone ?? []) this.services.delete(name);
    if (batch.services?.length || batch.services_gone?.length) this.touch('services');

    for (const client of batch.clients ?? []) this.clients.set(client.id, client);
    for (const id of batch.clients_gone ?? []) this.clients.delete(id);
    if (batch.clients?.length || batch.clients_gone?.length) this.touch('clients');

    if (batch.samples?.length) {
      this.samples.push(...batch.samples);
      this.samples.splice(0, Math.max(0, this.samples.length - SAMPLES_MOST));
      this.touch('samples');
    }
    if (batch.entries?.length) this.#append(batch.entries);
  }

  /** @param {Entry[]} fresh */
  #append(fresh) {
    for (const entry of fresh) {
      entry.key = ++this.#lastKey;
      if (entry.n > this.#lastN) this.#lastN = entry.n;
      this.entries.push(entry);
      if (this.inspected?.known && concerns(entry, this.inspected.name)) this.#addInspected(entry);
    }
    const over = this.entries.length - ENTRIES_MOST;
    if (over > 0) {
      this.entries.splice(0, over);
      this.forgotten += over;
    }
    this.touch('entries');
  }

  /** @param {import('./wire.js').TopicMessage} message */
  #setInspected(message) {
    const inspected = this.inspected;
    if (!inspected || message.topic_name !== inspected.name) return;
    inspected.topic = message.topic;
    inspected.value = message.value;
    inspected.subscribers = message.subscribers ?? [];
    inspected.authorities = message.authorities ?? [];
    if (message.entries) {
      const seen = new Set(message.entries.map(({ n }) => n));
      for (const entry of message.entries) entry.key = ++this.#lastKey;
      inspected.entries = [...message.entries, ...(inspected.known ? inspected.entries.filter(({ n }) => !seen.has(n) && n > (message.entries?.at(-1)?.n ?? 0)) : [])];
    }
    inspected.known = true;
    this.touch('inspected');
  }

  /** @param {Entry} entry */
  #addInspected(entry) {
    const entries = this.inspected?.entries ?? [];
    if (entry.n <= (entries.at(-1)?.n ?? 0)) return;
    entries.push(entry);
    if (entries.length > INSPECTED_ENTRIES_MOST) entries.shift();
    this.touch('inspected');
  }

  /** @param {import('./wire.js').Room[]} rooms */
  #setRooms(rooms) {
    this.rooms = rooms;
    const own = rooms.find(({ name }) => name === this.room);
    if (own) [this.topicsTotal, this.clientsTotal] = [own.topics, own.clients];
    this.touch('rooms');
  }
}

/** Whether an entry is about a topic, of itself or as one part of an action. @param {Entry} entry @param {string} topic */
export function concerns(entry, topic) {
  return entry.topic_name === topic || (entry.changes?.some(({ topic_name }) => topic_name === topic) ?? false);
}

/** How often things happen, from counters that only grow; measured once a second. */
class Rates {
  /** @type {Map<string, { commits: number, rate: number }>} */
  #topics = new Map();
  /** @type {Map<number, { received: number, sent: number, bytes: number, receivedRate: number, sentRate: number, bytesRate: number }>} */
  #clients = new Map();
  #at = 0;

  /** Commits of a topic per second. @param {string} topic */
  topic(topic) {
    return this.#topics.get(topic)?.rate ?? 0;
  }

  /** @param {number} client */
  client(client) {
    return this.#clients.get(client) ?? { receivedRate: 0, sentRate: 0, bytesRate: 0 };
  }

  /** @param {Map<string, Topic>} topics @param {Map<number, Client>} clients */
  measure(topics, clients) {
    const now = performance.now();
    const seconds = Math.max(0.5, (now - this.#at) / 1000);
    this.#at = now;
    for (const [name, { commits }] of topics) {
      const mark = this.#topics.get(name);
      if (!mark) this.#topics.set(name, { commits, rate: 0 });
      else {
        mark.rate = smooth(mark.rate, (commits - mark.commits) / seconds);
        mark.commits = commits;
      }
    }
    for (const [id, { received, sent, sent_bytes: bytes }] of clients) {
      const mark = this.#clients.get(id);
      if (!mark) this.#clients.set(id, { received, sent, bytes, receivedRate: 0, sentRate: 0, bytesRate: 0 });
      else {
        mark.receivedRate = smooth(mark.receivedRate, (received - mark.received) / seconds);
        mark.sentRate = smooth(mark.sentRate, (sent - mark.sent) / seconds);
        mark.bytesRate = smooth(mark.bytesRate, (bytes - mark.bytes) / seconds);
        Object.assign(mark, { received, sent, bytes });
      }
    }
    for (const id of this.#clients.keys()) if (!clients.has(id)) this.#clients.delete(id);
  }

  /** @param {string} topic */
  drop(topic) {
    this.#topics.delete(topic);
  }

  forget() {
    this.#topics.clear();
    this.#clients.clear();
  }
}

/** @param {number} before @param {number} now */
function smooth(before, now) {
  const rate = before * 0.4 + now * 0.6;
  return rate < 0.03 ? 0 : rate;
}
