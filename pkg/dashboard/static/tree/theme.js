// The colours of the style sheet, as a canvas needs them.

const names = [
  'paper', 'raised', 'ink', 'soft', 'line', 'edge', 'accent', 'gold', 'improved', 'improvedInk', 'improvedPale', 'plain', 'plainPale',
  'running', 'runningPale', 'failed', 'failedPale', 'cancelled', 'cancelledPale', 'queued', 'queuedPale',
];

// readTheme resolves the colours in force.
export function readTheme() {
  const probe = document.createElement('span');
  document.body.append(probe);
  const theme = {};
  for (const name of names) {
    probe.style.color = `var(--${name.replace(/[A-Z]/g, (c) => `-${c.toLowerCase()}`)})`;
    theme[name] = getComputedStyle(probe).color;
  }
  const family = getComputedStyle(document.body).fontFamily;
  probe.remove();
  theme.letters = `11.5px ${family}`;
  theme.figures = `11px ${family}`;
  return theme;
}

const listeners = new Set();

// onTheme calls a function when the colours change.
export const onTheme = (f) => {
  listeners.add(f);
  return () => listeners.delete(f);
};

const changed = () => listeners.forEach((f) => f());
matchMedia('(prefers-color-scheme: dark)').addEventListener('change', changed);

const KEY = 'autoresearch-theme';
const choose = (name) => {
  document.documentElement.dataset.theme = name;
};
choose(localStorage.getItem(KEY) ?? '');

// switchTheme goes from light to dark and back.
export function switchTheme() {
  const dark = getComputedStyle(document.documentElement).colorScheme === 'dark'
    || (document.documentElement.dataset.theme === '' && matchMedia('(prefers-color-scheme: dark)').matches);
  choose(dark ? 'light' : 'dark');
  localStorage.setItem(KEY, dark ? 'light' : 'dark');
  changed();
}
