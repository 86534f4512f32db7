// Requests to the API of the server that served this page.

const PREFIX = '/api/v1';

// Problem is an answer that says what went wrong, and what to do about it.
export class Problem extends Error {
  constructor(status, { code, message, remedy }) {
    super(message);
    Object.assign(this, { status, code, remedy });
  }
}

// The token lives as long as the browser's tab, and is sent to this server only.
const TOKEN = 'autoresearch-token';
export const signIn = (token) => sessionStorage.setItem(TOKEN, token);
export const signOut = () => sessionStorage.removeItem(TOKEN);

// request sends one request and returns its answer; an answer that is no success is thrown as a Problem.
export async function request(method, path, { body, version, headers = {}, signal } = {}) {
  const token = sessionStorage.getItem(TOKEN);
  if (token) headers.Authorization = `Bearer ${token}`;
  if (version) headers['If-Match'] = `"${version}"`;
  if (body) headers['Content-Type'] = 'application/json';
  headers['Autoresearch-By'] = 'dashboard';
  const answer = await fetch(PREFIX + path, { method, headers, signal, body: body && JSON.stringify(body), cache: 'no-store' });
  if (!answer.ok) throw await problemOf(answer);
  return answer;
}

async function problemOf(answer) {
  try {
    return new Problem(answer.status, (await answer.json()).error);
  } catch {
    return new Problem(answer.status, { code: 'internal', message: `the server answers ${answer.status}`, remedy: '' });
  }
}

// call sends a request and returns the JSON of its answer.
export async function call(method, path, options) {
  const answer = await request(method, path, options);
  return JSON.parse(await answer.text(), exactly);
}

export const get = (path, options) => call('GET', path, options);

// exactly keeps integers that a number cannot hold as they were written.
function exactly(key, value, context) {
  const whole = typeof value === 'number' && context && /^-?\d+$/.test(context.source);
  return whole && !Number.isSafeInteger(value) ? BigInt(context.source) : value;
}

// segment is an id as one segment of a path: as it is if it is plain, otherwise "~" and its base64url form.
function segment(id) {
  if (/^[0-9A-Za-z_.-]+$/.test(id) && id !== '.' && id !== '..') return id;
  const bytes = new TextEncoder().encode(id);
  const text = btoa(Array.from(bytes, (b) => String.fromCharCode(b)).join(''));
  return '~' + text.replace(/\+/g, '-').replace(/\//g, '_').replace(/=+$/, '');
}

// apiAddress is where a path of the API lies on this server.
export const apiAddress = (path) => PREFIX + path;

export const runPath = (run, rest = '') => `/runs/${segment(run)}${rest}`;
export const taskPath = (run, id, rest = '') => runPath(run, `/tasks/${segment(id)}${rest}`);

// query writes the parameters that are there.
export function query(parameters) {
  const given = Object.entries(parameters).filter(([, value]) => value !== undefined && value !== '');
  return given.length ? '?' + new URLSearchParams(given) : '';
}

// number reads a number of the API, which may be one of the strings NaN, Infinity and -Infinity.
export const number = (value) => (value === undefined || value === null ? undefined : Number(value));
