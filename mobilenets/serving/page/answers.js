import { bars, folded, percent } from "./bars.js";
import { boxList, counted } from "./boxes.js";
import { element } from "./element.js";
import { map, place } from "./map.js";

const LISTED = 6; // rows that are not folded
const PRESENT = 0.5; // least probability of an attribute that an image is said to have

/** What the page shows of an answer of each task, and says of it in one line. */
const TASKS = {
  classify: {
    show: ({ top }) => [bars(top.map(({ label, probability }) => [label, probability]))],
    say: ({ top }) => `${top[0].label} ${percent(top[0].probability)}`,
  },
  attributes: {
    show: ({ attributes }) => {
      const list = (rows) => bars(rows, (probability) => probability >= PRESENT);
      return folded(Object.entries(attributes), Math.max(LISTED, present(attributes).length), list);
    },
    say: ({ attributes }) => present(attributes).join(", ") || "no attribute above 50%",
  },
  detect: {
    show: ({ boxes }, { classes }) => [
      element("p", { className: "headline" }, counted(boxes)),
      ...(boxes.length ? folded(boxes, LISTED, (rows) => boxList(rows, classes)) : []),
    ],
    say: ({ boxes }) => counted(boxes),
  },
  geolocate: {
    show: async (answer) => [
      await map(answer.top, `Map: ${place(answer)}`),
      bars(answer.top.map((one) => [place(one), one.probability])),
    ],
    say: (answer) => `${place(answer)} ${percent(answer.top[0].probability)}`,
  },
  embed: {
    show: () => [element("p", { className: "headline" }, "Nearest photos")], // which the card adds
    say: ({ embedding }) => `a vector of ${embedding.length} numbers`,
  },
};

function present(attributes) {
  return Object.keys(attributes).filter((label) => attributes[label] >= PRESENT);
}

/** Return elements that show an answer. */
export async function show(answer, model) {
  return TASKS[model.task].show(answer, model);
}

/** Return an answer in one line. */
export function say(answer, model) {
  return TASKS[model.task].say(answer);
}

/** Return the times of an answer as elements. */
export function timesOf({ times }) {
  const ms = (value) => `${value < 10 ? value.toFixed(1) : value.toFixed(0)} ms`;
  const known = [["network", "Network"], ["decode", "Decoding"], ["total", "In all"]].filter(([name]) => name in times);
  return known.map(([name, text]) => element("span", {}, `${text} ${ms(times[name])}`));
}
