/** The state of the page, which is kept in its address. */

const WORDS = ["view", "query", "image", "hit", "contains", "scoring", "max_false_alarms",
  "set", "run", "other", "setting", "sort"];
const NUMBERS = ["offset", "topk", "rerank", "expand", "number", "why"];

/** The search options, in the order in which they are shown. */
export const OPTIONS = ["scoring", "rerank", "expand", "max_false_alarms", "topk"];

/**
 * Reads the state from the address. Invalid values are ignored.
 * @param {string} search `location.search`
 * @returns {Object}
 */
export function parseState(search) {
  const given = new URLSearchParams(search);
  const state = {};
  for (const key of WORDS) if (given.get(key)) state[key] = given.get(key);
  for (const key of NUMBERS) {
    if (/^\d{1,9}$/.test(given.get(key) ?? "")) state[key] = Number(given.get(key));
  }
  const region = (given.get("region") ?? "").split(",").map(Number);
  if (region.length === 4 && region.every(Number.isFinite)) state.region = region;
  if (state.query) delete state.image;
  return state;
}

/**
 * Writes the state as an address that `parseState` reads.
 * @param {Object} state
 * @returns {string} "?...", or "./" if the state is empty
 */
export function formatState(state) {
  const text = parameters(state, [...WORDS, "region", ...NUMBERS]).toString();
  // Unescaped commas are valid here and easier to read.
  return text ? `?${text.replaceAll("%2C", ",")}` : "./";
}

/**
 * The parameters of the search request for a state.
 * @param {Object} state
 * @returns {URLSearchParams} the image, its region and the options
 */
export function searchParameters(state) {
  return parameters(state, ["query", "image", "region", ...OPTIONS]);
}

/**
 * The search options in a state. They are kept when searching for another image.
 * @param {Object} state
 * @returns {Object}
 */
export function optionsOf(state) {
  return Object.fromEntries(OPTIONS.filter((key) => key in state).map((key) => [key, state[key]]));
}

/**
 * The page that shows a state.
 * @param {Object} state
 * @returns {"start"|"search"|"evaluation"}
 */
export function pageOf(state) {
  if (state.view === "evaluation") return "evaluation";
  return state.query || state.image ? "search" : "start";
}

function parameters(state, keys) {
  const told = keys.filter((key) => state[key] != null && state[key] !== "");
  return new URLSearchParams(told.map((key) => [key, String(state[key])]));
}
