// The workers and their slots, by class.
import { clock, duration } from '../format.js';
import { html } from '../html.js';
import { state } from '../store.js';
import { pause, resume, setBudget } from '../actions.js';
import { NumberField } from './number.js';

export function Workers({ onSelect }) {
  const { run, workers } = state;
  return html`
    <h3>Classes</h3>
    <ul class="rows">${(run?.classes ?? []).map((c) => html`<${Class} key=${c.class} of=${c} />`)}</ul>
    <h3>Workers <span class="soft">${workers.length}</span></h3>
    ${workers.length === 0 && html`<p class="empty">No worker has been heard of.</p>`}
    <ul class="rows">${workers.map((w) => html`<${Worker} key=${w.id} of=${w} onSelect=${onSelect} />`)}</ul>`;
}

function Class({ of: c }) {
  return html`<li>
    <span class="name"><b>${c.class}</b></span>
    <${Bar} taken=${c.slots - c.free} of=${c.slots} />
    <label class="soft">cap <${NumberField} class="narrow" value=${c.budget || ''} placeholder="none" onNumber=${(n) => setBudget(n, c.class)} /></label>
    ${c.paused
      ? html`<button class="small main" onClick=${() => resume(c.class)}>Resume</button>`
      : html`<button class="small" onClick=${() => pause(c.class)}>Pause</button>`}
  </li>`;
}

// Bar shows how many slots are taken.
function Bar({ taken, of }) {
  return html`<span class="slots" title=${`${taken} of ${of} slots taken`}>
    <meter min="0" max=${Math.max(1, of)} value=${taken}></meter><span class="figure soft">${taken}/${of}</span></span>`;
}

function Worker({ of: w, onSelect }) {
  const word = w.leaving ? 'leaving' : w.silent ? 'silent' : w.breaker ? 'out' : '';
  return html`<li>
    <span class="name"><i class=${`dot ${word ? 'failed' : 'improved'}`}></i><b>${w.id}</b></span>
    <span class="soft figure">${word ? `${word}, heard ${clock(w.heard_at)}` : w.host}</span>
    <p class="more">${w.slots.map((s) => html`<span key=${s.class}>${s.class} <${Bar} taken=${s.total - s.free} of=${s.total} /></span>`)}
      ${(w.labels ?? []).map((label) => html`<span key=${label}>${label}</span>`)}
      ${w.others > 0 && html`<span>${w.others} of other runs</span>`}</p>
    ${w.breaker && html`<p class="more bad">${w.breaker}</p>`}
    ${(w.gpus ?? []).map((gpu) => html`<${GPU} key=${gpu.uuid} of=${gpu} />`)}
    ${w.running.map((held) => html`<p class="more" key=${held.task}>
      <button class="plain" onClick=${() => onSelect(held.task)}>${held.task}</button>
      <span class="soft">${duration(held.seconds)}</span> <span class="clip soft">${held.progress}</span></p>`)}
  </li>`;
}

const gpuLooks = { busy: 'running', free: 'improved', quarantined: 'failed' };

function GPU({ of: gpu }) {
  return html`<p class="more" title=${gpu.uuid}>
    <span><i class=${`dot ${gpuLooks[gpu.state] ?? 'queued'}`}></i> ${gpu.model}</span><span>${gpu.class}</span>
    <span class=${gpu.reason ? 'bad' : ''}>${gpu.state}${gpu.reason && `: ${gpu.reason}`}</span></p>`;
}
