// What part of the tree the canvas shows: a point of the canvas is a place of the tree times the scale, plus the offset.
import { bounds } from './layout.js';

const SCALE_MIN = 0.002;
const SCALE_MAX = 2.5;
const MARGIN = 24;

export class Camera {
  x = MARGIN;
  y = MARGIN;
  scale = 1;
  width = 1;
  height = 1;
  follows = true; // keeps the whole tree in view, until a person moves it

  pan(dx, dy) {
    this.follows = false;
    this.x += dx;
    this.y += dy;
  }

  // zoom scales round a point of the canvas.
  zoom(factor, x = this.width / 2, y = this.height / 2) {
    this.follows = false;
    const scale = Math.min(SCALE_MAX, Math.max(SCALE_MIN, this.scale * factor));
    const change = scale / this.scale;
    this.x = x - (x - this.x) * change;
    this.y = y - (y - this.y) * change;
    this.scale = scale;
  }

  // fit shows all nodes, but none larger than life.
  fit(nodes) {
    const { right, bottom } = bounds(nodes);
    const room = Math.min((this.width - 2 * MARGIN) / right, (this.height - 2 * MARGIN) / bottom);
    this.scale = Math.max(SCALE_MIN, Math.min(1, room));
    this.x = Math.max(MARGIN, (this.width - right * this.scale) / 2);
    this.y = Math.max(MARGIN, (this.height - bottom * this.scale) / 2);
  }

  // reveal brings a node to the middle unless it is well in view, large enough to read.
  reveal(node) {
    const legible = Math.max(this.scale, 0.8);
    const x = this.x + node.x * this.scale;
    const y = this.y + node.y * this.scale;
    const inside = x > 0 && x < this.width * 0.85 && y > 10 && y < this.height - 30;
    if (inside && legible === this.scale) return;
    this.follows = false;
    this.scale = legible;
    this.x = this.width * 0.4 - node.x * legible;
    this.y = this.height * 0.45 - node.y * legible;
  }
}
