/** The chart of precision–recall curves. */

import { s } from "./dom.js";
import { number, t } from "./i18n.js";

const [WIDTH, HEIGHT] = [360, 260];
const EDGE = { left: 52, right: 18, top: 10, bottom: 40 };
const TICKS = [0, 0.25, 0.5, 0.75, 1];

/**
 * Draws precision–recall curves.
 * @param {{name: string, points: number[][]}[]} curves one or two; points are [recall, precision]
 * @returns {SVGElement}
 */
export function curveChart(curves) {
  const label = t("chart.label", { names: curves.map(({ name }) => name).join("; ") });
  const viewBox = `0 0 ${WIDTH} ${HEIGHT}`;
  return s("svg", { class: "chart", viewBox, role: "img", "aria-label": label },
    TICKS.map(tick),
    s("text", { x: across(0.5), y: HEIGHT - 4 }, t("chart.recall")),
    s("text", { x: -down(0.5), y: 11, transform: "rotate(-90)" }, t("chart.precision")),
    curves.map(({ points }, at) => curve(points, at)));
}

function tick(value) {
  const [x, y] = [across(value), down(value)];
  return s("g", { class: "tick" },
    s("line", { x1: x, x2: x, y1: down(0), y2: down(1) }),
    s("line", { x1: across(0), x2: across(1), y1: y, y2: y }),
    s("text", { x, y: down(0) + 15 }, number(value, 2)),
    s("text", { class: "left", x: EDGE.left - 6, y: y + 4 }, number(value, 2)));
}

function curve(points, at) {
  const places = points.map(([x, y]) => [across(x).toFixed(1), down(y).toFixed(1)]);
  // Dots so dense that they touch add nothing to the line.
  const dotted = points.length < 60;
  const start = places.slice(0, 1).map(([, y]) => [across(0), y]);
  return s("g", { class: `curve curve-${at}` },
    s("polyline", { points: [...start, ...places].map(String).join(" ") }),
    dotted && places.map(([cx, cy]) => s("circle", { cx, cy, r: 2.4 })));
}

function across(recall) {
  return EDGE.left + recall * (WIDTH - EDGE.left - EDGE.right);
}

function down(precision) {
  return HEIGHT - EDGE.bottom - precision * (HEIGHT - EDGE.top - EDGE.bottom);
}
