// What a payload has otherwise than another.

// flatten lists the leaves of a JSON value by their path.
export function flatten(value, path = '', into = new Map()) {
  if (value !== null && typeof value === 'object' && Object.keys(value).length > 0) {
    for (const [key, inner] of Object.entries(value)) flatten(inner, path ? `${path}.${key}` : key, into);
  } else {
    into.set(path, value);
  }
  return into;
}

// diff compares two payloads leaf by leaf: rows of path, before, after and what happened (changed, added, removed, same).
export function diff(before, after) {
  const old = flatten(before ?? {});
  const now = flatten(after ?? {});
  const paths = [...new Set([...old.keys(), ...now.keys()])].filter((path) => path !== '');
  const rows = paths.map((path) => {
    const [a, b] = [old.get(path), now.get(path)];
    const what = !old.has(path) ? 'added' : !now.has(path) ? 'removed' : Object.is(a, b) || text(a) === text(b) ? 'same' : 'changed';
    return { path, before: a, after: b, what };
  });
  const rank = { changed: 0, added: 1, removed: 2, same: 3 };
  return rows.sort((a, b) => rank[a.what] - rank[b.what]);
}

const text = (value) => (typeof value === 'object' ? JSON.stringify(value) : String(value) + typeof value);
