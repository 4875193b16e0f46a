// What a relay on Socket.IO is.
import { createServer } from 'node:http';
import { Server } from 'socket.io';

const http = createServer();
const io = new Server(http, { perMessageDeflate: false, serveClient: false, transports: ['websocket'] });
io.on('connection', (socket) => {
  socket.on('sub', (room) => {
    socket.join(room);
    socket.emit('s');
  });
  socket.on('pub', (room, value) => io.to(room).emit('v', value));
});
http.listen(0, '127.0.0.1', () => console.log(`127.0.0.1:${http.address().port}`));
