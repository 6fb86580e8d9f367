/** The language of the page: its texts, its plurals and its numbers. */

import en from "./texts.en.js";
import vi from "./texts.vi.js";

const STORED = "bovw-language";

/** The name of each language, in that language. */
export const LANGUAGES = { en: "English", vi: "Tiếng Việt" };

/** All texts by language. Every language has the same keys. */
export const TEXTS = { en, vi };

let current = firstLanguage();

function firstLanguage() {
  let stored = null;
  try {
    stored = localStorage.getItem(STORED);
  } catch {
    // Storage is blocked: fall back to the browser's language.
  }
  if (stored in TEXTS) return stored;
  const codes = navigator.languages.map((code) => code.slice(0, 2).toLowerCase());
  return codes.find((code) => code in TEXTS) ?? "en";
}

/**
 * The current language.
 * @returns {"en"|"vi"}
 */
export function language() {
  return current;
}

/**
 * Switches the language, also for later visits with this browser.
 * @param {"en"|"vi"} code
 */
export function setLanguage(code) {
  current = code;
  try {
    localStorage.setItem(STORED, code);
  } catch {
    // Storage is blocked: the choice lasts until the page is closed.
  }
}

/**
 * The text of a key.
 * @param {string} key
 * @param {Object} values for the names in braces; `n` also selects singular or plural
 * @returns {string}
 */
export function t(key, values = {}) {
  const entry = TEXTS[current][key];
  const text = typeof entry === "string" ? entry
    : entry[new Intl.PluralRules(current).select(values.n)] ?? entry.other;
  return text.replace(/\{(\w+)\}/g, (_, name) => {
    const value = values[name];
    return typeof value === "number" ? number(value) : String(value);
  });
}

/**
 * A number, formatted for the current language.
 * @param {number} value
 * @param {number} digits after the decimal point
 * @returns {string}
 */
export function number(value, digits = 0) {
  const places = { minimumFractionDigits: digits, maximumFractionDigits: digits };
  return new Intl.NumberFormat(current, places).format(value);
}

/**
 * A share of 1 as a whole percentage, formatted for the current language.
 * @param {number} value
 * @returns {string}
 */
export function percent(value) {
  return new Intl.NumberFormat(current, { style: "percent" }).format(value);
}
