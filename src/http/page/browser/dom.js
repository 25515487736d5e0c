/** Building what is shown. Everything from outside is set as text, never as markup. */

const SVG = 'http://www.w3.org/2000/svg';

/** An element with attributes and children; a child that is no element is its text. */
export function element(name, attributes = {}, ...children) {
  return filled(document.createElement(name), attributes, children);
}

/** The same, of a picture. */
export function drawn(name, attributes = {}, ...children) {
  return filled(document.createElementNS(SVG, name), attributes, children);
}

function filled(made, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== undefined && value !== false) made.setAttribute(name, value === true ? '' : String(value));
  }
  made.append(...children.filter((child) => child !== undefined));
  return made;
}

/** Sets an element's text where it is another one: a screen reader is not to be told again what it knows. */
export function say(target, text) {
  if (target.textContent !== text) target.textContent = text;
}

/** A list of terms and what they are, those without a value left out. */
export function facts(entries) {
  const list = element('dl', { class: 'facts' });
  for (const [term, value] of entries) {
    if (value !== undefined) list.append(element('div', {}, element('dt', {}, term), element('dd', {}, value)));
  }
  return list;
}
