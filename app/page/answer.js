// An answer: its classes as bars in both languages, what it cost, where the network looked, how to ask by program.

import { element } from "./element.js";
import { name, say } from "./language.js";
import { lookButton } from "./looking.js";
import { milliseconds, percent, whole } from "./numbers.js";
import { canShowWhere } from "./options.js";
import { snippets } from "./snippets.js";

const DOUBTFUL = 0.3; // below it the network's first class means that it does not know; docs/api.md says so
const STAGES = ["decode", "preprocess", "queue", "inference"];

/** Fill a card's content. `ask` asks about the same photograph again, with more to ask. */
export function showAnswer({ answer, asked, file, picture, content, ask }) {
  const { predictions, model } = answer;
  if (predictions[0].probability < DOUBTFUL) content.append(say(element("p", { class: "doubt" }), "answer.doubt"));
  content.append(bars(predictions));
  if (canShowWhere(model.name)) content.append(lookButton({ answer, picture, ask }));
  content.append(cost(answer), snippets(file, asked));
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

function cost({ timing_ms, model, views }) {
  const took = say(element("summary"), "cost.total", { total: milliseconds(timing_ms.total) });
  const table = element("dl");
  const line = (key, value) =>
    table.append(element("div", {}, say(element("dt"), key), say(element("dd"), "cost.value", { value })));
  for (const stage of STAGES) line(`cost.${stage}`, milliseconds(timing_ms[stage]));
  line("cost.views", whole(views));
  line("cost.model", `${model.name} ${model.version}`);
  return element("details", { class: "more" }, took, table);
}
