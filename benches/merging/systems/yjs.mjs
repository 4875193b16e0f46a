// A Y.Doc for each client, an observer on each that hears of changes without asking for their delta,
// which walks the whole text or list (editors do ask); each edit is a transaction, and its update goes to the
// other through a relay that keeps nothing. Two that were apart meet as their providers let them: state
// vectors, and then the difference.
import * as Y from 'yjs';

export async function open({ kind, initial, clients }) {
  let [bytes, told] = [0, 0];
  let sent = [];
  const shared = (doc) => (kind === 'text' ? doc.getText('t') : kind === 'list' ? doc.getArray('t') : doc.getMap('t'));
  const start = new Y.Doc();
  if (initial) start.getText('t').insert(0, initial);
  const beginning = Y.encodeStateAsUpdate(start);
  const docs = Array.from({ length: clients }, (_, at) => {
    const doc = new Y.Doc();
    doc.clientID = at + 1;
    if (initial) Y.applyUpdate(doc, beginning);
    doc.on('update', (update, origin) => origin !== 'remote' && sent.push(update));
    shared(doc).observe(() => void told++);
    return doc;
  });
  const act = (doc, [what, at, gone, put]) => {
    const value = shared(doc);
    if (what === 'put') value.set(at, gone);
    else if (gone && put.length > 0) doc.transact(() => { value.delete(at, gone); value.insert(at, put); });
    else if (gone) value.delete(at, gone);
    else value.insert(at, put);
  };
  return {
    live(ops) {
      for (const op of ops) {
        act(docs[0], op);
        for (const update of sent.splice(0)) {
          bytes += 2 * update.length;
          Y.applyUpdate(docs[1], update, 'remote');
        }
      }
    },
    exchange(all) {
      all.forEach((ops, at) => ops.forEach((op) => act(docs[at], op)));
      sent = [];
      const vectors = docs.map((doc) => Y.encodeStateVector(doc));
      const missing = docs.map((doc, at) => Y.encodeStateAsUpdate(doc, vectors[1 - at]));
      missing.forEach((update, at) => {
        bytes += 2 * (update.length + vectors[at].length);
        Y.applyUpdate(docs[1 - at], update, 'remote');
      });
    },
    many(all) {
      all.forEach(([op], at) => {
        act(docs[at], op);
        bytes += sent[sent.length - 1].length;
      });
      const updates = sent.slice(1);
      for (const update of updates) {
        bytes += update.length;
        Y.applyUpdate(docs[0], update, 'remote');
      }
    },
    values: (mode) => (mode === 'many' ? docs.slice(0, 1) : docs).map((doc) => (kind === 'text' ? shared(doc).toString() : shared(doc).toJSON())),
    bytes: () => bytes,
    told: () => told,
    rest: () => Y.encodeStateAsUpdate(docs[0]).length,
  };
}
