// A document for each client, without a patch callback, which would double the time of a change; each edit is a change of its own
// and goes to the other through a relay that keeps nothing. Two that were apart exchange what the
// other has not, as one compressed chunk each.
import * as A from '@automerge/automerge';

export async function open({ kind, initial, clients }) {
  let bytes = 0;
  const start = A.save(A.from({ t: kind === 'text' ? (initial ?? '') : kind === 'list' ? [] : {} }, { actor: '00' }));
  const docs = Array.from({ length: clients }, (_, at) => A.load(start, { actor: (at + 1).toString(16).padStart(8, '0') }));
  const act = (at, [what, place, gone, put]) => {
    docs[at] = A.change(docs[at], (doc) => {
      if (what === 'put') doc.t[place] = gone;
      else if (what === 'list') doc.t.splice(place, gone, ...put);
      else A.splice(doc, ['t'], place, gone, put);
    });
  };
  return {
    live(ops) {
      // Taking changes in one by one is hopeless for a quarter of a million of them.
      const batch = ops.length > 20_000 ? 100 : 1;
      let changes = [];
      ops.forEach((op, at) => {
        act(0, op);
        const change = A.getLastLocalChange(docs[0]);
        bytes += 2 * change.length;
        changes.push(change);
        if (changes.length < batch && at + 1 < ops.length) return;
        [docs[1]] = A.applyChanges(docs[1], changes);
        changes = [];
      });
    },
    exchange(all) {
      const heads = A.getHeads(docs[0]);
      all.forEach((ops, at) => ops.forEach((op) => act(at, op)));
      const missing = docs.map((doc) => A.saveSince(doc, heads));
      missing.forEach((chunk, at) => {
        bytes += 2 * chunk.length;
        docs[1 - at] = A.loadIncremental(docs[1 - at], chunk);
      });
    },
    many(all) {
      const changes = all.map(([op], at) => {
        act(at, op);
        const change = A.getLastLocalChange(docs[at]);
        bytes += change.length;
        return change;
      });
      for (const change of changes.slice(1)) {
        bytes += change.length;
        [docs[0]] = A.applyChanges(docs[0], [change]);
      }
    },
    values: (mode) => (mode === 'many' ? docs.slice(0, 1) : docs).map((doc) => A.toJS(doc).t),
    bytes: () => bytes,
    // Whoever reads the document is told.
    told: () => 1,
    rest: () => A.save(docs[0]).length,
  };
}
