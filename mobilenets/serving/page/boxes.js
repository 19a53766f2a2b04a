import { percent } from "./bars.js";
import { element } from "./element.js";

const COLOURS = 8; // of style.css
const CHIPS = 12; // labels that are legible on one photo

function colour(label, classes) {
  return `colour-${Math.max(0, classes.indexOf(label)) % COLOURS}`;
}

/** Return the boxes as elements that lie on a photo of [width, height] pixels; the list beside it says the same. */
export function boxesOn(boxes, [width, height], classes) {
  const drawn = boxes.map(({ label, score, box }) => {
    const [left, top, right, bottom] = box;
    const edge = element("div", { className: `box ${colour(label, classes)}` });
    edge.style.left = `${(100 * left) / width}%`;
    edge.style.top = `${(100 * top) / height}%`;
    edge.style.width = `${(100 * (right - left)) / width}%`;
    edge.style.height = `${(100 * (bottom - top)) / height}%`;
    if (boxes.length <= CHIPS) edge.append(element("span", {}, `${label} ${percent(score)}`));
    return edge;
  });
  return element("div", { className: "boxes", ariaHidden: "true" }, ...drawn);
}

/** Return the list of boxes, in the colours in which they are drawn. */
export function boxList(boxes, classes) {
  const rows = boxes.map(({ label, score }) => {
    const text = element("span", { className: `swatch ${colour(label, classes)}` }, label);
    return element("li", {}, text, element("span", { className: "number" }, percent(score)));
  });
  return element("ol", { className: "boxlist" }, ...rows);
}

/** Return how many boxes there are of each label: 12 rbc, 1 wbc. */
export function counted(boxes) {
  if (!boxes.length) return "No boxes found";
  const counts = new Map();
  for (const { label } of boxes) counts.set(label, (counts.get(label) ?? 0) + 1);
  return [...counts].map(([label, count]) => `${count} ${label}`).join(", ");
}
