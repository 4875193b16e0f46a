// Brings the page to life: the room of room.js, and what shows the people, the text and the order.

import { drawPointers, sharePointer } from './cursors.js';
import { colourOf, nameOf } from './names.js';
import { $, restart, setPeople } from './page.js';
import { counter, room } from './room.js';
import { tape } from './tape.js';
import { bindText, both } from './text.js';

/** @typedef {import('./page.js').Entry} Entry */

const STATES = {
  connecting: 'connecting',
  online: 'live on this server',
  offline: 'offline, trying again',
  needs_auth: 'asking for a login',
  closed: 'closed',
};
const order = tape($('#tape'));

// The connection.
const buttons = /** @type {NodeListOf<HTMLButtonElement>} */ (document.querySelectorAll('#room button'));
const showState = () => {
  const online = room.state === 'online';
  // A first attempt that has not failed yet is no news; later ones are one story.
  const state = room.id && room.state === 'connecting' ? 'offline' : room.state;
  document.documentElement.dataset.state = state;
  $('#state').textContent = state;
  $('#live').textContent = STATES[state];
  $('#client').textContent = online ? `client ${room.id}` : '';
  for (const button of buttons) button.disabled = !online;
  if (online) order.clear();
  else hidePeople();
};

// The people and their pointers.
/** @type {import('/chatroom.js').PresenceTopic<Entry>} */
const cursors = room.presence('welcome/cursors');
/** @type {Set<string>} */
let ids = new Set();
let loaded = false;

cursors.on((present, change, { by, sequence, action }) => {
  const before = ids;
  ids = new Set(Object.keys(present));
  const came = [...ids].filter((id) => !before.has(id));
  const left = [...before].filter((id) => !ids.has(id));
  drawPointers($('#pointers'), room.id, present);
  if (!change || came.length || left.length) {
    setPeople(room.id, present);
    showPeople();
  }
  if (!change) return;
  for (const id of came) note({ sequence, by: Number(id), action }, `${nameOf(Number(id))} came in`);
  for (const id of left) note({ sequence, by: Number(id), action }, `${nameOf(Number(id))} left`);
  if (!came.length && !left.length && action === undefined) order.move(sequence);
  if (loaded && came.some((id) => Number(id) !== room.id)) restart($('#door'), 'swing');
  loaded ||= by === room.id;
});
sharePointer($('#room'), (entry) => cursors.put(entry));

room.on('state', showState);
showState();

/** Who is here is not known while the connection is down. */
function hidePeople() {
  ids = new Set();
  drawPointers($('#pointers'), room.id, {});
  $('#people').textContent = '–';
  $('#names').replaceChildren();
}

function showPeople() {
  $('#people').textContent = String(ids.size);
  $('#room').dataset.people = ids.size > 1 ? 'many' : 'one';
  const names = [...ids].map(Number).sort((a, b) => Number(b === room.id) - Number(a === room.id) || a - b);
  $('#names').replaceChildren(
    ...names.slice(0, 8).map((id) => {
      const item = document.createElement('li');
      item.textContent = id === room.id ? `${nameOf(id)} (this tab)` : nameOf(id);
      item.style.setProperty('--person', colourOf(id));
      return item;
    }),
  );
}

// The order of the room, told in short words. An own change is shown at once, but its place in the
// order is known with its outcome.
/** @typedef {string | readonly import('./text.js').Component[]} What in words, or an edit of the text */
/** @type {Map<number, What>} */
const notes = new Map();
/** @type {{ sequence: number, what: What | undefined } | undefined} What was accepted last: several edits may be one by then. */
let accepted;

/** @param {{ sequence: number, by: number, action?: number }} meta @param {What} what */
function note({ sequence, by, action }, what) {
  if (action === undefined) order.add(sequence, by, inWords(what));
  else notes.set(action, what);
}

room.on('accepted', ({ action, sequence }) => {
  const what = notes.get(action);
  notes.delete(action);
  if (accepted?.sequence === sequence && what !== undefined && typeof what !== 'string' && typeof accepted.what === 'object') {
    accepted.what = both(accepted.what, what);
    return;
  }
  const one = { sequence, what };
  accepted = one;
  // All that share an outcome are told of it at once.
  queueMicrotask(() => {
    if (one.what) order.add(sequence, room.id, inWords(one.what));
    else order.move(sequence);
  });
});
counter.on((value, change, meta) => {
  if (change && meta.cause !== 'rejected') note(meta, change.type === 'add' ? `counter ${change.value < 0 ? '−' : '+'}${Math.abs(change.value)}` : `counter = ${value}`);
});
const text = bindText(/** @type {HTMLTextAreaElement} */ ($('#text')), room, 'welcome/text');
text.on((value, change, meta) => {
  if (change && meta.cause !== 'rejected') note(meta, change.type === 'edit' ? change.components : 'text set');
});

/** @param {What} what */
function inWords(what) {
  if (typeof what === 'string') return what;
  let inserted = '';
  let gone = 0;
  for (const { insert = '', delete: deleted = 0 } of what) {
    inserted += insert;
    gone += deleted;
  }
  const letters = [...inserted.replace(/\s/g, ' ')];
  const shown = letters.length > 10 ? `${letters.slice(0, 9).join('')}…` : letters.join('');
  return ['text', gone ? `−${gone}` : '', shown ? `“${shown}”` : ''].filter(Boolean).join(' ');
}
