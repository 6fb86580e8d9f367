/** The runs of an evaluation, and the queries of one or two runs. */

import { h, s } from "./dom.js";
import { number, t } from "./i18n.js";
import { nameText } from "./results.js";

/**
 * The name of a run: its options in words.
 * @param {{options: Object}} run
 * @returns {string}
 */
export function runName({ options }) {
  return t("run.name", options);
}

/**
 * The table of runs on a dataset.
 * @param {Object[]} runs newest first
 * @param {{run: ?Object, other: ?Object, setting: string}} chosen
 * @param {function(Object): void} go gets a change of the state
 * @returns {HTMLElement}
 */
export function runTable(runs, chosen, go) {
  const heads = ["run.options", "run.map", "run.interval", "run.recall", "run.look"];
  return h("div", { class: "scroll" }, h("table", { class: "runs" },
    h("caption", { class: "hidden" }, t("run.title")),
    h("thead", {}, h("tr", {}, heads.map((key) => h("th", { scope: "col" }, t(key))))),
    h("tbody", {}, runs.map((run) => runRow(run, chosen, go)))));
}

function runRow(run, { run: first, other, setting }, go) {
  const figures = run.results?.settings[setting];
  const [isFirst, isOther] = [run.id === first?.id, run.id === other?.id];
  const toShow = { run: run.id, other: isOther ? undefined : other?.id };
  const toCompare = { other: isOther ? undefined : run.id };
  const press = (key, pressed, change) => h("button", {
    type: "button",
    "aria-pressed": String(pressed),
    "aria-label": `${t(key)}: ${runName(run)}`,
    "data-key": `${key} ${run.id}`,
    onclick: () => go(change),
  }, t(key));
  return h("tr", { class: isFirst ? "first" : isOther ? "other" : "", "data-run": run.id },
    h("th", { scope: "row" },
      (isFirst || isOther) && other && h("span", { class: "letter" }, isFirst ? "A" : "B"),
      runName(run)),
    figures ? [
      h("td", { class: "figure" }, number(figures.map, 3)),
      h("td", { class: "figure" }, intervalText(figures.interval)),
      h("td", { class: "figure" }, number(figures.recall_at_1, 3)),
    ] : h("td", { colspan: 3 }, progressOf(run)),
    h("td", {}, h("div", { class: "actions" },
      press("run.show", isFirst, toShow),
      first && !isFirst && press("run.compare", isOther, toCompare))));
}

function progressOf(run) {
  if (run.state === "failed") {
    return h("span", { class: "failed" }, run.error ?? t("run.failed"));
  }
  const words = t("run.progress", { done: run.done, of: run.of });
  return h("span", { class: "progress" },
    h("progress", { max: run.of || 1, value: run.done, "aria-label": words }), " ", words);
}

function intervalText(interval) {
  return interval ? `${number(interval[0], 3)}–${number(interval[1], 3)}` : "–";
}

/**
 * One row per query, with its AP in one run or in both.
 * @param {Object} set the dataset
 * @param {{run: Object, other: ?Object, setting: string}} chosen
 * @returns {Object[]} number, id, ap, other, difference (null if unknown), failure
 */
export function queryRows(set, { run, other, setting }) {
  const of = (shown, query) => shown?.results?.queries.find(({ number: n }) => n === query.number);
  return set.queries.map((query) => {
    const [here, there] = [of(run, query), of(other, query)];
    const [ap, second] = [here?.ap[setting] ?? null, there?.ap[setting] ?? null];
    const difference = ap === null || second === null ? null : ap - second;
    const failure = here?.failure ?? there?.failure ?? null;
    return { number: query.number, id: query.id, ap, other: second, difference, failure };
  });
}

/**
 * How many queries are better, worse and the same in the first of two runs.
 * @param {Object[]} rows from `queryRows`
 * @returns {{better: number, worse: number, same: number}}
 */
export function moved(rows) {
  const told = rows.filter(({ difference }) => difference !== null);
  const better = told.filter(({ difference }) => difference > 5e-4).length;
  const worse = told.filter(({ difference }) => difference < -5e-4).length;
  return { better, worse, same: told.length - better - worse };
}

/**
 * The table of queries, sorted by one column.
 * @param {Object[]} rows from `queryRows`
 * @param {{sort: string, shown: ?number, two: boolean}} chosen sort: a column, with "-" in front
 *   for descending order
 * @param {function(Object): void} go gets a change of the state
 * @returns {HTMLElement}
 */
export function queryTable(rows, { sort, shown, two }, go) {
  const columns = two ? ["id", "ap", "other", "difference"] : ["id", "ap"];
  const words = (column) => t(`query.${two && column === "ap" ? "first" : column}`);
  const head = (column) => h("th", { scope: "col", "aria-sort": direction(column, sort) },
    h("button", {
      type: "button",
      "data-key": `sort ${column}`,
      onclick: () => go({ sort: sort === column ? `-${column}` : column }),
    }, words(column)));
  return h("table", { class: "queries" },
    h("caption", { class: "hidden" }, t("query.table")),
    h("thead", {}, h("tr", {}, columns.map(head))),
    h("tbody", {}, sorted(rows, sort).map((row) => queryRow(row, shown, two, go))));
}

function queryRow(row, shown, two, go) {
  const figure = (value) => h("td", { class: "figure" }, value === null ? "–" : number(value, 3));
  return h("tr", { class: row.number === shown ? "first" : "", "data-number": row.number },
    h("th", { scope: "row" },
      h("button", {
        type: "button",
        class: "link",
        "aria-pressed": String(row.number === shown),
        "data-key": `query ${row.number}`,
        onclick: () => go({ number: row.number }),
      }, nameText(row.id)),
      row.failure && h("p", { class: "failed" }, row.failure)),
    figure(row.ap),
    two && figure(row.other),
    two && h("td", { class: "figure difference" }, signed(row.difference), bar(row.difference)));
}

function signed(value) {
  if (value === null) return "–";
  const sign = value > 5e-4 ? "+" : value < -5e-4 ? "−" : "";
  return `${sign}${number(Math.abs(value), 3)}`;
}

function bar(value) {
  const share = Math.max(-1, Math.min(1, value ?? 0));
  return s("svg", {
    class: "bar", viewBox: "-1 0 2 1", preserveAspectRatio: "none", "aria-hidden": "true",
  },
  s("rect", {
    class: share < 0 ? "worse" : "better",
    x: Math.min(0, share), y: 0.15, width: Math.abs(share), height: 0.7,
  }),
  s("line", { x1: 0, x2: 0, y1: 0, y2: 1 }));
}

function direction(column, sort) {
  return sort === column ? "ascending" : sort === `-${column}` ? "descending" : "none";
}

function sorted(rows, sort) {
  const column = sort.replace(/^-/, "");
  const sign = sort.startsWith("-") ? -1 : 1;
  return [...rows].sort((a, b) => {
    // Rows without a value come last in either order.
    const unknown = (a[column] === null) - (b[column] === null);
    return unknown || sign * compared(a[column], b[column]) || a.number - b.number;
  });
}

function compared(a, b) {
  if (a === null) return 0;
  return typeof a === "string" ? a.localeCompare(b, undefined, { numeric: true }) : a - b;
}
