/** Elements from plain values: text is only ever put in as text. */

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
 * Makes an HTML element.
 * @param {string} tag
 * @param {Object} props attributes; `true` sets an empty one, false and null none; `onclick` and
 *   the like listen
 * @param {...(Node|string|Array|null|false)} children strings become text
 * @returns {HTMLElement}
 */
export function h(tag, props = {}, ...children) {
  return fill(document.createElement(tag), props, children);
}

/**
 * Makes an SVG element; arguments as for `h`.
 * @returns {SVGElement}
 */
export function s(tag, props = {}, ...children) {
  return fill(document.createElementNS(SVG, tag), props, children);
}

/**
 * Puts other children into a node; what had the focus gets it again, told by its `data-key`.
 * @param {Element} node
 */
export function refill(node, ...children) {
  const focused = node.contains(document.activeElement) && document.activeElement.dataset.key;
  node.replaceChildren(...kept(children));
  if (focused) node.querySelector(`[data-key="${CSS.escape(focused)}"]`)?.focus({ preventScroll: true });
}

/**
 * A layer over a picture in whose own pixels polygons are drawn.
 * @param {{width: number, height: number}} size of the picture
 * @param {Array<?number[][]>} polygons
 * @returns {SVGElement}
 */
export function outline({ width, height }, ...polygons) {
  const drawn = polygons.filter(Boolean).flatMap((corners) => {
    const points = corners.map((corner) => corner.join(",")).join(" ");
    // Light on dark, so that it is seen on any picture.
    return [
      s("polygon", { class: "under", points }),
      s("polygon", { class: "over", points }),
    ];
  });
  const viewBox = `0 0 ${width} ${height}`;
  // The inner frame cuts off what lies outside of the picture.
  return s("svg", { class: "outline", viewBox, "aria-hidden": "true" },
    s("svg", { width, height }, drawn));
}

/**
 * The corners of an upright box, clockwise from the top left.
 * @param {?number[]} box x1, y1, x2, y2
 * @returns {?number[][]}
 */
export function cornersOf(box) {
  if (!box) return null;
  const [x1, y1, x2, y2] = box;
  return [[x1, y1], [x2, y1], [x2, y2], [x1, y2]];
}
