// What can be chosen: the model, how it looks, whether photographs are made smaller. Filled from `GET /models`.

import { byId, element } from "./element.js";
import { has, say } from "./language.js";
import { hasKey, askForKey } from "./key.js";
import { listModels } from "./service.js";

const [model, evaluation, shrinking] = [byId("model"), byId("evaluation"), byId("shrink")];
let models = [];

/** Ask the service what there is. Without a key where one is needed, ask the reader for it. */
export async function loadOptions() {
  try {
    const listed = await listModels();
    models = listed.models;
    offerModels(listed.default);
    showFallback(models.find((one) => one.fallback));
  } catch (refusal) {
    if (refusal.code === "unauthorized") askForKey({ focus: hasKey() });
  }
}

/** What the next photograph is asked with. */
export const choices = () => ({
  model: model.value === model.dataset.default ? "" : model.value,
  evaluation: evaluation.value,
  shrink: shrinking.checked,
});

/** What a model that has answered can do besides. */
export const canShowWhere = (name) => models.some((one) => one.name === name && one.heatmap);

function offerModels(default_) {
  const before = model.value;
  model.dataset.default = default_;
  model.replaceChildren(...models.map(({ name }) => element("option", { value: name }, name)));
  model.value = models.some(({ name }) => name === before) ? before : default_;
  model.disabled = models.length < 2;
  model.onchange = offerEvaluations;
  offerEvaluations();
}

function offerEvaluations() {
  const before = evaluation.value || "single";
  const offered = models.find(({ name }) => name === model.value)?.evaluations ?? [];
  const methods = offered.length ? [...offered, "auto"] : [];
  const options = methods.filter((method) => has(`evaluation.${method}`));
  evaluation.replaceChildren(
    ...options.map((method) => say(element("option", { value: method }), `evaluation.${method}`)),
  );
  evaluation.value = options.includes(before) ? before : "single";
  evaluation.disabled = options.length < 2;
  byId("evaluation-line").hidden = options.length < 2;
}

function showFallback(fallback) {
  const banner = byId("fallback");
  banner.hidden = !fallback;
  if (fallback) say(banner, "fallback", { model: fallback.name });
}
