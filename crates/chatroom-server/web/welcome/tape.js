// The tape: the room's order, as this tab receives it. Every tab shows the same numbers.

import { colourOf } from './names.js';

const LONGEST = 14;

/**
 * @param {HTMLElement} list
 * @returns {{ add(sequence: number, by: number, words: string): void, move(sequence: number): void, clear(): void }}
 */
export function tape(list) {
  let moves = 0;

  /** @param {string} kind @param {number} sequence @param {string} words @param {string} colour */
  const append = (kind, sequence, words, colour) => {
    const item = document.createElement('li');
    item.className = kind;
    item.style.setProperty('--person', colour);
    const number = document.createElement('span');
    number.className = 'number';
    number.textContent = kind === 'moves' ? '…' : String(sequence);
    const what = document.createElement('span');
    what.textContent = words;
    item.append(number, what);
    list.append(item);
    while (list.childElementCount > LONGEST) list.firstElementChild?.remove();
  };

  return {
    add(sequence, by, words) {
      moves = 0;
      append('commit', sequence, words, by ? colourOf(by) : 'currentColor');
    },
    // Thirty a second would be a blur: pointer moves in a row share one place on the tape.
    move(sequence) {
      moves += 1;
      const last = list.lastElementChild;
      const words = `${moves} pointer ${moves === 1 ? 'move' : 'moves'}`;
      if (last?.className === 'moves') /** @type {HTMLElement} */ (last.lastElementChild).textContent = words;
      else append('moves', sequence, words, 'currentColor');
    },
    clear() {
      list.replaceChildren();
    },
  };
}
