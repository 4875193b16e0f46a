// Serves the page of examples/hello-topic as an application would, from an origin of its own, opens it
// in two browsers and checks that they share one counter, also after
// one of them was without a network.
//
//     node counter.mjs http://127.0.0.1:8765/
//
// CHROMIUM names the browser.

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import puppeteer from 'puppeteer-core';

const TIMEOUT_MS = 10_000;

const address = process.argv[2];
if (!address) {
  console.error('usage: node counter.mjs http://HOST:PORT/');
  process.exit(1);
}
const source = await readFile(new URL('../examples/hello-topic/index.html', import.meta.url), 'utf8');
const page = source.replaceAll('localhost:8765', new URL(address).host);
const application = createServer((request, response) => {
  const found = request.url === '/';
  response.writeHead(found ? 200 : 204, { 'content-type': 'text/html; charset=utf-8' }).end(found ? page : undefined);
});
await new Promise((done) => { application.listen(0, '127.0.0.1', () => done(undefined)); });
const { port } = /** @type {import('node:net').AddressInfo} */ (application.address());
const start = () =>
  puppeteer.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    args: ['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run'],
  });
const browsers = await Promise.all([start(), start()]);
/** @type {string[]} */
const complaints = [];

try {
  const [first, second] = await Promise.all(browsers.map(open));
  await shows(first, '0');
  await shows(second, '0');
  await first.click('#count');
  await shows(second, '1');
  await Promise.all([first.click('#count'), second.click('#count'), second.click('#count')]);
  await shows(first, '4');
  await shows(second, '4');

  await second.setOfflineMode(true);
  await second.click('#count');
  await first.click('#count');
  await second.setOfflineMode(false);
  await shows(first, '6');
  await shows(second, '6');
  assert.deepEqual(complaints, [], 'the console is free of errors');
  console.log('ok: two browsers share a counter');
} catch (error) {
  console.error(`failed: ${error.message}`, complaints);
  process.exitCode = 1;
} finally {
  await Promise.all(browsers.map((browser) => browser.close()));
  application.close();
}

async function open(browser) {
  const [tab] = await browser.pages();
  tab.on('pageerror', (error) => complaints.push(String(error)));
  tab.on('console', (message) => {
    // While offline, the browser says so.
    if (message.type() === 'error' && !message.text().includes('ERR_INTERNET_DISCONNECTED')) complaints.push(message.text());
  });
  await tab.goto(`http://127.0.0.1:${port}/`);
  return tab;
}

async function shows(tab, text) {
  try {
    await tab.waitForFunction((text) => document.querySelector('#count').textContent === text, { timeout: TIMEOUT_MS, polling: 20 }, text);
  } catch (error) {
    const value = await tab.$eval('#count', (button) => button.textContent);
    throw new Error(`the counter shows ${value}, not ${text}`, { cause: error });
  }
}
