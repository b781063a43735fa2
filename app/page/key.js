// The API key: asked for where the service wants one, kept in this tab only, sent to this service only.

import { byId } from "./element.js";

const KEPT_AS = "vgg-key";
let key = kept();
const [form, field] = [byId("key"), byId("key-field")];

/** What requests have to carry. */
export const keyHeaders = () => (key ? { "X-API-Key": key } : {});

/** Whether one is in use. */
export const hasKey = () => Boolean(key);

/** Show the field; `focus` where the reader has asked for it. */
export function askForKey({ focus = false } = {}) {
  form.hidden = false;
  if (focus) field.focus();
}

/** Call back with every key that is entered. */
export function onKey(callback) {
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    key = field.value.trim();
    keep();
    field.value = "";
    form.hidden = true;
    callback();
  });
  byId("other-key").addEventListener("click", () => askForKey({ focus: true }));
}

function kept() {
  try {
    return sessionStorage.getItem(KEPT_AS) ?? "";
  } catch {
    return ""; // storage is forbidden: the key lasts as long as the page
  }
}

function keep() {
  try {
    sessionStorage.setItem(KEPT_AS, key);
  } catch {
    // as above
  }
}
