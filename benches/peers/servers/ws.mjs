// What a relay on `ws` is; the messages are those of uwebsockets.cjs.
import { WebSocketServer } from 'ws';

/** @type {Map<string, Set<import('ws').WebSocket>>} */
const topics = new Map();
const server = new WebSocketServer({ host: '127.0.0.1', port: 0, perMessageDeflate: false });
server.on('connection', (socket) => {
  socket.on('message', (data) => {
    const text = data.toString();
    if (text[0] === 'S') {
      const name = text.slice(1);
      if (!topics.has(name)) topics.set(name, new Set());
      topics.get(name).add(socket);
      socket.send('S');
      return;
    }
    for (const other of topics.get(text.slice(1, text.indexOf(' '))) ?? []) other.send(text);
  });
});
server.on('listening', () => console.log(`127.0.0.1:${server.address().port}`));
