// A task's payload, and what it changed against its parent's.
import { html } from '../html.js';
import { plain } from '../format.js';
import { diff } from './diff.js';

export function Payload({ task, parent }) {
  const rows = diff(parent?.spec.payload, task.spec.payload);
  if (rows.length === 0) return null;
  if (!parent) {
    return html`<section><h3>Spec</h3><table class="figures-table"><tbody>${rows.map((row) => html`<${Row} key=${row.path} of=${{ ...row, what: 'same' }} />`)}</tbody></table></section>`;
  }
  const differs = rows.filter((row) => row.what !== 'same');
  const same = rows.filter((row) => row.what === 'same');
  return html`<section><h3>Spec <span class="soft">against ${parent.id}</span></h3>
    ${differs.length === 0 && html`<p class="soft">It is the same.</p>`}
    <table class="figures-table diff"><tbody>${differs.map((row) => html`<${Row} key=${row.path} of=${row} />`)}</tbody></table>
    ${same.length > 0 && html`<details><summary>${same.length} as before</summary>
      <table class="figures-table"><tbody>${same.map((row) => html`<${Row} key=${row.path} of=${row} />`)}</tbody></table></details>`}</section>`;
}

function Row({ of: { path, before, after, what } }) {
  return html`<tr class=${what}><th scope="row">${path}</th><td>
    ${(what === 'changed' || what === 'removed') && html`<del>${plain(before)}</del>${what === 'changed' && html`<span class="soft"> → </span>`}`}
    ${what !== 'removed' && html`<span class=${what === 'same' ? '' : 'new'}>${plain(after)}</span>`}</td></tr>`;
}
