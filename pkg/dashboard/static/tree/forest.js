// The hypothesis tree as the page knows it: read once, then changed by events.
import { number } from '../api.js';

// Node is an experiment. What is below failure belongs to the layout.
class Node {
  constructor(id) {
    this.id = id;
    this.parent = null;
    this.kids = [];
    this.status = 'queued';
    this.kind = '';
    this.value = undefined;
    this.improved = false;
    this.cancelled = false;
    this.failure = ''; // the kind of failure
    this.x = 0;
    this.y = 0;
    this.shown = false;
    this.block = null; // of the first of a block of leaves: how far it reaches
    this.column = 0; // in such a block
    this.below = 0; // how many nodes are folded away below it
  }
}

// STANDINGS are the ways in which a node is shown, the most telling first.
export const STANDINGS = ['improved', 'running', 'failed', 'cancelled', 'queued', 'plain'];

export function standing(node) {
  switch (node.status) {
    case 'completed':
      return node.improved ? 'improved' : 'plain';
    case 'failed':
      return node.cancelled ? 'cancelled' : 'failed';
    default:
      return node.status;
  }
}

// The states of the API that a tree shows as one.
const statuses = { queued: 'queued', completed: 'completed', failed: 'failed' };

export class Forest {
  name = ''; // of the run
  nodes = new Map();
  roots = [];
  orphans = new Map(); // nodes by the id of a parent that has not come yet
  version = 0; // grows with every change
  shape = 0; // grows when a node comes
  best = null;
  maximize = false;

  // add takes a node of a page of the tree.
  add(raw) {
    const node = this.nodes.get(raw.id) ?? this.plant(raw.id, raw.parent);
    node.status = raw.status;
    node.kind = raw.kind;
    node.value = number(raw.value);
    node.improved = Boolean(raw.improved);
    node.cancelled = Boolean(raw.cancelled);
    node.failure = raw.failure_kind ?? '';
    if (node.improved) this.compare(node);
    this.version++;
  }

  // apply takes a task of an event, and reports whether it is a node.
  apply(task) {
    let node = this.nodes.get(task.id);
    if (!node) {
      if (!task.new || task.uncounted) return false;
      node = this.plant(task.id, task.parent);
      node.kind = task.kind;
    }
    node.status = statuses[task.state] ?? 'running';
    node.cancelled = Boolean(task.cancelled);
    node.failure = task.failure?.kind ?? '';
    if (task.value !== undefined && node.value === undefined) {
      node.value = number(task.value);
      node.improved = this.compare(node);
    }
    this.version++;
    return true;
  }

  // compare makes a node the best if it is better, and reports whether it is.
  compare(node) {
    const best = this.best?.value;
    const better = Number.isFinite(node.value) && (best === undefined || (this.maximize ? node.value > best : node.value < best));
    if (better) this.best = node;
    return better;
  }

  // plant puts a new node below its parent.
  plant(id, parent) {
    const node = new Node(id);
    this.nodes.set(id, node);
    this.shape++;
    this.hang(node, parent);
    for (const orphan of this.orphans.get(id) ?? []) {
      this.roots.splice(this.roots.indexOf(orphan), 1);
      this.hang(orphan, id);
    }
    this.orphans.delete(id);
    return node;
  }

  hang(node, parent) {
    const above = this.nodes.get(parent);
    if (above) {
      node.parent = above;
      above.kids.push(node);
      return;
    }
    this.roots.push(node);
    if (!parent) return;
    if (!this.orphans.has(parent)) this.orphans.set(parent, []);
    this.orphans.get(parent).push(node);
  }
}
