// @ts-check
// The keys of the page, and the sheet that tells them.

import { tell } from './dialogs.js';
import { h } from './dom.js';

/** @typedef {{ keys: string, words: string, match: string[], act(key: string): void }} Shortcut */

/** Keys that are not listed as shortcuts but belong on the sheet. @type {[string, string][]} */
const ELSEWHERE = [
  ['↑ ↓ PgUp PgDn Home End', 'move in a list'],
  ['← →', 'fold and unfold'],
  ['Enter', 'open the inspector'],
  ['Ctrl Enter', 'send the form'],
];

/**
 * @param {Shortcut[]} shortcuts
 * @param {{ escape(): void, focusList(): void }} view what Escape leaves, and what the arrows move in
 */
export function listen(shortcuts, { escape, focusList }) {
  addEventListener('keydown', (event) => {
    const { target, key } = event;
    if (document.querySelector('dialog[open]') || event.ctrlKey || event.metaKey || event.altKey) return;
    const isWriting = target instanceof HTMLInputElement || target instanceof HTMLTextAreaElement || target instanceof HTMLSelectElement;
    if (key === 'Escape') {
      if (target instanceof HTMLInputElement && target.type === 'search') {
        if (target.value) {
          target.value = '';
          target.dispatchEvent(new Event('input'));
        } else escape();
      } else if (isWriting) target.blur();
      else escape();
      event.preventDefault();
      return;
    }
    if (isWriting) return;
    if (target === document.body && key.startsWith('Arrow')) {
      // Nothing has the focus: the arrows are meant for the list.
      focusList();
      document.activeElement?.dispatchEvent(new KeyboardEvent('keydown', { key }));
      event.preventDefault();
      return;
    }
    const shortcut = shortcuts.find(({ match }) => match.includes(key));
    if (!shortcut) return;
    event.preventDefault();
    shortcut.act(key);
  });
}

/** @param {Shortcut[]} shortcuts */
export function showKeys(shortcuts) {
  /** @type {[string, string][]} */
  const lines = [...shortcuts.map(({ keys, words }) => /** @type {[string, string]} */ ([keys, words])), ...ELSEWHERE, ['Escape', 'close, or leave a field']];
  tell('Keys', [h('dl', { class: 'keys' }, ...lines.flatMap(([keys, words]) => [h('dt', {}, ...keys.split(' ').map((key) => h('kbd', {}, key))), h('dd', {}, words)]))]);
}
