/** The comparison of a query with one hit: matching points, or one image over the other. */

import { askOnce, pictureUrl } from "./api.js";
import { segmented } from "./controls.js";
import { h, refill } from "./dom.js";
import { evidence, explanation } from "./evidence.js";
import { t } from "./i18n.js";
import { overlay } from "./overlay.js";
import { pairsDrawing } from "./pairs.js";
import { searchParameters } from "./state.js";

const VIEWS = { pairs: pairsDrawing, overlay };

/**
 * The comparison dialog. It is open when the state names a hit.
 * @param {Object} app
 * @returns {{node: HTMLElement, update: Function, leave: Function}}
 */
export function comparison(app) {
  const title = h("h2", { id: "compare-title" }, t("compare.title"));
  const names = h("p", { class: "names" });
  const told = h("p", { class: "evidence", role: "status" });
  const steps = h("div", { class: "steps" });
  const reasons = h("div", { role: "status" });
  const why = h("details", { class: "why", ontoggle: toggled },
    h("summary", {}, t("why.title")), reasons);
  const body = h("div", { class: "compare-body" });
  const node = h("dialog", { class: "compare", "aria-labelledby": "compare-title" },
    h("header", {},
      h("div", {}, title, names, told),
      steps,
      h("button", {
        type: "button",
        class: "close",
        "aria-label": t("close"),
        autofocus: true,
        onclick: close,
      }, "×")),
    why,
    body);
  let shown = "";
  let explained = "";
  let compared = null;
  let ready = Promise.resolve();
  let kind = "pairs";
  let wanted = new AbortController();

  // Escape must change the address first; the dialog then follows.
  node.addEventListener("cancel", (event) => {
    event.preventDefault();
    close();
  });

  function close() {
    app.close({ ...app.state, hit: undefined, why: undefined });
  }

  function toggled() {
    // The address may have opened or closed it.
    if (why.open === Boolean(app.state.why)) return;
    app.go({ ...app.state, why: why.open ? 1 : undefined }, "replace");
  }

  async function update(state, hits) {
    if (!state.hit) {
      leave();
      return;
    }
    if (!node.open) node.showModal();
    step(state.hit, hits);
    why.open = Boolean(state.why);
    const asked = `${searchParameters({ ...state, topk: null })}&hit=${encodeURIComponent(state.hit)}`;
    const file = app.pictures.get(state.query)?.file;
    if (asked !== shown) ready = compare(asked, file);
    await ready;
    if (state.why && asked === shown && asked !== explained) await explain(asked, file);
  }

  async function compare(asked, file) {
    shown = asked;
    explained = "";
    wanted.abort();
    wanted = new AbortController();
    told.textContent = t("compare.running");
    body.replaceChildren();
    reasons.replaceChildren();
    try {
      compared = await askOnce(`matches?${asked}`, { signal: wanted.signal }, file);
      show(compared);
    } catch (error) {
      if (error.name === "AbortError") return;
      shown = "";
      told.textContent = error.message;
    }
  }

  async function explain(asked, file) {
    explained = asked;
    reasons.textContent = t("compare.running");
    try {
      const found = await askOnce(`explanation?${asked}`, { signal: wanted.signal }, file);
      reasons.replaceChildren(...explanation(found));
      // What agrees is worth seeing, even if it proves nothing.
      if (!compared.points.length) show({ ...compared, points: found.points });
    } catch (error) {
      if (error.name === "AbortError") return;
      explained = "";
      reasons.textContent = error.message;
    }
  }

  function show(matches) {
    const { query, hit } = matches;
    const name = query.name ?? app.pictures.get(query.id)?.name ?? t("query.yours");
    names.replaceChildren(h("bdi", {}, name), " → ", h("bdi", {}, hit.name));
    told.replaceChildren(...evidence(matches));
    const urls = { query: pictureUrl(query.kind, query.id), hit: pictureUrl("image", hit.id) };
    const possible = matches.transform ? ["pairs", "overlay"] : ["pairs"];
    const draw = (chosen) => {
      const { tools, node: view } = VIEWS[chosen](matches, urls, app.state.region ?? null);
      place.replaceChildren(tools, view);
    };
    const first = possible.includes(kind) ? kind : "pairs";
    const choose = (chosen) => {
      kind = chosen;
      draw(chosen);
    };
    const place = h("div", { class: "compare-view" });
    body.replaceChildren(segmented("compare-kind", Object.keys(VIEWS), first, choose, possible),
      place);
    draw(first);
  }

  function step(hit, hits) {
    const at = hits.findIndex(({ id }) => id === hit);
    const to = (key, other) => h("button", {
      type: "button",
      "data-key": key,
      disabled: !other,
      onclick: () => app.go({ ...app.state, hit: other.id }, "replace"),
    }, t(`compare.${key}`));
    refill(steps, at >= 0 && [to("previous", hits[at - 1]), to("next", hits[at + 1])]);
  }

  function leave() {
    wanted.abort();
    shown = "";
    explained = "";
    node.close();
  }

  return { node, update, leave };
}
