import { element } from "./element.js";

const format = new Intl.NumberFormat("en", { style: "percent", minimumFractionDigits: 1, maximumFractionDigits: 1 });

/** Return a probability as text: 12.3%. */
export function percent(probability) {
  return format.format(probability);
}

/** Return a list of [text, probability], each with a bar. */
export function bars(rows) {
  return element("ol", { className: "bars" }, ...rows.map(([text, probability]) => row(text, probability)));
}

function row(text, probability) {
  const fill = element("i");
  fill.style.width = `${100 * probability}%`;
  const track = element("div", { className: "track", ariaHidden: "true" }, fill);
  return element("li", {}, element("span", {}, text), element("span", { className: "number" }, percent(probability)), track);
}

/** Return rows of which those after the first `shown` are folded. */
export function folded(rows, shown, list) {
  if (rows.length <= shown + 1) return [list(rows)];
  const rest = element("details", {}, element("summary", {}, `${rows.length - shown} more`), list(rows.slice(shown)));
  return [list(rows.slice(0, shown)), rest];
}
