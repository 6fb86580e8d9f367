/** Controls: buttons, choices and the option fields. */

import { h } from "./dom.js";
import { often } from "./evidence.js";
import { t } from "./i18n.js";

// The choices of false alarms per query.
const FALSE_ALARMS = [0.1, 0.01, 0.001];

/**
 * A button labelled with the text of a key.
 * @param {string} key
 * @param {function(): void} onclick
 * @param {string} kind CSS class
 * @returns {HTMLElement}
 */
export function button(key, onclick, kind = "") {
  return h("button", { type: "button", class: kind, onclick, "data-key": key }, t(key));
}

/**
 * Radio buttons side by side.
 * @param {string} name of the group; the texts have the keys name.choice
 * @param {string[]} choices
 * @param {string} chosen
 * @param {function(string): void} onChoose
 * @param {string[]} possible the choices that are enabled
 * @returns {HTMLElement}
 */
export function segmented(name, choices, chosen, onChoose, possible = choices) {
  return h("fieldset", { class: "segmented" },
    h("legend", { class: "hidden" }, t(name)),
    choices.map((choice) => h("label", {},
      h("input", {
        type: "radio",
        name,
        value: choice,
        class: "hidden",
        checked: choice === chosen,
        disabled: !possible.includes(choice),
        onchange: () => onChoose(choice),
      }),
      h("span", {}, t(`${name}.${choice}`)))));
}

/**
 * The option fields. They start with the server's defaults.
 * @param {Object} info from the server
 * @param {string[]} names of the options to show
 * @param {function(Object): void} onChange gets the changed option
 * @returns {{node: HTMLElement, set: function(Object): void, values: function(): Object}}
 */
export function optionFields(info, names, onChange = () => {}) {
  const fields = Object.fromEntries(names.map((name) => [name, field(info, name, onChange)]));
  const node = h("div", { class: "fields" }, names.map((name) => h("div", { class: "field" },
    h("label", {}, h("span", {}, t(`option.${name}`)), fields[name]),
    h("small", { id: `help-${name}` }, t(`option.${name}.help`)))));
  return {
    node,
    set(values) {
      for (const name of names) fields[name].value = values[name] ?? info.defaults[name];
    },
    values: () => Object.fromEntries(names.map((name) => [name, fields[name].value])),
  };
}

function field(info, name, onChange) {
  const described = { "aria-describedby": `help-${name}` };
  const usual = info.defaults[name];
  const tell = (value) => onChange({ [name]: value === usual ? undefined : value });
  const choices = {
    scoring: () => info.scorings.map((scoring) => h("option", { value: scoring }, scoring)),
    max_false_alarms: () => FALSE_ALARMS.map((value) => h("option", { value }, often(value))),
  }[name]?.();
  if (choices) {
    // The value of an option is text.
    const onchange = ({ target: { value } }) => tell(value === String(usual) ? usual : value);
    return h("select", { ...described, name, onchange }, choices);
  }
  const lowest = name === "topk" ? 1 : 0;
  const highest = info.limits[name];
  const input = h("input", {
    ...described,
    type: "number",
    name,
    min: lowest,
    max: highest,
    step: 1,
    inputmode: "numeric",
    onchange: () => {
      const value = Math.round(Number(input.value || usual));
      input.value = Math.min(highest, Math.max(lowest, value));
      tell(Number(input.value));
    },
  });
  return input;
}
