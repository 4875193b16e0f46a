// @ts-check
/** The table of docs/merging.md M4: changes of positions in a list, each after another one. */

/** @typedef {import('./change.js').Change} Change */
/** @typedef {import('./transform.js').Side} Side */

/**
 * @param {Change} a an insert, pop, set_item or move
 * @param {Change} b likewise
 * @param {Side} side where `a` stands
 * @returns {Change | null}
 */
export function transformPositions(a, b, side) {
  const first = side === 'first';
  switch (a.type) {
    case 'insert':
      return { ...a, position: gapOver(a.position, b, first) };
    case 'move':
      return moveOver(a, b, first);
    default: {
      if (b.type === 'set_item') return a.type === 'pop' || a.position !== b.position || !first ? a : null;
      const position = itemOver(a.position, b);
      return position === undefined ? null : { ...a, position };
    }
  }
}

/** Where a gap between items is after `b`. @param {number} gap @param {Change} b @param {boolean} first */
function gapOver(gap, b, first) {
  if (b.type === 'insert') return pushed(gap, b.position, first);
  if (b.type === 'pop') return gap - lower(b.position, gap);
  if (b.type === 'set_item') return gap;
  return pushed(gap - lower(b.from, gap), b.to, first);
}

/** Where an item is after `b`; undefined if it is gone. @param {number} item @param {Change} b */
function itemOver(item, b) {
  if (b.type === 'insert') return item + (b.position <= item ? 1 : 0);
  if (b.type === 'pop') return b.position === item ? undefined : item - lower(b.position, item);
  if (b.type === 'set_item') return item;
  return followed(item, b);
}

/** Where an item is after a move. @param {number} item @param {Change} move */
function followed(item, { from, to }) {
  if (item === from) return to;
  const rest = item - lower(from, item);
  return rest + (to <= rest ? 1 : 0);
}

/** @param {Change} a @param {Change} b @param {boolean} first @returns {Change | null} */
function moveOver(a, b, first) {
  const { from, to } = a;
  if (b.type === 'set_item') return a;
  if (b.type === 'insert') {
    // Targets are gaps of the list without the moved item.
    const gap = b.position - lower(from, b.position);
    return { ...a, from: from + (b.position <= from ? 1 : 0), to: pushed(to, gap, first) };
  }
  if (b.type === 'pop') {
    if (b.position === from) return null;
    const popped = b.position - lower(from, b.position);
    return { ...a, from: from - lower(b.position, from), to: to - lower(popped, to) };
  }
  if (b.from === from) return first ? null : { ...a, from: b.to };
  const other = b.from - lower(from, b.from);
  const own = from - lower(b.from, from);
  const gap = to - lower(other, to);
  return { ...a, from: followed(from, b), to: pushed(gap, b.to - lower(own, b.to), first) };
}

/** A gap after something was put into another one; at one place the later ends left. @param {number} gap @param {number} other @param {boolean} first */
function pushed(gap, other, first) {
  return gap + (other < gap || (other === gap && first) ? 1 : 0);
}

/** @param {number} a @param {number} b @returns {0 | 1} whether a < b */
function lower(a, b) {
  return a < b ? 1 : 0;
}
