import { element } from "./element.js";

const format = new Intl.NumberFormat("en", { style: "percent", minimumFractionDigits: 1, maximumFractionDigits: 1 });

/** Return a probability as text: 12.3%. */
export function percent(probability) {
  return format.format(probability);
}

/** Return a list of [text, probability], each with a bar; `strong` selects those in bold by probability and rank. */
export function bars(rows, strong = (probability, rank) => rank === 0) {
  const items = rows.map(([text, probability], rank) => row(text, probability, strong(probability, rank)));
  return element("ol", { className: "bars" }, ...items);
}

function row(text, probability, strong) {
  const fill = element("i");
  fill.style.width = `${100 * probability}%`;
  const track = element("div", { className: "track", ariaHidden: "true" }, fill);
  const number = element("span", { className: "number" }, percent(probability));
  return element("li", { className: strong ? "strong" : "" }, element("span", {}, text), number, track);
}

/** Return rows of which those after the first `shown` are folded. */
export function folded(rows, shown, list) {
  if (rows.length <= shown + 1) return [list(rows)];
  const rest = element("details", {}, element("summary", {}, `${rows.length - shown} more`), list(rows.slice(shown)));
  return [list(rows.slice(0, shown)), rest];
}
