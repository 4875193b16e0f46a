// @ts-check
// Reads the conformance vectors of the repository.
import { readFileSync, readdirSync } from 'node:fs';

const FOLDER = new URL('../../../conformance/', import.meta.url);

/** All cases of a level, from whichever files its folder has. @param {string} level @returns {any[]} */
export function cases(level) {
  const folder = new URL(`${level}/`, FOLDER);
  const files = readdirSync(folder).filter((name) => name.endsWith('.json'));
  return files.flatMap((name) => JSON.parse(readFileSync(new URL(name, folder), 'utf8')));
}

/** The text of a case, written out. @param {any} vector @returns {string} */
export function textOf({ text, repeat }) {
  if (repeat === undefined) return text;
  const { before = '', open = '', middle = '', close = '', after = '', times } = repeat;
  return before + open.repeat(times) + middle + close.repeat(times) + after;
}
