// The pointers of the other tabs, drawn over the room.

import { colourOf, nameOf } from './names.js';
import { tab } from './page.js';

/** @typedef {import('./page.js').Entry} Entry */

/** About 30 changes per second: smooth to the eye, and no load. */
const INTERVAL_MS = 33;

/**
 * Tells the room where this tab's pointer is.
 * @param {HTMLElement} area
 * @param {(entry: Entry) => void} put
 */
export function sharePointer(area, put) {
  /** @type {Entry} */
  let entry = { tab };
  /** @type {number | undefined} */
  let timer;
  let sent = 0;
  const send = () => {
    timer = undefined;
    sent = performance.now();
    put(entry);
  };
  const soon = () => {
    timer ??= window.setTimeout(send, Math.max(0, sent + INTERVAL_MS - performance.now()));
  };
  area.addEventListener('pointermove', (event) => {
    const box = area.getBoundingClientRect();
    const share = (/** @type {number} */ part, /** @type {number} */ whole) => Math.round((part / whole) * 1e4) / 1e4;
    entry = { tab, x: share(event.clientX - box.left, box.width), y: share(event.clientY - box.top, box.height) };
    soon();
  });
  const leave = () => {
    entry = { tab };
    soon();
  };
  area.addEventListener('pointerleave', leave);
  area.addEventListener('pointercancel', leave);
  send();
}

/** @type {Map<number, HTMLElement>} */
const drawn = new Map();

/** @param {HTMLElement} layer @param {number} myId @param {Record<string, Entry>} present */
export function drawPointers(layer, myId, present) {
  for (const [id, element] of drawn) {
    if (id !== myId && present[id]?.x !== undefined) continue;
    element.remove();
    drawn.delete(id);
  }
  for (const [key, { x, y }] of Object.entries(present)) {
    const id = Number(key);
    if (id === myId || x === undefined || y === undefined) continue;
    let element = drawn.get(id);
    if (!element) {
      element = pointer(id);
      drawn.set(id, element);
      layer.append(element);
    }
    element.style.left = `${x * 100}%`;
    element.style.top = `${y * 100}%`;
    element.classList.toggle('flipped', x > 0.8);
  }
}

/** @param {number} id */
function pointer(id) {
  const element = document.createElement('div');
  element.className = 'pointer';
  element.dataset.client = String(id);
  element.style.setProperty('--person', colourOf(id));
  const name = document.createElement('span');
  name.textContent = nameOf(id);
  element.append(name);
  return element;
}
