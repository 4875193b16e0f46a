// How smooth the debugger stays: 5,000 topics at 1,000 commits a second, 10 seconds in each view.
//
//     node debugger-bench.mjs ../target/release/chatroom
//
// A benchmark, not a test: it prints figures, and they depend on the machine. TOPICS, RATE and
// SECONDS change the load; CHROMIUM names the browser.

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import puppeteer from 'puppeteer-core';
import { enter } from './room.mjs';
import { Server } from './server.mjs';

const TOPICS = Number(process.env.TOPICS ?? 5000);
const RATE = Number(process.env.RATE ?? 1000);
const SECONDS = Number(process.env.SECONDS ?? 10);
const CLIENTS = 20;
const VIEWS = ['topics', 'log', 'services', 'clients', 'charts'];

if (!process.argv[2]) {
  console.error('usage: node debugger-bench.mjs PATH/TO/chatroom');
  process.exit(1);
}
const profile = await mkdtemp(join(tmpdir(), 'chatroom-bench-'));
const server = new Server(process.argv[2]);
await server.start();
const browser = await puppeteer.launch({
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
  userDataDir: profile,
  args: ['--headless', '--no-sandbox', '--disable-gpu', '--no-first-run', '--disable-background-networking', '--disable-sync', '--enable-precise-memory-info'],
});
const clients = [];
let sending;
try {
  await main();
} finally {
  clearInterval(sending);
  await browser.close();
  for (const client of clients) client.close();
  await server.kill();
  await rm(profile, { recursive: true, force: true, maxRetries: 5 });
}

async function main() {
  for (let index = 0; index < CLIENTS; index += 1) clients.push(await enter(server.address, `bench-${index}`));
  const topics = Array.from({ length: TOPICS }, (_, index) => `bench/shard-${String(index % 50).padStart(2, '0')}/topic-${index}`);
  // What was received is of no interest here, and would fill the memory.
  for (const client of clients) client.onMessage = () => client.received.length > 1000 && client.received.splice(0);
  topics.forEach((topic_name, index) => clients[index % CLIENTS].send('subscribe', { topic_name, type: index % 5 ? 'int' : 'dict' }));

  const page = (await browser.pages())[0];
  await page.setViewport({ width: 1440, height: 860 });
  await page.goto(server.debugger);
  await page.waitForFunction((least) => Number(document.querySelector('#tab-topics .tally').textContent.replace(/k$/, '000')) >= least, { timeout: 30_000 }, Math.min(TOPICS, 1000));
  const session = await page.createCDPSession();
  console.log(`${TOPICS} topics, ${RATE} commits/s, ${SECONDS} s in each view`);
  console.log(`heap before: ${await heap(session)}`);

  let sent = 0;
  let owed = 0;
  let last = performance.now();
  sending = setInterval(() => {
    const now = performance.now();
    owed = Math.min(RATE, owed + ((now - last) / 1000) * RATE);
    last = now;
    for (; owed >= 1; owed -= 1) {
      sent += 1;
      const index = (sent * 7919) % TOPICS;
      const change = index % 5 ? { type: 'add', value: 1, id: sent } : { type: 'put', key: `k${sent % 10}`, value: { at: sent }, id: sent };
      clients[sent % CLIENTS].send('update', { topic_name: topics[index], change });
    }
  }, 5);

  for (const [index, view] of VIEWS.entries()) {
    await page.evaluate(() => document.activeElement.blur());
    await page.keyboard.press(String(index + 1));
    if (view === 'topics') await page.evaluate(() => document.querySelectorAll('.topics .row')[1]?.click());
    const before = sent;
    const { frames, long } = await page.evaluate(measure, SECONDS * 1000);
    const figures = frames.sort((a, b) => a - b);
    const at = (part) => figures[Math.min(figures.length - 1, Math.floor(figures.length * part))].toFixed(1);
    console.log(
      `${view.padEnd(8)}  ${((sent - before) / SECONDS).toFixed()} commits/s  frames ${figures.length}  median ${at(0.5)} ms  p95 ${at(0.95)} ms  p99 ${at(0.99)} ms  max ${at(1)} ms  long tasks ${long.length}${long.length ? ` (longest ${Math.max(...long).toFixed()} ms)` : ''}  heap ${await heap(session)}`,
    );
  }
  clearInterval(sending);
  const shown = await page.$eval('#sequence', ({ textContent }) => textContent);
  const rows = await page.$$eval('.row', ({ length }) => length);
  console.log(`sent ${sent}, the page shows sequence ${shown}; ${rows} row elements in the page`);
}

/** In the page: the spans between frames, and tasks longer than 50 ms. */
function measure(length) {
  return new Promise((resolve) => {
    const frames = [];
    const long = [];
    const observer = new PerformanceObserver((list) => long.push(...list.getEntries().map(({ duration }) => duration)));
    observer.observe({ type: 'longtask' });
    let last = performance.now();
    const end = last + length;
    const next = (now) => {
      frames.push(now - last);
      last = now;
      if (now < end) requestAnimationFrame(next);
      else {
        observer.disconnect();
        resolve({ frames, long });
      }
    };
    requestAnimationFrame(next);
  });
}

async function heap(session) {
  await session.send('HeapProfiler.collectGarbage');
  const { usedSize } = await session.send('Runtime.getHeapUsage');
  return `${(usedSize / 1e6).toFixed(1)} MB`;
}
