/** How the user gives a photo: choose, drop or paste it. */

import { h } from "./dom.js";
import { t } from "./i18n.js";

const TYPES = "image/jpeg,image/png,image/webp,image/tiff,image/bmp,.jpg,.jpeg,.tif,.tiff";

/**
 * The upload area.
 * @param {function(File): void} take
 * @returns {HTMLElement}
 */
export function pickerArea(take) {
  const input = h("input", {
    type: "file",
    id: "pick",
    accept: TYPES,
    class: "hidden",
    onchange: () => {
      if (input.files.length) take(input.files[0]);
      input.value = "";
    },
  });
  return h("div", { class: "picker" },
    input,
    h("label", { for: "pick", class: "picker-area" },
      h("span", { class: "button primary" }, t("pick.choose")),
      h("span", { class: "picker-hint" }, t("pick.hint")),
      h("span", { class: "picker-note" }, t("pick.note"))));
}

/**
 * Accepts files that are dropped or pasted anywhere on the page.
 * @param {function(File): void} take
 * @param {function(): void} refuse called when what was dropped is not a file
 */
export function watchForFiles(take, refuse) {
  const mark = (on) => document.body.classList.toggle("dropping", on);
  document.addEventListener("dragover", (event) => {
    event.preventDefault();
    mark(event.dataTransfer.types.includes("Files"));
  });
  document.addEventListener("dragleave", (event) => {
    if (!event.relatedTarget) mark(false);
  });
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    mark(false);
    const file = pictureIn(event.dataTransfer);
    if (file) take(file);
    else refuse();
  });
  document.addEventListener("paste", (event) => {
    const file = event.clipboardData && pictureIn(event.clipboardData);
    if (!file) return;
    event.preventDefault();
    take(file);
  });
}

function pictureIn(transfer) {
  const files = [...transfer.files];
  return files.find((file) => file.type.startsWith("image/")) ?? files[0];
}
