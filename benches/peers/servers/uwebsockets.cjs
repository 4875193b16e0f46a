// What a relay on uWebSockets is: topics by name, and nothing kept. `S` + topic subscribes, `P` + topic + ` `
// + value publishes to all of the topic, the author too.
const uWS = require('@trufflesuite/uws-js-unofficial');

const decoder = new TextDecoder();
const app = uWS.App();
app
  .ws('/*', {
    compression: uWS.DISABLED,
    maxBackpressure: 64 << 20,
    message(ws, message) {
      const text = decoder.decode(message);
      if (text[0] === 'S') {
        ws.subscribe(text.slice(1));
        ws.send('S');
      } else app.publish(text.slice(1, text.indexOf(' ')), message);
    },
  })
  .listen('127.0.0.1', 0, (socket) => console.log(`127.0.0.1:${uWS.us_socket_local_port(socket)}`));
