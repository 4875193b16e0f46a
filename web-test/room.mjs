// A client of a few lines for the browser tests: it speaks v1 and keeps what it was sent.

import { once } from 'node:events';
import WebSocket from 'ws';

const SUBPROTOCOL = 'chatroom.v1.json';

/** A connection to `address` (http://HOST:PORT/) that has been greeted, as client `name`. */
export async function enter(address, name, room = 'main') {
  const socket = new WebSocket(new URL(room === 'main' ? '/' : `/rooms/${room}`, address), SUBPROTOCOL);
  const client = { id: 0, received: [], closed: false };
  let wake = () => {};
  socket.on('message', (data) => {
    const message = JSON.parse(String(data));
    client.received.push(message);
    client.onMessage?.(message);
    wake();
  });
  socket.on('close', () => {
    client.closed = true;
    wake();
  });
  await once(socket, 'open');
  // A server that is killed resets its sockets.
  socket.on('error', () => {});
  client.close = () => socket.terminate();
  client.send = (type, content) => {
    if (socket.readyState === WebSocket.OPEN) socket.send(JSON.stringify({ type, content }));
  };
  /** The first message, received already or to come, that `holds` is true of. */
  client.until = async (holds, patience = 5000) => {
    const deadline = Date.now() + patience;
    for (let seen = 0; ; ) {
      for (; seen < client.received.length; seen += 1) if (holds(client.received[seen])) return client.received[seen];
      if (Date.now() > deadline) throw new Error(`client ${name} did not get what it waited for, only ${JSON.stringify(client.received.slice(-5))}`);
      await new Promise((resolve) => {
        const timer = setTimeout(resolve, 100);
        wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
  };
  client.send('hello', { client: { name, version: '1.0.0' } });
  client.id = (await client.until(({ type }) => type === 'hello')).content.id;
  return client;
}
