// The server under test as a process: started on free ports, killed, started again on the same.

import { spawn } from 'node:child_process';
import { once } from 'node:events';

export class Server {
  /** Where clients go, and where the debugger is: http://HOST:PORT/ */
  address = '';
  debugger = '';
  #binary;
  #host;
  #kept;
  #child;

  /** The debugger listens on `host`; beyond loopback it asks for a token. Rooms are kept in the folder `data`, or in memory. */
  constructor(binary, host = '127.0.0.1', data = '') {
    this.#binary = binary;
    this.#host = host;
    this.#kept = data ? ['--data', data] : ['--memory'];
  }

  /** Starts it on free ports, or on those it had. */
  async start() {
    const port = (address) => (address ? new URL(address).port : '0');
    this.#child = spawn(this.#binary, [...this.#kept, '--listen', `127.0.0.1:${port(this.address)}`, '--debugger', `${this.#host}:${port(this.debugger)}`], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    let printed = '';
    this.#child.stdout.setEncoding('utf8');
    for await (const text of this.#child.stdout.iterator({ destroyOnReturn: false })) {
      printed += text;
      const [address, page] = [/ChatRoom is at (http:\S+)/.exec(printed), /debugger is at (http:\S+)/.exec(printed)];
      if (!address || !page) continue;
      [this.address, this.debugger] = [address[1], page[1]];
      this.#child.stdout.resume();
      return;
    }
    throw new Error(`the server ended: ${printed}`);
  }

  async kill() {
    if (!this.#child || this.#child.exitCode !== null) return;
    const gone = once(this.#child, 'exit');
    this.#child.kill('SIGKILL');
    await gone;
  }
}
