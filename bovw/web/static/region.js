/** The query image with a box on it, which mouse, touch or keys draw, move and resize. */

import { h } from "./dom.js";
import { t } from "./i18n.js";

const HANDLES = ["nw", "n", "ne", "e", "se", "s", "sw", "w"];
// Milliseconds without a key press before the search starts.
const PATIENCE = 450;
// A smaller drag, in screen pixels, counts as a click.
const SMALLEST = 8;
// In a smaller box than this the handles would overlap.
const CROWDED = 48;

/**
 * An image with a box on it.
 * @param {function(?number[]): void} onChange gets x1, y1, x2, y2 in the image's pixels, or null
 * @returns {{node: HTMLElement, show: Function, size: Function, set: Function, mark: Function}}
 */
export function regionEditor(onChange) {
  const picture = h("img", {
    class: "region-picture", alt: t("query.picture"), draggable: "false",
  });
  const box = h("div", {
    class: "region-box",
    role: "application",
    tabindex: "0",
    "aria-roledescription": t("region.role"),
    hidden: true,
  }, HANDLES.map((name) => h("span", { class: `handle ${name}`, "data-handle": name })));
  const node = h("div", { class: "region" }, picture, box);
  let [width, height] = [0, 0];
  let region = null;
  let drag = null;
  let timer = 0;
  let wanted = null;
  let spare = null;

  function useSpare() {
    if (spare) picture.src = spare;
    spare = null;
  }

  function shape(wide, high) {
    if (wide) node.style.setProperty("--ratio", wide / high);
  }

  function draw() {
    const shown = Boolean(region && width);
    box.hidden = !shown;
    node.classList.toggle("marked", shown);
    if (!shown) return;
    const [x1, y1, x2, y2] = region;
    box.style.left = `${(100 * x1) / width}%`;
    box.style.top = `${(100 * y1) / height}%`;
    box.style.width = `${(100 * (x2 - x1)) / width}%`;
    box.style.height = `${(100 * (y2 - y1)) / height}%`;
    box.classList.toggle("tiny", Math.min(box.clientWidth, box.clientHeight) < CROWDED);
    box.setAttribute("aria-label", t("region.label", { x1, y1, x2, y2 }));
  }

  function change(next) {
    region = next;
    draw();
  }

  function place(event) {
    const area = picture.getBoundingClientRect();
    return {
      x: clamp((event.clientX - area.left) / area.width, 0, 1) * width,
      y: clamp((event.clientY - area.top) / area.height, 0, 1) * height,
      smallest: (SMALLEST * width) / area.width,
    };
  }

  function start(event) {
    const finger = event.pointerType === "touch";
    // Without a box, touch scrolls the page.
    if (!width || event.button || (finger && !region)) return;
    const { x, y } = place(event);
    const handle = event.target.dataset.handle;
    const kind = handle ? "resize" : event.target === box ? "move" : "draw";
    drag = { kind, handle, x, y, before: region };
    clearTimeout(timer);
    node.setPointerCapture(event.pointerId);
    if (kind === "draw") event.preventDefault();
  }

  function follow(event) {
    if (!drag) return;
    const { x, y } = place(event);
    const { kind, before } = drag;
    if (kind === "draw") change(whole([drag.x, drag.y, x, y]));
    else if (kind === "move") change(moved(before, x - drag.x, y - drag.y, width, height));
    else change(whole(resized(before, drag.handle, x, y)));
  }

  function finish(event) {
    if (!drag) return;
    const { before } = drag;
    const { smallest } = place(event);
    drag = null;
    const [x1, y1, x2, y2] = region ?? [0, 0, 0, 0];
    const kept = event.type === "pointerup" && Math.min(x2 - x1, y2 - y1) >= smallest;
    change(kept ? region : before);
    if (kept && String(region) !== String(before)) onChange(region);
    if (kept) box.focus({ preventScroll: true });
  }

  function press(event) {
    if (event.key === "Escape") {
      event.stopPropagation();
      clearTimeout(timer);
      change(null);
      onChange(null);
      return;
    }
    const [dx, dy] = ARROWS[event.key] ?? [0, 0];
    if (!dx && !dy) return;
    event.preventDefault();
    const step = Math.max(1, Math.round(Math.max(width, height) / 50));
    const by = event.shiftKey ? grown : moved;
    change(by(region, dx * step, dy * step, width, height));
    clearTimeout(timer);
    timer = setTimeout(() => onChange(region), PATIENCE);
  }

  picture.addEventListener("error", useSpare);
  picture.addEventListener("load", () => shape(picture.naturalWidth, picture.naturalHeight));
  node.addEventListener("pointerdown", start);
  node.addEventListener("pointermove", follow);
  node.addEventListener("pointerup", finish);
  node.addEventListener("pointercancel", finish);
  box.addEventListener("keydown", press);

  return {
    node,
    /** Shows an image, or `otherwise` if the browser cannot display it. */
    show(url, otherwise) {
      const failed = wanted === url && picture.complete && !picture.naturalWidth;
      spare = otherwise;
      if (wanted !== url) picture.src = url;
      else if (failed) useSpare();
      wanted = url;
    },
    /** Sets the size of the original. Without a size no box can be drawn. */
    size(size) {
      [width, height] = [size.width, size.height];
      shape(width, height);
      draw();
    },
    /** Sets or removes the box. */
    set(next) {
      if (drag || String(next) === String(region)) return;
      clearTimeout(timer);
      change(next ?? null);
    },
    /** Puts a box in the middle and focuses it. */
    mark() {
      if (!width) return;
      change(whole([width / 4, height / 4, (3 * width) / 4, (3 * height) / 4]));
      box.focus();
      onChange(region);
    },
  };
}

const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

function clamp(value, low, high) {
  return Math.min(high, Math.max(low, value));
}

function whole([x1, y1, x2, y2]) {
  const box = [Math.min(x1, x2), Math.min(y1, y2), Math.max(x1, x2), Math.max(y1, y2)];
  return box.map(Math.round);
}

function moved([x1, y1, x2, y2], dx, dy, width, height) {
  const x = clamp(dx, -x1, width - x2);
  const y = clamp(dy, -y1, height - y2);
  return whole([x1 + x, y1 + y, x2 + x, y2 + y]);
}

function grown([x1, y1, x2, y2], dx, dy, width, height) {
  const right = clamp(x2 + dx, x1 + Math.abs(dx || 1), width);
  const bottom = clamp(y2 + dy, y1 + Math.abs(dy || 1), height);
  return whole([x1, y1, right, bottom]);
}

function resized([x1, y1, x2, y2], handle, x, y) {
  return [
    handle.includes("w") ? x : x1,
    handle.includes("n") ? y : y1,
    handle.includes("e") ? x : x2,
    handle.includes("s") ? y : y2,
  ];
}
