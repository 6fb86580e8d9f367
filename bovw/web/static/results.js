/** The results of a search: matches, images worth a look, and images that only look similar. */

import { pictureUrl } from "./api.js";
import { h, outline } from "./dom.js";
import { evidence } from "./evidence.js";
import { number, t } from "./i18n.js";

// The groups in the order of the hits, and the certainties of each.
const GROUPS = { confirmed: ["sure", "likely"], look: ["look"], alike: ["none"] };

/**
 * Sums up the results: how many matches there are, and how many images are worth a look.
 * @param {Object} answer from the server
 * @returns {string}
 */
export function verdict(answer) {
  const others = answer.hits.filter((hit) => !isItself(hit, answer));
  const besides = others.length < answer.hits.length ? ".besides" : "";
  if (!others.length) return t("verdict.empty");
  const matches = members(others, "confirmed").length;
  const looks = members(others, "look").length;
  const found = t(`verdict.${matches ? "some" : "none"}${besides}`, { n: matches });
  return looks ? `${found} ${t("verdict.look", { n: looks })}` : found;
}

/**
 * Draws the hits in groups: matches, images worth a look, and similar images.
 * @param {Object} answer from the server
 * @param {Object<string, function(string): void>} actions `compare`, `search` and `explain` get a
 *   hit's id
 * @returns {HTMLElement[]}
 */
export function resultGroups(answer, actions) {
  return Object.keys(GROUPS)
    .map((kind) => group(kind, members(answer.hits, kind), answer, actions))
    .filter(Boolean);
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

function members(hits, kind) {
  return hits.filter((hit) => GROUPS[kind].includes(hit.certainty));
}

function group(kind, hits, answer, actions) {
  if (!hits.length) return null;
  const title = t(`results.${kind}`);
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
      }, t("hit.search")),
      h("button", {
        type: "button",
        "aria-label": `${t("why.title")} ${hit.name}`,
        onclick: () => actions.explain(hit.id),
      }, t("why.title"))));
}

function isItself(hit, { query }) {
  return query.kind === "image" && hit.id === query.id;
}
