// Draws the tree. What it costs follows from what is seen: what lies outside is passed over, and what would fall on the same
// pixels is drawn once, the most telling first.
import { middle, short } from '../format.js';
import { STANDINGS, standing } from './forest.js';
import { HEIGHT, WIDTH } from './layout.js';

const LEGIBLE = 0.5; // the scale from which on there is text
const TINY = 4; // pixels in height, below which a node is a mark
const CELL = 2; // pixels of a mark

// draw paints one frame: nodes as they are placed, seen through a camera, with the theme's colours. marks says what stands
// out: selected, hovered, found, best, collapsed.
export function draw(ctx, nodes, camera, theme, marks) {
  ctx.setTransform(1, 0, 0, 1, 0, 0);
  ctx.fillStyle = theme.paper;
  ctx.fillRect(0, 0, ctx.canvas.width, ctx.canvas.height);
  const { x, y, scale, width, height, ratio } = camera;
  ctx.setTransform(ratio * scale, 0, 0, ratio * scale, ratio * x, ratio * y);
  const seen = { left: -x / scale, top: -y / scale, right: (width - x) / scale, bottom: (height - y) / scale };
  edges(ctx, nodes, camera, theme, seen);
  if (HEIGHT * scale < TINY) {
    dots(ctx, nodes, camera, theme, seen);
  } else {
    for (const node of nodes) if (inside(node, seen)) pill(ctx, node, scale >= LEGIBLE, theme, marks);
  }
  rings(ctx, camera, theme, marks, seen);
}

const inside = ({ x, y }, seen) => x < seen.right && x + WIDTH > seen.left && y < seen.bottom && y + HEIGHT > seen.top;

// edges draws all lines as one path. Lines to children that fall on one pixel are one line.
function edges(ctx, nodes, { scale }, theme, seen) {
  const curved = HEIGHT * scale >= TINY;
  ctx.beginPath();
  for (const { parent, x, y } of nodes) {
    if (!parent || x < seen.left || parent.x > seen.right) continue;
    if (Math.max(y, parent.y) + HEIGHT < seen.top || Math.min(y, parent.y) > seen.bottom) continue;
    const pixel = Math.round(y * scale) * 65536 + Math.round(x * scale);
    if (!curved && parent.drawn === pixel) continue;
    parent.drawn = pixel;
    const from = parent.x + WIDTH;
    ctx.moveTo(from, parent.y + HEIGHT / 2);
    if (curved) {
      const bend = Math.min(28, (x - from) / 2);
      ctx.bezierCurveTo(from + bend, parent.y + HEIGHT / 2, from + bend, y + HEIGHT / 2, from + 2 * bend, y + HEIGHT / 2);
    }
    ctx.lineTo(x, y + HEIGHT / 2);
  }
  ctx.lineWidth = curved ? 1.2 : 0.8 / scale;
  ctx.strokeStyle = theme.edge;
  ctx.stroke();
  for (const { parent } of nodes) if (parent) parent.drawn = undefined;
}

let taken = new Uint8Array(0);

// dots draws nodes as marks on a grid of cells, one mark a cell.
function dots(ctx, nodes, camera, theme, seen) {
  const columns = Math.ceil(camera.width / CELL) + 1;
  const rows = Math.ceil(camera.height / CELL) + 1;
  if (taken.length < columns * rows) taken = new Uint8Array(columns * rows);
  taken.fill(0);
  const groups = Object.fromEntries(STANDINGS.map((name) => [name, []]));
  for (const node of nodes) if (inside(node, seen)) groups[standing(node)].push(node);
  const w = Math.max(WIDTH * camera.scale, 2.5) / camera.scale;
  const h = Math.max(HEIGHT * camera.scale, 1.5) / camera.scale;
  for (const name of STANDINGS) {
    ctx.fillStyle = name === 'queued' ? theme.queued : theme[name];
    for (const node of groups[name]) {
      const column = Math.max(0, Math.floor((node.x * camera.scale + camera.x) / CELL));
      const row = Math.max(0, Math.floor((node.y * camera.scale + camera.y) / CELL));
      const cell = row * columns + column;
      if (taken[cell]) continue;
      taken[cell] = 1;
      ctx.fillRect(node.x, node.y, w, h);
    }
  }
}

