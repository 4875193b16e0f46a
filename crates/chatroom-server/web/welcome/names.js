// A name and a colour for every client, the same in every tab because both come from its id.

const COLOURS = [
  ['Coral', '#c5432c'],
  ['Teal', '#0b7a72'],
  ['Indigo', '#5650d0'],
  ['Amber', '#946000'],
  ['Rose', '#c02f68'],
  ['Azure', '#176bbd'],
  ['Moss', '#48761c'],
  ['Plum', '#93399f'],
];
const BIRDS = ['Heron', 'Wren', 'Swift', 'Curlew', 'Finch', 'Plover', 'Lark', 'Osprey', 'Martin', 'Avocet', 'Siskin'];

/** @param {number} id */
export function nameOf(id) {
  return `${COLOURS[id % COLOURS.length][0]} ${BIRDS[id % BIRDS.length]}`;
}

/** Dark enough for white letters on it. @param {number} id */
export function colourOf(id) {
  return COLOURS[id % COLOURS.length][1];
}
