// Opens the welcome page of a running server in two tabs and checks that they keep in step.
//
//     node page.mjs http://127.0.0.1:8765/
//
// The server must be fresh: nobody else in its room. CHROMIUM names the browser, SCREENSHOTS a
// folder for pictures of the page.

import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import puppeteer from 'puppeteer-core';

const TIMEOUT_MS = 10_000;

const address = process.argv[2];
if (!address) {
  console.error('usage: node page.mjs http://HOST:PORT/');
  process.exit(1);
}
const profile = await mkdtemp(join(tmpdir(), 'chatroom-page-'));
const browser = await puppeteer.launch({
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
  userDataDir: profile,
  args: [
    '--headless',
    '--no-sandbox',
    '--disable-gpu',
    '--disable-quic',
    '--no-first-run',
    '--disable-background-networking',
    '--disable-component-update',
    '--disable-sync',
    // Both tabs are looked at in turn; neither may fall asleep.
    '--disable-background-timer-throttling',
    '--disable-backgrounding-occluded-windows',
    '--disable-renderer-backgrounding',
  ],
});
/** @type {string[]} What a developer would see in red in the console. */
const complaints = [];
let step = 'start';

try {
  await main();
  step = 'the console';
  assert.deepEqual(complaints, [], 'the console is free of errors');
  console.log('ok: two tabs of the welcome page keep in step');
} catch (error) {
  console.error(`failed at "${step}": ${error.message}`);
  for (const complaint of complaints) console.error(`  console: ${complaint}`);
  process.exitCode = 1;
} finally {
  await browser.close();
  await rm(profile, { recursive: true, force: true, maxRetries: 5 });
}

