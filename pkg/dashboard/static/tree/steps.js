// Where the arrow keys lead in the tree.

// step returns the node that a key leads to from a node; undefined for other keys, the node itself where there is none.
export function step(node, key, nodes, collapsed) {
  if (!node?.shown) return key.startsWith('Arrow') ? nodes[0] : undefined;
  switch (key) {
    case 'ArrowLeft':
      return node.parent ?? node;
    case 'ArrowRight':
      return collapsed.has(node.id) ? node : (nearest(node, node.kids) ?? node);
    case 'ArrowDown':
      return beside(node, nodes, 1);
    case 'ArrowUp':
      return beside(node, nodes, -1);
    default:
      return undefined;
  }
}

function nearest(node, kids) {
  let found;
  for (const kid of kids) if (!found || Math.abs(kid.y - node.y) < Math.abs(found.y - node.y)) found = kid;
  return found;
}

// beside is the next node of the same column, upwards or downwards.
function beside(node, nodes, direction) {
  let found = node;
  for (const other of nodes) {
    const ahead = (other.y - node.y) * direction;
    if (other.x === node.x && ahead > 0 && (found === node || ahead < (found.y - node.y) * direction)) found = other;
  }
  return found;
}
