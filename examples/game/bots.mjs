// Players without anybody at the keys: node examples/game/bots.mjs 20
import { pathToFileURL } from 'node:url';
import { connect } from '@chatroom/client';
import { Player, SIZE } from './game.mjs';

const STEP_MS = 40;
const COLORS = ['#e03131', '#1971c2', '#2f9e44', '#f08c00', '#9c36b5', '#0c8599'];

/**
 * A bot goes to the nearest coin, and shoots now and then.
 * @param {import('@chatroom/client').Client<any>} room
 * @param {string} name
 */
export function bot(room, name) {
  const color = COLORS[name.length % COLORS.length];
  const player = new Player(room, { name, color, x: Math.random() * SIZE.width, y: Math.random() * SIZE.height });
  const timer = setInterval(() => {
    const { x, y } = player.person;
    const coins = Object.values(player.game.coins.value ?? {});
    const [nearest] = coins.sort((a, b) => Math.hypot(a.x - x, a.y - y) - Math.hypot(b.x - x, b.y - y));
    if (!nearest) return;
    const [dx, dy] = [nearest.x - x, nearest.y - y];
    const far = Math.max(1, Math.hypot(dx, dy) / 12);
    player.move(dx / far, dy / far);
    if (Math.random() < 0.02) player.shoot(Math.atan2(dy, dx));
  }, STEP_MS);
  return {
    player,
    leave() {
      clearInterval(timer);
      player.leave();
    },
  };
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const count = Number(process.argv[2] ?? 10);
  for (let index = 1; index <= count; index++) bot(connect(process.env.CHATROOM_URL ?? 'ws://localhost:8765'), `bot ${index}`);
  console.log(`${count} bots play`);
}
