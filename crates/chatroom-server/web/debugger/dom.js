// @ts-check
// Elements without markup: text only ever becomes a text node, so nothing a client sent can act.

/** @typedef {Node | string | null | undefined | false} Child */

/**
 * @template {keyof HTMLElementTagNameMap} K
 * @param {K} tag
 * @param {Record<string, unknown>} [properties] functions become listeners, the rest attributes
 * @param {...Child} children
 * @returns {HTMLElementTagNameMap[K]}
 */
export function h(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (typeof value === 'function') element.addEventListener(name, /** @type {EventListener} */ (value));
    else setAttribute(element, name, value);
  }
  for (const child of children) if (child) element.append(child);
  return element;
}

/** Sets, or takes away for `false`, `null` and `undefined`. @param {Element} element @param {string} name @param {unknown} value */
export function setAttribute(element, name, value) {
  if (value === false || value === null || value === undefined) {
    if (element.hasAttribute(name)) element.removeAttribute(name);
    return;
  }
  const text = value === true ? '' : String(value);
  if (element.getAttribute(name) !== text) element.setAttribute(name, text);
}

/** Writes only when it differs: most cells are the same from frame to frame. @param {Node} node @param {string} text */
export function setText(node, text) {
  const first = node.firstChild;
  if (first instanceof Text && !first.nextSibling) {
    if (first.data !== text) first.data = text;
  } else if (first || text) {
    node.textContent = text;
  }
}

/**
 * Makes the children of `parent` show `items`, in order, keeping the element of each key.
 * @template T
 * @param {Element} parent
 * @param {readonly T[]} items
 * @param {{ key(item: T): string | number, create(item: T): HTMLElement, update?(element: HTMLElement, item: T): void }} shape
 */
export function keyed(parent, items, { key, create, update }) {
  /** @type {Map<string, HTMLElement>} */
  const before = new Map();
  for (const child of /** @type {Iterable<HTMLElement>} */ (parent.children)) before.set(child.dataset.key ?? '', child);
  let place = parent.firstElementChild;
  for (const item of items) {
    const name = String(key(item));
    let element = before.get(name);
    if (element) before.delete(name);
    else {
      element = create(item);
      element.dataset.key = name;
    }
    update?.(element, item);
    if (element === place) place = place.nextElementSibling;
    else parent.insertBefore(element, place);
  }
  for (const element of before.values()) element.remove();
}

/** The text with the searched words marked. @param {HTMLElement} element @param {string} text @param {string[]} words lower case */
export function setMarked(element, text, words) {
  const found = words.filter(Boolean);
  if (!found.length) {
    setText(element, text);
    return;
  }
  const lower = text.toLowerCase();
  /** @type {Node[]} */
  const pieces = [];
  let at = 0;
  while (at < text.length) {
    let [from, size] = [-1, 0];
    for (const word of found) {
      const place = lower.indexOf(word, at);
      if (place >= 0 && (from < 0 || place < from)) [from, size] = [place, word.length];
    }
    if (from < 0) break;
    if (from > at) pieces.push(document.createTextNode(text.slice(at, from)));
    pieces.push(h('mark', {}, text.slice(from, from + size)));
    at = from + size;
  }
  pieces.push(document.createTextNode(text.slice(at)));
  element.replaceChildren(...pieces);
}

const PATHS = {
  search: 'M7 2.5a4.5 4.5 0 1 0 0 9 4.5 4.5 0 0 0 0-9ZM10.5 10.5 14 14',
  close: 'M4 4l8 8M12 4l-8 8',
  plus: 'M8 3v10M3 8h10',
  minus: 'M3 8h10',
  pause: 'M5.5 3.5v9M10.5 3.5v9',
  play: 'M5 3.2v9.6L12.5 8Z',
  down: 'M8 3v9.5M4 9l4 4 4-4',
  save: 'M8 2.5v7.5M4.8 7 8 10.2 11.2 7M3 13h10',
  bin: 'M3 4.5h10M6.5 4V2.5h3V4M4.5 4.5l.6 9h5.8l.6-9',
  copy: 'M5.5 5.5V2.5h8v8h-3M2.5 5.5h8v8h-8Z',
  pencil: 'M3 13l.7-3L11 2.7 13.3 5 6 12.3Z',
  sun: 'M8 5.2a2.8 2.8 0 1 0 0 5.6 2.8 2.8 0 0 0 0-5.6ZM8 1v1.6M8 13.4V15M1 8h1.6M13.4 8H15M3 3l1.1 1.1M11.9 11.9 13 13M13 3l-1.1 1.1M4.1 11.9 3 13',
  moon: 'M13.5 9.5A5.8 5.8 0 0 1 6.5 2.5a5.8 5.8 0 1 0 7 7Z',
  back: 'M9.5 3.5 5 8l4.5 4.5',
  next: 'M6.5 3.5 11 8l-4.5 4.5',
  lock: 'M4 7.5h8v6H4ZM5.5 7.5V5a2.5 2.5 0 0 1 5 0v2.5',
  list: 'M3 4h10M3 8h10M3 12h6',
};

/** @param {keyof typeof PATHS} name */
export function icon(name) {
  const svg = document.createElementNS('http://www.w3.org/2000/svg', 'svg');
  svg.setAttribute('viewBox', '0 0 16 16');
  svg.setAttribute('class', 'icon');
  svg.setAttribute('aria-hidden', 'true');
  const path = document.createElementNS('http://www.w3.org/2000/svg', 'path');
  path.setAttribute('d', PATHS[name]);
  svg.append(path);
  return svg;
}

/** @param {string} text @param {() => void} click @param {Record<string, unknown>} [properties] @param {keyof typeof PATHS} [picture] */
export function button(text, click, properties = {}, picture) {
  return h('button', { type: 'button', click, ...properties }, picture && icon(picture), text && h('span', {}, text));
}

/** A button that is only a picture; `label` says it. @param {keyof typeof PATHS} picture @param {string} label @param {() => void} click */
export function iconButton(picture, label, click) {
  return h('button', { type: 'button', class: 'bare', 'aria-label': label, title: label, click }, icon(picture));
}

/** What there is instead of an empty list. @param {string} title @param {...Child} rest */
export function empty(title, ...rest) {
  return h('div', { class: 'empty' }, h('p', { class: 'empty-title' }, title), ...rest);
}
