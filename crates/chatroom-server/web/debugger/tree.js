// @ts-check
// Topic names as a tree by their slashes, and the tree as the rows that are open in it.

/**
 * @typedef {object} Branch
 * @property {string} path
 * @property {string} label
 * @property {Branch[]} children
 * @property {boolean} isTopic
 * @property {number} topics at and below it
 */

/** @typedef {{ branch: Branch, label: string, depth: number, isFolder: boolean, isOpen: boolean }} TreeRow */

// A folder shows its inside from the start only if that is quickly looked over.
const OPEN_CHILDREN_MOST = 24;
const OPEN_DEPTH_MOST = 3;

/** @param {Iterable<string>} names */
export function sorted(names) {
  // A slash sorts before everything, so that what is inside a folder stays together.
  return [...names]
    .map((name) => ({ name, order: name.replaceAll('/', '\0') }))
    .sort((a, b) => (a.order < b.order ? -1 : a.order > b.order ? 1 : 0))
    .map(({ name }) => name);
}

/** @param {string[]} names in the order of `sorted` */
export function plant(names) {
  const root = branch('', '');
  const line = [root];
  /** @type {string[]} */
  let segments = [];
  for (const name of names) {
    const wanted = name.split('/');
    let same = 0;
    while (same < segments.length && same < wanted.length && segments[same] === wanted[same]) same += 1;
    line.length = same + 1;
    let path = wanted.slice(0, same).join('/');
    for (let depth = same; depth < wanted.length; depth += 1) {
      path = depth ? `${path}/${wanted[depth]}` : wanted[depth];
      const child = branch(path, wanted[depth]);
      line[depth].children.push(child);
      line.push(child);
    }
    line[line.length - 1].isTopic = true;
    for (const above of line) above.topics += 1;
    segments = wanted;
  }
  return root;
}

/**
 * @param {Branch} root
 * @param {Map<string, boolean>} choices what the user opened and closed, by path
 * @param {boolean} isAllOpen
 */
export function rowsOf(root, choices, isAllOpen) {
  /** @type {TreeRow[]} */
  const rows = [];
  /** @param {Branch} parent @param {number} depth */
  const walk = (parent, depth) => {
    for (let child of parent.children) {
      let label = child.label;
      // A folder that holds only one folder shares its row.
      while (!child.isTopic && child.children.length === 1 && child.children[0].children.length) {
        child = child.children[0];
        label += `/${child.label}`;
      }
      const isFolder = child.children.length > 0;
      const isOpen = isFolder && (isAllOpen || (choices.get(child.path) ?? (depth < OPEN_DEPTH_MOST && child.children.length <= OPEN_CHILDREN_MOST)));
      rows.push({ branch: child, label, depth, isFolder, isOpen });
      if (isOpen) walk(child, depth + 1);
    }
  };
  walk(root, 0);
  return rows;
}

/** @param {string} path @param {string} label @returns {Branch} */
function branch(path, label) {
  return { path, label, children: [], isTopic: false, topics: 0 };
}
