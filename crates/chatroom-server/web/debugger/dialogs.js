// @ts-check
// The few things that ask before they are done.

import { button, h } from './dom.js';

/**
 * @param {string} title
 * @param {import('./dom.js').Child[]} content
 * @param {{ action: string, isGrave?: boolean, act(): Promise<boolean> | boolean }} options `act` says whether the dialog is done
 */
export function ask(title, content, { action, isGrave = false, act }) {
  const go = h('button', { type: 'submit', class: isGrave ? 'grave' : 'primary' }, action);
  const form = h(
    'form',
    {
      method: 'dialog',
      submit: async (/** @type {Event} */ event) => {
        event.preventDefault();
        go.disabled = true;
        if (await act()) dialog.close();
        go.disabled = false;
      },
    },
    h('h2', {}, title),
    ...content,
    h('div', { class: 'dialog-foot' }, button('Cancel', () => dialog.close()), go),
  );
  const dialog = open(title, [form]);
  return dialog;
}

/** @param {string} title @param {import('./dom.js').Child[]} content */
export function tell(title, content) {
  const close = button('Close', () => dialog.close());
  const dialog = open(title, [h('h2', {}, title), ...content, h('div', { class: 'dialog-foot' }, close)]);
  return dialog;
}

/** @param {string} title @param {import('./dom.js').Child[]} content */
function open(title, content) {
  const dialog = h('dialog', { 'aria-label': title, close: () => dialog.remove() }, ...content);
  dialog.addEventListener('click', (event) => {
    if (event.target === dialog) dialog.close();
  });
  document.body.append(dialog);
  dialog.showModal();
  return dialog;
}
