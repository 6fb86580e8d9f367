/** The results of a search: matches, and images that only look similar. */

import { pictureUrl } from "./api.js";
import { h, outline } from "./dom.js";
import { number, t } from "./i18n.js";

/**
 * Sums up the results: how many matches there are, and how many of them are uncertain.
 * @param {Object} answer from the server
 * @returns {string}
 */
export function verdict(answer) {
  const others = answer.hits.filter((hit) => !isItself(hit, answer));
  const confirmed = others.filter((hit) => hit.certainty !== "none");
  const besides = others.length < answer.hits.length ? ".besides" : "";
  if (!others.length) return t("verdict.empty");
  if (!confirmed.length) return t(`verdict.none${besides}`);
  const weak = confirmed.filter((hit) => hit.certainty === "weak").length;
  const strong = confirmed.length - weak;
  if (!strong) return t(`verdict.weak${besides}`, { n: weak });
  const sure = t(`verdict.some${besides}`, { n: strong });
  return weak ? `${sure} ${t("verdict.more", { n: weak })}` : sure;
}

/**
 * Draws the hits in two groups: matches, and similar images.
 * @param {Object} answer from the server
 * @param {{compare: function(string): void, search: function(string): void}} actions get a hit's id
 * @returns {HTMLElement[]}
 */
export function resultGroups(answer, actions) {
  const confirmed = answer.hits.filter((hit) => hit.certainty !== "none");
  const alike = answer.hits.filter((hit) => hit.certainty === "none");
  return [
    group("confirmed", t("results.confirmed"), confirmed, answer, actions),
    group("alike", t("results.alike"), alike, answer, actions),
  ].filter(Boolean);
}

/**
 * The state of a hit in words: a match, uncertain, or only similar.
 * @param {{inliers: number, certainty: string}} hit
 * @returns {Array<Node>}
 */
export function evidence(hit) {
  if (hit.certainty === "none") return [h("span", {}, t("hit.alike"))];
  const words = t("hit.agree", { n: hit.inliers });
  return hit.certainty === "weak"
    ? [h("span", {}, words), " ", h("span", { class: "badge weak" }, t("hit.weak"))]
    : [h("span", { class: "agree" }, words)];
}

/**
 * A name that may break after slashes and underscores.
 * @param {string} name
 * @returns {HTMLElement}
 */
export function nameText(name) {
  const parts = name.split(/(?<=[/_])/);
  return h("bdi", {}, parts.map((part, at) => [at > 0 && h("wbr"), part]));
}

/**
 * A thumbnail with a box on it.
 * @param {{id: string, width: number, height: number, box?: ?number[][]}} image
 * @returns {HTMLElement}
 */
export function mounted(image) {
  return h("span", { class: "mat" },
    h("img", {
      src: pictureUrl("image", image.id, "thumbnail"),
      alt: "",
      loading: "lazy",
      draggable: "false",
    }),
    image.box && outline(image, image.box));
}

function group(kind, title, hits, answer, actions) {
  if (!hits.length) return null;
  return h("section", { class: `group ${kind}`, "aria-label": title },
    h("h2", {}, title),
    h("ol", { class: "grid", start: hits[0].rank }, hits.map((hit) => card(hit, answer, actions))));
}

function card(hit, answer, actions) {
  const compare = () => actions.compare(hit.id);
  return h("li", { class: "card hit", "data-id": hit.id, "data-rank": hit.rank },
    h("button", {
      type: "button",
      class: "thumb",
      "aria-label": t("hit.open", { name: hit.name }),
      onclick: compare,
    }, mounted(hit), h("span", { class: "rank" }, number(hit.rank))),
    h("div", { class: "caption" },
      h("p", { class: "name" }, nameText(hit.name)),
      h("p", { class: "evidence" }, evidence(hit),
        isItself(hit, answer) && h("span", { class: "badge" }, t("hit.itself")))),
    h("div", { class: "actions" },
      h("button", {
        type: "button",
        "aria-label": `${t("hit.compare")}: ${hit.name}`,
        onclick: compare,
      }, t("hit.compare")),
      h("button", {
        type: "button",
        "aria-label": `${t("hit.search")}: ${hit.name}`,
        onclick: () => actions.search(hit.id),
      }, t("hit.search"))));
}

function isItself(hit, { query }) {
  return query.kind === "image" && hit.id === query.id;
}
