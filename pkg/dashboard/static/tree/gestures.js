// Pointers, wheel and keys on the tree.

const CLICK = 5; // pixels that a click may move

// listen has a canvas act on gestures. view has camera, at (the node at a point), and the actions moved, hover, choose,
// toggle and key. It returns what ends it.
export function listen(canvas, view) {
  const end = new AbortController();
  const on = (type, f) => canvas.addEventListener(type, f, { signal: end.signal, passive: false });
  const fingers = new Map();
  let travelled = 0;

  const point = (event) => {
    const box = canvas.getBoundingClientRect();
    return { x: event.clientX - box.left, y: event.clientY - box.top };
  };

  on('pointerdown', (event) => {
    canvas.setPointerCapture(event.pointerId);
    fingers.set(event.pointerId, point(event));
    if (fingers.size === 1) travelled = 0;
  });

  on('pointermove', (event) => {
    const now = point(event);
    const before = fingers.get(event.pointerId);
    if (!before) {
      view.hover(view.at(now));
      return;
    }
    fingers.set(event.pointerId, now);
    travelled += Math.hypot(now.x - before.x, now.y - before.y);
    if (travelled < CLICK) return;
    const other = [...fingers.entries()].find(([id]) => id !== event.pointerId)?.[1];
    if (other) {
      const factor = Math.hypot(now.x - other.x, now.y - other.y) / Math.hypot(before.x - other.x, before.y - other.y);
      view.camera.zoom(factor || 1, (now.x + other.x) / 2, (now.y + other.y) / 2);
    }
    const share = other ? 0.5 : 1;
    view.camera.pan((now.x - before.x) * share, (now.y - before.y) * share);
    view.moved();
  });

  on('pointerup', (event) => {
    const clicked = fingers.delete(event.pointerId) && fingers.size === 0 && travelled < CLICK;
    if (clicked) view.choose(view.at(point(event)));
  });
  on('pointercancel', (event) => fingers.delete(event.pointerId));
  on('pointerleave', () => view.hover(null));
  on('dblclick', (event) => view.toggle(view.at(point(event))));

  on('wheel', (event) => {
    event.preventDefault();
    const { x, y } = point(event);
    const step = event.deltaMode === WheelEvent.DOM_DELTA_LINE ? 16 : 1;
    if (event.shiftKey) view.camera.pan(-event.deltaY * step, 0);
    else view.camera.zoom(Math.exp(-event.deltaY * step * (event.ctrlKey ? 0.01 : 0.0016)), x, y);
    view.moved();
  });

  on('keydown', (event) => {
    if (!event.ctrlKey && !event.metaKey && !event.altKey && view.key(event.key)) event.preventDefault();
  });
  return () => end.abort();
}
