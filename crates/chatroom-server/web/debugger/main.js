// @ts-check
// Brings the page to life: one socket, one store, five views, one frame loop.

import { ChartsView } from './charts.js';
import { ClientsView } from './clients.js';
import { onFrame, requestFrame } from './frame.js';
import { element, Header, theme } from './header.js';
import { listen, showKeys } from './keys.js';
import { relabel, setWays } from './links.js';
import { LogView } from './log.js';
import { ServicesView } from './services.js';
import { recall, remember } from './settings.js';
import { Socket } from './socket.js';
import { Store } from './store.js';
import { TopicsView } from './topics.js';

const FIRST_ROOM = 'main';

const store = new Store();
const socket = new Socket({
  token: takeToken(),
  onMessage(message) {
    store.receive(message);
    if (message.type !== 'hello') return;
    const room = store.room || startRoom(message.rooms);
    watch(room);
    if (store.inspected) socket.send({ type: 'inspect', topic_name: store.inspected.name });
  },
  onState: () => store.touch('connection'),
});

const views = {
  topics: new TopicsView(store, socket),
  log: new LogView(store, socket),
  services: new ServicesView(store, socket),
  clients: new ClientsView(store, socket),
  charts: new ChartsView(store),
};
/** @typedef {keyof typeof views} ViewName */
const names = /** @type {ViewName[]} */ (Object.keys(views));
const header = new Header(store, socket, watch);
const colours = theme();
/** @type {ViewName} */
let current = 'topics';

const stage = element('#stage', HTMLElement);
for (const name of names) {
  const { element: view } = views[name];
  view.id = `view-${name}`;
  view.hidden = true;
  view.setAttribute('role', 'tabpanel');
  view.setAttribute('aria-labelledby', `tab-${name}`);
  stage.append(view);
  tab(name).addEventListener('click', () => show(name));
}
element('#tabs', HTMLElement).addEventListener('keydown', ({ key }) => {
  const step = { ArrowRight: 1, ArrowLeft: -1 }[key];
  if (!step) return;
  show(names[(names.indexOf(current) + step + names.length) % names.length]);
  tab(current).focus();
});

setWays(
  {
    topic: (name) => views[show('topics')].open(name),
    service: (name) => views[show('services')].open(name),
    client: (id) => views[show('clients')].open(id),
    log: (query) => views[show('log')].filter(query),
    sequence: (sequence) => views[show('log')].open(sequence),
  },
  (id) => store.clients.get(id),
);

/** @type {import('./keys.js').Shortcut[]} */
const shortcuts = [
  { keys: '1 … 5', words: 'topics, log, services, clients, charts', match: ['1', '2', '3', '4', '5'], act: (key) => { show(names[Number(key) - 1]); views[current].focus(); } },
  { keys: '/', words: 'search or filter', match: ['/'], act: () => views[current].search() },
  { keys: 'p', words: 'pause or follow the log', match: ['p'], act: () => views.log.togglePause() },
  { keys: 't', words: 'light or dark', match: ['t'], act: toggleTheme },
  { keys: '?', words: 'these keys', match: ['?'], act: () => showKeys(shortcuts) },
];
listen(shortcuts, { escape: () => views[current].close(), focusList: () => views[current].focus() });
element('#theme', HTMLElement).addEventListener('click', toggleTheme);
element('#help', HTMLElement).addEventListener('click', () => showKeys(shortcuts));
matchMedia('(prefers-color-scheme: dark)').addEventListener('change', restyle);

let labelled = 0;
onFrame(() => {
  header.draw();
  views[current].draw();
  if (labelled === store.versions.clients) return;
  labelled = store.versions.clients;
  relabel(stage);
});
// The countdown to the next attempt, and ages, go on while nothing arrives.
setInterval(() => {
  if (socket.state !== 'online') requestFrame();
}, 250);
show(/** @type {ViewName} */ (names.includes(/** @type {ViewName} */ (recall('view'))) ? recall('view') : 'topics'));

/** @template {ViewName} N @param {N} name @returns {N} */
function show(name) {
  views[current].element.hidden = true;
  current = name;
  views[name].element.hidden = false;
  for (const each of names) {
    tab(each).setAttribute('aria-selected', String(each === name));
    tab(each).tabIndex = each === name ? 0 : -1;
  }
  remember('view', name);
  requestFrame();
  return name;
}

/** @param {string} name */
function tab(name) {
  return element(`#tab-${name}`, HTMLElement);
}

/** @param {string} room */
function watch(room) {
  if (room !== store.room) for (const name of names) views[name].close();
  store.enter(room);
  remember('room', room);
  socket.send({ type: 'watch', room });
}

/** @param {import('./wire.js').Room[]} rooms */
function startRoom(rooms) {
  const wanted = recall('room') ?? FIRST_ROOM;
  return rooms.some(({ name }) => name === wanted) ? wanted : (rooms.find(({ name }) => name === FIRST_ROOM) ?? rooms[0])?.name ?? FIRST_ROOM;
}

function toggleTheme() {
  colours.toggle();
  restyle();
}

function restyle() {
  views.charts.restyle();
  store.touch('samples');
}

/** The token stands in the address only until it was read: addresses are shared and remembered. */
function takeToken() {
  const given = new URLSearchParams(location.hash.slice(1)).get('token');
  if (!given) return recall('token') ?? '';
  history.replaceState(null, '', location.pathname + location.search);
  remember('token', given);
  return given;
}
