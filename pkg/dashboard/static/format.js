// How numbers, times and names are written.

// short writes a number with four digits that count.
export function short(value) {
  if (value === undefined || value === null) return '';
  const n = Number(value);
  if (!Number.isFinite(n)) return String(value);
  if (n !== 0 && (Math.abs(n) >= 1e6 || Math.abs(n) < 1e-3)) return n.toExponential(3).replace(/\.?0*e\+?/, 'e');
  return Number.isInteger(n) ? String(n) : String(Number(n.toPrecision(5)));
}

const counts = new Intl.NumberFormat('en');
export const count = (n) => counts.format(n ?? 0);

// bytes writes a size.
export function bytes(n) {
  const units = ['B', 'KiB', 'MiB', 'GiB'];
  const power = Math.min(units.length - 1, Math.floor(Math.log2(Math.max(1, n)) / 10));
  return `${short(Number((n / 1024 ** power).toPrecision(3)))} ${units[power]}`;
}

// duration writes seconds with at most two units.
export function duration(seconds) {
  const s = Math.max(0, Number(seconds) || 0);
  if (s < 10) return `${s.toFixed(1)}s`;
  if (s < 60) return `${Math.round(s)}s`;
  if (s < 3600) return `${Math.floor(s / 60)}m ${pad(s % 60)}s`;
  if (s < 86400) return `${Math.floor(s / 3600)}h ${pad((s % 3600) / 60)}m`;
  return `${Math.floor(s / 86400)}d ${Math.floor((s % 86400) / 3600)}h`;
}

const pad = (n) => String(Math.floor(n)).padStart(2, '0');

// between is the time from one moment of the API to another, or to now.
export const between = (from, to) => (to ? Date.parse(to) : Date.now()) / 1000 - Date.parse(from) / 1000;

// clock writes a moment: its time, and its day unless that is today.
export function clock(at) {
  if (!at) return '';
  const moment = new Date(at);
  const time = moment.toLocaleTimeString([], { hour: '2-digit', minute: '2-digit', second: '2-digit', hour12: false });
  return moment.toDateString() === new Date().toDateString() ? time : `${moment.toISOString().slice(0, 10)} ${time}`;
}

// until writes how far a moment ahead is.
export function until(at) {
  const seconds = (Date.parse(at) - Date.now()) / 1000;
  return seconds < 1 ? 'now' : `in ${duration(seconds)}`;
}

// middle shortens text to a length by its middle: the ends of ids tell them apart.
export function middle(text, length) {
  if (text.length <= length) return text;
  const tail = Math.ceil((length - 1) * 0.6);
  return `${text.slice(0, length - 1 - tail)}…${text.slice(-tail)}`;
}

// plain writes a value of JSON on one line.
export function plain(value) {
  if (typeof value === 'string') return value;
  return JSON.stringify(value, (key, v) => (typeof v === 'bigint' ? String(v) : v)) ?? '';
}
