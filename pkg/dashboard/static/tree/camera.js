// What part of the tree the canvas shows. A place of the tree times the scale, plus the offset, is a point of the canvas.
// From afar a tree is much higher than wide: its columns then keep the whole width of the canvas, while its rows shrink.
import { HEIGHT, WIDTH, bounds } from './layout.js';

const SCALE_MIN = 0.002;
const SCALE_MAX = 2.5;
const MARGIN = 24;
const MARK = 7; // pixels that a node is wide, at least

export class Camera {
  x = MARGIN;
  y = MARGIN;
  scale = 1; // of rows, and of what is drawn
  width = 1;
  height = 1;
  tree = { right: WIDTH, bottom: HEIGHT };
  follows = true; // keeps the whole tree in view, until a person moves it

  // wide is the scale of the columns.
  get wide() {
    return Math.max(this.scale, Math.min(1, (this.width - 2 * MARGIN) / this.tree.right));
  }

  // w and h are how large a node is on the canvas.
  get w() {
    return Math.max(MARK, WIDTH * this.wide);
  }

  get h() {
    return HEIGHT * this.scale;
  }

  left = (node) => node.x * this.wide + this.x;
  top = (node) => node.y * this.scale + this.y;

  // measure notes how large the tree is.
  measure(nodes) {
    this.tree = bounds(nodes);
  }

  pan(dx, dy) {
    this.follows = false;
    this.x += dx;
    this.y += dy;
  }

  // zoom scales round a point of the canvas.
  zoom(factor, x = this.width / 2, y = this.height / 2) {
    this.follows = false;
    const { scale, wide } = this;
    this.scale = Math.min(SCALE_MAX, Math.max(SCALE_MIN, scale * factor));
    this.x = x - ((x - this.x) * this.wide) / wide;
    this.y = y - ((y - this.y) * this.scale) / scale;
  }

  // fit shows all nodes, but none larger than life.
  fit() {
    const { right, bottom } = this.tree;
    const room = Math.min((this.width - 2 * MARGIN) / right, (this.height - 2 * MARGIN) / bottom);
    this.scale = Math.max(SCALE_MIN, Math.min(1, room));
    this.x = Math.max(MARGIN, (this.width - right * this.wide) / 2);
    this.y = Math.max(MARGIN, (this.height - bottom * this.scale) / 2);
  }

  // reveal brings a node to the middle unless it is well in view, large enough to read.
  reveal(node) {
    const [x, y] = [this.left(node), this.top(node)];
    const inside = x > 0 && x < this.width * 0.85 && y > 10 && y < this.height - 30;
    if (inside && this.scale >= 0.6) return;
    this.follows = false;
    this.scale = Math.max(this.scale, 0.8);
    this.x = this.width * 0.4 - node.x * this.wide;
    this.y = this.height * 0.45 - node.y * this.scale;
  }
}
