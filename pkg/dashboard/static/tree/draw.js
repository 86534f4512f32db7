// Draws the tree. What it costs follows from what is seen: what lies outside is passed over, and what would fall on the same
// pixels is drawn once, the most telling first.
import { middle, short } from '../format.js';
import { STANDINGS, standing } from './forest.js';
import { ROW } from './layout.js';

const LEGIBLE = 8; // pixels in height, from which on a node has text
const LETTERS = 0.72; // the least scale of text
const TINY = 4; // pixels in height, below which a node is a mark
const CELL = 2; // pixels of the grid that marks stand on

// draw paints one frame: placed nodes, seen through a camera, with the theme's colours. marks says what stands out: selected,
// hovered, found, best, collapsed.
export function draw(ctx, nodes, camera, theme, marks) {
  const { ratio } = camera;
  ctx.setTransform(ratio, 0, 0, ratio, 0, 0);
  ctx.fillStyle = theme.paper;
  ctx.fillRect(0, 0, camera.width, camera.height);
  const { wide, w, h } = camera;
  const tiny = h < TINY;
  const sight = { ...camera, wide, w, h: Math.max(h, 1.5), tiny };
  blocks(ctx, nodes, sight, theme);
  edges(ctx, nodes, sight, theme);
  if (tiny) dots(ctx, nodes, sight, theme);
  else for (const node of nodes) if (inside(node, sight)) pill(ctx, node, sight, theme, marks);
  ctx.setTransform(ratio, 0, 0, ratio, 0, 0);
  rings(ctx, sight, theme, marks);
}

const left = (node, s) => node.x * s.wide + s.x;
const top = (node, s) => node.y * s.scale + s.y;

function inside(node, s) {
  const x = left(node, s);
  const y = top(node, s);
  return x < s.width && x + s.w > 0 && y < s.height && y + s.h > 0;
}

// blocks draws the ground of each block of leaves; a line leads to its first column only.
function blocks(ctx, nodes, s, theme) {
  const edge = Math.min(6, 6 * s.scale);
  ctx.fillStyle = theme.raised;
  for (const node of nodes) {
    if (!node.block) continue;
    const [x, y] = [left(node, s), top(node, s)];
    const [w, h] = [node.block.width * s.wide + s.w, node.block.height * s.scale + s.h];
    if (x > s.width || x + w < 0 || y > s.height || y + h < 0) continue;
    ctx.beginPath();
    ctx.roundRect(x - edge, y - edge / 2, w + 2 * edge, h + edge, edge);
    ctx.fill();
  }
}

// edges draws all lines as one path. Lines of one parent to children that fall on one pixel are one line.
function edges(ctx, nodes, s, theme) {
  let parent;
  let pixel;
  ctx.beginPath();
  for (const node of nodes) {
    if (!node.parent || node.column > 0) continue;
    const [x1, y1] = [left(node.parent, s) + s.w, top(node.parent, s) + s.h / 2];
    const [x2, y2] = [left(node, s), top(node, s) + s.h / 2];
    if (x2 < 0 || x1 > s.width || Math.max(y1, y2) < 0 || Math.min(y1, y2) > s.height) continue;
    const here = Math.round(y2) * 65536 + Math.round(x2);
    if (s.tiny && parent === node.parent && here === pixel) continue;
    [parent, pixel] = [node.parent, here];
    const bend = Math.min(s.tiny ? Infinity : 56 * s.wide, x2 - x1);
    ctx.moveTo(x1, y1);
    ctx.bezierCurveTo(x1 + bend / 2, y1, x1 + bend / 2, y2, x1 + bend, y2);
    ctx.lineTo(x2, y2);
  }
  ctx.lineWidth = s.tiny ? 0.7 : Math.max(0.8, 1.2 * s.scale);
  ctx.strokeStyle = theme.edge;
  ctx.globalAlpha = Math.min(1, Math.max(0.3, ROW * s.scale)); // where lines lie side by side they must not hide the nodes
  ctx.stroke();
  ctx.globalAlpha = 1;
}

// mark is the colour of a node without text: what waits is faint.
const mark = (name, theme) => (name === 'queued' ? theme.edge : theme[name]);

let taken = new Uint8Array(0);

