// All that is known of the selected task.
import { between, clock, count, duration, plain, short, until } from '../format.js';
import { Component, html } from '../html.js';
import { state } from '../store.js';
import { bump, cancel, retry, select } from '../actions.js';
import { Sure } from '../panels/sure.js';
import { Artifacts } from './artifacts.js';
import { flatten } from './diff.js';
import { Output } from './output.js';
import { Payload } from './payload.js';

export function Details({ onSelect }) {
  const { selected, detail, forest } = state;
  return html`<article class="details" aria-label="Task">
    <header>
      <h2 title=${selected}>${selected}</h2>
      <button class="icon" aria-label="Close" title="Close (Esc)" onClick=${() => select('')}>✕</button>
    </header>
    <div class="scroll">
      ${detail ? html`<${Body} task=${detail} node=${forest.nodes.get(selected)} onSelect=${onSelect} key=${selected} />` : html`<p class="empty">Reading…</p>`}
    </div>
  </article>`;
}

const finished = (task) => task.state === 'completed' || task.state === 'failed';
const open = (task) => !finished(task) && task.state !== 'reported';

function Body({ task, node, onSelect }) {
  return html`
    <${Facts} task=${task} node=${node} />
    <${Actions} task=${task} />
    ${task.waiting && html`<${Waits} waiting=${task.waiting} />`}
    ${task.live && html`<${Live} live=${task.live} />`}
    ${task.failure_record && html`<${Failure} record=${task.failure_record} />`}
    <${Payload} task=${task} parent=${state.parent} />
    ${task.attempt > 0 && html`<${Output} key=${`${task.id} ${task.attempt}`} id=${task.id} attempt=${task.attempt} decided=${finished(task)}
      objective=${state.run?.objective?.metric}>${task.result && html`<${Result} result=${task.result} />`}<//>`}
    ${finished(task) && html`<${Artifacts} key=${`left ${task.id} ${task.attempt}`} id=${task.id} />`}
    <${Allowance} task=${task} onSelect=${onSelect} />
    <${Lineage} task=${task} onSelect=${onSelect} />
    <${Attempts} attempts=${task.attempts} />`;
}

function Facts({ task, node }) {
  const look = task.cancelled ? 'cancelled' : task.state === 'completed' ? (node?.improved ? 'improved' : 'plain') : task.state;
  const code = task.code?.commit ?? task.code?.hash ?? task.spec.commit ?? task.result?.output?.commit ?? task.result?.output?.code_hash;
  const rows = [
    ['kind', task.kind],
    ['class', task.class],
    ['worker', task.worker],
    ['host', task.host],
    ['GPU', task.hardware && [task.hardware.gpu, ...task.hardware.gpus].join(' ')],
    ['priority', short(task.priority)],
    ['started', clock(task.started_at)],
    [task.ended_at ? 'took' : 'for', task.duration_seconds ? duration(task.duration_seconds) : task.started_at && duration(between(task.started_at, task.ended_at))],
    ['attempt', task.attempt > 1 || task.failures || task.lost ? `${task.attempt}: ${task.failures ?? 0} failed, ${task.lost ?? 0} lost` : ''],
    ['repeats', task.retry_of],
    ['code', code && plain(code)],
  ];
  return html`<div class="lead"><i class=${`dot ${look}`}></i><b>${look === 'plain' ? 'completed' : look === 'improved' ? 'completed, improved' : look}</b>
      ${task.value !== undefined && html`<span class="value">${short(task.value)}</span>`}</div>
    <dl class="facts">${rows.filter(([, value]) => value).map(([name, value]) => html`<div key=${name}><dt>${name}</dt><dd>${value}</dd></div>`)}</dl>`;
}

// Actions are what can be done to the task, with a reason for the record.
class Actions extends Component {
  render({ task }, { reason }) {
    const { id } = task;
    const why = (event) => this.setState({ reason: event.target.value });
    if (task.state === 'completed') return null;
    return html`<div class="actions">
      <input placeholder="Why (optional)" aria-label="Why" maxlength="200" onInput=${why} />
      ${task.state === 'queued' && html`<button onClick=${() => bump(id, reason)}>Bump</button>`}
      ${open(task) && !task.cancelled && html`<${Sure} text="Cancel" sure="Really cancel?" onClick=${() => cancel(id, reason)} />`}
      ${task.child_count > 0 && html`<${Sure} text="Cancel subtree" sure="All below too?" onClick=${() => cancel(id, reason, true)} />`}
      ${(task.state === 'failed' || task.cancelled) && html`<button onClick=${() => retry(id, reason)}>Retry</button>`}
    </div>`;
  }
}

function Waits({ waiting }) {
  return html`<section><h3>Why it waits</h3>
    <ul class="reasons">${waiting.reasons.map((reason) => html`<li key=${reason.code}>${reason.text}</li>`)}</ul>
    <p class="soft">${waiting.place > 0 && `Place ${count(waiting.place)} of class ${waiting.class}. `}
      ${waiting.expected_at && `Expected ${until(waiting.expected_at)}.`}</p></section>`;
}

function Live({ live }) {
  const metrics = live.metrics ?? {};
  return html`<section><h3>Now</h3>
    ${Object.keys(metrics).length > 0 ? html`<${Figures} of=${metrics} />` : html`<p class="message">${live.progress || 'No progress has been said yet.'}</p>`}</section>`;
}

function Result({ result }) {
  return html`<section><h3>Result</h3>
    <${Figures} of=${result.metrics ?? {}} />
    ${result.output && html`<details><summary>Other output</summary><${Figures} of=${result.output} /></details>`}</section>`;
}

function Figures({ of }) {
  const entries = [...flatten(of)].filter(([name]) => name !== '');
  return entries.length > 0 && html`<table class="figures-table"><tbody>${entries.map(([name, value]) => html`<tr key=${name}>
    <th scope="row">${name}</th><td>${typeof value === 'number' ? short(value) : plain(value)}</td></tr>`)}</tbody></table>`;
}

function Failure({ record }) {
  const { cause, stderr, stderr_tail: tail, ...others } = record.details ?? {};
  const last = stderr ?? tail;
  return html`<section class="failure"><h3>Failure</h3>
    <p><b>${record.kind.replaceAll('_', ' ')}</b> <span class="soft">${[record.phase, cause].filter(Boolean).join(', ')}</span></p>
    ${record.message && html`<p class="message">${record.message}</p>`}
    ${last && html`<pre tabindex="0" aria-label="Standard error">${plain(last)}</pre>`}
    <${Figures} of=${others} /></section>`;
}

// Allowance is what the task and all below it may spend, and have spent, or where it draws on another's.
function Allowance({ task, onSelect }) {
  const { allowance: a, purse } = task;
  if (!a && !purse) return null;
  const figure = (n) => short(Number(n.toPrecision(3)));
  const rows = a ? [
    ['experiments', a.experiments, a.limits.max_experiments, count],
    ['GPU-hours', a.spent.gpu_hours, a.limits.max_gpu_hours, figure],
    [a.spent.unit ? `cost, ${a.spent.unit}` : 'cost', a.spent.cost, a.limits.max_cost, figure],
  ].filter(([, , most]) => most > 0) : [];
  return html`<section class="allowance"><h3>Allowance</h3>
    ${rows.length > 0 && html`<table class="figures-table"><tbody>${rows.map(([name, spent, most, shown]) => html`<tr key=${name}>
      <th scope="row">${name}</th><td>${shown(spent)} of ${shown(most)}</td></tr>`)}</tbody></table>`}
    ${purse && html`<p class="soft">It draws on that of <button class="plain" onClick=${() => onSelect(purse)}>${purse}</button>.</p>`}</section>`;
}

function Lineage({ task, onSelect }) {
  const link = (id) => html`<button class="plain" key=${id} onClick=${() => onSelect(id)}>${id}</button>`;
  const { lineage, children, child_count: n } = task;
  if (!lineage.length && !n) return null;
  const shown = lineage.slice(-8);
  const kids = children.slice(0, 24);
  return html`<section><h3>Lineage</h3>
    ${lineage.length > 0 && html`<p class="trail">${lineage.length > shown.length && html`<span class="soft">${lineage.length - shown.length} above › </span>`}
      ${shown.map((id) => html`${link(id)}<span class="soft"> › </span>`)}<b>${task.id}</b></p>`}
    ${n > 0 && html`<p class="trail"><span class="soft">${count(n)} ${n === 1 ? 'child' : 'children'}: </span>${kids.map(link)}${n > kids.length && '…'}</p>`}</section>`;
}

function Attempts({ attempts }) {
  return attempts.length > 1 && html`<section><h3>Attempts</h3>
    <table class="attempts"><tbody>${attempts.map((a) => html`<tr key=${a.attempt}>
      <th scope="row">${a.attempt}</th><td>${a.ending ?? 'goes on'}</td><td class="clip">${a.worker}</td><td>${clock(a.started_at)}</td>
      <td>${a.started_at && a.ended_at ? duration(between(a.started_at, a.ended_at)) : ''}</td></tr>`)}</tbody></table></section>`;
}