async function main() {
  step = 'the first tab comes online';
  const first = (await browser.pages())[0];
  await prepare(first);
  const answer = await first.goto(address);
  assert.match(answer.headers()['content-security-policy'] ?? '', /default-src 'none'/);
  await shows(first, '#state', 'online');
  await shows(first, '#people', '1');

  step = 'the shown code is the code that runs';
  const served = await first.evaluate(async () => (await fetch('/welcome/room.js')).text());
  assert.equal(await textOf(first, '#source'), served);

  step = 'the call to action opens a second tab';
  const isNew = (target) => target.type() === 'page' && target !== first.target() && target.url().startsWith(address);
  const opening = browser.waitForTarget(isNew, { timeout: TIMEOUT_MS });
  await first.click('#second');
  const second = await (await opening).page();
  await prepare(second);
  // What it complained of before anyone listened, it complains of again.
  await second.reload();
  await shows(second, '#state', 'online');
  await shows(first, '#people', '2');
  await shows(second, '#people', '2');

  step = 'the counter keeps in step both ways';
  const count = Number(await textOf(first, '#count'));
  await first.click('#more');
  await shows(first, '#count', String(count + 1));
  await shows(second, '#count', String(count + 1));
  await second.click('#less');
  await second.focus('#less');
  await second.keyboard.press('Enter');
  await shows(first, '#count', String(count - 1));
  await shows(second, '#count', String(count - 1));

  step = 'text typed in one tab appears in the other';
  await write(first, '');
  await reads(second, '');
  await first.type('#text', 'tea');
  await reads(second, 'tea');

  step = 'an emoji keeps positions and the caret right';
  await first.keyboard.type('😀!');
  await reads(second, 'tea😀!');
  await caret(first, 5);
  await caret(second, 0);
  await second.keyboard.type('👋🏽 ');
  await reads(first, '👋🏽 tea😀!');
  await first.keyboard.type('?');
  await reads(second, '👋🏽 tea😀?!');
  await second.keyboard.press('End');
  await second.keyboard.press('Backspace');
  await second.keyboard.press('Backspace');
  await second.keyboard.press('Backspace');
  await reads(first, '👋🏽 tea');
  assert.equal(await first.$eval('#text', (area) => area.selectionStart), '👋🏽 tea'.length);

  step = 'both type at once, in different places';
  await caret(first, 0);
  await caret(second, 'end');
  await Promise.all([first.keyboard.type('abcdefghijklmnopqrstuvwxyz'), second.keyboard.type('0123456789012345678901234')]);
  for (const tab of [first, second]) await reads(tab, 'abcdefghijklmnopqrstuvwxyz👋🏽 tea0123456789012345678901234');

  step = 'both type at once, in one place';
  await write(second, '><');
  await reads(first, '><');
  await caret(first, 1);
  await caret(second, 1);
  await Promise.all([first.keyboard.type('oneoneoneone'), second.keyboard.type('TWOTWOTWOTWO')]);
  await until(first, () => document.querySelector('#text').value.length === 26);
  const merged = await first.$eval('#text', (area) => area.value);
  assert.equal(merged.replace(/[A-Z]/g, ''), '>oneoneoneone<');
  assert.equal(merged.replace(/[a-z]/g, ''), '>TWOTWOTWOTWO<');
  await reads(second, merged);

  step = 'the pointer of one tab is seen in the other';
  const room = await (await first.$('#room')).boundingBox();
  const id = (await textOf(first, '#client')).replace(/\D/g, '');
  const sent = await framesOf(first);
  await first.mouse.move(room.x + 20, room.y + 20);
  await first.mouse.move(room.x + room.width * 0.25, room.y + room.height * 0.5, { steps: 40 });
  await until(
    second,
    (id) => {
      const pointer = document.querySelector(`.pointer[data-client="${id}"]`)?.getBoundingClientRect();
      const room = document.querySelector('#room').getBoundingClientRect();
      if (!pointer) return false;
      const [x, y] = [(pointer.x - room.x) / room.width, (pointer.y - room.y) / room.height];
      return Math.abs(x - 0.25) < 0.01 && Math.abs(y - 0.5) < 0.02;
    },
    id,
  );
  const times = await sent();
  assert.ok(times.length > 1, 'pointer moves are sent');
  const rate = (times.length - 1) / (times.at(-1) - times[0]);
  assert.ok(rate < 35, `pointer moves are sent 30 times a second at most, not ${rate.toFixed()}`);
  await first.mouse.move(5, 5);
  await until(second, () => !document.querySelector('.pointer'));

  step = 'a call is answered by the other tab';
  const other = (await textOf(second, '#client')).replace(/\D/g, '');
  await first.click('#greet');
  await until(first, (other) => document.querySelector('#call').dataset.by === other, other);
  const [own, neighbour] = await first.$$eval('#names li', (names) => names.map((name) => name.textContent.replace(' (this tab)', '')));
  await shows(first, '#answer', `Hello ${own}, I am ${neighbour}.`);
  await shows(first, '#call-to', neighbour);
  assert.match(await textOf(first, '#call-ms'), /^\d+(\.\d)? ms$/);
  await shows(second, '#flash', `${own} said hello`);

  step = 'both tabs tell the same order';
  const [tape, sameTape] = await Promise.all([first, second].map(commits));
  assert.ok(tape.length > 3 && tape.at(-1) !== '', 'the tape has commits');
  assert.deepEqual(tape, sameTape);

  step = 'it fits, moves and looks as it should';
  await pictures(first, second);

  step = 'a tab that closes is gone';
  await second.close();
  await shows(first, '#people', '1');
  await first.click('#greet');
  await until(first, (id) => document.querySelector('#call').dataset.by === id, id);
}

