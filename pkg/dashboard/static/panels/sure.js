// A button for what cannot be undone: the first press asks, a second one within a few seconds does it.
import { Component, html } from '../html.js';

const PATIENCE = 4000;

export class Sure extends Component {
  press = () => {
    clearTimeout(this.timer);
    if (this.state.asks) {
      this.setState({ asks: false });
      this.props.onClick();
      return;
    }
    this.setState({ asks: true });
    this.timer = setTimeout(() => this.setState({ asks: false }), PATIENCE);
  };

  componentWillUnmount() {
    clearTimeout(this.timer);
  }

  render({ text, sure, title, small }, { asks }) {
    return html`<button class=${`${asks ? 'danger' : ''} ${small ? 'small' : ''}`} title=${title} onClick=${this.press}>${asks ? sure : text}</button>`;
  }
}
