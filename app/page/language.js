// What the page says, in the reader's language. What has been said is remembered, and said again after a switch.

import en from "./en.js";
import zh from "./zh.js";

const STRINGS = { en, zh };
const TAGS = { en: "en", zh: "zh-CN" };
const KEPT_AS = "vgg-language";

let current = kept() ?? preferred();
const values = new WeakMap();

/** "en" or "zh". */
export const language = () => current;

/** As `lang` attributes and `Accept-Language` have it. */
export const tag = () => TAGS[current];

/** A string with its `{places}` filled; a value may be a function of the language's tag. */
export function words(key, filling = {}) {
  const template = STRINGS[current][key];
  if (template === undefined) throw new Error(`No words for ${key}`);
  return template.replace(/\{(\w+)\}/g, (_, place) => {
    const value = filling[place];
    return typeof value === "function" ? value(tag()) : String(value);
  });
}

/** Whether there are words for that. */
export const has = (key) => key in STRINGS[current];

/** Give a node its text. */
export function say(node, key, filling) {
  node.dataset.text = key;
  values.set(node, { ...values.get(node), text: filling });
  node.textContent = words(key, filling);
  return node;
}

/** Name a node for those who do not see it: `alt` for pictures, `aria-label` for all else. */
export function name(node, key, filling) {
  node.dataset.label = key;
  values.set(node, { ...values.get(node), label: filling });
  node.setAttribute(node.tagName === "IMG" ? "alt" : "aria-label", words(key, filling));
  return node;
}

/** Say everything in this language from now on. */
export function speak(chosen = current) {
  current = chosen;
  document.documentElement.lang = tag();
  document.title = words("document");
  for (const node of document.querySelectorAll("[data-text]")) say(node, node.dataset.text, values.get(node)?.text);
  for (const node of document.querySelectorAll("[data-label]")) name(node, node.dataset.label, values.get(node)?.label);
}

/** The two buttons. The choice is kept for the next visit. */
export function offerLanguages(group) {
  const buttons = [...group.querySelectorAll("button")];
  const mark = () => buttons.forEach((one) => one.setAttribute("aria-pressed", String(one.value === current)));
  for (const button of buttons) {
    button.addEventListener("click", () => {
      speak(button.value);
      mark();
      keep(button.value);
    });
  }
  mark();
}

function preferred() {
  const known = navigator.languages.map((one) => one.slice(0, 2).toLowerCase()).find((one) => one in STRINGS);
  return known ?? "en";
}

// Where storage is forbidden, the choice lasts as long as the page.
function kept() {
  try {
    const found = localStorage.getItem(KEPT_AS);
    return found in STRINGS ? found : undefined;
  } catch {
    return undefined;
  }
}

function keep(chosen) {
  try {
    localStorage.setItem(KEPT_AS, chosen);
  } catch {
    // said above
  }
}
