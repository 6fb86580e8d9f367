/** Browsing the indexed images, page by page. */

import { ask } from "./api.js";
import { h, refill } from "./dom.js";
import { number, t } from "./i18n.js";
import { mounted, nameText } from "./results.js";

const PAGE = 48;
const PATIENCE = 250;

/**
 * The grid of indexed images, with a search by name.
 * @param {Object} app
 * @returns {{node: HTMLElement, update: function(Object): Promise<void>, leave: Function}}
 */
export function browser(app) {
  const field = h("input", {
    type: "search",
    id: "contains",
    autocomplete: "off",
    spellcheck: "false",
    placeholder: t("browse.placeholder"),
    oninput: () => {
      clearTimeout(timer);
      timer = setTimeout(look, PATIENCE);
    },
  });
  const count = h("p", { class: "count", role: "status" });
  const grid = h("ul", { class: "grid small" });
  const pager = h("nav", { class: "pager", "aria-label": t("browse.pages") });
  const node = h("section", { class: "browse", "aria-labelledby": "browse-title" },
    h("div", { class: "browse-head" },
      h("h2", { id: "browse-title" }, t("browse.title")),
      h("label", { for: "contains", class: "hidden" }, t("browse.field")),
      field,
      count),
    grid,
    pager);
  let timer = 0;
  let wanted = new AbortController();

  function look() {
    const contains = field.value.trim() || undefined;
    app.go({ ...app.state, contains, offset: undefined }, "replace");
  }

  async function update({ contains = "", offset = 0 }) {
    wanted.abort();
    wanted = new AbortController();
    if (document.activeElement !== field) field.value = contains;
    const asked = new URLSearchParams({ offset, limit: PAGE, ...(contains && { contains }) });
    const page = await ask(`images?${asked}`, { signal: wanted.signal });
    count.textContent = contains ? t("browse.found", { n: page.total })
      : t("browse.count", { n: page.total });
    refill(grid, page.images.map((image) => tile(image, app)));
    refill(pager, steps(page, app));
  }

  return { node, update, leave: () => wanted.abort() };
}

function tile(image, app) {
  return h("li", { class: "card" },
    h("button", {
      type: "button",
      class: "thumb",
      title: image.name,
      "data-key": image.id,
      "aria-label": `${t("hit.search")}: ${image.name}`,
      onclick: () => app.searchImage(image.id),
    }, mounted(image)),
    h("p", { class: "caption name" }, nameText(image.name)));
}

function steps({ total, offset, images }, app) {
  if (total <= PAGE && !offset) return [];
  const step = (key, to, possible) => h("button", {
    type: "button",
    "data-key": key,
    disabled: !possible,
    onclick: () => {
      app.go({ ...app.state, offset: to || undefined });
      document.getElementById("browse-title").scrollIntoView();
    },
  }, t(`browse.${key}`));
  const last = images.length && offset + images.length;
  return [
    step("previous", Math.max(0, offset - PAGE), offset > 0),
    h("span", {}, `${number(images.length && offset + 1)}–${number(last)} / ${number(total)}`),
    step("next", offset + PAGE, last > 0 && last < total),
  ];
}
