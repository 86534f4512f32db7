// The page: what is shown where, and how it begins.
import { get } from './api.js';
import { Component, html, render } from './html.js';
import { state, update, watch } from './store.js';
import { failed, loadDetail, select } from './actions.js';
import { dirty, follow } from './follow.js';
import { Details } from './details/task.js';
import { Changes } from './panels/changes.js';
import { Failures } from './panels/failures.js';
import { Header } from './panels/header.js';
import { Progress } from './panels/progress.js';
import { Queue } from './panels/queue.js';
import { SignIn } from './panels/signin.js';
import { Workers } from './panels/workers.js';
import { TreePanel } from './tree/panel.js';

const tabs = { queue: ['Queue', Queue], workers: ['Workers', Workers], failures: ['Failures', Failures], changes: ['Changes', Changes] };

// A narrow page shows one of these at a time: the tree, the progress, or a tab of the side.
const screens = { tree: 'Tree', progress: 'Progress', ...Object.fromEntries(Object.entries(tabs).map(([name, [text]]) => [name, text])) };

function openTab(tab) {
  update({ tab, screen: tab });
  dirty(tab);
}

const openScreen = (screen) => (tabs[screen] ? openTab(screen) : update({ screen }));

class App extends Component {
  reveal = (id) => this.tree?.reveal(id);

  render() {
    if (state.asks) return html`<${SignIn} onSignedIn=${begin} />`;
    const [, Tab] = tabs[state.tab];
    const show = (id) => {
      select(id);
      this.reveal(id);
    };
    return html`
      <${Header} onSelect=${show} />
      <main class=${state.selected ? 'selected' : ''} data-screen=${state.screen}>
        <${TreePanel} onReady=${(canvas) => { this.tree = canvas; }} />
        <${Progress} onSelect=${show} />
        <aside class="panel side">
          ${state.selected ? html`<${Details} onSelect=${show} key="details" />` : html`
            <div class="tabs" role="tablist">${Object.entries(tabs).map(([name, [text]]) => html`
              <button role="tab" key=${name} aria-selected=${state.tab === name} onClick=${() => openTab(name)}>${text}${badge(name)}</button>`)}
            </div>
            <div class="scroll" role="tabpanel" key=${state.tab}><${Tab} onSelect=${show} /></div>`}
        </aside>
      </main>
      <nav class="screens" aria-label="Screens">${Object.entries(screens).map(([name, text]) => html`
        <button key=${name} class=${name} aria-current=${!state.selected && state.screen === name ? 'page' : undefined}
          onClick=${() => { select(''); openScreen(name); }}>${text}${badge(name)}</button>`)}
      </nav>
      <p class=${`notice ${state.notice?.bad ? 'bad' : ''}`} role="status">${state.notice?.text}</p>`;
  }
}

function badge(tab) {
  const { counts } = state.run ?? {};
  const n = { queue: counts && counts.queued + counts.delayed, failures: counts?.failed, workers: state.workers.length }[tab];
  return n ? html` <span class="badge">${n}</span>` : null;
}

// begin reads which runs there are and shows the one that the address names, or the first that is not archived.
async function begin() {
  try {
    const { runs } = await get('/runs');
    const asked = new URLSearchParams(location.hash.slice(1));
    const named = runs.find((run) => run.name === asked.get('run'));
    const name = (named ?? runs.find((run) => !run.archived) ?? runs[0])?.name ?? '';
    update({ runs, asks: '', selected: name === asked.get('run') ? (asked.get('task') ?? '') : '' });
    if (!name) {
      setTimeout(begin, 1000);
      return;
    }
    follow(name);
    if (state.selected) loadDetail();
  } catch (error) {
    failed(error);
    if (error.status !== 401) setTimeout(begin, 1000);
  }
}

// The back button, or a link that somebody pasted.
addEventListener('popstate', () => {
  const asked = new URLSearchParams(location.hash.slice(1));
  if (asked.get('run') && asked.get('run') !== state.name) begin();
  else select(asked.get('task') ?? '');
});

addEventListener('keydown', (event) => {
  if (event.target.closest('input, textarea, select')) return;
  if (event.key === '/') {
    event.preventDefault();
    document.getElementById('search').focus();
  }
  if (event.key === 'Escape') select('');
});

const page = document.getElementById('page');
watch(() => render(html`<${App} />`, page));
update();
begin();
