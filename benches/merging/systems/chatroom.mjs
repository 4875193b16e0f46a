// The JavaScript replica with the room of its tests between: own action, view, push as JSON text,
// the room's order, commit as JSON text, the other replica. Undo is on, as it is for every user.
import { Replica } from '../../../clients/javascript/src/replica.js';
import { Room } from '../../../clients/javascript/test/room.js';

const TYPES = { text: 'string', list: 'list', map: 'dict' };

function changesOf([kind, at, gone, put]) {
  if (kind === 'put') return [{ type: 'put', key: at, value: gone }];
  if (kind === 'list') return [...Array.from({ length: gone }, () => ({ type: 'pop', position: at })), ...put.map((item, offset) => ({ type: 'insert', position: at + offset, item }))];
  const components = at > 0 ? [{ retain: at }] : [];
  if (put) components.push({ insert: put });
  if (gone) components.push({ delete: gone });
  return [{ type: 'edit', components }];
}

class Client {
  replica = new Replica();
  down = [];
  told = 0;
  #now = 0;
  #made = 0;

  constructor(world) {
    this.world = world;
    this.replica.open('t', world.type);
    this.replica.watch('t', true);
    this.session = world.room.hello(this.replica.hello(), (said) => this.down.push(JSON.stringify(said)));
    this.receive();
    this.flush();
    this.receive();
  }

  act(op) {
    // Somebody types, and stops for a moment after each sentence: so undo gets entries of that size.
    this.#now += ++this.#made % 40 ? 150 : 1_000;
    const changes = changesOf(op);
    const { action_changes: most } = this.replica.limits;
    for (let at = 0; at < changes.length; at += most) {
      this.replica.act(changes.slice(at, at + most).map((change) => ({ topic_name: 't', change })), {}, this.#now);
    }
    this.look();
  }

  flush() {
    for (const message of this.replica.messages()) {
      const text = JSON.stringify(message);
      this.world.bytes += text.length;
      this.world.room.receive(this.session, JSON.parse(text));
    }
  }

  receive() {
    for (let texts = this.down.splice(0); texts.length > 0; texts = this.down.splice(0)) {
      for (const text of texts) {
        this.world.bytes += text.length;
        this.replica.receive(JSON.parse(text));
        this.look();
      }
    }
  }

  look() {
    for (const told of this.replica.told()) {
      if (told.kind === 'gap') throw new Error('a gap');
      if (told.kind === 'settled' && told.outcome instanceof Error) throw told.outcome;
      if (told.kind === 'value') this.told += told.changes?.length ?? 0;
    }
  }
}

export async function open({ kind, initial, clients }) {
  const room = new Room();
  const world = { room, type: TYPES[kind], bytes: 0, clients: [] };
  room.topic('t', world.type);
  if (initial) room.commit('t', { type: 'set', value: initial });
  for (let at = 0; at < clients; at++) world.clients.push(new Client(world));
  world.bytes = 0;
  const [first, second] = world.clients;
  return {
    live(ops) {
      let since = 0;
      for (const op of ops) {
        first.act(op);
        while (first.replica.unsaved > 0) {
          first.flush();
          second.receive();
          first.receive();
        }
        // The room of the tests remembers all; a server remembers what its clients may need.
        if (++since % 64 === 0) room.trim(16);
      }
    },
    exchange(all) {
      all.forEach((ops, at) => ops.forEach((op) => world.clients[at].act(op)));
      while (world.clients.some(({ replica }) => replica.unsaved > 0)) {
        for (const client of world.clients) {
          client.flush();
          for (const other of world.clients) other.receive();
        }
        room.trim(2_048);
      }
    },
    /** All write at once; the first one follows. */
    many(all) {
      all.forEach(([op], at) => world.clients[at].act(op));
      world.clients.forEach((client, at) => {
        if (at > 0) client.session.say = undefined;
      });
      for (const client of world.clients) {
        client.flush();
        first.receive();
      }
    },
    values: (mode) => (mode === 'many' ? [first] : world.clients).map(({ replica }) => replica.value('t')).concat([room.value('t')]),
    bytes: () => world.bytes,
    told: () => world.clients.reduce((sum, { told }) => sum + told, 0),
    rest: () => JSON.stringify({ type: 'subscribed', content: { topic_name: 't', type: world.type, value: room.value('t'), sequence: room.sequence } }).length,
  };
}
