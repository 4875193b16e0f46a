// @ts-check
// Numbers, sizes, spans and times as short text; units always written.

const whole = new Intl.NumberFormat('en');

/** @param {number} value */
export function count(value) {
  return whole.format(value);
}

/** Short enough for a badge: 1234 is 1.2k. @param {number} value */
export function brief(value) {
  if (value < 1000) return String(value);
  if (value < 1e6) return `${trim(value / 1000)}k`;
  return `${trim(value / 1e6)}M`;
}

/** @param {number} value per second */
export function rate(value) {
  if (!value || value < 0.05) return '0';
  if (value < 10) return value.toFixed(1);
  return whole.format(Math.round(value));
}

/** @param {number} value */
export function bytes(value) {
  if (value < 1000) return `${Math.round(value)} B`;
  if (value < 1e6) return `${trim(value / 1e3)} kB`;
  if (value < 1e9) return `${trim(value / 1e6)} MB`;
  return `${trim(value / 1e9)} GB`;
}

/** The room counts what a value holds beyond itself; a lone number is its own text. @param {import('./wire.js').Topic} topic */
export function sizeOf({ type, bytes, preview }) {
  return bytes || (type === 'event' ? 0 : preview.length);
}

/** A span that was measured. @param {number | null | undefined} value */
export function ms(value) {
  if (value === null || value === undefined) return '–';
  if (value < 0.0005) return '<1 µs';
  if (value < 1) return `${Math.round(value * 1000)} µs`;
  if (value < 100) return `${trim(value)} ms`;
  if (value < 1000) return `${Math.round(value)} ms`;
  return `${trim(value / 1000)} s`;
}

/** How long something lasts already. @param {number} value in ms */
export function span(value) {
  const seconds = Math.max(0, Math.floor(value / 1000));
  if (seconds < 60) return `${seconds} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min ${seconds % 60} s`;
  const hours = Math.floor(minutes / 60);
  if (hours < 24) return `${hours} h ${minutes % 60} min`;
  return `${Math.floor(hours / 24)} d ${hours % 24} h`;
}

/** @param {number} value in ms */
export function ago(value) {
  return value < 1500 ? 'now' : `${span(value).replace(/ (min|h|d) .*/, ' $1')} ago`;
}

/** @param {number} t unix_ms */
export function clock(t) {
  const at = new Date(t);
  return `${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}`;
}

/** @param {number} t unix_ms */
export function preciseClock(t) {
  return `${clock(t)}.${String(Math.floor(t) % 1000).padStart(3, '0')}`;
}

/** @param {number} amount @param {string} noun @param {string} [plural] */
export function of(amount, noun, plural = `${noun}s`) {
  return `${count(amount)} ${amount === 1 ? noun : plural}`;
}

/** @param {unknown} value @param {number} [longest] */
export function json(value, longest = 120) {
  const text = JSON.stringify(value) ?? '';
  return text.length > longest ? `${text.slice(0, longest - 1)}…` : text;
}

/** @param {number} value */
function trim(value) {
  return value < 10 ? value.toFixed(1).replace(/\.0$/, '') : String(Math.round(value));
}

/** @param {number} value */
function two(value) {
  return String(value).padStart(2, '0');
}
