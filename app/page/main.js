// Puts the page together.

import { Card } from "./card.js";
import { byId } from "./element.js";
import { takeIn } from "./intake.js";
import { askForKey, onKey } from "./key.js";
import { offerLanguages, say, speak } from "./language.js";
import { loadOptions } from "./options.js";
import { untilReady } from "./readiness.js";

const results = byId("results");
const cards = new Set();

function add(files) {
  if (!files.length) {
    say(byId("announcer"), "drop.nothing");
    return;
  }
  document.body.classList.add("has-results");
  const made = files.map((file) => new Card(file, { announce, refused, removed }));
  results.prepend(...made.map(({ root }) => root));
  made.forEach((card) => cards.add(card));
  made[0].leads = true; // of those that came together, the first takes the reader along
  made.forEach((card) => card.start());
}

function announce(key, filling) {
  say(byId("announcer"), key, filling);
}

function refused({ code }) {
  if (code === "unauthorized") askForKey({ focus: true });
}

function removed(card) {
  cards.delete(card);
  document.body.classList.toggle("has-results", cards.size > 0);
  byId("choose").focus();
}

speak();
offerLanguages(byId("languages"));
takeIn(add);
onKey(async () => {
  await loadOptions();
  for (const card of cards) if (card.code === "unauthorized") card.start();
});
await untilReady();
await loadOptions();
