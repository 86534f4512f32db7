// Where the nodes of a tree stand: one column for each depth, one row for each leaf, a parent in the middle of its children.
// Many leaves of one parent stand in a block of several columns, so that a wide search does not become a line.

export const WIDTH = 136;
export const HEIGHT = 22;
export const ROW = 28;
const COLUMN = 192;
const BLOCK = WIDTH + 12; // from column to column of a block
const PROPORTION = 0.4; // of a block's columns, squared, to its leaves

// layout places every node that is not below a collapsed one. It returns the placed nodes, parents before their children.
export function layout(forest, collapsed) {
  for (const node of forest.nodes.values()) {
    node.shown = false;
    node.block = null;
    node.column = 0;
  }
  const order = [];
  const rows = { next: 0 };
  // What waits to be placed: a node with its depth, or the leaves of one parent. No recursion: a search may be a long chain.
  const waiting = [];
  const push = (kids, depth) => {
    const open = (node) => node.kids.length > 0 && !collapsed.has(node.id);
    const leaves = kids.filter((node) => !open(node));
    if (leaves.length) waiting.push({ leaves, depth });
    const inner = kids.filter(open);
    for (let i = inner.length - 1; i >= 0; i--) waiting.push({ node: inner[i], depth });
  };
  push(forest.roots, 0);
  while (waiting.length) {
    const { node, leaves, depth } = waiting.pop();
    if (leaves) {
      block(leaves, depth, rows, order);
      continue;
    }
    put(node, depth * COLUMN, 0, order);
    push(node.kids, depth + 1);
  }
  finish(order, collapsed);
  return order;
}

function put(node, x, y, order) {
  node.x = x;
  node.y = y;
  node.shown = true;
  order.push(node);
}

// block places leaves in as many columns as keep the block in proportion. Its first node knows how large it is.
function block(leaves, depth, rows, order) {
  const columns = Math.max(1, Math.floor(Math.sqrt(leaves.length * PROPORTION)));
  leaves.forEach((node, i) => {
    node.column = i % columns;
    const y = (rows.next + Math.floor(i / columns)) * ROW;
    put(node, depth * COLUMN + node.column * BLOCK, y, order);
  });
  const height = Math.ceil(leaves.length / columns);
  if (columns > 1) leaves[0].block = { width: (columns - 1) * BLOCK, height: (height - 1) * ROW };
  rows.next += height;
}

// finish places the parents, children first, and counts what is folded away.
function finish(order, collapsed) {
  for (let i = order.length - 1; i >= 0; i--) {
    const node = order[i];
    const folded = collapsed.has(node.id);
    node.below = folded ? size(node) : 0;
    if (!folded && node.kids.length) middle(node);
  }
}

function middle(node) {
  let top = Infinity;
  let bottom = -Infinity;
  for (const kid of node.kids) {
    top = Math.min(top, kid.y);
    bottom = Math.max(bottom, kid.y);
  }
  node.y = (top + bottom) / 2;
}

// size is how many nodes there are below one.
function size(root) {
  let n = -1;
  for (const waiting = [root]; waiting.length; n++) for (const kid of waiting.pop().kids) waiting.push(kid);
  return n;
}

// bounds is the rectangle that holds the nodes.
export function bounds(nodes) {
  const box = { left: 0, top: 0, right: WIDTH, bottom: HEIGHT };
  for (const { x, y } of nodes) {
    box.right = Math.max(box.right, x + WIDTH);
    box.bottom = Math.max(box.bottom, y + HEIGHT);
  }
  return box;
}
