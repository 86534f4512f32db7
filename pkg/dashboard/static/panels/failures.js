// The failures, grouped by what went wrong.
import { clock, count } from '../format.js';
import { html } from '../html.js';
import { state } from '../store.js';

const SHOWN = 5;

export function Failures({ onSelect }) {
  const { tasks, more } = state.failures;
  const groups = grouped(tasks);
  return html`
    ${groups.length === 0 && html`<p class="empty">Nothing has failed.</p>`}
    ${groups.map(({ title, cause, list }) => html`<details class="group" key=${title + cause} open>
      <summary><b>${title}</b> <span class="soft">${cause}</span> <span class="badge">${count(list.length)}</span></summary>
      <p class="message">${list[0].failure.message}</p>
      <ul class="rows">${list.slice(0, SHOWN).map((task) => html`<li key=${task.id}>
        <button class="name" onClick=${() => onSelect(task.id)}><i class="dot failed"></i><b>${task.id}</b></button>
        <span class="soft figure">${clock(task.ended_at)}</span></li>`)}</ul>
      ${list.length > SHOWN && html`<p class="note">The newest ${SHOWN} of ${count(list.length)}.</p>`}
    </details>`)}
    ${more && html`<p class="note">Only the newest ${count(tasks.length)} failures were looked at.</p>`}`;
}

// grouped puts failures of one kind and cause together, the most frequent first.
function grouped(tasks) {
  const groups = new Map();
  for (const task of tasks) {
    if (!task.failure) continue;
    const { kind, cause = '' } = task.failure;
    const key = `${kind} ${cause}`;
    if (!groups.has(key)) groups.set(key, { title: kind.replaceAll('_', ' '), cause: cause.replaceAll('_', ' '), list: [] });
    groups.get(key).list.push(task);
  }
  return [...groups.values()].sort((a, b) => b.list.length - a.list.length);
}
