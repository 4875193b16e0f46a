// @ts-check
// The one place that draws: whoever has news asks for a frame, and all of it is drawn at once.

/** @type {Set<() => void>} */
const painters = new Set();
let asked = false;

/** Calls `painter` in every frame that somebody asked for. @param {() => void} painter */
export function onFrame(painter) {
  painters.add(painter);
}

export function requestFrame() {
  if (asked) return;
  asked = true;
  requestAnimationFrame(() => {
    asked = false;
    for (const painter of painters) painter();
  });
}
