// What runs, and what comes next.
import { between, count, duration, short } from '../format.js';
import { html } from '../html.js';
import { state } from '../store.js';
import { bump, cancel, place } from '../actions.js';
import { Sure } from './sure.js';

export function Queue({ onSelect }) {
  const { queue, run, workers } = state;
  const live = new Map(workers.flatMap((w) => w.running.map((held) => [held.task, { ...held, host: w.host }])));
  const waiting = run?.counts ? run.counts.queued + run.counts.delayed : 0;
  return html`
    <h3>Running <span class="soft">${queue.running.length}</span></h3>
    ${queue.running.length === 0 && html`<p class="empty">Nothing runs.${run?.paused ? ' The run is paused.' : ''}</p>`}
    <ul class="rows">${queue.running.map((task) => html`<${Running} key=${task.id} task=${task} held=${live.get(task.id)} onSelect=${onSelect} />`)}</ul>
    <h3>Next <span class="soft">${count(waiting)}</span></h3>
    ${queue.next.length === 0 && html`<p class="empty">The queue is empty.</p>`}
    <ol class="rows" onDragOver=${(event) => event.preventDefault()}>
      ${queue.next.map((task, i) => html`<${Waiting} key=${task.id} task=${task} place=${i} onSelect=${onSelect} />`)}</ol>
    ${queue.more && html`<p class="note">The first ${queue.next.length} of ${count(waiting)}.</p>`}`;
}

function Running({ task, held, onSelect }) {
  const metrics = telling(held?.metrics);
  return html`<li>
    <button class="name" onClick=${() => onSelect(task.id)}><i class="dot running"></i><b>${task.id}</b></button>
    <span class="soft figure">${task.started_at ? duration(between(task.started_at)) : 'on its way'}</span>
    <${Sure} small text="Cancel" sure="Sure?" onClick=${() => cancel(task.id)} />
    ${held && html`<p class="more">${metrics.map(([name, value]) => html`<span key=${name}>${name} <b>${short(value)}</b></span>`)}
      ${metrics.length === 0 && html`<span class="clip">${held.progress}</span>`}</p>`}
  </li>`;
}

const METRICS = 3;

// telling picks metrics: the objective first.
function telling(metrics = {}) {
  const objective = state.run?.objective?.metric;
  return Object.entries(metrics).sort(([a], [b]) => (b === objective) - (a === objective)).slice(0, METRICS);
}

// A task that waits can be dragged: where it is dropped, it gets the priority between its neighbours.
function Waiting({ task, place: at, onSelect }) {
  const delayed = task.failures > 0 || task.lost > 0;
  const start = (event) => event.dataTransfer.setData('text/plain', task.id);
  const drop = (event) => {
    event.preventDefault();
    dropAt(event.dataTransfer.getData('text/plain'), at);
  };
  return html`<li draggable onDragStart=${start} onDrop=${drop}>
    <span class="soft place">${at + 1}</span>
    <button class="name" onClick=${() => onSelect(task.id)}><b>${task.id}</b></button>
    <span class="soft figure" title="Priority: the lower number runs first">${short(task.priority)}${delayed && ` · try ${task.attempt + 1}`}</span>
    <button class="small" disabled=${at === 0} title="To the front" onClick=${() => bump(task.id)}>Bump</button>
    <${Sure} small text="Cancel" sure="Sure?" onClick=${() => cancel(task.id)} />
  </li>`;
}

// dropAt moves a task before the one at a place of the list.
function dropAt(id, at) {
  const list = state.queue.next.filter((task) => task.id !== id);
  if (!id || list.length === state.queue.next.length) return;
  const before = list[at - 1];
  const after = list[at];
  if (!before) bump(id);
  else place(id, after ? (Number(before.priority) + Number(after.priority)) / 2 : Number(before.priority) + 1);
}
