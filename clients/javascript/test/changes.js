// @ts-check
// Values of every type, and changes that can be made on them, from a generator that a seed repeats.

/** @typedef {import('../src/change.js').Change} Change */

export class Random {
  #state;

  /** @param {number} seed */
  constructor(seed) {
    this.#state = seed >>> 0;
  }

  /** A number below `limit`. @param {number} limit */
  below(limit) {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), this.#state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32) * limit);
  }

  /** @template T @param {readonly T[]} list @returns {T} */
  pick(list) {
    return list[this.below(list.length)];
  }

  /** @template T @param {number} most @param {() => T} make @returns {T[]} */
  many(most, make) {
    return Array.from({ length: this.below(most + 1) }, make);
  }
}

const TEXTS = ['a', 'bc', '😀', 'é', '👋🏽', '\n', 'xyz'];
const ITEMS = [null, true, 1, '1', [1, { b: 2 }], { y: 1, x: [] }];
const KEYS = ['a', 'b', '__proto__', '7'];

/** @param {Random} random */
const fields = (random) => Object.fromEntries(KEYS.filter(() => random.below(2)).map((key) => [key, random.pick(ITEMS)]));

/** @param {Random} random @param {string} text @returns {Change} */
function edit(random, text) {
  const components = [];
  for (let left = [...text].length; ; ) {
    const retain = random.below(left + 1);
    if (retain > 0) components.push({ retain });
    left -= retain;
    if (random.below(2)) components.push({ insert: random.pick(TEXTS) });
    const gone = random.below(Math.min(left, 3) + 1);
    if (gone > 0) components.push({ delete: gone });
    left -= gone;
    if (left === 0 || random.below(3) === 0) break;
  }
  return { type: 'edit', components };
}

/** @param {Random} random @param {readonly any[]} list @returns {Change} */
function listChange(random, list) {
  const position = random.below(list.length);
  const kind = list.length === 0 ? 'insert' : random.pick(['insert', 'insert', 'pop', 'set_item', 'move']);
  if (kind === 'insert') return { type: kind, position: random.below(list.length + 1), item: random.pick(ITEMS) };
  if (kind === 'pop') return { type: kind, position };
  if (kind === 'set_item') return { type: kind, position, item: random.pick(ITEMS) };
  return { type: kind, from: position, to: random.below(list.length) };
}

/** @param {Random} random @param {any} dict @returns {Change} */
function dictChange(random, dict) {
  const key = random.pick(KEYS);
  const value = random.pick(ITEMS);
  if (random.below(8) === 0) return { type: 'set', value: fields(random) };
  const kind = random.pick(Object.hasOwn(dict, key) ? ['put', 'ensure', 'change_value', 'pop'] : ['add', 'put', 'ensure']);
  return kind === 'pop' ? { type: kind, key } : { type: kind, key, value };
}

/** @type {Record<string, { state: (random: Random) => any, change: (random: Random, state: any) => Change }>} */
export const CASES = {
  generic: { state: (random) => random.pick(ITEMS), change: (random) => ({ type: 'set', value: random.pick(ITEMS) }) },
  bool: { state: (random) => random.below(2) === 0, change: (random) => ({ type: 'set', value: random.below(2) === 0 }) },
  int: { state: (random) => random.below(9), change: (random) => ({ type: random.pick(['set', 'add']), value: random.below(9) - 4 }) },
  // Eighths add up without rounding, so that both orders give the same bits.
  float: { state: (random) => random.below(9) / 8, change: (random) => ({ type: random.pick(['set', 'add']), value: random.below(9) / 8 }) },
  string: {
    state: (random) => random.many(6, () => random.pick(TEXTS)).join(''),
    change: (random, text) => (random.below(8) ? edit(random, text) : { type: 'set', value: random.pick(TEXTS) }),
  },
  list: {
    state: (random) => random.many(6, () => random.pick(ITEMS)),
    change: (random, list) => (random.below(8) ? listChange(random, list) : { type: 'set', value: random.many(4, () => random.pick(ITEMS)) }),
  },
  set: {
    // In the order of their canonical texts, as snapshots have them.
    state: (random) => ['1', 1, [1, { b: 2 }], null, true, { x: [], y: 1 }].filter(() => random.below(2)),
    change: (random) => (random.below(8) ? { type: random.pick(['append', 'remove']), item: random.pick(ITEMS) } : { type: 'set', value: random.many(3, () => random.pick(ITEMS)) }),
  },
  dict: { state: fields, change: dictChange },
};
