// One photograph on the page, from the moment it is chosen: on its way, answered, or refused in words.

import { classes, cost, verdict } from "./answer.js";
import { element, freshId } from "./element.js";
import { has, name, say } from "./language.js";
import { lookButton } from "./looking.js";
import { bytes, percent, whole } from "./numbers.js";
import { canShowWhere, choices } from "./options.js";
import { enqueue } from "./queue.js";
import { doubt, untilReady } from "./readiness.js";
import { predict, Refusal } from "./service.js";
import { shrink } from "./shrink.js";
import { snippets } from "./snippets.js";

export class Card {
  /** `announce` speaks to those who do not see, `refused` hears why there is no answer, `removed` that it is gone. */
  constructor(file, { announce, refused, removed }) {
    Object.assign(this, { file, announce, refused, removed, leads: false, code: "" });
    this.heading = element("h2", { id: freshId("photograph"), tabIndex: -1 }, file.name);
    this.content = element("div", { class: "content" });
    this.actions = element("div", { class: "actions" });
    this.extras = element("div", { class: "extras" });
    this.picture = pictureOf(file);
    const body = element("div", { class: "body" }, this.heading, this.content, this.actions, this.extras);
    this.root = element("article", { class: "card", "aria-labelledby": this.heading.id }, this.picture, body);
  }

  /** Ask about the photograph, when it is its turn; again after an error. */
  start() {
    this.#abort = new AbortController();
    this.#become("waiting");
    this.#line("state.waiting");
    this.#offer(["action.cancel", () => this.#cancel()]);
    enqueue(() => this.#run(this.#abort.signal));
  }

  #abort;

  async #run(signal) {
    try {
      const asked = choices();
      const sent = await this.#prepare(asked);
      const answer = await this.#ask(sent, asked, signal);
      this.#answered(answer, sent, asked);
    } catch (refusal) {
      if (!(refusal instanceof Refusal)) throw refusal;
      this.#failed(refusal);
    }
  }

  async #prepare(asked) {
    await readable(this.file);
    return asked.shrink ? shrink(this.file) : this.file;
  }

  async #ask(sent, asked, signal) {
    for (;;) {
      if (signal.aborted) throw new Refusal("cancelled");
      const onProgress = this.#progress();
      try {
        return await predict(sent, this.file.name, asked, { signal, onProgress });
      } catch (refusal) {
        if (refusal.code !== "not_ready") throw refusal;
        this.#line("state.loading");
        await untilReady();
      }
    }
  }

  #cancel() {
    this.#abort.abort();
    if (this.root.dataset.state === "waiting") this.#failed(new Refusal("cancelled"));
  }

  #progress() {
    this.#become("sending");
    const bar = name(element("progress", { max: 1, value: 0 }), "state.progress", { file: this.file.name });
    const text = say(element("p", { class: "quiet" }), "state.sending", { share: percent(0) });
    this.content.replaceChildren(bar, text);
    return (share) => {
      bar.value = share;
      if (share < 1) say(text, "state.sending", { share: percent(share) });
      else {
        bar.removeAttribute("value"); // how long the network takes is not known
        say(text, "state.looking");
      }
    };
  }

  #answered(answer, sent, asked) {
    this.#become("answered");
    const first = answer.predictions[0];
    this.heading.replaceChildren(...verdict(answer));
    name(this.picture.querySelector("[data-label]"), "picture.answered", { file: this.file.name, label: first.label_en });
    this.content.replaceChildren(facts(this.file, sent, answer.image));
    this.content.append(...classes(answer));
    this.#offer(["action.remove", () => this.#remove()]);
    const ask = (more) => predict(sent, this.file.name, { ...asked, ...more }, quietly());
    if (canShowWhere(answer.model.name)) this.actions.prepend(...lookButton({ answer, picture: this.picture, ask }));
    this.extras.replaceChildren(cost(answer), snippets(this.file, asked));
    const labels = { file: this.file.name, en: first.label_en, zh: first.label_zh };
    this.announce(answer.known === false ? "announce.none" : "announce.answered", { ...labels, share: percent(first.probability) });
    this.#lead();
  }

  #failed(refusal) {
    this.#become("failed");
    this.code = refusal.code;
    if (refusal.code === "unreachable") doubt();
    const known = has(`error.${refusal.code}`) ? refusal.code : "unexpected";
    const title = say(element("p", { class: "error-title" }), `error.${known}`);
    const advice = say(element("p"), `advice.${known}`, { seconds: whole(refusal.retryAfter || 1), place: location.host });
    this.content.replaceChildren(title, advice, ...detailOf(refusal));
    this.#offer(["action.again", () => this.start()], ["action.remove", () => this.#remove()]);
    this.announce("announce.failed", { file: this.file.name, title: title.textContent });
    this.refused(refusal);
    this.#lead();
  }

  #become(state) {
    this.root.dataset.state = state;
    this.root.setAttribute("aria-busy", String(state === "waiting" || state === "sending"));
    this.code = "";
  }

  #line(key) {
    this.content.replaceChildren(say(element("p", { class: "quiet" }), key));
  }

  #offer(...actions) {
    const focused = this.actions.contains(document.activeElement);
    const buttons = actions.map(([key, act]) => {
      const button = say(element("button", { type: "button", class: "button small" }), key);
      button.addEventListener("click", act);
      return button;
    });
    this.actions.replaceChildren(...buttons);
    if (focused) buttons[0].focus(); // the button that was pressed is gone
  }

  /** Take a reader along who has not moved on to something else. */
  #lead() {
    const focus = document.activeElement;
    const idle = focus === document.body || focus.matches("#choose, #camera");
    if (this.leads && idle) this.heading.focus();
    this.leads = false;
  }

  #remove() {
    this.#abort.abort();
    URL.revokeObjectURL(this.picture.querySelector("img")?.src);
    this.root.remove();
    this.removed(this);
  }
}

const quietly = () => ({ signal: new AbortController().signal, onProgress: () => {} });

/** A file that has been moved, or is a folder, would look like a service that cannot be reached. */
async function readable(file) {
  try {
    await file.slice(0, 1).arrayBuffer();
  } catch {
    throw new Refusal("unreadable");
  }
}

function pictureOf(file) {
  const image = name(element("img", { src: URL.createObjectURL(file) }), "picture.chosen", { file: file.name });
  const frame = element("div", { class: "frame" }, image);
  image.addEventListener("error", () => {
    URL.revokeObjectURL(image.src);
    const stand_in = say(element("p", { class: "no-picture" }), "picture.none");
    image.replaceWith(name(element("div", { role: "img" }, stand_in), "picture.chosen", { file: file.name }));
  });
  return element("div", { class: "picture" }, frame);
}

function facts(file, sent, image) {
  const line = element("p", { class: "quiet facts" }, element("span", {}, file.name));
  const size = { width: whole(image.width), height: whole(image.height), format: image.format };
  line.append(say(element("span"), "fact.size", size));
  if (sent !== file) line.append(say(element("span"), "fact.saved", { sent: bytes(sent.size), file: bytes(file.size) }));
  return line;
}

function detailOf({ detail, language, requestId }) {
  const lines = [];
  if (detail) {
    const text = element("span", { lang: language.split(",")[0] || "en" }, detail);
    lines.push(element("p", { class: "quiet" }, say(element("span"), "error.says"), " ", text));
  }
  if (requestId) {
    lines.push(element("p", { class: "quiet" }, say(element("span"), "error.id"), " ", element("code", {}, requestId)));
  }
  return lines;
}
