// @ts-check
// The game on a page: arrows or WASD move, the space bar shoots. ?server=ws://localhost:8765&name=Ann
import { connect } from '@chatroom/client';
import { Player, SIZE } from './game.mjs';

const STEP = 5;
const SHOT_MS = 500;
/** @type {Record<string, [number, number]>} */
const KEYS = {
  ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1], a: [-1, 0], d: [1, 0], w: [0, -1], s: [0, 1],
};

const given = new URLSearchParams(location.search);
const room = connect(given.get('server') ?? 'ws://localhost:8765');
const name = given.get('name') ?? `guest ${Math.floor(Math.random() * 1_000)}`;
const color = `hsl(${Math.floor(Math.random() * 360)} 70% 45%)`;
const player = new Player(room, { name, color, x: SIZE.width / 2, y: SIZE.height / 2 });
const { players, coins, scores, shots } = player.game;

const canvas = /** @type {HTMLCanvasElement} */ (document.querySelector('canvas'));
Object.assign(canvas, SIZE);
const pen = /** @type {CanvasRenderingContext2D} */ (canvas.getContext('2d'));
/** @type {Set<string>} */
const pressed = new Set();
/** @type {{ shot: import('./game.mjs').Shot, at: number }[]} */
let flying = [];
let angle = 0;

addEventListener('keydown', (event) => {
  if (event.key === ' ') player.shoot(angle);
  pressed.add(event.key);
});
addEventListener('keyup', (event) => pressed.delete(event.key));
shots.on((shot) => flying.push({ shot, at: performance.now() }));
scores.on((value) => {
  const lines = Object.entries(value).sort(([, a], [, b]) => b - a).map(([who, points]) => `${points} ${who}`);
  /** @type {HTMLElement} */ (document.querySelector('#scores')).textContent = lines.join('\n');
});
room.on('state', ({ state }) => (/** @type {HTMLElement} */ (document.querySelector('#state')).textContent = state));
Object.assign(globalThis, { room, player });
requestAnimationFrame(draw);

/** @param {number} now */
function draw(now) {
  const [dx, dy] = [...pressed].map((key) => KEYS[key] ?? [0, 0]).reduce(([x, y], [mx, my]) => [x + mx, y + my], [0, 0]);
  if (dx || dy) {
    player.move(dx * STEP, dy * STEP);
    angle = Math.atan2(dy, dx);
  }
  pen.clearRect(0, 0, SIZE.width, SIZE.height);
  pen.fillStyle = '#f2b705';
  for (const coin of Object.values(coins.value ?? {})) disc(coin.x, coin.y, 6);
  flying = flying.filter(({ at }) => now - at < SHOT_MS);
  for (const { shot, at } of flying) {
    const far = (now - at) / 2;
    pen.fillStyle = shot.color;
    disc(shot.x + Math.cos(shot.angle) * far, shot.y + Math.sin(shot.angle) * far, 3);
  }
  // One's own place is drawn as it is, others' as they told it last.
  for (const person of [...Object.values(players.others), player.person]) {
    pen.fillStyle = person.color;
    disc(person.x, person.y, 10);
    pen.fillText(person.name, person.x + 12, person.y + 4);
  }
  requestAnimationFrame(draw);
}

/** @param {number} x @param {number} y @param {number} radius */
function disc(x, y, radius) {
  pen.beginPath();
  pen.arc(x, y, radius, 0, 2 * Math.PI);
  pen.fill();
}
