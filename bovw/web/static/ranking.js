/** One query of an evaluation: its image, its curve, and its ranking with ground-truth labels. */

import { askOnce, evaluationPath, evaluationPictureUrl } from "./api.js";
import { curveChart } from "./chart.js";
import { cornersOf, h, outline } from "./dom.js";
import { number, t } from "./i18n.js";
import { mounted, nameText } from "./results.js";
import { runName } from "./runs.js";

const SHOWN = 50;

/**
 * Fetches one query's results in one or two runs, and draws them.
 * @param {Object} set the dataset
 * @param {Object} query one of its queries
 * @param {{run: Object, other: ?Object, setting: string}} chosen
 * @param {AbortSignal} signal
 * @returns {Promise<HTMLElement[]>}
 */
export async function queryDetail(set, query, { run, other, setting }, signal) {
  const runs = [run, other].filter((one) => one?.results);
  const asked = new URLSearchParams({ setting, limit: SHOWN });
  const [picture, ...rankings] = await Promise.all([
    queryPicture(set, query, signal),
    ...runs.map((one) => askOnce(
      `${evaluationPath(set.name, "runs", one.id, "queries", query.number)}?${asked}`, { signal })),
  ]);
  const names = runs.map((one, at) => (runs.length > 1 ? `${"AB"[at]}: ` : "") + runName(one));
  const curves = rankings.map(({ curve }, at) => ({ name: names[at], points: curve }));
  return [
    h("h2", { class: "query-id" }, nameText(query.id)),
    h("div", { class: "detail-head" },
      picture,
      h("figure", { class: "curves" },
        curveChart(curves),
        h("figcaption", {}, rankings.map((ranking, at) => h("p", { class: `key key-${at}` },
          runs.length > 1 && `${names[at]}. `,
          ranking.ap === null ? t("ranking.none") : t("ranking.figures", {
            ap: number(ranking.ap, 3), n: ranking.positives,
          })))))),
    h("div", { class: "rankings" }, rankings.map(({ hits }, at) => h("section", {
      class: "ranking", "aria-label": names[at],
    },
    h("h3", {}, runs.length > 1 ? names[at] : t("ranking.title")),
    h("ol", { class: "grid small" }, hits.map(labelled))))),
  ];
}

function labelled(hit) {
  return h("li", { class: `card label-${hit.label}`, "data-label": hit.label },
    h("div", { class: "thumb" },
      hit.id ? mounted(hit) : h("span", { class: "mat" }),
      h("span", { class: "rank" }, number(hit.rank))),
    h("div", { class: "caption" },
      h("p", { class: "evidence" },
        h("span", { class: "badge label" }, t(`label.${hit.label}`)),
        hit.inliers ? h("span", {}, t("hit.points", { n: hit.inliers })) : null),
      h("p", { class: "name" }, nameText(hit.name))));
}

/** The query image with its region. A response header gives the size of the original. */
async function queryPicture(set, query, signal) {
  const url = evaluationPictureUrl(set.name, query.number);
  const picture = h("img", { src: url, alt: t("query.picture") });
  const place = h("div", { class: "query-picture" }, picture);
  if (!query.region) return place;
  let size = query;
  if (!size.width) {
    const { headers } = await fetch(url, { signal });
    size = { width: Number(headers.get("X-Width")), height: Number(headers.get("X-Height")) };
  }
  if (size.width) place.append(outline(size, cornersOf(query.region)));
  return place;
}
