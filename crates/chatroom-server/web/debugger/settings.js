// @ts-check
// What the page remembers of its user: of this tab, or of this browser.

/** Two tabs may look at two rooms. */
const OF_THE_TAB = new Set(['view', 'room', 'token']);

/** @param {string} key @param {string} value */
export function remember(key, value) {
  try {
    storage(key).setItem(`chatroom.debugger.${key}`, value);
  } catch {
    // A private window may keep nothing: the setting lasts as long as the page.
  }
}

/** @param {string} key */
export function recall(key) {
  try {
    return storage(key).getItem(`chatroom.debugger.${key}`);
  } catch {
    return null;
  }
}

/** @param {string} key */
function storage(key) {
  return OF_THE_TAB.has(key) ? sessionStorage : localStorage;
}
