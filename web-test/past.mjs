// The debugger of a server that keeps its rooms and was killed: a topic's timeline reaches back before
// that, shows values of then, and restores one.
//
//     node past.mjs ../target/release/chatroom

import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import puppeteer from 'puppeteer-core';
import { enter } from './room.mjs';
import { Server } from './server.mjs';

const TIMEOUT_MS = 10_000;
const WORDS = ['To be', ', or not', ' to be', ': that is', ' the question'];

const folder = await mkdtemp(join(tmpdir(), 'chatroom-past-'));
const server = new Server(process.argv[2], '127.0.0.1', join(folder, 'data'));
const browser = await puppeteer.launch({
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
  userDataDir: join(folder, 'profile'),
  args: ['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'],
});
let step = 'start';
let page;
let ada;

try {
  await main();
  console.log('ok: the past outlives the server');
} catch (error) {
  console.error(`failed at "${step}": ${error.message}`);
  if (process.env.SCREENSHOTS) await page?.screenshot({ path: join(process.env.SCREENSHOTS, 'failed.png') }).catch(() => {});
  process.exitCode = 1;
} finally {
  await browser.close();
  ada?.close();
  await server.kill();
  await rm(folder, { recursive: true, force: true, maxRetries: 5 });
}

async function main() {
  await server.start();
  const before = await enter(server.address, 'before');
  before.send('subscribe', { topic_name: 'speech', type: 'string' });
  let length = 0;
  for (const [index, insert] of WORDS.entries()) {
    before.send('update', { topic_name: 'speech', change: { type: 'edit', components: [...(length ? [{ retain: length }] : []), { insert }], id: index } });
    length += insert.length;
    await before.until(({ type, content }) => type === 'accepted' && content.id === index);
  }
  await server.kill();
  before.close();
  await server.start();

  step = 'the topic is there with its value, and the log begins anew';
  ada = await enter(server.address, 'ada');
  ada.send('subscribe', { topic_name: 'speech' });
  page = (await browser.pages())[0];
  await page.setViewport({ width: 1440, height: 860 });
  await page.goto(server.debugger);
  await until(() => [...document.querySelectorAll('.topics .row:not([hidden])')].some(({ textContent }) => textContent.includes('speech')));
  await page.evaluate(() => [...document.querySelectorAll('.topics .row:not([hidden])')].find(({ textContent }) => textContent.includes('speech')).click());
  await says('.side .value', WORDS.join(''));

  step = 'its history is loaded from what the server keeps';
  await press('Load older');
  await says('.history', '": that is"');
  assert.equal(await page.$$eval('.history li', (lines) => lines.length), WORDS.length);

  step = 'a value of then';
  await page.evaluate(() => [...document.querySelectorAll('.history button.words')].find(({ textContent }) => textContent.includes(' to be')).click());
  await says('.note.past', 'As it was after');
  await says('.side .value', WORDS.slice(0, 3).join(''));

  step = 'the timeline goes from commit to commit';
  const values = [];
  for (let place = 0; place <= WORDS.length; place += 1) {
    await page.$eval('.timeline', (slider, place) => {
      slider.value = String(place);
      slider.dispatchEvent(new Event('input'));
    }, place);
    const wanted = WORDS.slice(0, Math.min(place, WORDS.length - 1) + 1).join('');
    await until((wanted) => document.querySelector('.side .value pre')?.textContent === wanted, wanted);
    values.push(wanted);
  }
  assert.equal(new Set(values).size, WORDS.length);
  if (process.env.SCREENSHOTS) await page.screenshot({ path: join(process.env.SCREENSHOTS, 'past.png') });

  step = 'a value is restored';
  await page.$eval('.timeline', (slider) => {
    slider.value = '1';
    slider.dispatchEvent(new Event('input'));
  });
  await says('.note.past', 'Restore');
  if (process.env.SCREENSHOTS) await page.screenshot({ path: join(process.env.SCREENSHOTS, 'past-restore.png') });
  await press('Restore');
  const { content } = await ada.until(({ type, content }) => type === 'update' && content.by === 0);
  assert.equal(content.change.value, WORDS.slice(0, 2).join(''));
  await until((wanted) => document.querySelector('.side .value pre')?.textContent === wanted, WORDS.slice(0, 2).join(''));
  await until(() => document.querySelector('.note.past').hidden);
}

function until(holds, ...given) {
  return page.waitForFunction(holds, { timeout: TIMEOUT_MS }, ...given);
}

function says(selector, text) {
  return until((selector, text) => [...document.querySelectorAll(selector)].some(({ textContent }) => textContent.includes(text)), selector, text);
}

function press(label) {
  return page.evaluate((label) => [...document.querySelectorAll('.side button')].find(({ textContent }) => textContent === label).click(), label);
}
