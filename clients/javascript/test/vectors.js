// @ts-check
// Reads the conformance vectors of the repository.
import { existsSync, readFileSync, readdirSync } from 'node:fs';

const FOLDER = new URL('../../../conformance/', import.meta.url);

/** What `generated/` has of a level, by the level's name. @type {Record<string, string>} */
const GENERATED = { transform: 'transform.json', rectangle: 'rectangle.json', invert: 'invert.json', changes: 'apply.json' };

/** All cases of a level, from whichever files its folder has, and those that are made from a seed. @param {string} level @returns {any[]} */
export function cases(level) {
  const folder = new URL(`${level}/`, FOLDER);
  const files = existsSync(folder) ? readdirSync(folder).filter((name) => name.endsWith('.json')).map((name) => new URL(name, folder)) : [];
  if (GENERATED[level]) files.push(new URL(`generated/${GENERATED[level]}`, FOLDER));
  return files.flatMap((file) => JSON.parse(readFileSync(file, 'utf8')));
}

/** The text of a case, written out. @param {any} vector @returns {string} */
export function textOf({ text, repeat }) {
  if (repeat === undefined) return text;
  const { before = '', open = '', middle = '', close = '', after = '', times } = repeat;
  return before + open.repeat(times) + middle + close.repeat(times) + after;
}
