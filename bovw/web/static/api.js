/** Requests to the server. An answer is JSON, or a `Problem` with a readable message. */

import { t } from "./i18n.js";

const BASE = "api/v1";
const TRIES = 6;
const KEPT = 60;

const answers = new Map();
let tellBusy = () => {};

/** A failed request: a readable message and the HTTP status, 0 if there was no connection. */
export class Problem extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

/**
 * Calls `listener(true)` when a busy server makes a request wait, `listener(false)` afterwards.
 * @param {function(boolean): void} listener
 */
export function onBusy(listener) {
  tellBusy = listener;
}

/**
 * Requests JSON. If the server is busy, waits and tries again.
 * @param {string} path below /api/v1
 * @param {RequestInit} options
 * @returns {Promise<any>}
 * @throws {Problem}
 */
export async function ask(path, options = {}) {
  let tries = 1;
  try {
    for (; ; tries += 1) {
      const response = await send(`${BASE}/${path}`, options);
      if (response.ok) return await response.json();
      if (response.status !== 503 || tries === TRIES) throw await problemOf(response);
      tellBusy(true);
      await pause(Number(response.headers.get("Retry-After")) || 1, options.signal);
    }
  } finally {
    if (tries > 1) tellBusy(false);
  }
}

/**
 * Like `ask`, for answers that do not change. They are cached, so that Back is instant.
 * @param {string} path
 * @param {RequestInit} options
 * @param {?Blob} file the query image, uploaded again if the server has dropped it
 * @returns {Promise<any>}
 * @throws {Problem}
 */
export async function askOnce(path, options = {}, file = null) {
  if (!answers.has(path)) {
    const answer = await ask(path, options).catch(async (error) => {
      if (!file || error.status !== 404) throw error;
      await postPicture(file, options.signal);
      return ask(path, options);
    });
    answers.set(path, answer);
    if (answers.size > KEPT) answers.delete(answers.keys().next().value);
  }
  return answers.get(path);
}

/**
 * Uploads a query image.
 * @param {Blob} file
 * @param {AbortSignal} signal
 * @returns {Promise<{id: string, width: number, height: number, features: number}>}
 */
export function postPicture(file, signal) {
  const headers = { "Content-Type": file.type || "application/octet-stream" };
  return ask("queries", { method: "POST", body: file, headers, signal });
}

/**
 * The URL of an image.
 * @param {"query"|"image"} kind
 * @param {string} id
 * @param {"picture"|"thumbnail"} size
 * @returns {string}
 */
export function pictureUrl(kind, id, size = "picture") {
  return `${BASE}/${recordPath(kind, id)}/${size}`;
}

/**
 * The API path of an image's record.
 * @param {"query"|"image"} kind
 * @param {string} id
 * @returns {string}
 */
export function recordPath(kind, id) {
  return `${kind === "query" ? "queries" : "images"}/${encodeURIComponent(id)}`;
}

/**
 * The API path of an evaluation or of something below it.
 * @param {string} name of the dataset
 * @param {...(string|number)} rest
 * @returns {string}
 */
export function evaluationPath(name, ...rest) {
  return ["evaluations", name, ...rest].map(encodeURIComponent).join("/");
}

/**
 * The URL of the image of an evaluation query.
 * @param {string} name of the dataset
 * @param {number} number
 * @returns {string}
 */
export function evaluationPictureUrl(name, number) {
  return `${BASE}/${evaluationPath(name, "queries", number, "picture")}`;
}

async function send(url, options) {
  try {
    return await fetch(url, options);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem(0, t("error.connection"));
  }
}

async function problemOf(response) {
  const content = await response.json().catch(() => ({}));
  const sentence = typeof content.detail === "string" ? content.detail : content.title;
  const words = sentence || t("error.status", { status: response.status });
  return new Problem(response.status, words[0].toUpperCase() + words.slice(1));
}

function pause(seconds, signal) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, 1000 * Math.min(seconds, 10));
    signal?.addEventListener("abort", () => {
      clearTimeout(timer);
      reject(new DOMException("no longer wanted", "AbortError"));
    });
  });
}
