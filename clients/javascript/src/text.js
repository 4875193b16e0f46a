// @ts-check
/** Components of text edits, and how long texts are. The wire counts Unicode scalar values. */

/** @typedef {{ readonly retain: number } | { readonly insert: string } | { readonly delete: number }} Component one step of a text edit */
/** @typedef {{ retain?: number, insert?: string, delete?: number }} AnyComponent */

/**
 * How many Unicode scalar values a text has.
 * @param {string} text well-formed
 */
export function scalarCount(text) {
  let count = text.length;
  for (let at = 0; at < text.length; at++) if ((text.charCodeAt(at) & 0xfc00) === 0xd800) count--;
  return count;
}

/**
 * The shortest form of an edit: neighbours merged, inserts before deletes at one place, no last
 * retain, nothing empty.
 * @param {readonly Component[]} components
 * @returns {Component[]}
 */
export function shortest(components) {
  /** @type {AnyComponent[]} */
  const result = [];
  for (const { retain, insert, delete: gone } of /** @type {readonly AnyComponent[]} */ (components)) {
    const last = result[result.length - 1];
    if (retain) {
      if (last?.retain) last.retain += retain;
      else result.push({ retain });
    } else if (gone) {
      if (last?.delete) last.delete += gone;
      else result.push({ delete: gone });
    } else if (insert) {
      const place = last?.delete ? result.length - 1 : result.length;
      const before = result[place - 1];
      if (before?.insert) before.insert += insert;
      else result.splice(place, 0, { insert });
    }
  }
  if (result[result.length - 1]?.retain) result.pop();
  return /** @type {Component[]} */ (result);
}
