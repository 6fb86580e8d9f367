/** The language of the page: its texts, its plurals and its numbers. */

import en from "./texts.en.js";
import vi from "./texts.vi.js";

const STORED = "bovw-language";

/** What each language calls itself. */
export const LANGUAGES = { en: "English", vi: "Tiếng Việt" };

/** All texts by language; the keys are the same in each. */
export const TEXTS = { en, vi };

let current = firstLanguage();

function firstLanguage() {
  let stored = null;
  try {
    stored = localStorage.getItem(STORED);
  } catch {
    // A browser may forbid it; then the language is the browser's each time.
  }
  if (stored in TEXTS) return stored;
  const codes = navigator.languages.map((code) => code.slice(0, 2).toLowerCase());
  return codes.find((code) => code in TEXTS) ?? "en";
}

/**
 * The language that is spoken.
 * @returns {"en"|"vi"}
 */
export function language() {
  return current;
}

/**
 * Speaks another language from now on, and in this browser's next visits.
 * @param {"en"|"vi"} code
 */
export function setLanguage(code) {
  current = code;
  try {
    localStorage.setItem(STORED, code);
  } catch {
    // It is forgotten with this page then.
  }
}

/**
 * The text of a key.
 * @param {string} key
 * @param {Object} values for the names in braces; `n` also decides between singular and plural
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
 * A number as the language writes it.
 * @param {number} value
 * @param {number} digits after the point
 * @returns {string}
 */
export function number(value, digits = 0) {
  const places = { minimumFractionDigits: digits, maximumFractionDigits: digits };
  return new Intl.NumberFormat(current, places).format(value);
}
