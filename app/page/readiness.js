// Whether the service can answer, at the top of the page. It is watched until it can, and looked at when in doubt.

import { byId } from "./element.js";
import { say } from "./language.js";
import { readiness } from "./service.js";

const AGAIN_MS = 1500;
const line = byId("readiness");
let watching = null;

/** Resolves once the service is ready: at once if it is. Several who wait share one watch. */
export function untilReady() {
  watching ??= watch().finally(() => (watching = null));
  return watching;
}

/** A request could not be made: say so, and watch for the service to come back. */
export function doubt() {
  untilReady();
}

async function watch() {
  for (;;) {
    const state = await look();
    if (line.dataset.state !== state || !line.textContent) {
      line.dataset.state = state;
      say(line, `readiness.${state}`);
    }
    if (state === "ready") return;
    await new Promise((resolve) => setTimeout(resolve, AGAIN_MS));
  }
}

async function look() {
  try {
    await readiness();
    return "ready";
  } catch (refusal) {
    if (refusal.code === "not_ready") return "loading";
    return refusal.code === "draining" ? "leaving" : "unreachable";
  }
}
