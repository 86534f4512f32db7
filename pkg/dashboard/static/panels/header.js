// The top of the page: the run at a glance, and what steers it as a whole.
import { count, duration, short } from '../format.js';
import { html } from '../html.js';
import { state, update } from '../store.js';
import { address, drain, pause, resume, setBudget } from '../actions.js';
import { follow } from '../follow.js';
import { switchTheme } from '../tree/theme.js';
import { NumberField } from './number.js';
import { Sure } from './sure.js';

const connections = {
  connecting: 'connecting…', live: 'live', lost: 'the server, or a leader of the run, does not answer; trying again', resting: 'resting while nobody looks',
};

export function Header({ onSelect }) {
  const { run, runs, name, connection } = state;
  return html`<header class="top">
    <div class="who">
      <span class=${`link ${connection}`} role="img" title=${connections[connection]} aria-label=${connections[connection]}></span>
      ${runs.length > 1
        ? html`<select aria-label="Run" value=${name} onChange=${(event) => show(event.target.value)}>
            ${runs.map((r) => html`<option key=${r.name} value=${r.name}>${r.name}${r.archived ? ' (archived)' : ''}</option>`)}</select>`
        : html`<h1>${name || 'autoresearch'}</h1>`}
      ${run && html`<${Status} run=${run} />`}
    </div>
    ${run?.counts && html`<${Counts} run=${run} onSelect=${onSelect} />`}
    ${run?.counts && html`<${Controls} run=${run} />`}
  </header>`;
}

function Status({ run }) {
  const word = run.paused ? 'paused' : run.drained ? 'draining' : (run.status ?? run.role);
  const reason = run.reason || run.trouble;
  return html`<span class=${`status ${word}`} title=${reason}>${word}</span>
    ${reason && html`<span class="reason" title=${reason}>${reason}</span>`}`;
}

function show(name) {
  update({ selected: '' });
  follow(name);
  address();
}

function Counts({ run, onSelect }) {
  const { counts: n, limits, best, objective } = run;
  const most = limits?.max_experiments;
  const figures = [
    ['running', html`${n.running + n.dispatched}<small> of ${run.budget}</small>`],
    ['queued', count(n.queued + n.delayed)],
    ['done', html`${count(n.completed)}${most > 0 && html`<small> of ${count(most)}</small>`}`],
    ['failed', count(n.failed)],
    ['per min', run.per_minute ? short(Number(run.per_minute.toPrecision(3))) : '–'],
    ['active', duration(run.active_seconds)],
    ...spent(run.spent, limits),
  ];
  return html`<dl class="figures">
    ${figures.map(([title, value]) => html`<div key=${title} class=${title}><dt>${title}</dt><dd>${value}</dd></div>`)}
    ${best && html`<div class="best"><dt>best ${objective?.metric}</dt>
      <dd><button class="plain" title=${best.task} onClick=${() => onSelect(best.task)}>★ ${short(best.value)}</button></dd></div>`}
  </dl>`;
}

// What was used up is shown where there is any, or a limit of it: GPU-hours, and the cost.
function spent(s, limits) {
  const figure = (n) => short(Number(n.toPrecision(3)));
  const of = (most) => most > 0 && html`<small> of ${figure(most)}</small>`;
  return [
    (s?.gpu_hours > 0 || limits?.max_gpu_hours > 0) && ['GPU-hours', html`${figure(s.gpu_hours)}${of(limits?.max_gpu_hours)}`],
    (s?.cost > 0 || limits?.max_cost > 0) && ['spent', html`${figure(s.cost)}${of(limits?.max_cost)}<small> ${s.unit}</small>`],
  ].filter(Boolean);
}

function Controls({ run }) {
  const own = run.budget !== run.configured_budget;
  return html`<div class="controls">
    <span class="stepper" role="group" aria-label="Budget: experiments at once">
      <label for="budget">Budget</label>
      <button aria-label="One less" disabled=${run.budget <= 1} onClick=${() => setBudget(run.budget - 1)}>−</button>
      <${NumberField} id="budget" value=${run.budget} title=${own ? `the workflow says ${run.configured_budget}` : ''} onNumber=${(n) => setBudget(n)} />
      <button aria-label="One more" onClick=${() => setBudget(run.budget + 1)}>+</button>
    </span>
    ${run.paused || run.drained
      ? html`<button class="main" onClick=${() => resume()}>Resume</button>`
      : html`<button onClick=${() => pause()}>Pause</button>`}
    ${!run.drained && html`<${Sure} text="Drain" sure="Really drain?" title="Finish what runs, begin nothing more" onClick=${() => drain()} />`}
    <button class="icon" title="Light or dark" aria-label="Light or dark" onClick=${switchTheme}>◐</button>
  </div>`;
}
