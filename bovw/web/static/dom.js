/** Creates elements. Strings are always inserted as text, never as markup. */

const SVG = "http://www.w3.org/2000/svg";

function fill(node, props, children) {
  for (const [key, value] of Object.entries(props)) {
    if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else if (value === true) node.setAttribute(key, "");
    else if (value !== false && value != null) node.setAttribute(key, value);
  }
  node.append(...kept(children));
  return node;
}

function kept(children) {
  return children.flat(Infinity).filter((child) => child != null && child !== false);
}

/**
 * Creates an HTML element.
 * @param {string} tag
 * @param {Object} props attributes; true sets an empty attribute, false and null set none;
 *   `onclick` and the like add listeners
 * @param {...(Node|string|Array|null|false)} children strings become text
 * @returns {HTMLElement}
 */
export function h(tag, props = {}, ...children) {
  return fill(document.createElement(tag), props, children);
}

/**
 * Creates an SVG element; arguments as for `h`.
 * @returns {SVGElement}
 */
export function s(tag, props = {}, ...children) {
  return fill(document.createElementNS(SVG, tag), props, children);
}

/**
 * Replaces the children of a node. Focus stays on the element with the same `data-key`.
 * @param {Element} node
 */
export function refill(node, ...children) {
  const focused = node.contains(document.activeElement) && document.activeElement.dataset.key;
  node.replaceChildren(...kept(children));
  if (focused) node.querySelector(`[data-key="${CSS.escape(focused)}"]`)?.focus({ preventScroll: true });
}

/**
 * An overlay for an image, on which polygons are drawn in the image's own pixels.
 * @param {{width: number, height: number}} size of the image
 * @param {Array<?number[][]>} polygons
 * @returns {SVGElement}
 */
export function outline({ width, height }, ...polygons) {
  const drawn = polygons.filter(Boolean).flatMap((corners) => {
    const points = corners.map((corner) => corner.join(",")).join(" ");
    // A light line on a dark one is visible on any image.
    return [
      s("polygon", { class: "under", points }),
      s("polygon", { class: "over", points }),
    ];
  });
  const viewBox = `0 0 ${width} ${height}`;
  // The inner svg clips what lies outside the image.
  return s("svg", { class: "outline", viewBox, "aria-hidden": "true" },
    s("svg", { width, height }, drawn));
}

/**
 * The corners of an axis-aligned box, clockwise from the top left.
 * @param {?number[]} box x1, y1, x2, y2
 * @returns {?number[][]}
 */
export function cornersOf(box) {
  if (!box) return null;
  const [x1, y1, x2, y2] = box;
  return [[x1, y1], [x2, y1], [x2, y2], [x1, y2]];
}
