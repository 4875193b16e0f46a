// @ts-check
// A TCP proxy whose connections can be cut at any byte.
import { connect, createServer } from 'node:net';

/** @param {string} target a URL @returns {Promise<{ url: string, kill: () => number, close: () => void }>} */
export async function proxy(target) {
  const { hostname, port, pathname } = new URL(target);
  /** @type {Set<import('node:net').Socket>} */
  const sockets = new Set();
  const server = createServer((near) => {
    const far = connect(Number(port), hostname);
    for (const [socket, other] of [[near, far], [far, near]]) {
      sockets.add(socket);
      socket.on('close', () => {
        sockets.delete(socket);
        other.destroy();
      });
      socket.on('error', () => {});
      socket.pipe(other);
    }
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', () => resolve(undefined)));
  const address = /** @type {import('node:net').AddressInfo} */ (server.address());
  return {
    url: `ws://127.0.0.1:${address.port}${pathname}`,
    kill: () => {
      const count = sockets.size;
      for (const socket of sockets) socket.resetAndDestroy();
      return count;
    },
    close: () => server.close(),
  };
}
