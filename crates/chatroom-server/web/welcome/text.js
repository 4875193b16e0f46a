// A textarea and a string topic, kept equal.
//
// What is typed is an edit of the topic at once. What the topic has more than the textarea was written
// by others, and goes beside what was typed while it could not be shown.

/** @typedef {{ start: number, end: number, text: string }} Splice replaces [start, end) by text */
/** @typedef {import('/chatroom.js').Client} Room */

/**
 * @param {HTMLTextAreaElement} area
 * @param {Room} room
 * @param {string} name the text's topic
 */
export function bindText(area, room, name) {
  const text = room.topic(name, 'string');
  // The topic's value that the textarea shows, but for what was typed since.
  let shown = '';
  let composing = false;

  const keepEqual = () => {
    const { value } = text;
    area.readOnly = value === undefined;
    // Writing into the textarea would end an input method's composition: all waits for its end.
    if (value === undefined || composing) return;
    const own = difference(shown, area.value, area.selectionEnd);
    const theirs = difference(shown, value);
    // From the end, so that the places before stay where they are; the caret moves along.
    const splices = theirs && own ? over(theirs, own).reverse() : theirs ? [theirs] : [];
    for (const { start, end, text } of splices) area.setRangeText(text, start, end, 'preserve');
    const ahead = difference(value, area.value, area.selectionEnd);
    if (ahead) text.edit([{ retain: ahead.start }, { delete: ahead.end - ahead.start }, { insert: ahead.text }]);
    shown = text.value ?? value;
    // What is refused at once cannot stay.
    if (area.value !== shown) area.value = shown;
  };

  area.addEventListener('input', () => {
    const whole = area.value.replace(/\p{Surrogate}/gu, '\ufffd');
    if (whole !== area.value) area.value = whole;
    keepEqual();
  });
  area.addEventListener('compositionstart', () => {
    composing = true;
  });
  area.addEventListener('compositionend', () => {
    composing = false;
    keepEqual();
  });
  text.on(keepEqual);
  return text;
}

/** @typedef {{ readonly retain?: number, readonly insert?: string, readonly delete?: number }} Component */

/**
 * What two edits do, one made on what the other left, as one. What is typed before the server had an
 * answer goes to it as one edit.
 * @param {readonly Component[]} first
 * @param {readonly Component[]} next
 * @returns {Component[]}
 */
export function both(first, next) {
  /** @type {Component[]} */
  const result = [];
  const left = [...first];
  /** @param {Component} component */
  const put = (component) => {
    const last = result.length - 1;
    // What is typed where something was deleted stands before the deletion.
    if (component.insert !== undefined && result[last]?.delete) {
      if (result[last - 1]?.insert !== undefined) result[last - 1] = { insert: result[last - 1].insert + component.insert };
      else result.splice(last, 0, component);
    } else if (component.insert !== undefined && result[last]?.insert !== undefined) result[last] = { insert: result[last].insert + component.insert };
    else result.push(component);
  };
  for (const component of next) {
    if (component.insert !== undefined) {
      put(component);
      continue;
    }
    for (let count = component.retain ?? component.delete ?? 0; count > 0; ) {
      const part = left.shift() ?? { retain: count };
      if (part.delete) {
        put(part);
        continue;
      }
      const length = part.insert?.length ?? part.retain ?? 0;
      const taken = Math.min(count, length);
      if (taken < length) left.unshift(part.insert === undefined ? { retain: length - taken } : { insert: part.insert.slice(taken) });
      if (component.delete === undefined) put(part.insert === undefined ? { retain: taken } : { insert: part.insert.slice(0, taken) });
      else if (part.insert === undefined) put({ delete: taken });
      count -= taken;
    }
  }
  left.forEach(put);
  return result;
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
