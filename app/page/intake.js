// How photographs come in: chosen, taken, dropped anywhere on the page, pasted.

import { byId } from "./element.js";

/** Calls back with a list of files; an empty one says that there was nothing to take. */
export function takeIn(callback) {
  for (const input of [byId("choose"), byId("camera")]) {
    input.addEventListener("change", () => {
      const chosen = [...input.files];
      input.value = ""; // the same file may be chosen again
      if (chosen.length) callback(chosen);
    });
  }
  document.addEventListener("paste", ({ clipboardData }) => {
    if (clipboardData.files.length) callback([...clipboardData.files]);
  });
  takeDrops(byId("drop"), callback);
}

function takeDrops(zone, callback) {
  let depth = 0; // of nested elements that are being dragged over
  const light = (change) => {
    depth = Math.max(0, depth + change);
    zone.classList.toggle("over", depth > 0);
  };
  document.addEventListener("dragenter", () => light(1));
  document.addEventListener("dragleave", () => light(-1));
  document.addEventListener("dragover", (event) => event.preventDefault());
  document.addEventListener("drop", (event) => {
    event.preventDefault(); // a file that misses the zone must not replace the page
    light(-depth);
    callback(filesOf(event.dataTransfer));
  });
}

// A folder looks like a file that cannot be read.
const filesOf = ({ items }) =>
  [...items]
    .filter((item) => item.kind === "file" && !item.webkitGetAsEntry?.()?.isDirectory)
    .map((item) => item.getAsFile());
