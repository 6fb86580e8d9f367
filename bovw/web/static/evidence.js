/** The evidence for a match in words, and why an image is a match or is none. */

import { h } from "./dom.js";
import { number, percent, t } from "./i18n.js";

// Rarer chances are not told apart: their figures mean nothing to a person.
const RAREST = 1e-9;

/**
 * Tells how sure a match is, in a word and by its figures.
 * @param {{certainty: string, probability: number, false_alarms: ?number, inliers: number}} hit
 * @returns {Array<Node>}
 */
export function evidence(hit) {
  if (hit.certainty === "none") return [h("span", {}, t("hit.none"))];
  const words = t(`hit.${hit.certainty}`, { probability: probability(hit.probability) });
  const title = t("hit.chance", { often: often(hit.false_alarms) });
  return [
    h("span", { class: hit.certainty === "look" ? "badge look" : "agree", title }, words),
    h("span", { title }, t("hit.points", { n: hit.inliers })),
  ];
}

/**
 * Explains in a sentence and its figures why an image is a match, or is none.
 * @param {Object} found the server's explanation
 * @returns {HTMLElement[]}
 */
export function explanation(found) {
  const { reason, rank, images } = found;
  const rows = {
    probability: probability(found.probability),
    chance: found.false_alarms == null ? "–" : often(found.false_alarms),
    inliers: number(found.inliers),
    effective: number(found.effective),
    needed: found.needed == null ? t("why.never") : number(found.needed),
    tentative: number(found.tentative),
    shared: number(found.shared),
    rank: t("why.of", { rank, images }),
    verified: number(found.verified),
  };
  return [
    // The server speaks English.
    h("p", { class: "reason", lang: "en" }, `${reason[0].toUpperCase()}${reason.slice(1)}.`),
    h("dl", {}, Object.entries(rows).map(([key, value]) => h("div", {},
      h("dt", {}, t(`why.${key}`)), h("dd", {}, value)))),
  ];
}

/**
 * Says how often a query without a match has a hit as good.
 * @param {number} falseAlarms per query
 * @returns {string}
 */
export function often(falseAlarms) {
  const queries = Math.round(1 / Math.max(falseAlarms, RAREST));
  return queries > 1 ? t("often.some", { n: queries }) : t("often.every");
}

/** A probability as a percentage; nothing is certain, so it is never 0 or 100. */
function probability(value) {
  const rounded = Math.round(100 * value);
  if (rounded <= 0) return t("probability.under", { share: percent(0.01) });
  if (rounded >= 100) return t("probability.over", { share: percent(0.99) });
  return percent(value);
}
