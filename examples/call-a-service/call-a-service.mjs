// A function that one client offers and another calls. `call-a-service.mjs` offers math/sum;
// `call-a-service.mjs 1 2 3` calls it.
import { connect, ServiceError } from '@chatroom/client';

const room = connect(process.env.CHATROOM_URL ?? 'ws://localhost:8765');
const numbers = process.argv.slice(2).map(Number);

if (numbers.length > 0) {
  console.log(await room.call('math/sum', numbers, { timeoutMs: 2000 }));
  room.close();
} else {
  const registration = room.provide('math/sum', (args) => {
    const sum = /** @type {number[]} */ (args).reduce((a, b) => a + b, 0);
    if (!Number.isSafeInteger(sum)) throw new ServiceError(1001, 'the sum is too large');
    return sum;
  }, { concurrency: 8 });
  await registration.ready;
  console.log('math/sum is provided; end with Ctrl-C');
}
