// @ts-check
/** Binds a string topic to an editor: each shows what the other has. */

import { Annotation, ChangeSet, EditorState, Prec, Transaction } from '@codemirror/state';
import { EditorView, keymap, ViewPlugin } from '@codemirror/view';
import { difference, toChangeSet, toComponents } from './changes.js';

/** @typedef {import('@chatroom/client').Client<any>} Client */
/** @typedef {import('@chatroom/client').StringTopic} StringTopic */
/** @typedef {import('@chatroom/client').Meta} Meta */

/** Marks what the topic did, so that it is not sent back. */
const fromTopic = Annotation.define();

/**
 * The editor shows the topic's text and types into it, offline too. Until the text has come nothing
 * can be typed. Undo and redo are the client's: they take back what this client typed, and nothing of
 * others; leave CodeMirror's own `history()` out.
 * @param {Client} client
 * @param {StringTopic} topic closed by whoever opened it
 * @param {{ undoKeys?: boolean }} [options] `undoKeys`: whether the keys for undo and redo are bound
 * @returns {import('@codemirror/state').Extension}
 */
export function sharedText(client, topic, { undoKeys = true } = {}) {
  const undo = () => (client.undo(), true);
  const redo = () => (client.redo(), true);
  const keys = [
    { key: 'Mod-z', run: undo, preventDefault: true },
    { key: 'Mod-y', mac: 'Mod-Shift-z', run: redo, preventDefault: true },
    { linux: 'Ctrl-Shift-z', run: redo, preventDefault: true },
  ];
  return [
    // The topic's text has whatever line ends it has; only \n ends a line here, so that both count alike.
    EditorState.lineSeparator.of('\n'),
    EditorState.changeFilter.of((transaction) => transaction.annotation(fromTopic) === true || topic.value !== undefined),
    ViewPlugin.define((view) => new Binding(view, topic)),
    undoKeys ? [Prec.high(keymap.of(keys)), EditorView.domEventHandlers({ beforeinput: (event) => byMenu(event, undo, redo) })] : [],
  ];
}

/** Undo and redo of the browser's menu. @param {InputEvent} event @param {() => boolean} undo @param {() => boolean} redo */
function byMenu(event, undo, redo) {
  if (event.inputType !== 'historyUndo' && event.inputType !== 'historyRedo') return false;
  event.preventDefault();
  return event.inputType === 'historyUndo' ? undo() : redo();
}

class Binding {
  #view;
  #topic;
  #off;
  /** Own actions that the topic will tell of, and that are in the editor already. @type {Set<number>} */
  #own = new Set();
  #destroyed = false;

  /** @param {EditorView} view @param {StringTopic} topic */
  constructor(view, topic) {
    this.#view = view;
    this.#topic = topic;
    this.#off = topic.on((value, _, meta) => this.#told(value, meta));
  }

  /** The editor has changed. @param {import('@codemirror/view').ViewUpdate} update */
  update({ transactions }) {
    for (const transaction of transactions) {
      if (transaction.docChanged && !transaction.annotation(fromTopic)) this.#typed(transaction);
    }
  }

  /** @param {Transaction} transaction */
  #typed({ changes, startState }) {
    const inStep = this.#topic.value?.length === startState.doc.length;
    const action = inStep ? this.#topic.edit(toComponents(changes)) : undefined;
    if (action?.id) this.#own.add(action.id);
    // What the topic does not take cannot stay in the editor.
    else queueMicrotask(() => this.#align());
  }

  /** The topic has changed. @param {string} value @param {Meta} meta */
  #told(value, { changes, action, cause }) {
    if (action !== undefined && cause === 'local' && this.#own.delete(action)) return;
    const { doc } = this.#view.state;
    if (!changes || changes.some(({ type }) => type !== 'edit')) return this.#show(difference(doc, value));
    let whole = ChangeSet.empty(doc.length);
    for (const { components } of changes) whole = whole.compose(toChangeSet(components, whole.newLength));
    // One that was typed into before it was told of everything is behind, and comes into step by this.
    if (whole.newLength === value.length) this.#show(whole);
    else this.#align();
  }

  /** The editor comes to show just what the topic has. */
  #align() {
    const { value } = this.#topic;
    if (value !== undefined && !this.#destroyed) this.#show(difference(this.#view.state.doc, value));
  }

  /** @param {ChangeSet} changes */
  #show(changes) {
    if (changes.empty) return;
    this.#view.dispatch({ changes, annotations: [fromTopic.of(true), Transaction.addToHistory.of(false), Transaction.remote.of(true)] });
  }

  destroy() {
    this.#destroyed = true;
    this.#off();
  }
}
