// What the modules of the page share: its elements, who is here, and the line that shows a call.

import { colourOf, nameOf } from './names.js';

/**
 * What a tab tells of itself in the topic `welcome/cursors`; x and y, of the room's width and
 * height, are there while the pointer is inside.
 * @typedef {{ tab: string, x?: number, y?: number }} Entry
 */

/** The element; the page is broken without it. @param {string} selector @returns {HTMLElement} */
export function $(selector) {
  const element = document.querySelector(selector);
  if (!(element instanceof HTMLElement)) throw new Error(`no element ${selector}`);
  return element;
}

/** Names this tab also across reconnections, when it gets a new client id. */
export const tab = Math.random().toString(36).slice(2, 10);

/** @type {number} */
let myId = 0;
/** @type {{ id: number, tab: string }[]} */
let others = [];
let asked = -1;

/** @param {number} id @param {Record<string, Entry>} present */
export function setPeople(id, present) {
  myId = id;
  others = Object.entries(present)
    .map(([id, { tab }]) => ({ id: Number(id), tab }))
    .filter((person) => person.id !== myId);
}

/** The name of this tab. */
export function me() {
  return nameOf(myId);
}

/** The tab to greet: the others in turn; this one when nobody else is here. */
export function neighbour() {
  asked += 1;
  return others.length ? others[asked % others.length].tab : tab;
}

/**
 * Shows who answered a call and how long it took, there and back.
 * @param {Promise<string>} answer
 */
export async function clock(answer) {
  const started = performance.now();
  const to = others.length ? others[asked % others.length].id : myId;
  const line = $('#call');
  try {
    const words = await answer;
    const took = performance.now() - started;
    paint('#call-from', myId);
    paint('#call-to', to);
    $('#call-ms').textContent = `${took < 10 ? took.toFixed(1) : Math.round(took)} ms`;
    $('#answer').textContent = to === myId ? `${words} Nobody else is here, so this tab answered itself.` : words;
    line.dataset.by = String(to);
    restart(line, 'sent');
  } catch (error) {
    $('#call-ms').textContent = 'no answer';
    $('#answer').textContent = error instanceof Error ? error.message : String(error);
  }
}

/** Lets a line of words appear for a moment. @param {string} words */
export function flash(words) {
  // Later: a call that is just being answered shall not wait for the drawing.
  setTimeout(() => {
    const note = $('#flash');
    note.textContent = words;
    restart(note, 'shown');
  });
}

/** Plays the animation of a class from its start. @param {HTMLElement} element @param {string} name */
export function restart(element, name) {
  element.classList.remove(name);
  void element.offsetWidth;
  element.classList.add(name);
}

/** @param {string} selector @param {number} id */
function paint(selector, id) {
  const label = $(selector);
  label.textContent = id === myId ? 'this tab' : nameOf(id);
  label.style.setProperty('--person', colourOf(id));
}
