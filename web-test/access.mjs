// Who gets into the debugger: with a token in the address, with one that is typed in, and not without.
// And the way from one room to another, with a client that is frozen and delayed.
//
//     node access.mjs ../target/release/chatroom
//
// CHROMIUM names the browser.

import assert from 'node:assert/strict';
import puppeteer from 'puppeteer-core';
import { enter } from './room.mjs';
import { Server } from './server.mjs';

const TIMEOUT_MS = 10_000;

if (!process.argv[2]) {
  console.error('usage: node access.mjs PATH/TO/chatroom');
  process.exit(1);
}
// Every address of the machine, which the loopback one is among.
const server = new Server(process.argv[2], '0.0.0.0');
await server.start();
const browser = await puppeteer.launch({
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
  args: ['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run'],
});
const clients = [];
let step = 'start';

try {
  const printed = new URL(server.debugger.replace('0.0.0.0', '127.0.0.1'));
  const token = new URLSearchParams(printed.hash.slice(1)).get('token');
  assert.match(token ?? '', /^[0-9a-f]{32}$/);
  const bare = printed.origin;

  step = 'without a token nothing is shown, and a wrong one does not help';
  const page = await fresh();
  await page.goto(bare);
  await says(page, '#banner', 'Its token');
  await type(page, 'wrong');
  await page.waitForSelector('#banner input:not([data-used])', { timeout: TIMEOUT_MS });
  await says(page, '#banner', 'Its token');

  step = 'the token is typed in';
  await type(page, token);
  await says(page, '#state', 'live');

  step = 'the printed address is enough, and keeps nothing of the token';
  const other = await fresh();
  await other.goto(printed.href);
  await says(other, '#state', 'live');
  assert.equal(new URL(other.url()).hash, '');

  step = 'another room is watched';
  const ann = await enter(server.address, 'ann', 'arena');
  clients.push(ann);
  ann.send('subscribe', { topic_name: 'arena/score', type: 'int' });
  await other.waitForFunction(() => [...document.querySelectorAll('select option')].some(({ value }) => value === 'arena'), { timeout: TIMEOUT_MS });
  await other.select('header select', 'arena');
  await says(other, '.topics', 'score');

  step = 'a client is frozen: what it sends waits';
  await other.keyboard.press('4');
  await other.waitForFunction((name) => {
    const row = [...document.querySelectorAll('.clients .main .row:not([hidden])')].find(({ textContent }) => textContent.includes(name));
    row?.click();
    return row;
  }, { timeout: TIMEOUT_MS, polling: 50 }, 'ann');
  await says(other, '.clients .side-body', 'arena/score');
  await fault(other, 'Freeze');
  await says(other, '.clients', 'frozen');
  const bob = await enter(server.address, 'bob', 'arena');
  clients.push(bob);
  bob.send('subscribe', { topic_name: 'arena/score', type: 'int' });
  await bob.until(({ type }) => type === 'subscribed');
  ann.send('update', { topic_name: 'arena/score', change: { type: 'add', value: 1, id: 'frozen' } });
  bob.send('update', { topic_name: 'arena/score', change: { type: 'add', value: 1, id: 'free' } });
  const { content } = await bob.until(({ type }) => type === 'accepted');
  assert.equal(content.sequence, 1, 'the frozen client waits');

  console.log('ok: the debugger lets in who has the token');
} catch (error) {
  console.error(`failed at "${step}": ${error.message}`);
  process.exitCode = 1;
} finally {
  await browser.close();
  for (const client of clients) client.close();
  await server.kill();
}

/** A page that remembers nothing of the others. */
async function fresh() {
  const context = await browser.createBrowserContext();
  return context.newPage();
}

async function says(page, selector, text) {
  try {
    await page.waitForFunction((selector, text) => document.querySelector(selector)?.textContent.includes(text), { timeout: TIMEOUT_MS, polling: 50 }, selector, text);
  } catch (error) {
    const shown = await page.$eval(selector, ({ textContent }) => textContent).catch(() => 'nothing');
    throw new Error(`${selector} shows ${shown}, not ${text}`, { cause: error });
  }
}

async function type(page, token) {
  await page.waitForSelector('#banner input', { timeout: TIMEOUT_MS });
  // The form of a refusal is another one than that of the refusal before.
  await page.$eval('#banner input', (input) => { input.dataset.used = 'true'; });
  await page.type('#banner input', token);
  await page.keyboard.press('Enter');
}

async function fault(page, name) {
  await page.waitForSelector('.faults button', { timeout: TIMEOUT_MS });
  await page.evaluate((name) => [...document.querySelectorAll('.faults button')].find(({ textContent }) => textContent === name).click(), name);
}
