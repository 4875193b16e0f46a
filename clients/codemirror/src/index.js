// @ts-check
/**
 * A ChatRoom text in a CodeMirror 6 editor.
 *
 *     new EditorView({
 *       parent: document.body,
 *       extensions: [
 *         sharedText(room, room.topic('notes', 'string')),
 *         sharedCursors(room.presence('notes/cursors'), { name: 'Ann', color: '#c2255c' }),
 *       ],
 *     });
 *
 * @module
 */

export { sharedCursors } from './cursors.js';
export { sharedText } from './text.js';
