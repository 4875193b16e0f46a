// @ts-check
// How a command went, said at the place where it was given.

import { h } from './dom.js';
import { count, ms } from './format.js';
import { advice } from './words.js';

/** @typedef {import('./wire.js').ResultMessage} ResultMessage */

export class Outcome {
  element = h('output', { class: 'outcome', 'aria-live': 'polite' });

  clear() {
    this.element.dataset.state = '';
    this.element.replaceChildren();
  }

  wait() {
    this.element.dataset.state = 'waiting';
    this.element.replaceChildren('sent, waiting for the server');
  }

  /** @param {ResultMessage} result @param {string} [done] */
  show(result, done = 'done') {
    if (result.ok) this.succeed(`${done}${result.sequence ? ` as ${count(result.sequence)}` : ''}${result.took_ms === undefined ? '' : ` in ${ms(result.took_ms)}`}`);
    else this.refuse(result.error ?? { code: 0, name: 'failed', reason: '' });
  }

  /** @param {string} text */
  succeed(text) {
    this.element.dataset.state = 'ok';
    this.element.replaceChildren(text);
  }

  /** @param {import('./wire.js').Refusal} refusal */
  refuse({ code, name, reason }) {
    this.element.dataset.state = 'refused';
    this.element.replaceChildren(h('strong', {}, [code || '', name].join(' ').trim()), ` ${reason}`, advice(code) && h('span', { class: 'soft' }, ` · ${advice(code)}`));
  }
}
