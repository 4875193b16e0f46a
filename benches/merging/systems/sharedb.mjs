// A backend with its database in memory, and a connection for each client through its own streams;
// texts are of type text-unicode, lists and maps json0. Live edits wait until the other has the
// edit, so that each is an operation of its own; edits made apart are composed, as ShareDB does.
import ShareDB from 'sharedb';
import { type as text } from 'ot-text-unicode';

ShareDB.types.register(text);

function opOf([what, at, gone, put], doc) {
  if (what === 'splice') return [...(at > 0 ? [at] : []), ...(put ? [put] : []), ...(gone ? [{ d: gone }] : [])];
  if (what === 'list') return put.map((li, offset) => ({ p: [at + offset], li }));
  return [{ p: [at], ...(doc.data[at] === undefined ? {} : { od: doc.data[at] }), oi: gone }];
}

const call = (f) => new Promise((done, fail) => f((error) => (error ? fail(error) : done())));

export async function open({ kind, initial, clients, mode }) {
  const backend = new ShareDB();
  let [bytes, told] = [0, 0];
  const docs = [];
  for (let at = 0; at < clients; at++) {
    const connection = backend.connect();
    const { socket } = connection;
    const send = socket.send.bind(socket);
    socket.send = (data) => {
      bytes += data.length;
      send(data);
    };
    // Its streams pass objects; on a socket each is a text.
    connection.on('receive', (request) => {
      const said = JSON.stringify(request.data);
      // Of those who write at once, only what the first one hears counts.
      if (mode !== 'many' || at === 0) bytes += said.length;
      request.data = JSON.parse(said);
    });
    const doc = connection.get('bench', 't');
    if (at === 0) await call((done) => doc.create(kind === 'text' ? initial : kind === 'list' ? [] : {}, kind === 'text' ? text.uri : 'json0', done));
    await call((done) => (mode === 'many' && at > 0 ? doc.fetch(done) : doc.subscribe(done)));
    doc.on('op', (op) => void (told += op.length));
    doc.on('error', (error) => { throw error; });
    docs.push(doc);
  }
  bytes = 0;
  const [first, second] = docs;
  return {
    async live(ops) {
      for (const op of ops) {
        const version = first.version + 1;
        const there = new Promise((done) => {
          const look = () => second.version >= version ? done() : second.once('op', () => queueMicrotask(look));
          second.once('op', () => queueMicrotask(look));
        });
        await call((done) => first.submitOp(opOf(op, first), done));
        if (second.version < version) await there;
      }
    },
    async exchange(all) {
      for (const doc of docs) doc.pause();
      all.forEach((ops, at) => ops.forEach((op) => docs[at].submitOp(opOf(op, docs[at]))));
      for (const doc of docs) doc.resume();
      await Promise.all(docs.map((doc) => call((done) => doc.whenNothingPending(done))));
      while (first.version !== second.version) await new Promise((done) => setTimeout(done, 1));
    },
    async many(all) {
      for (const doc of docs) doc.pause();
      all.forEach(([op], at) => docs[at].submitOp(opOf(op, docs[at])));
      for (const doc of docs) {
        doc.resume();
        await call((done) => doc.whenNothingPending(done));
      }
      while (first.version !== docs[docs.length - 1].version) await new Promise((done) => setTimeout(done, 1));
    },
    values: (mode) => (mode === 'many' ? [first] : docs).map((doc) => doc.data),
    bytes: () => bytes,
    told: () => told,
    rest: () => JSON.stringify({ v: first.version, type: first.type.uri, data: first.data }).length,
  };
}
