// The same request for a terminal or a program, ready to be copied. A key is never written into it.

import { element, freshId } from "./element.js";
import { name, say } from "./language.js";
import { hasKey } from "./key.js";
import { queryOf } from "./service.js";

const KEY = "VGG_API_KEY";
const TOOLS = { curl, fetch: inBrowser, python };

/** A folded part of the card: a tool to choose, its code, a button that copies it. */
export function snippets(file, asked) {
  const url = new URL(`predict${queryOf(asked)}`, document.baseURI).href;
  const code = name(element("pre", { tabIndex: 0 }), "copy.code");
  const said = element("span", { class: "quiet", role: "status" });
  const show = (tool) => {
    code.textContent = TOOLS[tool](file.name, url, hasKey());
    said.textContent = "";
  };
  const copy = say(element("button", { type: "button", class: "button small" }), "copy.copy");
  copy.addEventListener("click", async () => say(said, (await copied(code)) ? "copy.done" : "copy.select"));
  show("curl");
  return element(
    "details", { class: "more" },
    say(element("summary"), "copy.title"),
    tools(show), code,
    element("p", { class: "line" }, copy, said),
  );
}

function tools(show) {
  const group = freshId("tool");
  const buttons = Object.keys(TOOLS).map((tool, index) => {
    const radio = element("input", { type: "radio", name: group, value: tool, checked: index === 0 });
    radio.addEventListener("change", () => show(tool));
    return element("label", {}, radio, element("span", {}, tool === "python" ? "Python" : tool));
  });
  return element("fieldset", { class: "tools" }, say(element("legend", { class: "unseen" }), "copy.tool"), ...buttons);
}

/** Browsers let pages copy only where the connection is trusted; elsewhere the code is selected instead. */
async function copied(code) {
  try {
    await navigator.clipboard.writeText(code.textContent);
    return true;
  } catch {
    getSelection().selectAllChildren(code);
    return false;
  }
}

function curl(file, url, withKey) {
  const key = withKey ? ` -H "X-API-Key: $${KEY}"` : "";
  // In curl's own syntax a name in quotes may hold anything; in the shell's, all but a quote.
  const form = `file=@"${file.replace(/[\\"]/g, "\\$&")}"`;
  return `curl${key} -F ${quoted(form)} ${quoted(url)}`;
}

const quoted = (text) => `'${text.replaceAll("'", "'\\''")}'`;

function inBrowser(file, url, withKey) {
  const headers = withKey ? `, headers: { "X-API-Key": key }` : "";
  return `const form = new FormData();
form.append("file", input.files[0]); // of an <input type="file">
const response = await fetch(${JSON.stringify(url)}, { method: "POST"${headers}, body: form });
const answer = await response.json();
if (!response.ok) throw new Error(\`\${answer.code}: \${answer.detail}\`);
console.log(answer.predictions);`;
}

function python(file, url, withKey) {
  const key = withKey ? `, headers={"X-API-Key": os.environ["${KEY}"]}` : "";
  return `${withKey ? "import os\n\n" : ""}import httpx

with open(${JSON.stringify(file)}, "rb") as photo:
    response = httpx.post(${JSON.stringify(url)}, files={"file": photo}${key}, timeout=60)
answer = response.json()
if response.is_error:
    raise SystemExit(f"{answer['code']}: {answer['detail']}")
for candidate in answer["predictions"]:
    print(f"{candidate['probability']:.1%} {candidate['label_en']} {candidate['label_zh']}")`;
}
