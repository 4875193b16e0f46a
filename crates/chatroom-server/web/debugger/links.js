// @ts-check
// Names that lead to what they name: topics, services, clients, places in the order.

import { h } from './dom.js';
import { bytes, of } from './format.js';

/** @typedef {{ topic(name: string): void, service(name: string): void, client(id: number): void, log(query: string): void, sequence(sequence: number): boolean }} Ways */

const VALIDATE = '_chatroom/validate_change/';
const QUEUE_LONG = 65_536;
const COLOURS = ['#c5432c', '#0b7a72', '#5650d0', '#946000', '#c02f68', '#176bbd', '#48761c', '#93399f'];

/** @type {Ways} */
let ways = { topic() {}, service() {}, client() {}, log() {}, sequence: () => false };
/** @type {(id: number) => import('./wire.js').Client | undefined} */
let clientOf = () => undefined;

/** @param {Ways} given @param {typeof clientOf} clients */
export function setWays(given, clients) {
  ways = given;
  clientOf = clients;
}

export function go() {
  return ways;
}

/** @param {string} name */
export function topicLink(name) {
  return link(name, 'link mono', () => ways.topic(name));
}

/** A service; one that validates is about its topic, and listed nowhere else. @param {string} name */
export function serviceLink(name) {
  if (name.startsWith(VALIDATE)) return link(name, 'link mono', () => ways.topic(name.slice(VALIDATE.length)));
  return link(name, 'link mono', () => ways.service(name));
}

/** @param {number} id */
export function clientLink(id) {
  const chip = link('', 'chip', () => id && ways.client(id));
  setClient(chip, id);
  return chip;
}

/** Makes an element show a client by its colour, number and name. @param {HTMLElement} element @param {number} id */
export function setClient(element, id) {
  const text = clientLabel(id);
  const behind = id ? troubleOf(id) : '';
  if (element.dataset.client === String(id) && element.dataset.behind === behind && element.textContent === text) return;
  element.dataset.client = String(id);
  element.dataset.behind = behind;
  element.textContent = text;
  element.title = id === 0 ? 'the server itself; edits and calls of this page are made in its name' : behind;
  if (id) element.style.setProperty('--person', COLOURS[id % COLOURS.length]);
  else element.style.removeProperty('--person');
}

/** Gives clients below `root` the names that have become known since. @param {HTMLElement} root */
export function relabel(root) {
  for (const chip of /** @type {NodeListOf<HTMLElement>} */ (root.querySelectorAll('.chip[data-client]'))) setClient(chip, Number(chip.dataset.client));
}

/** @param {number} id */
export function clientLabel(id) {
  if (id === 0) return 'server';
  const name = clientOf(id)?.name;
  return name ? `${id} ${name}` : String(id);
}

/** Why a client may not have what the others have. @param {number} id */
function troubleOf(id) {
  const client = clientOf(id);
  if (!client) return '';
  return [client.fault && `under a fault: ${client.fault.kind}`, client.stale_topics && `behind: ${of(client.stale_topics, 'topic')} to be sent anew`, client.queue_bytes > QUEUE_LONG && `${bytes(client.queue_bytes)} wait to be sent to it`]
    .filter(Boolean)
    .join('; ');
}

/** A list of clients, as many as are known and how many more there are. @param {number[]} ids @param {number} [total] */
export function clientList(ids, total = ids.length) {
  const rest = total - ids.length;
  return h('div', { class: 'chips' }, ...ids.map(clientLink), rest > 0 && h('span', { class: 'soft' }, `and ${rest} more`));
}

/** @param {string} text @param {string} kind @param {() => void} click */
function link(text, kind, click) {
  return h('button', { type: 'button', class: kind, click }, text);
}
