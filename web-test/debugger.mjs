// Drives the debugger of a real server as a person would, with clients around that live in the room.
//
//     node debugger.mjs ../target/release/chatroom
//
// CHROMIUM names the browser, SCREENSHOTS a folder for pictures of every view.

import assert from 'node:assert/strict';
import { mkdir, mkdtemp, readFile, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import puppeteer from 'puppeteer-core';
import { enter } from './room.mjs';
import { Server } from './server.mjs';

const TIMEOUT_MS = 10_000;
const NASTY = 'nasty/<img src=x onerror="document.title=1">';

if (!process.argv[2]) {
  console.error('usage: node debugger.mjs PATH/TO/chatroom');
  process.exit(1);
}
const profile = await mkdtemp(join(tmpdir(), 'chatroom-debugger-'));
const downloads = join(profile, 'downloads');
const server = new Server(process.argv[2]);
const browser = await puppeteer.launch({
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
  userDataDir: profile,
  args: ['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'],
});
/** @type {string[]} What a developer would see in red in the console. */
const complaints = [];
const clients = [];
let step = 'start';
let page;

try {
  await main();
  step = 'the console';
  assert.deepEqual(complaints, [], 'the console is free of errors');
  console.log('ok: the debugger shows and does what happens in the room');
} catch (error) {
  console.error(`failed at "${step}": ${error.message}`);
  for (const complaint of complaints) console.error(`  console: ${complaint}`);
  if (process.env.SCREENSHOTS) await page?.screenshot({ path: join(process.env.SCREENSHOTS, 'failed.png') }).catch(() => {});
  process.exitCode = 1;
} finally {
  await browser.close();
  for (const client of clients) client.close();
  await server.kill();
  await rm(profile, { recursive: true, force: true, maxRetries: 5 });
}

async function main() {
  await server.start();
  page = (await browser.pages())[0];
  await prepare();

  step = 'it opens, empty, and takes the token out of the address';
  const answer = await page.goto(`${server.debugger}#token=unneeded`);
  assert.match(answer.headers()['content-security-policy'] ?? '', /default-src 'none'/);
  await state('online');
  assert.equal(page.url(), server.debugger);
  await says('.topics .none', 'no topics yet');
  await picture('empty-topics');

  step = 'a topic appears and changes';
  const ada = await join_('ada');
  const bob = await join_('bob');
  for (const client of [ada, bob]) client.send('subscribe', { topic_name: 'boards/plan/votes', type: 'int' });
  await row('boards/plan');
  await row('votes', '0');
  bob.send('update', { topic_name: 'boards/plan/votes', change: { type: 'add', value: 41, id: 'b1' } });
  await row('votes', '41');

  step = 'the inspector shows who has it';
  await click('votes');
  await says('.side .chips', `${ada.id} ada`);
  await says('.side .json', '41');
  await says('.history', '+ 41');

  step = 'a change from the debugger reaches the clients';
  await page.waitForSelector('.stepper .step[aria-label="add"]', { timeout: TIMEOUT_MS });
  await page.click('.stepper .step[aria-label="add"]');
  await says('.topics .outcome', 'accepted');
  const { content } = await ada.until(({ type, content }) => type === 'update' && content.by === 0);
  assert.deepEqual([content.topic_name, content.change.type, content.change.value], ['boards/plan/votes', 'add', 1]);
  await row('votes', '42');

  step = 'a value of the past';
  await page.evaluate(() => [...document.querySelectorAll('.history button.words')].find(({ textContent }) => textContent === '+ 41').click());
  await says('.note.past', 'As it was after');
  await says('.side .json', '41');
  await page.evaluate(() => [...document.querySelectorAll('.note.past button')].find(({ textContent }) => textContent === 'Back to now').click());
  await says('.side .json', '42');

  step = 'a topic is made, and a refusal is told where the edit was made';
  await askNewTopic();
  await fill('dialog input', 'boards/plan/settings');
  await page.select('dialog select', 'dict');
  await fill('dialog textarea', '{"theme": "dark"}');
  await page.click('dialog .primary');
  await says('.side-title', 'boards/plan/settings');
  await says('.side .json', '"dark"');
  await page.waitForSelector('.editor [data-op="ensure"]', { timeout: TIMEOUT_MS });
  await page.click('.editor [data-op="add"]');
  await fill('.field-line input', 'theme');
  await fill('.field-json textarea', '{"broken":');
  await says('.editor .problem', 'not JSON');
  assert.ok(await page.$eval('.editor .primary', ({ disabled }) => disabled), 'what is not JSON cannot be sent');
  await fill('.field-json textarea', '"light"');
  await page.click('.topics .editor .primary');
  await says('.topics .outcome', '207 key_exists');

  step = 'a refusal of a client is in the log with its reason';
  bob.send('update', { topic_name: 'boards/plan/settings', change: { type: 'pop', key: 'nothing', id: 'b2' } });
  await page.keyboard.press('Escape');
  await blur();
  await page.keyboard.press('2');
  await fill('.log input', 'code:208');
  await logged('no_such_key');
  await page.evaluate(() => document.querySelector('.log .row:not([hidden])').click());
  await says('.log .refusal', '208 no_such_key');
  await says('.log .facts', `${bob.id} bob`);

  step = 'a commit says who received it, and leads to its topic';
  await fill('.log input', `topic:boards/plan/votes by:${bob.id}`);
  await logged('+ 41');
  await page.evaluate(() => document.querySelector('.log .row:not([hidden])').click());
  await says('.log .side-body', 'Sent to 1');
  await says('.log .side-body', `${ada.id} ada`);
  await page.evaluate(() => document.querySelector('.log .change-line .link').click());
  await says('.topics .side-title', 'boards/plan/votes');

  step = 'the log is exported as JSON lines';
  await page.keyboard.press('2');
  await page.evaluate(() => [...document.querySelectorAll('.log .bar button')].find(({ textContent }) => textContent === 'Export').click());
  const lines = await exported();
  assert.equal(lines.length, 1);
  assert.deepEqual([lines[0].kind, lines[0].by, lines[0].changes[0].topic_name], ['commit', bob.id, 'boards/plan/votes']);
  await fill('.log input', '');

  step = 'a service is called';
  bob.onMessage = ({ type, content }) => {
    if (type === 'request') bob.send('response', { request_id: content.request_id, response: content.args.reduce((sum, one) => sum + one, 0) });
  };
  bob.send('register_service', { service_name: 'maths/sum' });
  await blur();
  await page.keyboard.press('3');
  await row('maths/sum');
  await click('maths/sum');
  await fill('.services textarea', '[1, 2, 39]');
  await page.click('.services .primary');
  await says('.services .outcome', 'answered');
  await says('.services .answers', '42');
  await says('.services .provider', `${bob.id} bob`);

  step = 'names and values of clients are only ever text';
  ada.send('subscribe', { topic_name: NASTY, type: 'string' });
  ada.send('update', { topic_name: NASTY, change: { type: 'set', value: '<script>document.title = 2</script>', id: 'a1' } });
  await blur();
  await page.keyboard.press('1');
  await row('<img src=x');
  await click('<img src=x');
  await says('.topics .text', '<script>');
  assert.equal(await page.title(), 'ChatRoom debugger');
  assert.equal(await page.$('#stage img, #stage script'), null);

  step = 'a text is edited where it was changed, whatever others write elsewhere';
  await until(() => document.querySelector('.editor [data-op="edit"][aria-checked="true"]'));
  ada.send('update', { topic_name: NASTY, change: { type: 'set', value: 'one two three', id: 'a2' } });
  await says('.topics .text', 'one two three');
  await page.click('.editor [data-op="edit"]');
  await page.focus('.topics .editor textarea');
  await page.keyboard.type('!');
  ada.send('update', { topic_name: NASTY, change: { type: 'insert', position: 0, insertion: 'zero ', id: 'a3' } });
  await says('.topics .text', 'zero one two three');
  await says('.topics .wire', '{"retain":18},{"insert":"!"}');
  await page.click('.topics .editor .primary');
  await says('.topics .text', 'zero one two three!');

  step = 'a topic is deleted';
  await page.click('.topics [aria-label="Delete this topic"]');
  await page.click('dialog .grave');
  await says('.topics .inspector, .topics .side-body', 'no such topic');
  await ada.until(({ type, content }) => type === 'error' && content.code === 400);
  await page.keyboard.press('Escape');

  step = 'the pictures';
  await pictures();

  step = 'a client is disconnected';
  await blur();
  await page.keyboard.press('4');
  await row(`${ada.id} ada`);
  await click(`${ada.id} ada`);
  await says('.clients .side-body', 'boards/plan/votes');
  await page.evaluate(() => [...document.querySelectorAll('.faults button')].find(({ textContent }) => textContent === 'Disconnect').click());
  await page.click('dialog .grave');
  await says('.clients .outcome', 'disconnected');
  await until((name) => ![...document.querySelectorAll('.clients .row:not([hidden])')].some(({ textContent }) => textContent.includes(name)), `${ada.id} ada`);
  await ada.until(({ type }) => type === 'goodbye');
  await says('.clients .note', 'has left');

  step = 'the keys are told, and Escape closes';
  await page.keyboard.press('Escape');
  await page.keyboard.press('?');
  await says('dialog', 'pause or follow the log');
  await page.keyboard.press('Escape');
  await until(() => !document.querySelector('dialog'));

  step = 'the server is killed: said so, and what was there stays';
  await blur();
  await page.keyboard.press('1');
  await server.kill();
  await state('lost');
  await says('#banner', 'Next try');
  await row('votes', '42');
  await picture('lost', ['light']);

  step = 'the server is back on the same ports: so is the debugger';
  await server.start();
  await state('online');
  await says('.topics .none', 'no topics yet');
  const carl = await join_('carl');
  carl.send('subscribe', { topic_name: 'after', type: 'string' });
  await row('after', '""');
  await blur();
  await page.keyboard.press('2');
  await says('.log .fresh', 'new');
  await page.keyboard.press('p');
  await logged('started again');
}

/** A room full of life, and every view of it in both themes and three widths. */
async function pictures() {
  if (!process.env.SCREENSHOTS) return;
  const names = ['board-web', 'arena', 'mobile', 'stock-worker', 'bot'];
  const crowd = [];
  for (let index = 0; index < 36; index += 1) crowd.push(await join_(names[index % names.length]));
  const topics = {
    'boards/roadmap/cards': ['list', Array.from({ length: 14 }, (_, id) => ({ id, text: `Card ${id}`, done: id % 3 === 0, tags: ['ui', 'later'] }))],
    'boards/roadmap/notes': ['string', 'Dear all,\n\nwe agreed on three things:\n1. the shape\n2. the colour 🎨\n3. the price\n'],
    'boards/roadmap/settings': ['dict', { theme: 'dark', columns: 3, owner: { id: 7, name: 'Ada' }, limits: { todo: 5, doing: 3, done: null } }],
    'boards/roadmap/labels': ['set', ['ui', 'bug', 'later']],
    'boards/retro/title': ['string', 'What went well'],
    'boards/retro/locked': ['bool', true],
    'games/arena-1/score': ['int', 120],
    'games/arena-1/clock': ['float', 12.75],
    'games/arena-2/score': ['int', 80],
    'games/arena-2/state': ['dict', { phase: 'play', turn: 4 }],
    'inventory/stock': ['dict', Object.fromEntries(Array.from({ length: 250 }, (_, id) => [`sku-${1000 + id}`, { left: id, price: 9.5 }]))],
    config: ['generic', { new_editor: true, version: '2.4.1' }],
  };
  for (const [index, [topic_name, [type, value]]] of Object.entries(topics).entries()) {
    for (const client of crowd.filter((_, id) => (id + index) % 3 === 0)) client.send('subscribe', { topic_name, type });
    crowd[index].send('update', { topic_name, change: { type: 'set', value, id: `set-${index}` } });
  }
  for (const client of crowd) client.send('subscribe', { topic_name: 'boards/roadmap/cursors', type: 'presence' });
  crowd[3].send('register_service', { service_name: '_chatroom/validate_change/games/arena-1/score' });
  crowd[4].send('register_service', { service_name: 'stock/reserve' });
  crowd[8].send('register_service', { service_name: 'stock/reserve' });
  crowd[9].send('register_service', { service_name: 'render/thumbnail', options: { concurrency: 2 } });
  crowd[3].onMessage = ({ type, content }) => type === 'request' && crowd[3].send('response', { request_id: content.request_id, response: content.args.change.value > 100 ? { valid: false, reason: 'nobody scores that much at once' } : { valid: true } });
  for (const id of [4, 8]) crowd[id].onMessage = ({ type, content }) => type === 'request' && setTimeout(() => crowd[id].send('response', { request_id: content.request_id, response: { left: content.args.amount * 3 } }), content.args.amount * 12);
  let turn = 0;
  const live = setInterval(() => {
    turn += 1;
    const one = crowd[turn % crowd.length];
    one.send('update', { topic_name: 'boards/roadmap/cursors', change: { type: 'put', value: { x: turn % 97, y: turn % 89 }, id: turn } });
    if (turn % 2) one.send('update', { topic_name: `games/arena-${1 + (turn % 3 === 0)}/score`, change: { type: 'add', value: turn % 21 === 0 ? 5000 : 1, id: turn } });
    if (turn % 5 === 0) one.send('action', { action_id: `turn-${turn}`, changes: [{ topic_name: 'games/arena-2/state', change: { type: 'put', key: 'turn', value: turn } }, { topic_name: 'games/arena-2/score', change: { type: 'add', value: 2 } }] });
    if (turn % 7 === 0) one.send('update', { topic_name: 'boards/roadmap/notes', change: { type: 'edit', components: [{ retain: 5 }, { insert: '!' }], id: turn } });
    if (turn % 8 === 0) one.send('update', { topic_name: 'boards/roadmap/settings', change: { type: 'add', key: 'theme', value: 'light', id: turn } });
    if (turn % 4 === 0) one.send('request', { service_name: 'stock/reserve', args: { sku: `sku-${1000 + (turn % 250)}`, amount: turn % 6 }, request_id: turn });
    if (turn % 33 === 0) one.send('request', { service_name: 'nobody/there', args: {}, request_id: turn });
  }, 30);
  for (let index = 0; index < 4; index += 1) crowd[20].send('request', { service_name: 'render/thumbnail', args: { page: index }, request_id: index });
  try {
    await everyView();
  } finally {
    clearInterval(live);
    for (const client of crowd) client.close();
  }
}

async function everyView() {
  await row('arena-1');
  await page.evaluate(() => new Promise((resolve) => setTimeout(resolve, 3000)));
  await blur();
  await page.keyboard.press('1');
  await click('cards');
  await picture('topics');
  await page.evaluate(() => [...document.querySelectorAll('.topics .row:not([hidden])')].find(({ textContent }) => textContent.startsWith('score')).click());
  await picture('topics-int');
  await click('notes');
  await picture('topics-text');
  await page.keyboard.press('Escape');
  await page.keyboard.press('2');
  await page.keyboard.press('Escape');
  await page.keyboard.press('p');
  await row('action');
  await picture('log');
  await page.evaluate(() => [...document.querySelectorAll('.log .row:not([hidden])')].find(({ textContent }) => textContent.includes('action')).click());
  await picture('log-entry');
  await page.keyboard.press('Escape');
  await page.keyboard.press('3');
  await click('render/thumbnail');
  await picture('services');
  await page.keyboard.press('Escape');
  await page.keyboard.press('4');
  await picture('clients');
  await click('stock-worker');
  await picture('client');
  await page.keyboard.press('Escape');
  await page.keyboard.press('5');
  await picture('charts');
  for (const [width, height] of [[900, 700], [400, 760]]) {
    await page.setViewport({ width, height });
    for (const [index, name] of ['topics', 'log', 'services', 'clients', 'charts'].entries()) {
      await page.keyboard.press(String(index + 1));
      await picture(`${name}-${width}`, ['light']);
      const wide = await page.evaluate(() => document.documentElement.scrollWidth);
      assert.ok(wide <= width, `${name} is ${wide} px wide at ${width}`);
    }
  }
  await page.setViewport({ width: 1440, height: 860 });
}

/** Keeps a picture of the page as it is, in each theme. */
async function picture(name, themes = ['light', 'dark']) {
  const folder = process.env.SCREENSHOTS;
  if (!folder) return;
  await mkdir(folder, { recursive: true });
  for (const theme of themes) {
    await page.emulateMediaFeatures([{ name: 'prefers-color-scheme', value: theme }]);
    // What a resize or a change of colours asks for is drawn two frames later.
    await page.evaluate(() => new Promise((resolve) => setTimeout(() => requestAnimationFrame(() => requestAnimationFrame(resolve)), 250)));
    await page.screenshot({ path: join(folder, `${name}-${theme}.png`) });
  }
  await page.emulateMediaFeatures([{ name: 'prefers-color-scheme', value: 'light' }]);
}

async function prepare() {
  page.on('console', (message) => {
    // The browser itself writes of a socket that is cut, and of a server that is away.
    if (/WebSocket connection to .* failed/.test(message.text())) return;
    if (['error', 'warn', 'warning'].includes(message.type())) complaints.push(`${message.text()} (${message.location().url ?? ''})`);
  });
  page.on('pageerror', (error) => complaints.push(String(error)));
  page.on('response', (response) => {
    if (response.status() >= 400) complaints.push(`${response.url()}: ${response.status()}`);
  });
  await page.setViewport({ width: 1440, height: 860 });
  await page.emulateMediaFeatures([{ name: 'prefers-color-scheme', value: 'light' }]);
  const session = await page.createCDPSession();
  await session.send('Browser.setDownloadBehavior', { behavior: 'allow', downloadPath: downloads });
}

async function join_(name) {
  const client = await enter(server.address, name);
  clients.push(client);
  return client;
}

async function until(condition, ...given) {
  await page.waitForFunction(condition, { timeout: TIMEOUT_MS, polling: 30 }, ...given);
}

async function state(wanted) {
  await until((wanted) => document.documentElement.dataset.state === wanted, wanted);
}

/** Waits until some element of `selector` says `text`. */
async function says(selector, text) {
  try {
    await until((selector, text) => [...document.querySelectorAll(selector)].some((element) => element.checkVisibility() && element.textContent.includes(text)), selector, text);
  } catch (error) {
    const found = await page.$$eval(selector, (elements) => elements.map(({ textContent }) => textContent.slice(0, 300)));
    throw new Error(`${selector} says ${JSON.stringify(found)}, not ${JSON.stringify(text)}`, { cause: error });
  }
}

/** Waits for a row of the view in front that has all of these texts. */
async function row(...texts) {
  try {
    await until((texts) => [...document.querySelectorAll('.view:not([hidden]) .main .row:not([hidden])')].some(({ textContent }) => texts.every((text) => textContent.includes(text))), texts);
  } catch (error) {
    const found = await page.$$eval('.view:not([hidden]) .main .row:not([hidden])', (rows) => rows.map(({ textContent }) => textContent.slice(0, 100)));
    throw new Error(`no row has ${JSON.stringify(texts)}: ${JSON.stringify(found)}`, { cause: error });
  }
}

async function logged(text) {
  await row(text);
}

async function click(text) {
  await row(text);
  await page.evaluate((text) => [...document.querySelectorAll('.view:not([hidden]) .main .row:not([hidden])')].find(({ textContent }) => textContent.includes(text)).click(), text);
}

async function askNewTopic() {
  await page.evaluate(() => [...document.querySelectorAll('.topics .bar button')].find(({ textContent }) => textContent === 'New topic').click());
  await page.waitForSelector('dialog[open]');
}

/** Replaces what stands in a field, as a person who selects all and types. */
async function fill(selector, text) {
  await page.focus(selector);
  await page.$eval(selector, (field) => field.select());
  await page.keyboard.press('Backspace');
  if (text) await page.keyboard.type(text);
}

async function blur() {
  await page.evaluate(() => document.activeElement.blur());
}

/** The lines of the file that was saved. */
async function exported() {
  const deadline = Date.now() + TIMEOUT_MS;
  while (Date.now() < deadline) {
    const [name] = (await readdir(downloads).catch(() => [])).filter((name) => name.endsWith('.jsonl'));
    if (name) return (await readFile(join(downloads, name), 'utf8')).trim().split('\n').map((line) => JSON.parse(line));
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error('nothing was saved');
}
