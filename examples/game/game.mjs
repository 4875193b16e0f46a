// What everybody in the game shares, and what a player does. The page, the bots and the referee use it.
import { types } from '@chatroom/client';

export const SIZE = { width: 800, height: 500 };
/** So near a player has to be to a coin to pick it. */
export const REACH = 20;
/** So often a second a player that moves tells where it is, at most. */
const MOVES_HZ = 20;

/** @typedef {{ name: string, color: string, x: number, y: number }} Person */
/** @typedef {{ x: number, y: number }} Coin */
/** @typedef {{ x: number, y: number, angle: number, color: string }} Shot */
/** @typedef {import('@chatroom/client').Client<any>} Client */

/** The game's topics. @param {Client} room */
export function open(room) {
  return {
    // Gone when its player is gone.
    players: /** @type {import('@chatroom/client').PresenceTopic<Person>} */ (room.presence('game/players')),
    coins: room.topic('game/coins', /** @type {import('@chatroom/client').Dict<Coin>} */ (types.dict())),
    scores: room.topic('game/scores', /** @type {import('@chatroom/client').Dict<number>} */ (types.dict())),
    shots: room.topic('game/shots', /** @type {import('@chatroom/client').Event<Shot>} */ (types.event())),
  };
}

/** One who plays: moves, shoots, and picks the coins it comes to. */
export class Player {
  #room;
  #timer;
  #told = '';
  /** Coins that the referee was asked for. @type {Set<string>} */
  #asked = new Set();
  picked = 0;

  /** @param {Client} room @param {Person} person where it begins */
  constructor(room, person) {
    this.#room = room;
    this.person = person;
    this.game = open(room);
    this.#timer = setInterval(() => this.#tell(), 1_000 / MOVES_HZ);
    this.#tell();
  }

  /** @param {number} dx @param {number} dy */
  move(dx, dy) {
    const { person } = this;
    person.x = Math.max(0, Math.min(SIZE.width, person.x + dx));
    person.y = Math.max(0, Math.min(SIZE.height, person.y + dy));
    for (const [id, coin] of Object.entries(this.game.coins.value ?? {})) {
      if (Math.hypot(coin.x - person.x, coin.y - person.y) < REACH) void this.#pick(id);
    }
  }

  /** @param {number} angle */
  shoot(angle) {
    const { x, y, color } = this.person;
    this.game.shots.emit({ x: Math.round(x), y: Math.round(y), angle, color });
  }

  /** Two may come to a coin at once: the referee says whose it is. @param {string} id */
  async #pick(id) {
    if (this.#asked.has(id)) return;
    this.#asked.add(id);
    // The referee looks where its player is.
    this.#tell();
    try {
      if (await this.#room.call('game/pick', { coin: id }, { timeoutMs: 2_000 })) this.picked += 1;
    } catch {
      // There is no referee just now; the coin is still there.
    }
    this.#asked.delete(id);
  }

  /** Where the player is, if it moved: only the last place counts. */
  #tell() {
    const { name, color, x, y } = this.person;
    const entry = { name, color, x: Math.round(x), y: Math.round(y) };
    const text = JSON.stringify(entry);
    if (text !== this.#told) this.game.players.put(entry);
    this.#told = text;
  }

  leave() {
    clearInterval(this.#timer);
    for (const topic of Object.values(this.game)) topic.close();
  }
}
