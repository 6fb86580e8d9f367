/** The evaluation page: how good the ranking is on a dataset with ground truth. */

import { ask, askOnce, evaluationPath } from "./api.js";
import { optionFields } from "./controls.js";
import { h, refill } from "./dom.js";
import { number, t } from "./i18n.js";
import { queryDetail } from "./ranking.js";
import { moved, queryRows, queryTable, runName, runTable } from "./runs.js";

// Milliseconds between two polls of a running evaluation.
const PATIENCE = 600;

/**
 * The evaluation page.
 * @param {Object} app
 * @returns {{node: HTMLElement, update: Function, leave: Function}}
 */
export function evaluationPage(app) {
  const sets = h("select", { id: "set", onchange: () => choose({ set: sets.value }) });
  const settings = h("select", { id: "setting", onchange: () => go({ setting: settings.value }) });
  const settingField = field("evaluation.setting", settings);
  const note = h("p", { class: "hint" });
  const options = optionFields(app.info, ["scoring", "rerank", "expand"]);
  options.set({});
  // Disabled until the datasets are known: a run is one dataset's.
  const begin = h("button", { class: "primary", disabled: true }, t("run.start"));
  const runs = h("div", { class: "run-list" });
  const summary = h("div", { class: "summary", role: "status" });
  const queries = h("div", { class: "query-list" });
  const detail = h("div", { class: "detail" });
  const node = h("div", { class: "evaluation" },
    h("h1", { tabindex: "-1" }, t("evaluation.title")),
    h("p", { class: "lead" }, t("evaluation.lead")),
    h("div", { class: "fields" }, field("evaluation.set", sets), settingField),
    note,
    h("section", { class: "panel", "aria-labelledby": "runs-title" },
      h("h2", { id: "runs-title" }, t("run.title")),
      h("form", { class: "start-run", onsubmit: start },
        options.node, begin),
      runs),
    summary,
    h("div", { class: "two-columns" }, queries, detail));
  let timer = 0;
  let drawn = "";
  let wanted = new AbortController();
  // Not ended by the next look at how far the runs are.
  const starting = new AbortController();

  function go(change, how) {
    app.go({ ...app.state, ...change }, how);
  }

  /** Switches to another dataset, which has its own runs, settings and queries. */
  function choose(change) {
    app.go({ view: "evaluation", ...change });
  }

  async function start(event) {
    event.preventDefault();
    try {
      const asked = new URLSearchParams(options.values());
      const path = `${evaluationPath(sets.value, "runs")}?${asked}`;
      const run = await ask(path, { method: "POST", signal: starting.signal });
      const other = app.state.other === run.id ? undefined : app.state.other;
      go({ set: sets.value, run: run.id, other });
    } catch (error) {
      app.report(error);
    }
  }

  async function update(state) {
    leave();
    wanted = new AbortController();
    const { signal } = wanted;
    const all = await askOnce("evaluations", { signal });
    const name = (all.find((one) => one.name === state.set) ?? all[0]).name;
    const set = await askOnce(evaluationPath(name), { signal });
    const list = await runsOf(name, signal);
    const chosen = choice(state, set, list);
    refill(runs, list.length ? runTable(list, chosen, go) : h("p", {}, t("run.empty")));
    // While another run makes progress, the results shown stay as they are.
    const key = drawingKey(state, set, chosen);
    if (key !== drawn) {
      fillHead(all, set, chosen);
      fillQueries(state, set, chosen);
      await fillDetail(state, set, chosen, signal);
      drawn = key;
    }
    if (list.some((run) => run.state === "running")) {
      timer = setTimeout(() => update(app.state).catch(app.report), PATIENCE);
    }
  }

  function fillHead(all, set, { setting }) {
    sets.replaceChildren(...all.map(({ name }) => h("option", {}, name)));
    sets.value = set.name;
    begin.disabled = false;
    settings.replaceChildren(...set.settings.map((name) => h("option", {}, name)));
    settings.value = setting;
    settingField.hidden = set.settings.length < 2;
    const sizes = t("evaluation.sizes", { images: set.images, queries: set.query_count });
    note.textContent = [sizes, set.note].filter(Boolean).join(" ");
  }

  function fillQueries(state, set, chosen) {
    const { run, other, setting } = chosen;
    if (!run?.results) {
      refill(summary);
      refill(queries);
      return;
    }
    const rows = queryRows(set, chosen);
    const two = Boolean(other?.results);
    refill(summary,
      figures(run, setting, two ? "A" : ""),
      two && figures(other, setting, "B"),
      two && h("p", { class: "moved" }, t("evaluation.moved", moved(rows))));
    const sort = state.sort ?? (two ? "-difference" : "ap");
    refill(queries, h("h2", {}, t("query.table")),
      queryTable(rows, { sort, shown: state.number, two },
        (change) => go(change, change.sort && "replace")));
  }

  async function fillDetail(state, set, chosen, signal) {
    const query = set.queries.find((one) => one.number === state.number);
    if (!chosen.run?.results) refill(detail);
    else if (!query) refill(detail, h("p", { class: "hint" }, t("ranking.choose")));
    else {
      refill(detail, await queryDetail(set, query, chosen, signal));
      if (detail.dataset.shown !== query.id) detail.scrollIntoView({ block: "nearest" });
    }
    detail.dataset.shown = query?.id ?? "";
  }

  function leave() {
    wanted.abort();
    clearTimeout(timer);
  }

  function end() {
    starting.abort();
    leave();
  }

  return { node, update, leave: end };
}

async function runsOf(name, signal) {
  const list = await ask(evaluationPath(name, "runs"), { signal });
  return Promise.all(list.map((run) => (run.state === "done"
    ? askOnce(evaluationPath(name, "runs", run.id), { signal }) : run)));
}

function choice(state, set, list) {
  const run = list.find(({ id }) => id === state.run) ?? list[0] ?? null;
  const other = list.find(({ id }) => id === state.other && id !== run.id) ?? null;
  const setting = set.settings.includes(state.setting) ? state.setting : set.settings[0];
  return { run, other, setting };
}

function drawingKey(state, set, { run, other, setting }) {
  const runs = [run, other].map((one) => one && [one.id, one.state]);
  return JSON.stringify([set.name, runs, setting, state.number, state.sort]);
}

function figures(run, setting, letter) {
  const { map, interval, recall_at_1: recall } = run.results.settings[setting];
  const between = interval && t("evaluation.between", {
    low: number(interval[0], 3), high: number(interval[1], 3),
  });
  return h("div", { class: "figures" },
    h("p", {}, letter && h("span", { class: "letter" }, letter), runName(run)),
    h("p", {}, h("strong", {}, number(map, 3)), " mAP ", between),
    h("p", {}, h("strong", {}, number(recall, 3)), " R@1"));
}

function field(key, control) {
  return h("div", { class: "field" }, h("label", {}, h("span", {}, t(key)), control));
}
