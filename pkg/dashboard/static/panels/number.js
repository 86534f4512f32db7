// A field for a whole number, which keeps what is being typed while the page is drawn anew. Nothing, or no number, is 0.
import { Component, html } from '../html.js';

export class NumberField extends Component {
  type = (event) => this.setState({ typed: event.target.value });

  leave = () => this.setState({ typed: undefined });

  done = (event) => {
    this.leave();
    this.props.onNumber(Math.max(0, Number.parseInt(event.target.value, 10) || 0));
  };

  render({ value, onNumber, ...others }, { typed }) {
    return html`<input inputmode="numeric" ...${others} value=${typed ?? value} onInput=${this.type} onChange=${this.done} onBlur=${this.leave} />`;
  }
}
