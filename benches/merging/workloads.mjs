// What is done, in a form that every system reads: `splice` of a text, `list` (splice of a list) and
// `put` of a key. B1 to B3 are those of github.com/dmonad/crdt-benchmarks, made anew from their description.
import { readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';

const LETTERS = 'abcdefghijklmnopqrstuvwxyz';

/** The same numbers in every run (mulberry32). */
function random(seed) {
  let state = seed;
  const next = () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296;
  };
  const below = (n) => Math.floor(next() * n);
  const word = (least = 2, most = 10) => Array.from({ length: least + below(most - least + 1) }, () => LETTERS[below(26)]).join('');
  return { below, word, letters: (n) => Array.from({ length: n }, () => LETTERS[below(26)]).join('') };
}

function times(n, make) {
  return Array.from({ length: n }, (_, at) => make(at));
}

/** Strings at random places of a text of `length`; with `deletes`, every second one takes some away. */
function scattered(n, length, r, string, deletes = false) {
  return times(n, () => {
    if (deletes && length > 0 && r.below(2)) {
      const at = r.below(length);
      const gone = Math.min(length - at, 1 + r.below(9));
      length -= gone;
      return ['splice', at, gone, ''];
    }
    const insert = string();
    const op = ['splice', r.below(length + 1), 0, insert];
    length += insert.length;
    return op;
  });
}

/** @param {number} n @param {string} traces */
export function workloads(n, traces) {
  const START = 'a text that was there before both began. '.repeat(3).slice(0, 100);
  const clients = Math.round(20 * Math.sqrt(n));
  const live = (name, kind, make, seed) => ({ name, kind, mode: 'live', initial: '', make: () => [make(random(seed))] });
  const two = (name, kind, make, seed, initial = START) => ({ name, kind, mode: 'exchange', initial, make: () => [make(random(seed), 0), make(random(seed + 1_000), 1)] });
  const many = (name, kind, make, seed) => ({ name, kind, mode: 'many', initial: '', make: () => { const r = random(seed); return times(clients, (at) => [make(r, at)]); } });
  return [
    {
      name: 'B4 automerge-paper', kind: 'text', mode: 'live', initial: '', make: () => {
        const { txns } = JSON.parse(gunzipSync(readFileSync(`${traces}/automerge-paper.json.gz`)).toString());
        return [txns.flatMap(({ patches }) => patches.map(([at, gone, text]) => ['splice', at, gone, text]))];
      },
      end: () => JSON.parse(gunzipSync(readFileSync(`${traces}/automerge-paper.json.gz`)).toString()).endContent,
    },
    live('B1.1 append N characters', 'text', (r) => times(n, (at) => ['splice', at, 0, r.letters(1)]), 11),
    live('B1.2 insert a string of N', 'text', (r) => [['splice', 0, 0, r.letters(n)]], 12),
    live('B1.3 prepend N characters', 'text', (r) => times(n, () => ['splice', 0, 0, r.letters(1)]), 13),
    live('B1.4 N characters at random', 'text', (r) => scattered(n, 0, r, () => r.letters(1)), 14),
    live('B1.5 N words at random', 'text', (r) => scattered(n, 0, r, () => r.word()), 15),
    live('B1.6 a string of N, deleted', 'text', (r) => [['splice', 0, 0, r.letters(n)], ['splice', 0, n, '']], 16),
    live('B1.7 N inserts and deletes', 'text', (r) => scattered(n, 0, r, () => r.word(), true), 17),
    live('B1.8 append N numbers', 'list', (r) => times(n, (at) => ['list', at, 0, [r.below(1e9)]]), 18),
    live('B1.9 insert a list of N', 'list', (r) => [['list', 0, 0, times(n, () => r.below(1e9))]], 19),
    live('B1.10 prepend N numbers', 'list', (r) => times(n, () => ['list', 0, 0, [r.below(1e9)]]), 20),
    live('B1.11 N numbers at random', 'list', (r) => times(n, (at) => ['list', r.below(at + 1), 0, [r.below(1e9)]]), 21),
    two('B2.1 two strings of N at 0', 'text', (r) => [['splice', 0, 0, r.letters(n)]], 31),
    two('B2.2 two append N characters', 'text', (r) => times(n, (at) => ['splice', START.length + at, 0, r.letters(1)]), 32),
    two('B2.3 two, N characters at random', 'text', (r) => scattered(n, START.length, r, () => r.letters(1)), 33),
    two('B2.4 two, N words at random', 'text', (r) => scattered(n, START.length, r, () => r.word()), 34),
    two('B2.5 two, N inserts and deletes', 'text', (r) => scattered(n, START.length, r, () => r.word(), true), 35),
    two('B2.6 two append N numbers', 'list', (r) => times(n, (at) => ['list', at, 0, [r.below(1e9)]]), 36, ''),
    many(`B3.1 ${clients} clients set a number`, 'map', (r) => ['put', 'v', r.below(1e9)], 41),
    many(`B3.2 ${clients} clients set an object`, 'map', (r, at) => ['put', `k${at % 20}`, { name: r.word(), number: at, address: 'here' }], 42),
    many(`B3.3 ${clients} clients append text`, 'text', (r) => ['splice', 0, 0, `${r.word()} `], 43),
  ];
}
