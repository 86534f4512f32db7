// What a person does on the page.
import { Problem, call, get, query, request, runPath, signOut, taskPath } from './api.js';
import { count } from './format.js';
import { notice, state, update } from './store.js';
import { dirty } from './follow.js';

// select shows a task; '' shows none. The address says which, so that a link or the back button leads to it.
export function select(id) {
  if (id === state.selected) return;
  update({ selected: id, detail: null, parent: null });
  address();
  if (id) loadDetail();
}

// address writes run and task into the page's address.
export function address() {
  const parts = new URLSearchParams(state.selected ? { run: state.name, task: state.selected } : { run: state.name });
  if (location.hash.slice(1) !== parts.toString()) history.pushState(null, '', `#${parts}`);
}

// loadDetail reads the selected task, and its parent once.
export async function loadDetail() {
  const { name, selected: id } = state;
  const current = () => state.name === name && state.selected === id;
  try {
    const detail = await get(taskPath(name, id));
    if (current()) update({ detail });
    if (!detail.parent || state.parent?.id === detail.parent) return;
    const parent = await get(taskPath(name, detail.parent));
    if (current()) update({ parent });
  } catch (error) {
    if (!current()) return;
    failed(error);
    if (error.status === 404) update({ selected: '' });
  }
}

const FOUND_MAX = 500;
let typing;

// find searches ids, payloads and failures, once the typing rests.
export function find(text) {
  clearTimeout(typing);
  if (!text) {
    update({ found: { text: '', ids: new Set() } });
    return;
  }
  typing = setTimeout(async () => {
    try {
      const list = await get(runPath(state.name, `/tasks${query({ text, limit: FOUND_MAX })}`));
      update({ found: { text, ids: new Set(list.tasks.map((task) => task.id)), more: Boolean(list.next) } });
    } catch (error) {
      failed(error);
    }
  }, 200);
}

// change sends a change, says what came of it, and has what it touches read again.
async function change(method, path, options, said) {
  try {
    const answer = await call(method, path, options);
    notice(said(answer));
    return answer;
  } catch (error) {
    failed(error);
    return undefined;
  } finally {
    dirty('run', 'queue');
    if (state.selected) loadDetail();
  }
}

const tasks = (answer) => (answer.count === 1 ? '1 task' : `${count(answer.count)} tasks`);

export const bump = (id, reason, subtree = false) =>
  change('PUT', taskPath(state.name, id, '/priority'), { body: { front: true, subtree, reason } },
    (answer) => `${tasks(answer)} moved to the front`);

export const place = (id, priority) =>
  change('PUT', taskPath(state.name, id, '/priority'), { body: { priority } }, () => `${id} has priority ${priority}`);

export const cancel = (id, reason, subtree = false) =>
  change('POST', taskPath(state.name, id, '/cancel'), { body: { subtree, reason } }, (answer) => `${tasks(answer)} cancelled`);

export const retry = (id, reason) =>
  change('POST', taskPath(state.name, id, '/retry'), { body: { reason } }, (answer) => `it is tried again as ${answer.task}`);

// save has the browser keep what a path answers as a file. The page fetches it: a link cannot send the token, and would keep a
// refusal as if it were the file.
export async function save(path, name) {
  try {
    const answer = await request('GET', path);
    const href = URL.createObjectURL(await answer.blob());
    Object.assign(document.createElement('a'), { href, download: name }).click();
    setTimeout(() => URL.revokeObjectURL(href), SAVE_MS);
  } catch (error) {
    failed(error);
  }
}

const SAVE_MS = 60_000; // how long the browser may take to begin

// control changes the run's settings. It names the version it has seen, so that two people do not undo each other's change.
async function control(method, action, body, said) {
  const { version } = state.run;
  const run = await change(method, runPath(state.name, action), { body, version }, () => said);
  if (run) update({ run });
}

const where = (name) => (name ? `class ${name}` : 'the run');
export const pause = (name) => control('POST', '/pause', { class: name }, `${where(name)} is paused`);
export const resume = (name) => control('POST', '/resume', { class: name }, `${where(name)} goes on`);
export const drain = () => control('POST', '/drain', {}, 'what runs goes on, nothing more begins');
export const setBudget = (budget, name) =>
  control('PUT', '/budget', { class: name, budget }, budget ? `the budget of ${where(name)} is ${budget}` : 'the configured budget is back');

// failed shows a problem; one of the token asks for another.
export function failed(error) {
  if (error instanceof Problem && error.status === 401) {
    signOut();
    update({ asks: error.message });
    return;
  }
  if (error.name === 'AbortError') return;
  notice(error instanceof Problem ? `${error.message}: ${error.remedy}` : 'the server does not answer', true);
}
