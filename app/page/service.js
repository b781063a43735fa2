// The service, as this page asks it. Addresses are relative, so that it works behind any proxy path.

import { keyHeaders } from "./key.js";
import { tag } from "./language.js";

/** Why there is no answer: a code of the API, or `unreachable`, `unexpected`, `cancelled`. */
export class Refusal extends Error {
  constructor(code, { detail = "", language = "", requestId = "", retryAfter = 0 } = {}) {
    super(detail || code);
    Object.assign(this, { code, detail, language, requestId, retryAfter });
  }
}

/** `GET /models`. */
export const listModels = () => get("models");

/** `GET /readyz`. */
export const readiness = () => get("readyz");

/** The query string of a prediction: what is chosen, and nothing that is the default anyway. */
export function queryOf({ model, evaluation, heatmap }) {
  const query = new URLSearchParams();
  if (model) query.set("model", model);
  if (evaluation && evaluation !== "single") query.set("evaluation", evaluation);
  if (heatmap) query.set("heatmap", "true");
  return query.size ? `?${query}` : "";
}

/**
 * `POST /predict`. `onProgress` hears the share that is sent; `fetch` cannot tell it.
 * Rejects with a Refusal, also when `signal` cancels it.
 */
export function predict(blob, name, choices, { signal, onProgress }) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("POST", `predict${queryOf(choices)}`);
    for (const [header, value] of Object.entries(headers())) request.setRequestHeader(header, value);
    request.upload.addEventListener("progress", ({ loaded, total }) => onProgress(total ? loaded / total : 1));
    request.addEventListener("load", () => {
      const answer = parsed(request.responseText);
      if (request.status === 200 && answer?.predictions) resolve(answer);
      else reject(refusal(answer, (header) => request.getResponseHeader(header)));
    });
    request.addEventListener("error", () => reject(new Refusal("unreachable")));
    request.addEventListener("abort", () => reject(new Refusal("cancelled")));
    signal.addEventListener("abort", () => request.abort());
    const form = new FormData();
    form.append("file", blob, name);
    request.send(form);
  });
}

async function get(path) {
  let response;
  try {
    response = await fetch(path, { headers: headers(), cache: "no-store" });
  } catch {
    throw new Refusal("unreachable");
  }
  const answer = parsed(await response.text());
  if (response.ok && answer) return answer;
  throw refusal(answer, (header) => response.headers.get(header));
}

const headers = () => ({ ...keyHeaders(), "Accept-Language": tag() });

function refusal(problem, header) {
  if (!problem?.code) return new Refusal("unexpected"); // not the service: something before it
  return new Refusal(problem.code, {
    detail: problem.detail,
    language: header("Content-Language") ?? "",
    requestId: problem.request_id,
    retryAfter: Number(header("Retry-After") ?? 0),
  });
}

function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