/** Looks at the page in both themes, on a phone, and with less motion. */
async function pictures(first, second) {
  const folder = process.env.SCREENSHOTS;
  if (folder) await mkdir(folder, { recursive: true });
  await first.bringToFront();
  const picture = async (name) => {
    // A transition may begin or end anywhere between two conditions; wait until nothing moves.
    await until(first, () => document.getAnimations().every(({ playState }) => playState !== 'running'));
    if (folder) await first.screenshot({ path: join(folder, `${name}.png`), fullPage: true });
  };
  await write(first, 'Dear neighbour,\nthis line was written in one tab 🙂\n');
  await reads(second, 'Dear neighbour,\nthis line was written in one tab 🙂\n');
  await caret(second, 'end');
  await second.keyboard.type('and this one in the other.');
  const room = await (await second.$('#room')).boundingBox();
  await second.mouse.move(room.x + room.width * 0.62, room.y + room.height * 0.62);
  await until(first, () => document.querySelector('.pointer'));

  await picture('light');
  await first.emulateMediaFeatures([{ name: 'prefers-color-scheme', value: 'dark' }]);
  await picture('dark');
  const night = await first.evaluate(() => getComputedStyle(document.body).backgroundColor);
  await first.emulateMediaFeatures([{ name: 'prefers-color-scheme', value: 'light' }]);
  assert.notEqual(await first.evaluate(() => getComputedStyle(document.body).backgroundColor), night, 'there are two themes');

  await first.setViewport({ width: 360, height: 740, deviceScaleFactor: 2 });
  await picture('mobile');
  assert.equal(await first.evaluate(() => document.documentElement.scrollWidth), 360, 'nothing sticks out at 360 px');
  await first.setViewport({ width: 1280, height: 800 });

  await first.emulateMediaFeatures([{ name: 'prefers-reduced-motion', value: 'reduce' }]);
  const still = await first.$eval('#tape li', (item) => getComputedStyle(item).animationName === 'none' || parseFloat(getComputedStyle(item).animationDuration) <= 0.001);
  assert.ok(still, 'reduced motion is honoured');
  await first.emulateMediaFeatures([]);

  await first.focus('#more');
  await first.keyboard.press('Tab');
  const outline = await first.evaluate(() => getComputedStyle(document.activeElement).outlineStyle);
  assert.notEqual(outline, 'none', 'the focus is visible');
}

async function prepare(page) {
  page.on('console', (message) => {
    if (['error', 'warn', 'warning'].includes(message.type())) complaints.push(`${message.text()} (${message.location().url ?? ''})`);
  });
  page.on('pageerror', (error) => complaints.push(String(error)));
  page.on('requestfailed', (request) => complaints.push(`${request.url()}: ${request.failure()?.errorText}`));
  page.on('response', (response) => {
    if (response.status() >= 400) complaints.push(`${response.url()}: ${response.status()}`);
  });
  await page.setViewport({ width: 1280, height: 800 });
  const session = await page.createCDPSession();
  // Keys reach a tab that is not in front only if it takes itself for focused.
  await session.send('Emulation.setFocusEmulationEnabled', { enabled: true });
}

/** Waits until `condition` holds in the page. */
async function until(page, condition, ...given) {
  await page.waitForFunction(condition, { timeout: TIMEOUT_MS, polling: 20 }, ...given);
}

async function shows(page, selector, text) {
  try {
    await until(page, (selector, text) => document.querySelector(selector).textContent === text, selector, text);
  } catch (error) {
    throw new Error(`${selector} shows ${JSON.stringify(await textOf(page, selector))}, not ${JSON.stringify(text)}`, { cause: error });
  }
}

async function reads(page, text) {
  try {
    await until(page, (text) => document.querySelector('#text').value === text, text);
  } catch (error) {
    const value = await page.$eval('#text', (area) => area.value);
    throw new Error(`the text is ${JSON.stringify(value)}, not ${JSON.stringify(text)}`, { cause: error });
  }
}

async function textOf(page, selector) {
  return page.$eval(selector, (element) => element.textContent);
}

/** Replaces the text as a person would: select all, type. */
async function write(page, text) {
  await page.focus('#text');
  await page.$eval('#text', (area) => area.select());
  await page.keyboard.press('Backspace');
  await page.keyboard.type(text);
}

async function caret(page, place) {
  await page.focus('#text');
  await page.$eval(
    '#text',
    (area, place) => {
      const at = place === 'end' ? area.value.length : place;
      area.setSelectionRange(at, at);
    },
    place,
  );
}

/** What the tape says, but for pointer moves, which it gathers as they come. */
async function commits(page) {
  return page.$$eval('#tape li.commit', (items) => items.slice(-4).map((item) => item.textContent));
}

/** Begins to note when the page sends; call what it returns for the times. */
async function framesOf(page) {
  const session = await page.createCDPSession();
  const times = [];
  session.on('Network.webSocketFrameSent', ({ timestamp }) => times.push(timestamp));
  await session.send('Network.enable');
  return async () => {
    await session.detach();
    return times;
  };
}
