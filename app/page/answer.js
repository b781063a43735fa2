// An answer: its classes as bars in both languages, and what it cost.

import { element } from "./element.js";
import { name, say } from "./language.js";
import { milliseconds, percent, whole } from "./numbers.js";

const DOUBTFUL = 0.3; // below it the network's first class means that it does not know; docs/api.md says so
const STAGES = ["decode", "preprocess", "queue", "inference"];

/** The classes, most probable first, and a word of doubt where there is room for it. */
export function classes({ predictions, known }) {
  const doubtful = known === undefined && predictions[0].probability < DOUBTFUL;
  return [...(doubtful ? [say(element("p", { class: "doubt" }), "answer.doubt")] : []), bars(predictions)];
}

/** What it comes to: the first class in both languages, or that it is none where the model can say so. */
export function verdict({ predictions: [first], known }) {
  if (known === false) return [say(element("span"), "answer.none")];
  return [element("span", { lang: "en" }, first.label_en), " ", element("span", { lang: "zh-CN" }, first.label_zh)];
}

function bars(predictions) {
  const list = name(element("ol", { class: "bars" }), "answer.bars");
  list.append(...predictions.map(row));
  return list;
}

function row({ label_en, label_zh, probability }) {
  const names = element(
    "span", { class: "names" },
    element("span", { lang: "en" }, label_en), " ", element("span", { lang: "zh-CN" }, label_zh),
  );
  const share = say(element("span", { class: "share" }), "answer.share", { share: percent(probability) });
  const bar = element("span", { class: "bar", "aria-hidden": "true" });
  bar.style.setProperty("--share", probability);
  return element("li", {}, names, " ", share, bar);
}

/** What the answer cost, folded away. */
export function cost({ timing_ms, model, views }) {
  const took = say(element("summary"), "cost.total", { total: milliseconds(timing_ms.total) });
  const table = element("dl");
  const line = (key, value) =>
    table.append(element("div", {}, say(element("dt"), key), say(element("dd"), "cost.value", { value })));
  for (const stage of STAGES) line(`cost.${stage}`, milliseconds(timing_ms[stage]));
  line("cost.views", whole(views));
  line("cost.model", `${model.name} ${model.version}`);
  return element("details", { class: "more" }, took, table);
}
