// @ts-check
// The value of a topic as it was: its last known commits, played back from where they are whole.

/** @typedef {import('./wire.js').Json} Json */
/** @typedef {import('./wire.js').JsonObject} JsonObject */
/** @typedef {import('./wire.js').Change} Change */
/** @typedef {import('./wire.js').Entry} Entry */

/** What each type begins with; types without a history of values are left out. @type {Record<string, Json>} */
const ZEROS = { generic: null, string: '', int: 0, float: 0, bool: false, list: [], set: [], dict: {}, presence: {} };

/**
 * The value after the commit `sequence`, or undefined if the entries do not tell: they must lead
 * there without a gap from the topic's first commit or from one that set the whole value.
 * @param {Entry[]} entries oldest first
 * @param {string} topic
 * @param {number} sequence
 * @returns {Json | undefined}
 */
export function valueAt(entries, topic, sequence) {
  /** @type {Json | undefined} */
  let value;
  let at = -1;
  for (const entry of entries) {
    if (entry.sequence === undefined || entry.sequence > sequence) continue;
    for (const { topic_name, type = '', change, previous = -1 } of entry.changes ?? []) {
      if (topic_name !== topic) continue;
      if (previous === 0) value = ZEROS[type];
      // A later part of one action follows the part before it.
      else if (previous !== at && at !== entry.sequence) value = undefined;
      if (change.type === 'set' && change.cut !== true) value = change.value;
      else if (value !== undefined) value = change.cut === true ? undefined : applied(type, value, change, entry.by ?? 0);
      at = entry.sequence;
    }
  }
  return at === sequence ? value : undefined;
}

/** @param {string} type @param {Json} value @param {Change} change @param {number} by @returns {Json | undefined} */
function applied(type, value, change, by) {
  if (typeof value === 'number' && change.type === 'add') return value + Number(change.value);
  if (typeof value === 'string') return text(value, change);
  if (type === 'set' && Array.isArray(value)) {
    const others = value.filter((item) => !same(item, change.item));
    return change.type === 'remove' ? others : others.length < value.length ? value : [...value, change.item];
  }
  if (Array.isArray(value)) return list(value, change);
  if (value === null || typeof value !== 'object') return undefined;
  const key = String(change.key ?? by);
  if (change.type === 'pop') return Object.fromEntries(Object.entries(value).filter(([name]) => name !== key));
  if (change.type === 'ensure' && Object.hasOwn(value, key)) return value;
  return ['add', 'put', 'ensure', 'change_value'].includes(change.type) ? { ...value, [key]: change.value } : undefined;
}

/** @param {Json[]} value @param {Change} change */
function list(value, change) {
  const [position, from, to] = [Number(change.position), Number(change.from), Number(change.to)];
  if (change.type === 'insert') return value.toSpliced(position, 0, change.item);
  if (change.type === 'pop') return value.toSpliced(position, 1);
  if (change.type === 'set_item') return value.with(position, change.item);
  if (change.type === 'move') return value.toSpliced(from, 1).toSpliced(to, 0, value[from]);
  return undefined;
}

/** @param {string} value @param {Change} change */
function text(value, change) {
  const letters = [...value];
  const position = Number(change.position);
  if (change.type === 'insert') return letters.toSpliced(position, 0, String(change.insertion)).join('');
  if (change.type === 'delete') return letters.toSpliced(position, [...String(change.deletion)].length).join('');
  if (change.type !== 'edit' || !Array.isArray(change.components)) return undefined;
  let [at, result] = [0, ''];
  for (const component of /** @type {JsonObject[]} */ (change.components)) {
    if (typeof component.insert === 'string') result += component.insert;
    const kept = Number(component.retain ?? 0);
    result += letters.slice(at, at + kept).join('');
    at += kept + Number(component.delete ?? 0);
  }
  return result + letters.slice(at).join('');
}

/** Equal as JSON, whatever the order of keys. @param {Json} a @param {Json} b @returns {boolean} */
function same(a, b) {
  if (a === b) return true;
  if (a === null || b === null || typeof a !== 'object' || typeof b !== 'object' || Array.isArray(a) !== Array.isArray(b)) return false;
  const [keys, others] = [Object.keys(a), Object.keys(b)];
  return keys.length === others.length && keys.every((key) => Object.hasOwn(b, key) && same(/** @type {JsonObject} */ (a)[key], /** @type {JsonObject} */ (b)[key]));
}
