// Small helpers: elements without innerHTML, so that no text of ours or anybody's is ever read as markup.

/** h("p", {class: "muted", onclick: f}, "text", child…): null children and false attributes are left out. */
export function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

export function svg(tag, attributes = {}, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

export const $ = (id) => document.getElementById(id);

/** Fills `parent` with one element per item, keyed, so that focus and scroll survive; `fill` runs when text changed. */
export function keyed(parent, items, key, make, fill) {
  const old = new Map([...parent.children].map((child) => [child.dataset.key, child]));
  items.forEach((item, index) => {
    const id = key(item);
    let element = old.get(id);
    if (!element) {
      element = make(item);
      element.dataset.key = id;
    }
    old.delete(id);
    if (parent.children[index] !== element) parent.insertBefore(element, parent.children[index] ?? null);
    fill(element, item);
  });
  for (const gone of old.values()) gone.remove();
}

/** Replaces the children only if `signature` changed since the last call on this element. */
export function refill(element, signature, build) {
  const text = JSON.stringify(signature);
  if (element.dataset.signature === text) return;
  element.dataset.signature = text;
  element.replaceChildren(...build().filter((child) => child !== null && child !== undefined && child !== "" && child !== false));
}
