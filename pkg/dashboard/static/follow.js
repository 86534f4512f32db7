// Keeps the state current: the tree is read once, in pages, and then changed by events. Lists and numbers that an event makes
// stale are read again, each at most once in a while and only when somebody sees them.
import { get, number, query, runPath } from './api.js';
import { state, turnTo, update } from './store.js';
import { follow as stream } from './stream.js';
import { Forest } from './tree/forest.js';
import { failed, loadDetail } from './actions.js';

const PAGE = 5000;
const NODES_MAX = 50_000; // what a browser draws well
const QUEUE = 50;
const FAILURES = 500;
const CHANGES = 50;
const POINTS = 2000;
const POINTS_MAX = 2 * POINTS; // then the server is asked for fewer again

let current; // ends what follows the run that is shown

// follow shows a run from now on.
export async function follow(name) {
  current?.abort();
  const end = new AbortController();
  current = end;
  turnTo(name);
  document.title = `${name} · autoresearch`;
  refresh(end.signal);
  while (!end.signal.aborted) {
    try {
      await live(name, end.signal);
    } catch (error) {
      if (error.status === 401) {
        failed(error);
        return;
      }
      if (!end.signal.aborted) update({ connection: 'lost' });
    }
    if (!end.signal.aborted) await new Promise((resolve) => setTimeout(resolve, 1000));
  }
}

// live reads the tree and follows the events. The stream is opened first: what happens while the tree is read is applied to
// it afterwards, and to apply an event twice changes nothing.
async function live(name, signal) {
  const round = new AbortController();
  const stop = () => round.abort();
  signal.addEventListener('abort', stop);
  const early = [];
  let forest;
  const onEvent = (event) => {
    if (event.type === 'gap') round.abort();
    else if (forest) apply(forest, event);
    else early.push(event);
  };
  let opened;
  const open = new Promise((resolve) => {
    opened = resolve;
  });
  const onState = (connection) => {
    if (connection === 'live') opened();
    if (connection !== state.connection) {
      update({ connection });
      dirty('run', 'queue', 'workers', 'failures', 'changes');
    }
  };
  const ended = stream(name, { onEvent, onState, signal: round.signal });
  try {
    await Promise.race([open, ended]);
    forest = await readTree(name, round.signal);
    for (const event of early) apply(forest, event);
    dirty('history');
    await ended;
  } finally {
    round.abort();
    signal.removeEventListener('abort', stop);
    await ended.catch(() => {});
  }
}

// readTree reads the tree page by page and shows it as it grows.
async function readTree(name, signal) {
  const forest = new Forest();
  const run = await get(runPath(name), { signal });
  forest.maximize = run.objective?.direction === 'maximize';
  const shown = state.forest.nodes.size > 0 && state.forest.name === name; // the old one stays until the new one is whole
  forest.name = name;
  update({ run, loading: true, missing: 0, ...(shown ? {} : { forest }) });
  let cursor;
  do {
    const page = await get(runPath(name, `/tree${query({ limit: PAGE, cursor })}`), { signal });
    for (const node of page.nodes) forest.add(node);
    cursor = page.next;
    update();
  } while (cursor && forest.nodes.size < NODES_MAX);
  update({ forest, loading: false, missing: cursor ? Math.max(1, run.tasks - forest.nodes.size) : 0 });
  return forest;
}

// apply changes the state by an event, and notes what has to be read again.
function apply(forest, event) {
  const { task } = event;
  dirty('run');
  if (!task) {
    dirty('changes');
    if (event.run) dirty('queue', 'workers');
    return;
  }
  if (!state.missing || forest.nodes.has(task.id)) forest.apply(task);
  if (task.value !== undefined) append(forest, event);
  if (task.failure) dirty('failures');
  dirty('queue');
  if (task.id === state.selected) dirty('detail');
  update();
}

// append adds a point to the history.
function append(forest, { task, at }) {
  const { points, total } = state.history;
  if (points.some((point) => point.task === task.id)) return;
  if (points.length > POINTS_MAX) dirty('history');
  const improved = forest.best?.id === task.id;
  const point = { task: task.id, ended_at: at, order: total + 1, value: task.value, best: number(forest.best?.value ?? task.value), improved };
  update({ history: { ...state.history, total: total + 1, points: [...points, point] } });
}

// What is read again when it is stale: how often at most in milliseconds, whether anybody sees it, and what it changes.
const readings = {
  run: { pause: 1000, seen: () => true, read: async (at) => ({ run: await get(at('')) }) },
  queue: { pause: 1500, seen: () => state.tab === 'queue', read: readQueue },
  workers: { pause: 2000, seen: () => ['workers', 'queue'].includes(state.tab), read: (at) => get(at('/workers')) },
  failures: { pause: 3000, seen: () => state.tab === 'failures', read: readFailures },
  changes: { pause: 1500, seen: () => state.tab === 'changes', read: readChanges },
  history: { pause: 1000, seen: () => !state.loading, read: readHistory },
  runs: { pause: 10_000, seen: () => true, read: () => get('/runs') },
  detail: { pause: 1000, seen: () => state.selected !== '', read: () => loadDetail() },
};

async function readHistory(at) {
  return { history: await get(at(`/history${query({ limit: POINTS })}`)) };
}

async function readQueue(at) {
  const [running, next] = await Promise.all([
    get(at(`/tasks${query({ status: 'running,dispatched', sort: '-started', limit: 200 })}`)),
    get(at(`/tasks${query({ status: 'queued,delayed', sort: 'queue', limit: QUEUE })}`)),
  ]);
  return { queue: { running: running.tasks, next: next.tasks, more: Boolean(next.next) } };
}

async function readFailures(at) {
  const list = await get(at(`/tasks${query({ status: 'failed,cancelled', sort: '-ended', limit: FAILURES })}`));
  return { failures: { tasks: list.tasks, more: Boolean(list.next) } };
}

async function readChanges(at) {
  const list = await get(at(`/events${query({ type: 'change,leader', limit: CHANGES })}`));
  return { changes: list.events.reverse() };
}

const stale = new Set(Object.keys(readings));

// dirty notes what has to be read again.
export const dirty = (...names) => names.forEach((name) => stale.add(name));

// Workers say how they are without events.
const WORKERS_SAY = 3000;

// refresh reads what is stale, until the signal ends it.
async function refresh(signal) {
  dirty(...Object.keys(readings));
  const read = {};
  while (!signal.aborted) {
    const now = performance.now();
    if (now - (read.workers ?? 0) > WORKERS_SAY) {
      dirty('workers', 'runs');
      if (state.detail?.state === 'running') dirty('detail');
    }
    for (const [name, { pause, seen, read: f }] of Object.entries(readings)) {
      if (document.hidden || !stale.has(name) || !seen() || now - (read[name] ?? -Infinity) < pause) continue;
      stale.delete(name);
      read[name] = now;
      reading(f, name, signal);
    }
    await new Promise((resolve) => setTimeout(resolve, 250));
  }
}

// reading runs one reading, whose answer is for the run that is still shown. What fails is read again later; the stream says
// whether the server is there.
async function reading(f, name, signal) {
  const run = state.name;
  try {
    const change = await f((rest) => runPath(run, rest));
    if (!signal.aborted) update(change);
  } catch (error) {
    if (error.status === 401 && !signal.aborted) failed(error);
    if (!signal.aborted) dirty(name);
  }
}
