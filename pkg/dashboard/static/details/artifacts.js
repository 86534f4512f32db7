// The files that an attempt left, and why some were not kept.
import { apiAddress, get, query, taskPath } from '../api.js';
import { save } from '../actions.js';
import { bytes } from '../format.js';
import { Component, html } from '../html.js';
import { state } from '../store.js';

// Artifacts reads the list once. Give it a key of the task and what decided it.
export class Artifacts extends Component {
  state = { artifacts: [] };
  end = new AbortController();

  async componentDidMount() {
    try {
      const { artifacts } = await get(taskPath(state.name, this.props.id, '/artifacts'), { signal: this.end.signal });
      this.setState({ artifacts });
    } catch (error) {
      if (error.name !== 'AbortError') this.setState({ trouble: error.message });
    }
  }

  componentWillUnmount() {
    this.end.abort();
  }

  render({ id }, { artifacts, trouble }) {
    if (artifacts.length === 0 && !trouble) return null;
    return html`<section><h3>Artifacts</h3>
      ${trouble && html`<p class="note">${trouble}</p>`}
      <table class="figures-table artifacts"><tbody>${artifacts.map((artifact) => html`<${Row} key=${artifact.path} id=${id} of=${artifact} />`)}</tbody></table></section>`;
  }
}

function Row({ id, of: { path, size, omitted } }) {
  if (omitted) return html`<tr><th scope="row">${path}</th><td>not kept: ${omitted}</td></tr>`;
  const from = taskPath(state.name, id, `/artifact${query({ path })}`);
  const name = path.split('/').at(-1);
  const fetchIt = (event) => {
    event.preventDefault();
    save(from, name);
  };
  return html`<tr><th scope="row"><a href=${apiAddress(from)} download=${name} onClick=${fetchIt}>${path}</a></th><td>${bytes(size)}</td></tr>`;
}
