import { connect } from '/chatroom.js';
import { $, clock, flash, me, neighbour, tab } from './page.js';

export const room = connect();
export const counter = room.topic('welcome/counter', 'int');

counter.on((value) => { $('#count').textContent = String(value); });
$('#more').onclick = () => counter.add(1);
$('#less').onclick = () => counter.add(-1);

room.provide(`welcome/greet/${tab}`, (name) => {
  flash(`${name} said hello`);
  return `Hello ${name}, I am ${me()}.`;
});
$('#greet').onclick = () => clock(room.call(`welcome/greet/${neighbour()}`, me()));
