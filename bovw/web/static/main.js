/** Connects the pages with the address bar, the header and the user's photos. */

import { ask, onBusy, postPicture } from "./api.js";
import { browser } from "./browse.js";
import { h } from "./dom.js";
import { evaluationPage } from "./evaluation.js";
import { LANGUAGES, language, number, setLanguage, t } from "./i18n.js";
import { pickerArea, watchForFiles } from "./picker.js";
import { searchPage } from "./search.js";
import { formatState, optionsOf, pageOf, parseState } from "./state.js";

const PAGES = { start: startPage, search: searchPage, evaluation: evaluationPage };

const ICON = new URL("icon.svg", import.meta.url);

const alertBox = h("div", { id: "alert", role: "alert" });
const busyBox = h("div", { id: "busy", role: "status" });
const main = h("main", { id: "main", tabindex: "-1" });

let page = null;
let pageName = "";
let upload = new AbortController();

/** Shared by the pages: the state, how to change it, and the photos uploaded in this window. */
const app = {
  info: null,
  state: parseState(location.search),
  /** By id: {url, file, name, record}. */
  pictures: new Map(),
  report,
  /** Goes to a state. `how`: "push", "replace", or "open" for a dialog that `close` leaves. */
  go(state, how = "push") {
    const told = how === "replace" ? history.state : { opened: how === "open" };
    const write = how === "replace" ? "replaceState" : "pushState";
    history[write](told, "", formatState(state));
    follow();
  },
  /** Closes a dialog: goes back if `go` opened it, else replaces the state. */
  close(state) {
    if (history.state?.opened) history.back();
    else app.go(state, "replace");
  },
  searchImage: (image) => app.go({ image, ...optionsOf(app.state) }),
  startOver: () => app.go(optionsOf(app.state)),
};

function follow() {
  const before = app.state;
  app.state = parseState(location.search);
  upload.abort();
  report(null);
  show();
  const { query, image, view } = app.state;
  if (before.query !== query || before.image !== image || before.view !== view) {
    scrollTo(0, 0);
    main.querySelector("h1")?.focus({ preventScroll: true });
  }
}

function show(name = pageOf(app.state)) {
  if (name !== pageName) {
    page?.leave();
    page = PAGES[name](app);
    pageName = name;
    main.dataset.page = name;
    main.replaceChildren(page.node);
  }
  for (const link of document.querySelectorAll("nav.pages a")) {
    const here = (link.dataset.page === "evaluation") === (name === "evaluation");
    if (here) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  document.title = name === "evaluation" ? `${t("evaluation.title")} – bovw` : t("title");
  page.update(app.state).catch(report);
}

function startPage() {
  const browse = browser(app);
  const node = h("div", {},
    h("section", { class: "hero" },
      h("h1", { tabindex: "-1" }, t("start.title")),
      h("p", { class: "lead" }, t("start.lead")),
      pickerArea(take)),
    browse.node);
  return { ...browse, node };
}

/** Shows a file at once, uploads it, then goes to its search. */
async function take(file) {
  report(null);
  const most = app.info.limits.upload_bytes;
  if (file.size > most) {
    const [size, limit] = [file.size, most].map((bytes) => number(bytes / 1e6, 1));
    report(new Error(t("error.large", { name: file.name, size, limit })));
    return;
  }
  upload.abort();
  upload = new AbortController();
  const url = URL.createObjectURL(file);
  if (pageName !== "search") show("search");
  page.expect(url, file.name);
  scrollTo(0, 0);
  try {
    const record = await postPicture(file, upload.signal);
    app.pictures.set(record.id, { url, file, name: file.name, record });
    app.go({ query: record.id, ...optionsOf(app.state) });
  } catch (error) {
    if (error.name === "AbortError") return;
    show();
    report(error);
  }
}

function report(error) {
  if (error?.name === "AbortError") return;
  alertBox.replaceChildren(...(error ? [h("p", {}, error.message), dismissal()] : []));
}

function dismissal() {
  return h("button", {
    type: "button", class: "close", "aria-label": t("close"), onclick: () => report(null),
  }, "×");
}

function frame() {
  document.documentElement.lang = language();
  const link = (name, href) => h("a", {
    href,
    "data-page": name,
    onclick: (event) => {
      if (event.metaKey || event.ctrlKey || event.shiftKey) return;
      event.preventDefault();
      app.go(name === "evaluation" ? { view: "evaluation" } : {});
    },
  }, t(`page.${name}`));
  const choices = Object.entries(LANGUAGES).map(([code, name]) => h("option", {
    value: code, lang: code, selected: code === language(),
  }, name));
  document.body.replaceChildren(
    h("a", { class: "skip", href: "#main" }, t("page.skip")),
    h("header", { class: "top" },
      h("a", { class: "brand", href: "./", "aria-label": "bovw" },
        h("img", { src: ICON, alt: "" }), h("span", {}, "bovw")),
      h("nav", { class: "pages", "aria-label": t("page.pages") },
        link("search", "./"),
        app.info?.evaluations.length ? link("evaluation", "?view=evaluation") : null),
      h("label", { class: "language" },
        h("span", { class: "hidden" }, t("page.language")),
        h("select", { id: "language", onchange: (event) => speak(event.target.value) }, choices))),
    alertBox,
    busyBox,
    main,
    h("div", { class: "drop-veil", "aria-hidden": "true" }, h("p", {}, t("pick.drop"))),
    h("footer", {},
      app.info && h("p", {}, t("page.footer", { n: app.info.images, version: app.info.version })),
      h("p", {}, h("a", { href: "docs" }, t("page.api")))));
}

function speak(code) {
  setLanguage(code);
  frame();
  pageName = "";
  show();
  document.getElementById("language").focus();
}

async function begin() {
  frame();
  onBusy((busy) => {
    busyBox.textContent = busy ? t("busy") : "";
  });
  try {
    app.info = await ask("info");
  } catch (error) {
    report(error);
    return;
  }
  frame();
  watchForFiles(take, () => report(new Error(t("error.nofile"))));
  addEventListener("popstate", follow);
  show();
}

begin();
