// The game's referee: puts coins on the map and says who picked them.
import { pathToFileURL } from 'node:url';
import { connect } from '@chatroom/client';
import { open, REACH, SIZE } from './game.mjs';

const COINS = 10;

/**
 * @param {import('@chatroom/client').Client<any>} room
 * @param {number} [count] of coins
 */
export async function referee(room, count = COINS) {
  const { players, coins, scores } = open(room);
  await Promise.all([players.loaded(), coins.loaded(), scores.loaded()]);
  let last = Math.max(0, ...Object.keys(coins.value ?? {}).map(Number));
  const coin = () => ({ x: Math.floor(Math.random() * SIZE.width), y: Math.floor(Math.random() * SIZE.height) });
  while (Object.keys(coins.value ?? {}).length < count) await coins.put(String(++last), coin());

  // Calls are answered one at a time, so that each coin is picked once.
  const registration = room.provide(
    'game/pick',
    async (/** @type {{ coin: string }} */ { coin: id }, { by }) => {
      const wanted = coins.value?.[id];
      const player = players.value?.[by];
      if (!wanted || !player || Math.hypot(wanted.x - player.x, wanted.y - player.y) > REACH) return false;
      await room.action('a coin is picked', (tx) => {
        tx(coins).pop(id);
        tx(coins).put(String(++last), coin());
        tx(scores).put(player.name, (scores.value?.[player.name] ?? 0) + 1);
      });
      return true;
    },
    { concurrency: 1 },
  );
  await registration.ready;
  return registration;
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  await referee(connect(process.env.CHATROOM_URL ?? 'ws://localhost:8765'));
  console.log('the referee is here');
}
