// node run.mjs [--n 6000] [--repeats 3] [--limit SECONDS] [--only TEXT] [--systems a,b] [--json FILE]
// One table of all workloads and systems. Each measurement is a process of its own; the systems take
// turns within a repetition, so that a slow minute of the machine is everybody's.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { cpus, tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { hash } from './hash.mjs';
import { workloads } from './workloads.mjs';

const HERE = import.meta.dirname;
const ROOT = resolve(HERE, '../..');
const { values: given } = parseArgs({
  options: {
    n: { type: 'string', default: '6000' },
    repeats: { type: 'string', default: '3' },
    limit: { type: 'string', default: '60' },
    only: { type: 'string', default: '' },
    systems: { type: 'string', default: 'rust,chatroom,yjs,automerge,sharedb' },
    json: { type: 'string' },
  },
});
const [n, repeats, limit] = [Number(given.n), Number(given.repeats), Number(given.limit)];
const systems = given.systems.split(',');
const NAMES = { rust: 'ChatRoom Rust', chatroom: 'ChatRoom JS', yjs: 'Yjs', automerge: 'Automerge', sharedb: 'ShareDB' };

const traces = [process.env.CHATROOM_TRACES, resolve(ROOT, '../shared/traces')].find((path) => path && existsSync(join(path, 'automerge-paper.json.gz')));
if (!traces) console.log('SKIPPED: automerge-paper, there are no traces; set CHATROOM_TRACES');

const target = process.env.CARGO_TARGET_DIR ?? join(ROOT, 'target');
if (systems.includes('rust')) {
  const built = spawnSync('cargo', ['build', '--release', '--quiet', '-p', 'chatroom-testkit', '--example', 'bench_merging'], { cwd: ROOT, stdio: 'inherit' });
  if (built.status !== 0) throw new Error('the Rust example was not built');
}

const folder = mkdtempSync(join(tmpdir(), 'merging-'));
const chosen = workloads(n, traces).filter(({ name }) => name.includes(given.only) && (traces || !name.startsWith('B4')));
for (const [at, workload] of chosen.entries()) {
  workload.file = join(folder, `${at}.json`);
  const { kind, mode, initial } = workload;
  writeFileSync(workload.file, JSON.stringify({ kind, mode, initial, ops: workload.make() }));
  workload.results = Object.fromEntries(systems.map((system) => [system, []]));
}

for (let round = 0; round < repeats; round++) {
  for (const { name, file, results } of chosen) {
    for (const system of systems) {
      // What fails or takes long is not repeated; the table marks it.
      if (results[system].some(({ failed, ms }) => failed || ms > 8_000)) continue;
      const [command, args] = system === 'rust' ? [join(target, 'release/examples/bench_merging'), [file]] : [process.execPath, ['--expose-gc', join(HERE, 'one.mjs'), system, file]];
      const { status, signal, stdout, stderr } = spawnSync(command, args, { encoding: 'utf8', timeout: limit * 1_000, maxBuffer: 1 << 26 });
      const result = status === 0 ? JSON.parse(stdout.trim().split('\n').at(-1)) : { failed: signal ? `> ${limit} s` : `failed: ${stderr.trim().split('\n').find((line) => /Error|panicked/.test(line)) ?? status}` };
      results[system].push(result);
      process.stderr.write(`${round + 1} ${name}, ${system}: ${result.failed ?? `${result.ms.toFixed(0)} ms`}\n`);
    }
  }
}

const median = (numbers) => numbers.sort((a, b) => a - b)[numbers.length >> 1];
const digits = (value) => (value >= 100 ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value.toFixed(2));
const METRICS = [
  ['time, ms', 'ms', 1],
  ['wire, KB', 'bytes', 1e3],
  ['heap, MB', 'heap', 1e6],
  ['RSS, MB', 'rss', 1e6],
  ['at rest, KB', 'rest', 1e3],
];

const version = (name) => JSON.parse(readFileSync(join(HERE, 'node_modules', name, 'package.json'), 'utf8')).version;
const commit = spawnSync('git', ['-C', ROOT, 'describe', '--always', '--dirty'], { encoding: 'utf8' }).stdout.trim();
console.log(`ChatRoom ${commit}, Yjs ${version('yjs')}, Automerge ${version('@automerge/automerge')}, ShareDB ${version('sharedb')} with ot-text-unicode ${version('ot-text-unicode')} and json0; Node ${process.version}, ${spawnSync('rustc', ['--version'], { encoding: 'utf8' }).stdout?.trim()}; ${cpus().length} x ${cpus()[0].model}. N = ${n}, median of ${repeats}.\n`);
console.log(`| workload | | ${systems.map((system) => NAMES[system]).join(' | ')} |`);
console.log(`| --- | --- | ${systems.map(() => '---:').join(' | ')} |`);
let wrong = false;
for (const { name, mode, results, end } of chosen) {
  for (const [label, field, unit] of METRICS) {
    const figures = systems.map((system) => {
      const failed = results[system].find(({ failed }) => failed);
      return failed ? failed.failed : median(results[system].map((result) => result[field]).filter((value) => value !== undefined));
    });
    const best = Math.min(...figures.filter((figure) => typeof figure === 'number'));
    const shown = figures.map((figure) => figure === undefined ? '' : typeof figure === 'string' ? (field === 'ms' ? figure : '') : figure === best ? `**${digits(figure / unit)}**` : digits(figure / unit)).map((text, at) => (field === 'ms' && results[systems[at]][0]?.ms > 8_000 ? `${text} (once)` : text));
    console.log(`| ${field === 'ms' ? name : ''} | ${label} | ${shown.join(' | ')} |`);
  }
  // One author leaves the same value in every system; two leave texts of one length. What is written
  // at one key at once may end in any of its values.
  const ends = systems.flatMap((system) => results[system]).filter(({ failed }) => !failed);
  const same = new Set(ends.map(({ hash, size }) => (mode === 'live' ? hash : size)));
  const expected = end && hash(JSON.stringify(end()));
  if ((mode === 'live' && same.size > 1) || (expected && !same.has(expected))) {
    wrong = true;
    console.log(`| WRONG: ${name} | the ends differ: ${[...same].join(', ')} |`);
  }
}
if (given.json) writeFileSync(given.json, JSON.stringify(chosen.map(({ name, results }) => ({ name, results })), null, 1));
rmSync(folder, { recursive: true });
process.exit(wrong ? 1 : 0);
