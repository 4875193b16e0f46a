// @ts-check
// A list with its inspector beside it: the edge between them is dragged, and remembered.

import { h, iconButton } from './dom.js';
import { recall, remember } from './settings.js';

const NARROWEST = 300;

/** @param {{ name: string, list: HTMLElement[], label: string, onClose(): void }} options */
export function panes({ name, list, label, onClose }) {
  const title = h('div', { class: 'side-title' });
  const body = h('div', { class: 'side-body' });
  const side = h('aside', { class: 'side', 'aria-label': label, hidden: true }, h('div', { class: 'side-head' }, title, iconButton('close', 'Close (Escape)', onClose)), body);
  const edge = h('div', { class: 'edge', role: 'separator', 'aria-orientation': 'vertical', 'aria-label': 'Width of the inspector', tabindex: '0', hidden: true });
  const main = h('div', { class: 'main' }, ...list);
  const element = h('div', { class: 'panes' }, main, edge, side);

  /** @param {number} width */
  const setWidth = (width) => {
    const most = Math.max(NARROWEST, element.clientWidth - NARROWEST);
    const fitting = Math.round(Math.min(most, Math.max(NARROWEST, width)));
    side.style.setProperty('--side', `${fitting}px`);
    edge.setAttribute('aria-valuenow', String(fitting));
    remember(`width.${name}`, String(fitting));
  };
  const remembered = Number(recall(`width.${name}`));
  if (remembered) side.style.setProperty('--side', `${remembered}px`);

  edge.addEventListener('pointerdown', (event) => {
    edge.setPointerCapture(event.pointerId);
    event.preventDefault();
  });
  edge.addEventListener('pointermove', (event) => {
    if (edge.hasPointerCapture(event.pointerId)) setWidth(element.getBoundingClientRect().right - event.clientX);
  });
  edge.addEventListener('keydown', ({ key }) => {
    if (key === 'ArrowLeft') setWidth(side.offsetWidth + 24);
    if (key === 'ArrowRight') setWidth(side.offsetWidth - 24);
  });

  return {
    element,
    title,
    body,
    /** @param {boolean} isOpen */
    setOpen(isOpen) {
      side.hidden = edge.hidden = !isOpen;
      element.dataset.side = isOpen ? 'open' : '';
    },
    get isOpen() {
      return !side.hidden;
    },
  };
}
