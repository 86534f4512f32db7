// Asks for the token that the server asks for.
import { signIn } from '../api.js';
import { html } from '../html.js';
import { state, update } from '../store.js';

export function SignIn({ onSignedIn }) {
  const submit = (event) => {
    event.preventDefault();
    const token = new FormData(event.target).get('token').trim();
    if (!token) return;
    signIn(token);
    update({ asks: '' });
    onSignedIn();
  };
  return html`<form class="signin" onSubmit=${submit}>
    <h1>autoresearch</h1>
    <label for="token">Token</label>
    <input id="token" name="token" type="password" autocomplete="current-password" autofocus required />
    <p class="soft">One of the server's token file. It stays in this tab, and is gone when you close it.</p>
    <p class="bad" role="alert">${state.asks !== 'no token was sent' && state.asks}</p>
    <button class="main">Sign in</button>
  </form>`;
}