// pill draws one node: its colour at the left, its id, and its value at the right.
function pill(ctx, node, legible, theme, marks) {
  const name = standing(node);
  const waits = name === 'queued' || name === 'cancelled';
  const { x, y } = node;
  ctx.globalAlpha = marks.found.size && !marks.found.has(node.id) ? 0.3 : 1;
  ctx.beginPath();
  ctx.roundRect(x, y, WIDTH, HEIGHT, 5);
  ctx.fillStyle = legible || waits ? theme[`${name}Pale`] : theme[name];
  ctx.fill();
  if (legible || waits) {
    ctx.setLineDash(waits ? [4, 3] : []);
    ctx.lineWidth = 1.1;
    ctx.strokeStyle = theme[name];
    ctx.stroke();
    ctx.setLineDash([]);
  }
  if (legible) write(ctx, node, name, theme, marks);
  ctx.globalAlpha = 1;
}

function write(ctx, node, name, theme, marks) {
  const { x, y } = node;
  let left = x + 8;
  if (!['queued', 'cancelled'].includes(name)) {
    ctx.fillStyle = theme[name];
    ctx.beginPath();
    ctx.roundRect(x, y, 5, HEIGHT, [5, 0, 0, 5]);
    ctx.fill();
    left += 4;
  }
  if (marks.best === node) {
    star(ctx, left + 5, y + HEIGHT / 2, theme.gold);
    left += 15;
  }
  const value = node.below && marks.collapsed.has(node.id) ? `+${node.below}` : short(node.value);
  ctx.textBaseline = 'middle';
  ctx.font = theme.figures;
  ctx.textAlign = 'right';
  ctx.fillStyle = name === 'improved' ? theme.improvedInk : theme.soft;
  ctx.fillText(value, x + WIDTH - 7, y + HEIGHT / 2 + 0.5);
  const room = x + WIDTH - 12 - left - value.length * 6.4;
  ctx.textAlign = 'left';
  ctx.font = theme.letters;
  ctx.fillStyle = theme.ink;
  ctx.fillText(middle(node.id, Math.max(4, Math.floor(room / 6.3))), left, y + HEIGHT / 2 + 0.5, Math.max(20, room));
}

function star(ctx, x, y, colour) {
  ctx.beginPath();
  for (let i = 0; i < 10; i++) {
    const radius = i % 2 ? 2.4 : 5.6;
    const angle = (Math.PI * i) / 5 - Math.PI / 2;
    ctx.lineTo(x + radius * Math.cos(angle), y + radius * Math.sin(angle));
  }
  ctx.closePath();
  ctx.fillStyle = colour;
  ctx.fill();
}

// rings draws what stands out, at any scale.
function rings(ctx, { scale }, theme, marks, seen) {
  const ring = (node, colour, width) => {
    if (!node?.shown || !inside(node, seen)) return;
    const gap = 2.5 / scale;
    const w = Math.max(WIDTH, 8 / scale);
    const h = Math.max(HEIGHT, 6 / scale);
    ctx.beginPath();
    ctx.roundRect(node.x - gap, node.y - gap, w + 2 * gap, h + 2 * gap, Math.min(7, 7 / scale));
    ctx.lineWidth = width / scale;
    ctx.strokeStyle = colour;
    ctx.stroke();
  };
  if (marks.found.size <= 500) for (const id of marks.found) ring(marks.nodes.get(id), theme.gold, 1.5);
  if (HEIGHT * scale < TINY) ring(marks.best, theme.gold, 2);
  ring(marks.hovered, theme.soft, 1);
  ring(marks.selected, theme.accent, 2.2);
}
