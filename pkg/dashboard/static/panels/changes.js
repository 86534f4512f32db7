// What people asked of the run: who, what, and why.
import { clock, count, short } from '../format.js';
import { html } from '../html.js';
import { state } from '../store.js';

export function Changes({ onSelect }) {
  const { changes } = state;
  return html`
    ${changes.length === 0 && html`<p class="empty">Nobody has changed anything.</p>`}
    <ul class="rows">${changes.map((event) => html`<li key=${event.id}>
      ${event.change ? html`<${Change} of=${event.change} onSelect=${onSelect} />` : html`<span class="name soft">a coordinator took over (term ${event.leader?.epoch})</span>`}
      <span class="soft figure">${clock(event.at)}</span>
      ${event.change?.reason && html`<p class="more">${event.change.reason}</p>`}
    </li>`)}</ul>`;
}

function Change({ of: c, onSelect }) {
  if (c.action === 'warn') return html`<span class="name"><b>most of ${c.limit} is spent</b></span>`;
  const about = c.gpu ? `GPU ${c.gpu} of class ${c.class}` : c.class ? `class ${c.class}` : c.what ?? '';
  return html`<span class="name"><b>${c.action}</b> ${about}
    ${c.task && html`<button class="plain" onClick=${() => onSelect(c.task)}>${c.task}</button>`}
    ${c.subtree && ' and below'}${c.value !== undefined && ` to ${short(c.value)}`}${c.count > 1 && ` (${count(c.count)} tasks)`}
    <span class="soft"> by ${c.by}</span></span>`;
}
