// The page's state. There is one object; whoever changes it says so with update, and the page is drawn anew once a frame.
import { Forest } from './tree/forest.js';

// unread is what is known of a run of which nothing was read yet.
const unread = () => ({
  run: null, // as the API describes it
  connection: 'connecting', // live, lost, resting
  loading: true, // the tree is on its way
  missing: 0, // nodes that were too many to load
  forest: new Forest(),
  queue: { running: [], next: [], more: false },
  workers: [],
  history: { points: [], total: 0 },
  failures: { tasks: [], more: false },
  changes: [],
  detail: null, // of the selected task
  parent: null, // the detail of its parent
  found: { text: '', ids: new Set() },
});

export const state = {
  asks: '', // why somebody must sign in; '' while nobody needs to
  runs: [],
  name: '', // of the run that is shown
  tab: 'queue', // of the side
  screen: 'tree', // of a narrow page
  selected: '', // the id of a task
  notice: null, // { text, bad }
  ...unread(),
};

const watchers = new Set();
let asked = false;

// watch calls a function after each change, once a frame; it returns what ends that.
export function watch(f) {
  watchers.add(f);
  return () => watchers.delete(f);
}

// update changes the state and has the page drawn.
export function update(change) {
  if (change) Object.assign(state, change);
  if (asked) return;
  asked = true;
  requestAnimationFrame(() => {
    asked = false;
    for (const f of watchers) f();
  });
}

// turnTo shows another run, of which nothing is known yet.
export const turnTo = (name) => update({ name, ...unread() });

let passing;

// notice says something for a moment.
export function notice(text, bad = false) {
  clearTimeout(passing);
  passing = setTimeout(() => update({ notice: null }), bad ? 9000 : 4000);
  update({ notice: { text, bad } });
}
