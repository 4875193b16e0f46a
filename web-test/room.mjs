// A client of a few lines for the browser tests: it speaks v1 and keeps what it was sent.

import { connect } from 'node:net';
import { createHash, randomBytes } from 'node:crypto';

const SUBPROTOCOL = 'chatroom.v1.json';
const GUID = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11';

/** A connection to `address` (http://HOST:PORT/) that has been greeted, as client `name`. */
export async function enter(address, name, room = 'main') {
  const socket = await open(new URL(room === 'main' ? '/' : `/rooms/${room}`, address));
  const client = { id: 0, received: [], closed: false, ...socket };
  let wake = () => {};
  socket.onText((text) => {
    const message = JSON.parse(text);
    client.received.push(message);
    client.onMessage?.(message);
    wake();
  });
  socket.onClose(() => {
    client.closed = true;
    wake();
  });
  client.send = (type, content) => socket.sendText(JSON.stringify({ type, content }));
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

/** Just enough of WebSocket for texts: this Node may have none of its own. */
function open(url) {
  return new Promise((resolve, reject) => {
    const socket = connect(Number(url.port), url.hostname);
    const key = randomBytes(16).toString('base64');
    let onText = () => {};
    let onClose = () => {};
    let pending = Buffer.alloc(0);
    let pieces = [];
    socket.setNoDelay(true);
    socket.on('error', reject);
    socket.on('close', () => onClose());
    socket.write(`GET ${url.pathname} HTTP/1.1\r\nHost: ${url.host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: ${key}\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: ${SUBPROTOCOL}\r\n\r\n`);

    const frames = () => {
      while (pending.length >= 2) {
        let [size, at] = [pending[1] & 0x7f, 2];
        if (size === 126) [size, at] = [pending.length < 4 ? Infinity : pending.readUInt16BE(2), 4];
        else if (size === 127) [size, at] = [pending.length < 10 ? Infinity : Number(pending.readBigUInt64BE(2)), 10];
        if (pending.length < at + size) return;
        const [final, code, body] = [pending[0] & 0x80, pending[0] & 0x0f, pending.subarray(at, at + size)];
        pending = pending.subarray(at + size);
        if (code === 9) send(10, body);
        else if (code === 8) socket.end();
        else if (code < 3) {
          pieces.push(body);
          if (!final) continue;
          const text = Buffer.concat(pieces).toString();
          pieces = [];
          onText(text);
        }
      }
    };
    const send = (code, body) => {
      if (socket.destroyed) return;
      const mask = randomBytes(4);
      const long = body.length > 65_535 ? 8 : body.length > 125 ? 2 : 0;
      const head = Buffer.alloc(2 + long);
      head[0] = 0x80 | code;
      head[1] = 0x80 | (long === 8 ? 127 : long ? 126 : body.length);
      if (long === 8) head.writeBigUInt64BE(BigInt(body.length), 2);
      else if (long) head.writeUInt16BE(body.length, 2);
      const masked = Buffer.from(body);
      for (let index = 0; index < masked.length; index += 1) masked[index] ^= mask[index & 3];
      socket.write(Buffer.concat([head, mask, masked]));
    };
    let greeted = false;
    socket.on('data', (data) => {
      pending = Buffer.concat([pending, data]);
      if (!greeted) {
        const end = pending.indexOf('\r\n\r\n');
        if (end < 0) return;
        const head = pending.subarray(0, end).toString();
        const accept = createHash('sha1').update(key + GUID).digest('base64');
        if (!head.startsWith('HTTP/1.1 101') || !head.includes(accept)) {
          reject(new Error(`no WebSocket at ${url}: ${head.split('\r\n')[0]}`));
          return;
        }
        greeted = true;
        pending = pending.subarray(end + 4);
        resolve({
          sendText: (text) => send(1, Buffer.from(text)),
          close: () => socket.destroy(),
          onText: (listener) => (onText = listener),
          onClose: (listener) => (onClose = listener),
        });
        // The listeners are set by who awaits this, a moment later.
        setImmediate(frames);
        return;
      }
      frames();
    });
  });
}
