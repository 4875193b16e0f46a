// @ts-check
// A rewritten text as an edit of what changed in it, so that who writes elsewhere in the text at
// the same time is not overwritten.

/** @typedef {{ at: number, gone: number, text: string[] }} Span positions count Unicode scalar values */

/**
 * The components that bring what was made of `base`, `wanted`, into `current`, what others made of
 * it meanwhile. Empty if nothing changed, null if both changed the same place.
 * @param {string} base
 * @param {string} wanted
 * @param {string} current
 */
export function editOf(base, wanted, current) {
  const own = difference([...base], [...wanted]);
  const other = difference([...base], [...current]);
  if (!own.gone && !own.text.length) return [];
  let { at } = own;
  if (other.at + other.gone <= own.at) at += other.text.length - other.gone;
  else if (own.at + own.gone > other.at) return null;
  /** @type {import('./wire.js').JsonObject[]} */
  const components = [];
  if (at) components.push({ retain: at });
  if (own.text.length) components.push({ insert: own.text.join('') });
  if (own.gone) components.push({ delete: own.gone });
  return components;
}

/** The one stretch in which two texts differ. @param {string[]} before @param {string[]} after @returns {Span} */
function difference(before, after) {
  const least = Math.min(before.length, after.length);
  let at = 0;
  while (at < least && before[at] === after[at]) at += 1;
  let same = 0;
  while (same < least - at && before[before.length - 1 - same] === after[after.length - 1 - same]) same += 1;
  return { at, gone: before.length - at - same, text: after.slice(at, after.length - same) };
}