// dots draws nodes as marks, one in each cell of a grid.
function dots(ctx, nodes, s, theme) {
  const columns = Math.ceil(s.width / CELL) + 1;
  const rows = Math.ceil(s.height / CELL) + 1;
  if (taken.length < columns * rows) taken = new Uint8Array(columns * rows);
  taken.fill(0);
  const groups = Object.fromEntries(STANDINGS.map((name) => [name, []]));
  for (const node of nodes) if (inside(node, s)) groups[standing(node)].push(node);
  for (const name of STANDINGS) {
    ctx.fillStyle = mark(name, theme);
    for (const node of groups[name]) {
      const [x, y] = [left(node, s), top(node, s)];
      const cell = Math.max(0, Math.floor(y / CELL)) * columns + Math.max(0, Math.floor(x / CELL));
      if (taken[cell]) continue;
      taken[cell] = 1;
      ctx.fillRect(x, y, s.w, s.h);
    }
  }
}

// pill draws one node: its colour at the left, its id, and its value at the right.
function pill(ctx, node, s, theme, marks) {
  const name = standing(node);
  const waits = name === 'queued' || name === 'cancelled';
  const legible = s.h >= LEGIBLE;
  const scale = legible ? Math.max(s.scale, LETTERS) : s.scale;
  const size = { w: s.w / scale, h: s.h / scale };
  const k = s.ratio * scale;
  ctx.setTransform(k, 0, 0, k, s.ratio * left(node, s), s.ratio * top(node, s));
  ctx.globalAlpha = marks.found.size && !marks.found.has(node.id) ? 0.3 : 1;
  ctx.beginPath();
  ctx.roundRect(0, 0, size.w, size.h, 5);
  ctx.fillStyle = legible ? theme[`${name}Pale`] : mark(name, theme);
  ctx.fill();
  if (legible) {
    ctx.setLineDash(waits ? [4, 3] : []);
    ctx.lineWidth = 1.1;
    ctx.strokeStyle = theme[name];
    ctx.stroke();
    ctx.setLineDash([]);
  }
  if (legible) write(ctx, node, name, waits, size, theme, marks);
  ctx.globalAlpha = 1;
}

function write(ctx, node, name, waits, { w, h }, theme, marks) {
  let from = waits ? 8 : 12;
  if (!waits) {
    ctx.fillStyle = theme[name];
    ctx.beginPath();
    ctx.roundRect(0, 0, 5, h, [5, 0, 0, 5]);
    ctx.fill();
  }
  if (marks.best === node) {
    star(ctx, from + 5, h / 2, theme.gold);
    from += 15;
  }
  const value = node.below ? `+${node.below}` : short(node.value);
  ctx.textBaseline = 'middle';
  ctx.font = theme.figures;
  ctx.textAlign = 'right';
  ctx.fillStyle = name === 'improved' ? theme.improvedInk : theme.soft;
  ctx.fillText(value, w - 6, h / 2 + 0.5);
  const room = w - 6 - from - (value && ctx.measureText(value).width + 5);
  ctx.textAlign = 'left';
  ctx.font = theme.letters;
  ctx.fillStyle = theme.ink;
  ctx.fillText(fitting(ctx, node.id, room), from, h / 2 + 0.5, Math.max(20, room));
}

// fitting shortens an id until it fits.
function fitting(ctx, id, room) {
  const width = ctx.measureText(id).width;
  return width <= room + 1 ? id : middle(id, Math.max(4, Math.floor((id.length * room) / width)));
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

const RINGS_MAX = 500;

// rings draws what stands out, at any scale.
function rings(ctx, s, theme, marks) {
  const ring = (node, colour, width) => {
    if (!node?.shown || !inside(node, s)) return;
    const h = Math.max(s.h, 5);
    ctx.beginPath();
    ctx.roundRect(left(node, s) - 2.5, top(node, s) + s.h / 2 - h / 2 - 2.5, s.w + 5, h + 5, Math.min(7 * s.scale + 2, 8));
    ctx.lineWidth = width;
    ctx.strokeStyle = colour;
    ctx.stroke();
  };
  if (marks.found.size <= RINGS_MAX) for (const id of marks.found) ring(marks.nodes.get(id), theme.gold, 1.5);
  if (s.h < LEGIBLE) ring(marks.best, theme.gold, 2);
  ring(marks.hovered, theme.soft, 1);
  ring(marks.selected, theme.accent, 2.2);
}
