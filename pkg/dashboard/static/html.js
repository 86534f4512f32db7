// What draws the page: preact and htm. Whatever is put into html`` as text or attribute is escaped.
import { Component, h, render } from './third_party/preact/preact.mjs';
import htm from './third_party/htm/htm.mjs';

export const html = htm.bind(h);
export { Component, render };
