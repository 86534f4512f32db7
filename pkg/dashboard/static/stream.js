// The stream of a run's events. EventSource can send no token, so this reads server-sent events from a request.
import { Problem, request, runPath } from './api.js';

const SILENCE = 40_000; // the server says something every 15 s
const AGAIN = 1000;
const HIDDEN = 60_000; // a page that nobody sees gives its connection back after this

// follow calls onEvent for every event of a run, from now on, and goes on where it was after every end of the stream. It calls
// onState with 'live', 'lost' or 'resting'. It returns when the signal ends it, and throws what another try would not mend.
export async function follow(run, { onEvent, onState, signal }) {
  let last;
  const onBlock = (id, data) => {
    if (id) last = id;
    onState('live');
    if (data) onEvent(JSON.parse(data));
  };
  while (!signal.aborted) {
    await visible(signal, onState);
    try {
      await open(runPath(run, '/events'), { last, onBlock, signal, rests: true });
    } catch (error) {
      if (error instanceof Problem && (error.status === 401 || error.code === 'invalid_request')) throw error;
    }
    if (signal.aborted) return;
    if (!document.hidden) onState('lost');
    await new Promise((resolve) => setTimeout(resolve, AGAIN));
  }
}

// output calls onChunk for what an attempt has written, and writes, until it is over.
export async function output(path, { onChunk, signal }) {
  let last;
  let over = false;
  const onBlock = (id, data, type) => {
    if (id) last = id;
    over ||= type === 'end';
    if (data && !over) onChunk(JSON.parse(data));
  };
  while (!over && !signal.aborted) {
    try {
      await open(path, { last, onBlock, signal });
    } catch (error) {
      if (error instanceof Problem && error.status < 500) throw error;
    }
    if (!over && !signal.aborted) await new Promise((resolve) => setTimeout(resolve, AGAIN));
  }
}

// open reads one stream from after the last id until it ends or falls silent. One that rests ends when nobody sees the page.
async function open(path, { last, onBlock, signal, rests = false }) {
  const end = new AbortController();
  const stop = () => end.abort();
  const wake = rests ? restWhenHidden(end) : () => {};
  signal.addEventListener('abort', stop);
  try {
    const headers = { Accept: 'text/event-stream' };
    if (last) headers['Last-Event-ID'] = last;
    const answer = await request('GET', path, { headers, signal: end.signal });
    await read(answer.body, end, onBlock);
  } finally {
    signal.removeEventListener('abort', stop);
    wake();
    end.abort();
  }
}

// read calls onBlock with id, data and type of each block of a stream.
async function read(body, end, onBlock) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = '';
  for (;;) {
    const silence = setTimeout(() => end.abort(), SILENCE);
    const { value, done } = await reader.read().finally(() => clearTimeout(silence));
    if (done) return;
    const blocks = (rest + value).split('\n\n');
    rest = blocks.pop();
    for (const block of blocks) onBlock(...fields(block));
  }
}

function fields(block) {
  let id;
  let data = '';
  let type = '';
  for (const line of block.split('\n')) {
    if (line.startsWith('id: ')) id = line.slice(4);
    if (line.startsWith('data: ')) data += line.slice(6);
    if (line.startsWith('event: ')) type = line.slice(7);
  }
  return [id, data, type];
}

// restWhenHidden ends a stream once the page was hidden for a while; it returns what calls that off.
function restWhenHidden(end) {
  let timer;
  const look = () => {
    clearTimeout(timer);
    if (document.hidden) timer = setTimeout(() => end.abort(), HIDDEN);
  };
  document.addEventListener('visibilitychange', look);
  look();
  return () => {
    clearTimeout(timer);
    document.removeEventListener('visibilitychange', look);
  };
}

// visible waits until the page is seen.
function visible(signal, onState) {
  if (!document.hidden) return undefined;
  onState('resting');
  return new Promise((resolve) => {
    document.addEventListener('visibilitychange', resolve, { once: true, signal });
    signal.addEventListener('abort', resolve, { once: true });
  });
}
