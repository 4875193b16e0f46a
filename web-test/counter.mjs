// Opens the page of counter.html in two browsers and checks that they share one counter, also after
// one of them was without a network.
//
//     node counter.mjs http://127.0.0.1:8765/
//
// CHROMIUM names the browser.

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import puppeteer from 'puppeteer-core';

const TIMEOUT_MS = 10_000;

const address = process.argv[2];
if (!address) {
  console.error('usage: node counter.mjs http://HOST:PORT/');
  process.exit(1);
}
const page = await readFile(new URL('counter.html', import.meta.url), 'utf8');
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
  await first.click('#more');
  await shows(second, '1');
  await Promise.all([first.click('#more'), second.click('#more'), second.click('#more')]);
  await shows(first, '4');
  await shows(second, '4');

  await second.setOfflineMode(true);
  await second.click('#more');
  await first.click('#more');
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
}

/** Puts the page of an application, which the server does not have, in the place of one that it has. */
async function open(browser) {
  const [tab] = await browser.pages();
  tab.on('pageerror', (error) => complaints.push(String(error)));
  tab.on('console', (message) => {
    // The browser asks for an icon of the first page; while offline, it says so.
    if (message.type() === 'error' && !/favicon|ERR_INTERNET_DISCONNECTED/.test(`${message.location().url} ${message.text()}`)) complaints.push(message.text());
  });
  await tab.goto(new URL('healthz', address).href);
  await tab.setContent(page);
  return tab;
}

async function shows(tab, text) {
  try {
    await tab.waitForFunction((text) => document.querySelector('#more').textContent === text, { timeout: TIMEOUT_MS, polling: 20 }, text);
  } catch (error) {
    const value = await tab.$eval('#more', (button) => button.textContent);
    throw new Error(`the counter shows ${value}, not ${text}`, { cause: error });
  }
}
