/** Two images side by side, with lines between matching points. */

import { cornersOf, h, s } from "./dom.js";
import { distanceToLine } from "./geometry.js";
import { t } from "./i18n.js";

// In units of the drawing: the side that both images share, and the gap between them.
const SIDE = 1000;
const GAP = 20;
// Below this width in CSS pixels the images are stacked.
const NARROW = 700;
// The pointer highlights a pair within this distance, in CSS pixels.
const NEAR = 14;

/**
 * Draws the matching points of two images.
 * @param {Object} matches the server's answer
 * @param {{query: string, hit: string}} urls of the images
 * @param {?number[]} region of the query
 * @returns {{tools: HTMLElement, node: HTMLElement}}
 */
export function pairsDrawing(matches, urls, region) {
  const place = h("div", { class: "pairs-place" });
  const draw = () => {
    const { drawing, pairs } = drawn(matches, urls, region, place.clientWidth < NARROW);
    place.replaceChildren(drawing);
    highlightNearest(drawing, pairs);
  };
  new ResizeObserver(draw).observe(place);
  const only = h("input", {
    type: "checkbox",
    onchange: () => place.classList.toggle("points-only", only.checked),
  });
  const any = matches.points.length > 0;
  const tools = h("div", { class: "tools" },
    any && h("label", { class: "check" }, only, " ", t("compare.points")),
    h("span", { class: "hint" }, t(any ? "compare.hint" : "compare.nothing")));
  return { tools, node: place };
}

function drawn(matches, urls, region, stacked) {
  const left = layout(matches.query, stacked, 0);
  const right = layout(matches.hit, stacked, (stacked ? left.high : left.wide) + GAP);
  const pairs = matches.points.map(([x, y, u, v]) => ({ a: left.at(x, y), b: right.at(u, v) }));
  const viewBox = stacked ? `0 0 ${SIDE} ${left.high + GAP + right.high}`
    : `0 0 ${left.wide + GAP + right.wide} ${SIDE}`;
  const drawing = s("svg", {
    class: "pairs-drawing",
    viewBox,
    role: "img",
    "aria-label": t("compare.label", { n: pairs.length, name: matches.hit.name }),
  },
  left.picture(urls.query, cornersOf(region)),
  right.picture(urls.hit, matches.box),
  pairs.map(drawnPair));
  // The more lines, the fainter each, so that the images stay visible.
  drawing.style.setProperty("--faint", Math.max(0.12, Math.min(0.9, 24 / pairs.length)));
  drawing.style.setProperty("--dot", stacked || pairs.length > 150 ? "3.5px" : "5px");
  return { drawing, pairs };
}

/** The place of an image in the drawing, and of the points in it. */
function layout({ width, height }, stacked, offset) {
  const scale = SIDE / (stacked ? width : height);
  const [x, y] = stacked ? [0, offset] : [offset, 0];
  const [wide, high] = [width * scale, height * scale];
  return {
    wide,
    high,
    at: (u, v) => [x + (u + 0.5) * scale, y + (v + 0.5) * scale],
    // The inner svg clips a box that reaches beyond the image.
    picture: (href, corners) => s("svg", {
      x, y, width: wide, height: high, viewBox: `0 0 ${width} ${height}`,
    },
    s("image", { href, width, height, preserveAspectRatio: "none" }),
    corners && s("polygon", { class: "mark", points: corners.map(String).join(" ") })),
  };
}

function drawnPair({ a, b }) {
  return s("g", { class: "pair" },
    s("line", { x1: a[0], y1: a[1], x2: b[0], y2: b[1] }),
    // A line of length zero with round caps is a dot of the same size at any zoom.
    [a, b].map(([x, y]) => s("path", { d: `M${x} ${y}h0` })));
}

function highlightNearest(drawing, pairs) {
  const groups = [...drawing.querySelectorAll(".pair")];
  let lit = null;
  const light = (group) => {
    lit?.classList.remove("lit");
    lit = group;
    lit?.classList.add("lit");
    // Draw it last, on top of the others.
    if (lit) drawing.append(lit);
  };
  drawing.addEventListener("pointermove", (event) => {
    const toDrawing = drawing.getScreenCTM().inverse();
    const { x, y } = new DOMPoint(event.clientX, event.clientY).matrixTransform(toDrawing);
    const lines = !drawing.closest(".points-only");
    const number = nearest(pairs, [x, y], NEAR * toDrawing.a, lines);
    light(groups[number] ?? null);
  });
  drawing.addEventListener("pointerleave", () => light(null));
}

/** The number of the nearest pair: by its points, else by its line; -1 if none is near. */
function nearest(pairs, point, near, lines) {
  const byEnd = pairs.map(({ a, b }) => Math.min(distance(point, a), distance(point, b)));
  const end = smallest(byEnd, near);
  if (end >= 0 || !lines) return end;
  return smallest(pairs.map(({ a, b }) => distanceToLine(point, a, b)), near);
}

function smallest(values, below) {
  const number = values.indexOf(Math.min(...values, Infinity));
  return number >= 0 && values[number] < below ? number : -1;
}

function distance([x, y], [u, v]) {
  return Math.hypot(x - u, y - v);
}
