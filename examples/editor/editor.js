// @ts-check
// A text that everybody on the page types into, with their cursors. Open it twice; go offline and
// type on. The server is named in the address: ?server=ws://localhost:8765&name=Ann
import { connect } from '@chatroom/client';
import { sharedCursors, sharedText } from '@chatroom/codemirror';
import { standardKeymap } from '@codemirror/commands';
import { EditorView, keymap, lineNumbers } from '@codemirror/view';

const COLORS = ['#c2255c', '#1971c2', '#2f9e44', '#e8590c', '#6741d9', '#0c8599'];

const given = new URLSearchParams(location.search);
const room = connect(given.get('server') ?? 'ws://localhost:8765');
const name = given.get('name') ?? `guest ${Math.floor(Math.random() * 1_000)}`;
const color = COLORS[[...name].reduce((sum, letter) => sum + letter.charCodeAt(0), 0) % COLORS.length];
const text = room.topic('editor/text', 'string');
const people = /** @type {import('@chatroom/client').PresenceTopic<{ name: string, color: string }>} */ (room.presence('editor/people'));

const editor = new EditorView({
  parent: element('editor'),
  extensions: [lineNumbers(), EditorView.lineWrapping, keymap.of(standardKeymap), sharedText(room, text), sharedCursors(people, { name, color })],
});

const [undo, redo] = /** @type {HTMLButtonElement[]} */ ([element('undo'), element('redo')]);
undo.onclick = () => room.undo();
redo.onclick = () => room.redo();
room.on('history', ({ unsaved, canUndo, canRedo }) => {
  undo.disabled = !canUndo;
  redo.disabled = !canRedo;
  element('state').dataset.unsaved = String(unsaved);
});
room.on('state', ({ state }) => (element('state').textContent = state));
people.on(() => {
  element('people').replaceChildren(...Object.values(people.others).map(badge));
});
// What was typed and is not saved yet would be lost with the page.
addEventListener('beforeunload', (event) => {
  if (room.unsaved > 0) event.preventDefault();
});
// For whoever tries it in the console, and for its test.
Object.assign(globalThis, { room, text, editor });

/** @param {{ name: string, color: string }} person */
function badge(person) {
  const span = document.createElement('span');
  span.textContent = person.name;
  span.style.background = person.color;
  return span;
}

/** @param {string} id @returns {HTMLElement} */
function element(id) {
  return /** @type {HTMLElement} */ (document.getElementById(id));
}
