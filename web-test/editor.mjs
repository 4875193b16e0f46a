// Opens the editor example in two tabs, which type at once, go offline and come back.
//
//     node editor.mjs PATH-OF-CHATROOM
//
// CHROMIUM names the browser, SCREENSHOTS a folder for a picture of the page.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import puppeteer from 'puppeteer-core';

const TIMEOUT_MS = 15_000;

const binary = process.argv[2];
if (!binary) {
  console.error('usage: node editor.mjs PATH-OF-CHATROOM');
  process.exit(1);
}
const pages = spawn(process.execPath, [fileURLToPath(new URL('../examples/pages/serve.mjs', import.meta.url)), '0'], { stdio: ['ignore', 'pipe', 'inherit'] });
process.once('exit', () => pages.kill());
const page = await printed(pages, /(http:\S+)examples\/editor\//);
const server = spawn(binary, ['serve', '--memory', '--listen', '127.0.0.1:0', '--allowed-origins', new URL(page).origin], { stdio: ['ignore', 'pipe', 'inherit'] });
const address = (await printed(server, /(http:\/\/\S+)/)).replace('http', 'ws');
const profile = await mkdtemp(join(tmpdir(), 'chatroom-editor-'));
const browser = await puppeteer.launch({
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
  userDataDir: profile,
  args: [
    '--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
    '--disable-component-update', '--disable-sync',
    // Both tabs are looked at in turn; neither may fall asleep.
    '--disable-background-timer-throttling', '--disable-backgrounding-occluded-windows', '--disable-renderer-backgrounding',
  ],
});
/** @type {string[]} What a developer would see in red in the console. */
const complaints = [];
let step = 'start';

try {
  await main();
  step = 'the console';
  assert.deepEqual(complaints.filter((text) => !/ERR_INTERNET_DISCONNECTED/.test(text)), [], 'the console is free of errors');
  console.log('ok: two editors keep in step, also while one is offline');
} catch (error) {
  console.error(`failed at "${step}": ${error.stack}`);
  for (const complaint of complaints) console.error(`  console: ${complaint}`);
  process.exitCode = 1;
} finally {
  await browser.close();
  pages.kill();
  server.kill();
  await rm(profile, { recursive: true, force: true, maxRetries: 5 });
}

async function main() {
  step = 'both come online';
  const [first, second] = [await open('Ann'), await open('Bob')];
  for (const tab of [first, second]) await until(tab, () => document.querySelector('#state').textContent === 'online' && globalThis.text.status === 'live');

  step = 'what one types, the other reads';
  await first.focus('.cm-content');
  await first.keyboard.type('hello 😀 there');
  await reads(second, 'hello 😀 there');

  step = 'both type at once, in different places and in one';
  await caret(first, 0);
  await caret(second, 'end');
  await Promise.all([first.keyboard.type('abcdefghijklmnopqrstuvwxyz\n'), second.keyboard.type('\n0123456789')]);
  for (const tab of [first, second]) await reads(tab, 'abcdefghijklmnopqrstuvwxyz\nhello 😀 there\n0123456789');
  await caret(first, 'end');
  await caret(second, 'end');
  await Promise.all([first.keyboard.type('oneoneoneone'), second.keyboard.type('TWOTWOTWOTWO')]);
  await until(first, () => globalThis.text.value.length === 52 + 24 && globalThis.room.unsaved === 0);
  await until(second, () => globalThis.text.value.length === 52 + 24 && globalThis.room.unsaved === 0);
  const merged = await inStep(first, second);
  assert.equal(merged.slice(52).replace(/[A-Z]/g, ''), 'oneoneoneone');
  assert.equal(merged.slice(52).replace(/[a-z]/g, ''), 'TWOTWOTWOTWO');

  step = 'the cursors of the other are seen, and move with the text';
  await caret(second, 5);
  await shows(first, 'Bob', 5);
  await caret(first, 0);
  // A group of its own, so that undo does not take it for one with what was typed a moment ago.
  await first.evaluate(() => globalThis.room.beginGroup());
  await first.keyboard.type('>> ');
  await first.evaluate(() => globalThis.room.endGroup());
  await shows(first, 'Bob', 8);
  await shows(second, 'Ann', 3);
  await second.keyboard.down('Shift');
  for (let press = 0; press < 4; press++) await second.keyboard.press('ArrowRight');
  await second.keyboard.up('Shift');
  await until(first, () => document.querySelector('.cm-sharedSelection')?.textContent.length === 4);
  if (process.env.SCREENSHOTS) {
    await mkdir(process.env.SCREENSHOTS, { recursive: true });
    await first.bringToFront();
    await first.screenshot({ path: join(process.env.SCREENSHOTS, 'editor.png') });
  }

  step = 'undo takes back what this tab typed and nothing else';
  await caret(second, 'end');
  await second.keyboard.type('\nby Bob');
  await reads(first, `>> ${merged}\nby Bob`);
  await caret(first, 'end');
  await first.keyboard.down('Control');
  await first.keyboard.press('z');
  await first.keyboard.up('Control');
  await reads(second, `${merged}\nby Bob`);
  await until(first, () => !document.querySelector('#redo').disabled);
  await first.click('#redo');
  await reads(second, `>> ${merged}\nby Bob`);

  step = 'one is offline, both type on';
  await first.setOfflineMode(true);
  // Chromium leaves open sockets alone when it goes offline.
  await first.evaluate(() => globalThis.room.reconnect());
  await until(first, () => globalThis.room.state === 'offline');
  await caret(first, 0);
  await first.keyboard.type('offline ');
  await caret(second, 'end');
  await second.keyboard.type(' online');
  await until(first, () => globalThis.editor.state.doc.toString().startsWith('offline >> ') && globalThis.room.unsaved >= 8);
  await reads(second, `>> ${merged}\nby Bob online`);
  await first.setOfflineMode(false);
  for (const tab of [first, second]) await reads(tab, `offline >> ${merged}\nby Bob online`);
  await until(first, () => globalThis.room.unsaved === 0);
  await inStep(first, second);
  assert.equal(await first.evaluate(() => globalThis.room.gaps), 0);

  step = 'a tab that closes takes its cursor along';
  await second.close();
  await until(first, () => !document.querySelector('.cm-sharedCaret'));
}

/** @param {string} name */
async function open(name) {
  const tab = await browser.newPage();
  tab.on('console', (message) => {
    if (['error', 'warn', 'warning'].includes(message.type())) complaints.push(`${name}: ${message.text()} (${message.location().url ?? ''})`);
  });
  tab.on('pageerror', (error) => complaints.push(`${name}: ${error}`));
  await tab.setViewport({ width: 900, height: 500 });
  const session = await tab.createCDPSession();
  // Keys reach a tab that is not in front only if it takes itself for focused.
  await session.send('Emulation.setFocusEmulationEnabled', { enabled: true });
  await tab.goto(`${page}examples/editor/?server=${encodeURIComponent(address)}&name=${name}`);
  return tab;
}

async function until(tab, condition, ...given) {
  await tab.waitForFunction(condition, { timeout: TIMEOUT_MS, polling: 20 }, ...given);
}

/** The text in the editor and in the topic. */
async function reads(tab, text) {
  try {
    await until(tab, (text) => globalThis.editor.state.doc.toString() === text && globalThis.text.value === text, text);
  } catch (error) {
    const seen = await tab.evaluate(() => [globalThis.editor.state.doc.toString(), globalThis.text.value, globalThis.room.state]);
    throw new Error(`it reads ${JSON.stringify(seen)}, not ${JSON.stringify(text)}`, { cause: error });
  }
}

/** Both have one text, in the editor, in the topic and confirmed. */
async function inStep(first, second) {
  const texts = [];
  for (const tab of [first, second]) texts.push(...(await tab.evaluate(() => [globalThis.editor.state.doc.toString(), globalThis.text.value, globalThis.text.confirmed])));
  assert.equal(new Set(texts).size, 1, JSON.stringify(texts));
  return texts[0];
}

async function caret(tab, place) {
  await tab.focus('.cm-content');
  await tab.evaluate((place) => {
    const { editor } = globalThis;
    editor.dispatch({ selection: { anchor: place === 'end' ? editor.state.doc.length : place } });
  }, place);
}

/** Somebody's cursor stands at a place in the text. */
async function shows(tab, name, place) {
  await until(
    tab,
    (name, place) => {
      const caret = [...document.querySelectorAll('.cm-sharedCaret')].find((caret) => caret.textContent === name);
      return caret && globalThis.editor.posAtDOM(caret) === place;
    },
    name,
    place,
  );
}

/** What a process prints that matches. */
function printed(child, pattern) {
  return new Promise((resolve, reject) => {
    let text = '';
    child.stdout.setEncoding('utf8').on('data', (more) => {
      text += more;
      const found = pattern.exec(text);
      if (found) resolve(found[1]);
    });
    child.once('exit', () => reject(new Error(`it ended: ${text}`)));
  });
}
