/** The query warped over a hit, to fade in or to pull aside like a curtain. */

import { segmented } from "./controls.js";
import { h } from "./dom.js";
import { cssTransform } from "./geometry.js";
import { t } from "./i18n.js";

// The server's images are no larger than this, so the query is not laid out larger either.
const LARGEST = 1600;

/**
 * The query warped onto the hit.
 * @param {Object} matches the server's answer, with a `transform`
 * @param {{query: string, hit: string}} urls of the images
 * @param {?number[]} region of the query; only this part is laid over the hit
 * @returns {{tools: HTMLElement, node: HTMLElement}}
 */
export function overlay(matches, urls, region) {
  const below = h("img", { class: "below", src: urls.hit, alt: matches.hit.name });
  const warped = h("img", { class: "warped", src: urls.query, alt: t("query.picture") });
  const curtain = h("div", { class: "curtain" }, warped);
  const edge = h("div", { class: "curtain-edge", hidden: true });
  const stage = h("div", { class: "overlay-stage" }, below, curtain, edge);
  const slider = h("input", {
    type: "range", min: 0, max: 100, value: 50, id: "overlay-slider", oninput: apply,
  });
  let kind = "fade";

  function apply() {
    const share = slider.value / 100;
    const fading = kind === "fade";
    curtain.style.opacity = fading ? share : 1;
    curtain.style.clipPath = fading ? "none" : `inset(0 ${100 - 100 * share}% 0 0)`;
    edge.hidden = fading;
    edge.style.left = `${100 * share}%`;
  }

  function choose(name) {
    kind = name;
    apply();
  }

  const { query, hit, transform } = matches;
  const laidOut = Math.min(1, LARGEST / Math.max(query.width, query.height));
  warped.style.width = `${query.width * laidOut}px`;
  warped.style.height = `${query.height * laidOut}px`;
  if (region) warped.style.clipPath = inset(region, query, laidOut);
  stage.style.setProperty("--ratio", hit.width / hit.height);
  new ResizeObserver(() => {
    const shown = stage.clientWidth / hit.width;
    warped.style.transform = cssTransform(transform, laidOut, shown);
  }).observe(stage);
  apply();
  const tools = h("div", { class: "tools" },
    segmented("overlay-kind", ["fade", "curtain"], kind, choose),
    h("label", { class: "slider", for: "overlay-slider" },
      h("span", {}, t("overlay.hit")), slider, h("span", {}, t("overlay.query"))));
  return { tools, node: stage };
}

function inset([x1, y1, x2, y2], { width, height }, scale) {
  const sides = [y1, width - x2, height - y2, x1];
  return `inset(${sides.map((side) => `${side * scale}px`).join(" ")})`;
}
