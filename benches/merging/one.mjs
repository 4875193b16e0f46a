// One system, one workload, one process: node --expose-gc one.mjs SYSTEM FILE; prints a line of JSON.
import { readFileSync } from 'node:fs';
import { hash } from './hash.mjs';

const [, , name, file] = process.argv;
const system = await import(`./systems/${name}.mjs`);
const workload = JSON.parse(readFileSync(file, 'utf8'));
const { mode, ops } = workload;
const world = await system.open({ ...workload, clients: mode === 'many' ? ops.length : 2 });

function memory() {
  for (let n = 0; n < 3; n++) globalThis.gc();
  const { rss, heapUsed, external } = process.memoryUsage();
  return { rss, heap: heapUsed + external };
}

const before = memory();
const began = performance.now();
await (mode === 'live' ? world.live(ops[0]) : world[mode](ops));
const ms = performance.now() - began;
const after = memory();
const values = world.values(mode);
for (const value of values) if (JSON.stringify(value) !== JSON.stringify(values[0])) throw new Error('they are not the same in the end');
if (world.told() === 0) throw new Error('nobody was told');
const text = JSON.stringify(values[0]);
console.log(JSON.stringify({ ms, bytes: world.bytes(), heap: after.heap - before.heap, rss: after.rss - before.rss, rest: world.rest(), hash: hash(text), size: text.length }));
process.exit(0);
