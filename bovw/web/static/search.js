/** The search page: the query image with its box, and the results. */

import { askOnce, pictureUrl, recordPath } from "./api.js";
import { comparison } from "./compare.js";
import { button, optionFields } from "./controls.js";
import { h, refill } from "./dom.js";
import { number, t } from "./i18n.js";
import { regionEditor } from "./region.js";
import { resultGroups, verdict } from "./results.js";
import { OPTIONS, optionsOf, searchParameters } from "./state.js";

/**
 * The search page.
 * @param {Object} app
 * @returns {{node: HTMLElement, update: Function, expect: Function, leave: Function}}
 */
export function searchPage(app) {
  const editor = regionEditor((region) => app.go({ ...app.state, region: region ?? undefined }));
  const options = optionFields(app.info, OPTIONS,
    (changed) => app.go({ ...app.state, ...changed }));
  const title = h("h1", { class: "query-name", tabindex: "-1" });
  const whole = button("query.whole", () => app.go({ ...app.state, region: undefined }));
  const mark = button("query.mark", () => editor.mark());
  const sentence = h("p", { class: "verdict", role: "status", "aria-live": "polite" });
  const time = h("p", { class: "time" });
  const groups = h("div", { class: "groups" });
  const findings = h("div", { class: "findings", "aria-busy": "false" }, sentence, time, groups);
  const compared = comparison(app);
  const node = h("div", { class: "search" },
    h("section", { class: "query", "aria-label": t("query.section") },
      title,
      editor.node,
      h("p", { class: "hint" }, t("query.hint")),
      h("div", { class: "actions" }, mark, whole, button("query.another", app.startOver)),
      h("details", { class: "options" }, h("summary", {}, t("option.title")), options.node)),
    findings,
    compared.node);
  let asked = "";
  let answer = null;
  let wanted = new AbortController();

  function waiting(words) {
    findings.setAttribute("aria-busy", "true");
    sentence.textContent = words;
    time.textContent = "";
  }

  /** Shows a photo that is still being uploaded. */
  function expect(url, name) {
    forget();
    title.textContent = name;
    editor.show(url, null);
    editor.size({ width: 0, height: 0 });
    editor.set(null);
    groups.replaceChildren();
    waiting(t("search.reading"));
  }

  function forget() {
    wanted.abort();
    wanted = new AbortController();
    asked = "";
    answer = null;
  }

  async function update(state) {
    const [kind, id] = state.query ? ["query", state.query] : ["image", state.image];
    const given = kind === "query" ? app.pictures.get(id) : null;
    const kept = pictureUrl(kind, id);
    editor.show(given?.url ?? kept, kept);
    editor.set(state.region);
    options.set(state);
    whole.disabled = !state.region;
    mark.disabled = Boolean(state.region);
    if (asked !== String(searchParameters(state))) await look(state, kind, id, given);
    await compared.update(state, answer?.hits ?? []);
  }

  async function look(state, kind, id, given) {
    forget();
    const { signal } = wanted;
    asked = String(searchParameters(state));
    const asking = asked;
    waiting(t("search.running"));
    try {
      const record = given?.record ?? await askOnce(recordPath(kind, id), { signal });
      title.textContent = given?.name ?? record.name ?? t("query.yours");
      editor.size(record);
      answer = await askOnce(`search?${asking}`, { signal }, given?.file);
      show(state);
    } catch (error) {
      if (error.name !== "AbortError") fail(error, kind);
    }
  }

  function show(state) {
    findings.setAttribute("aria-busy", "false");
    sentence.textContent = verdict(answer);
    const seconds = (answer.milliseconds.describe + answer.milliseconds.search) / 1000;
    time.textContent = t("search.time", { n: app.info.images, seconds: number(seconds, 2) });
    refill(groups, resultGroups(answer, {
      compare: (hit) => app.go({ ...app.state, hit }, "open"),
      search: app.searchImage,
      explain: (hit) => app.go({ ...app.state, hit, why: 1 }, "open"),
    }), more(state));
  }

  function more(state) {
    const now = state.topk ?? app.info.defaults.topk;
    const topk = Math.min(app.info.limits.topk, now * 2);
    if (answer.hits.length < now || topk === now) return null;
    return button("search.more", () => app.go({ ...app.state, topk }, "replace"), "more");
  }

  function fail(error, kind) {
    findings.setAttribute("aria-busy", "false");
    asked = "";
    const gone = error.status === 404 && kind === "query";
    sentence.textContent = gone ? t("query.expired") : error.message;
    groups.replaceChildren();
    if (gone) groups.append(button("query.another", app.startOver, "primary"));
  }

  return { node, update, expect, leave: () => (forget(), compared.leave()) };
}
