// "Where did it look?": asks for the heatmaps, lays them over the photograph, and says the same in words.

import { element, freshId } from "./element.js";
import { draw, place } from "./heatmap.js";
import { has, say } from "./language.js";
import { Refusal } from "./service.js";

const OPACITY = 0.7;

/** A button that shows and hides the heatmaps, the first time it asks for them; and the place of an error. */
export function lookButton({ answer, picture, ask }) {
  const button = say(element("button", { type: "button", class: "button small look", "aria-expanded": "false" }), "look.show");
  const failure = element("p", { class: "error-line", role: "alert" });
  let panel = null;
  button.addEventListener("click", async () => {
    if (!panel) {
      panel = await asked(button, failure, () => ask({ heatmap: true, model: answer.model.name }), picture);
      if (!panel) return;
    } else panel.toggle();
    button.setAttribute("aria-expanded", String(panel.isOpen()));
    say(button, panel.isOpen() ? "look.hide" : "look.show");
    if (panel.isOpen()) picture.scrollIntoView({ block: "nearest" }); // on a phone it is above
  });
  return [button, failure];
}

async function asked(button, failure, ask, picture) {
  button.setAttribute("aria-disabled", "true");
  say(button, "look.asking");
  failure.textContent = "";
  try {
    return overlay(await ask(), picture);
  } catch (refusal) {
    if (!(refusal instanceof Refusal)) throw refusal;
    say(failure, has(`error.${refusal.code}`) ? `error.${refusal.code}` : "error.unexpected");
    say(button, "look.show");
    return null;
  } finally {
    button.removeAttribute("aria-disabled");
  }
}

function overlay({ heatmap, predictions }, picture) {
  const canvas = element("canvas", { class: "heat", "aria-hidden": "true" });
  const caption = element("p", { class: "place", role: "status" });
  const choice = chooser(predictions);
  const slider = element("input", { type: "range", min: 0, max: 1, step: 0.05, value: OPACITY, id: freshId("opacity") });
  const controls = element(
    "div", { class: "looking" },
    caption,
    say(element("label", { htmlFor: choice.id }), "look.class"), choice,
    say(element("label", { htmlFor: slider.id }), "look.opacity"), slider,
    say(element("p", { class: "quiet" }), "look.help"),
  );
  const most = Math.max(...predictions.flatMap((one) => one.heatmap.flat()));
  const show = () => {
    const { heatmap: values, label_en, label_zh } = predictions[choice.selectedIndex];
    draw(canvas, values, heatmap.box, most);
    say(caption, `place.${place(values, heatmap.box)}`, { label: (tag) => (tag === "en" ? label_en : label_zh) });
  };
  const fade = () => canvas.style.setProperty("--opacity", slider.value);
  choice.addEventListener("change", show);
  slider.addEventListener("input", fade);
  picture.querySelector(".frame").append(canvas);
  picture.append(controls);
  show();
  fade();
  return {
    isOpen: () => !controls.hidden,
    toggle: () => (canvas.hidden = controls.hidden = !controls.hidden),
  };
}

function chooser(predictions) {
  const options = predictions.map(({ label_en, label_zh }) => element("option", {}, `${label_en} ${label_zh}`));
  return element("select", { id: freshId("class") }, ...options);
}
