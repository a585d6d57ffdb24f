// Builds elements without markup from strings: nothing that a server or a
// customer wrote can become part of the page's structure.

const SVG = 'http://www.w3.org/2000/svg';

function fill(node, props, children) {
  for (const [name, value] of Object.entries(props || {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name === 'on') {
      for (const [event, f] of Object.entries(value)) node.addEventListener(event, f);
    } else if (name === 'value' || name === 'checked' || name === 'disabled' || name === 'srcObject') {
      node[name] = value;
    } else {
      node.setAttribute(name, value === true ? '' : String(value));
    }
  }
  node.append(...children.flat(Infinity).filter((c) => c !== null && c !== undefined && c !== false && c !== ''));
  return node;
}

/** h makes an HTML element: h('p', {class: 'hint'}, 'text', otherElement). */
export function h(tag, props, ...children) {
  return fill(document.createElement(tag), props, children);
}

/** s makes an SVG element. */
export function s(tag, props, ...children) {
  return fill(document.createElementNS(SVG, tag), props, children);
}

/** paragraphs splits a text at its blank lines. */
export function paragraphs(text) {
  return text.split(/\n\s*\n/).map((p) => h('p', {}, p.trim()));
}
