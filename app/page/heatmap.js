// A heatmap as colours and as words. Its values are logits over the mean of all classes; only what speaks for the class
// is drawn, on one scale for all classes of an answer.

import { colour } from "./inferno.js";

const SMOOTH = 24; // pixels drawn for each value

/** Draw rows of columns into a canvas, and lay that over its part of the photograph. */
export function draw(canvas, values, box, most) {
  const [rows, columns] = [values.length, values[0].length];
  canvas.width = columns * SMOOTH;
  canvas.height = rows * SMOOTH;
  const pen = canvas.getContext("2d");
  const image = pen.createImageData(canvas.width, canvas.height);
  for (let y = 0; y < canvas.height; y += 1) {
    for (let x = 0; x < canvas.width; x += 1) {
      const value = between(values, (y + 0.5) / SMOOTH - 0.5, (x + 0.5) / SMOOTH - 0.5);
      const strength = most > 0 ? Math.max(0, value / most) : 0;
      image.data.set([...colour(strength), Math.round(255 * Math.min(1, 1.4 * strength ** 1.5))], 4 * (y * canvas.width + x));
    }
  }
  pen.putImageData(image, 0, 0);
  const sides = { left: box.left, top: box.top, width: box.right - box.left, height: box.bottom - box.top };
  for (const [side, share] of Object.entries(sides)) canvas.style[side] = `${100 * share}%`;
}

/** Where most of it lies: `none`, `all`, or one of nine places from `top-left` to `bottom-right`. */
export function place(values, box) {
  const [rows, columns] = [values.length, values[0].length];
  const shares = new Map();
  let sum = 0;
  for (let row = 0; row < rows; row += 1) {
    for (let column = 0; column < columns; column += 1) {
      const value = Math.max(0, values[row][column]);
      const y = box.top + ((row + 0.5) / rows) * (box.bottom - box.top);
      const x = box.left + ((column + 0.5) / columns) * (box.right - box.left);
      const here = `${third(y, "top", "middle", "bottom")}-${third(x, "left", "middle", "right")}`;
      shares.set(here, (shares.get(here) ?? 0) + value);
      sum += value;
    }
  }
  if (sum === 0) return "none";
  const [[where, most]] = [...shares].sort(([, one], [, other]) => other - one);
  return most / sum < 0.2 ? "all" : where;
}

const third = (share, ...names) => names[Math.min(2, Math.floor(3 * share))];

/** Smoothly from value to value, and level beyond the outermost. */
function between(values, y, x) {
  const [top, left] = [Math.floor(y), Math.floor(x)];
  const at = (row, column) => values[within(row, values.length)][within(column, values[0].length)];
  const [down, right] = [eased(y - top), eased(x - left)];
  const above = at(top, left) * (1 - right) + at(top, left + 1) * right;
  const below = at(top + 1, left) * (1 - right) + at(top + 1, left + 1) * right;
  return above * (1 - down) + below * down;
}

const within = (index, length) => Math.min(length - 1, Math.max(0, index));
const eased = (share) => share * share * (3 - 2 * share);
