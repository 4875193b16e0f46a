// A textarea and a string topic, kept equal.
//
// The tab types ahead of the room: what the textarea has more than `seen` is the tab's own and not
// yet in the room. One edit is on its way at a time. An edit counts positions in the text it was
// made on, so it must not meet another text: beside the text there is a turn, a dict with one key.
// Each edit takes that key away and lays down a new one, in one action. Of two edits made on the
// same text the room refuses the second, whose tab has by then merged the first and sends again.

/** @typedef {{ start: number, end: number, text: string }} Splice replaces [start, end) by text */
/** @typedef {import('/chatroom.js').Client} Room */
/** @typedef {import('/chatroom.js').Change} Change */

/** Refused because another edit came first, or because it took text away from under this one. */
const RACES = [206, 207, 208];

/**
 * @param {HTMLTextAreaElement} area
 * @param {Room} room
 * @param {string} name the text's topic; NAME.turn is the topic beside it
 */
export function bindText(area, room, name) {
  const text = room.topic(name, 'string');
  const turn = room.topic(`${name}.turn`, 'dict');
  let seen = '';
  let sending = false;
  let composing = false;
  /** @type {(() => void)[]} */
  const held = [];

  /** What this tab has typed and the room does not have. */
  const ahead = () => difference(seen, area.value, area.selectionEnd);

  /** @param {string} value @param {Change | null} change @param {boolean} mine */
  const merge = (value, change, mine) => {
    if (!mine) {
      const own = ahead();
      const theirs = splices(seen, value, change).flatMap((splice) => (own ? over(splice, own) : [splice]));
      // From the end, so that the places before stay where they are; the caret moves along.
      for (const { start, end, text } of theirs.reverse()) area.setRangeText(text, start, end, 'preserve');
    }
    seen = value;
    void send();
  };

  const send = async () => {
    area.readOnly = text.value === undefined;
    const own = ahead();
    if (!own || sending || composing || room.state !== 'online' || turn.value === undefined) return;
    sending = true;
    try {
      const [last] = Object.keys(turn.value);
      await room.action('type', (tx) => {
        if (last) tx(turn).pop(last);
        tx(turn).add(last ? Math.random().toString(36).slice(2) : 'first', null);
        tx(text).edit([{ retain: own.start }, { delete: own.end - own.start }, { insert: own.text }]);
      });
    } catch (error) {
      const { code = 0 } = /** @type {{ code?: number }} */ (error);
      if (RACES.includes(code)) await pause(Math.random() * 20);
      else if (code >= 100 && code < 200) await pause(500);
      // Refused for good: the room's text is the one that counts.
      else if (code) area.value = seen;
    }
    sending = false;
    void send();
  };

  area.addEventListener('input', () => {
    const whole = area.value.replace(/\p{Surrogate}/gu, '\ufffd');
    if (whole !== area.value) area.value = whole;
    void send();
  });
  // Writing into the textarea would end an input method's composition: others' edits wait for it.
  area.addEventListener('compositionstart', () => {
    composing = true;
  });
  area.addEventListener('compositionend', () => {
    composing = false;
    for (const late of held.splice(0)) late();
    void send();
  });
  text.on((value, change, { mine }) => {
    if (composing) held.push(() => merge(value, change, mine));
    else merge(value, change, mine);
  });
  turn.on(() => void send());
  return text;
}

/**
 * The smallest splice that makes `before` to `after`. Where several do, as when "a" was typed in
 * "aaa", the one that ends at the caret is the one that was meant.
 * @param {string} before
 * @param {string} after
 * @param {number} [caret] in `after`
 * @returns {Splice | undefined}
 */
export function difference(before, after, caret) {
  if (before === after) return undefined;
  const plain = cut(before, after, before.length);
  if (caret === undefined) return plain;
  const typed = cut(before, after, after.length - caret);
  return size(typed) <= size(plain) ? typed : plain;
}

/** @param {string} before @param {string} after @param {number} longestTail @returns {Splice} */
function cut(before, after, longestTail) {
  const shorter = Math.min(before.length, after.length);
  const longest = Math.min(shorter, longestTail);
  let tail = 0;
  while (tail < longest && before.at(-1 - tail) === after.at(-1 - tail)) tail++;
  if (partsPair(before, before.length - tail) || partsPair(after, after.length - tail)) tail--;
  let head = 0;
  while (head < shorter - tail && before[head] === after[head]) head++;
  if (partsPair(before, head) || partsPair(after, head)) head--;
  return { start: head, end: before.length - tail, text: after.slice(head, after.length - tail) };
}

/** @param {Splice} splice */
function size({ start, end, text }) {
  return end - start + text.length;
}

/** Whether a cut there comes between the halves of a surrogate pair. @param {string} text @param {number} at */
function partsPair(text, at) {
  return at > 0 && (text.codePointAt(at - 1) ?? 0) > 0xffff;
}

/**
 * Where `splice` falls in a text in which `own` has been done already. At one place, the own text
 * stays to the left.
 * @param {Splice} splice
 * @param {Splice} own
 * @returns {Splice[]}
 */
export function over(splice, own) {
  const { start, end, text } = splice;
  const shift = own.text.length - (own.end - own.start);
  const parts = [];
  if (start < own.start) parts.push({ start, end: Math.min(end, own.start), text });
  if (end > own.end) {
    const after = start >= own.start;
    parts.push({ start: Math.max(start, own.end) + shift, end: end + shift, text: after ? text : '' });
  }
  if (!parts.length && text) parts.push({ start: own.end + shift, end: own.end + shift, text });
  return parts;
}

/**
 * What a change did to the text, from left to right.
 * @param {string} before @param {string} after @param {Change | null} change
 * @returns {Splice[]}
 */
function splices(before, after, change) {
  if (change?.type !== 'edit') {
    const splice = difference(before, after);
    return splice ? [splice] : [];
  }
  const found = [];
  let at = 0;
  for (const { retain = 0, insert = '', delete: gone = 0 } of change.components) {
    if (insert || gone) found.push({ start: at, end: at + gone, text: insert });
    at += retain + gone;
  }
  return found;
}

/** @param {number} ms */
function pause(ms) {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
