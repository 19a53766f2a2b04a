import { say, show, timesOf } from "./answers.js";
import { boxesOn } from "./boxes.js";
import { element } from "./element.js";
import { nearestList } from "./nearest.js";

/** A picture, an `<img>` or a `<video>`, with its answer beside it: an item of the list of answers. */
export class Card {
  constructor(picture, name) {
    this.picture = picture;
    this.frame = element("div", { className: "frame" }, picture);
    this.result = element("div", { className: "result" });
    this.time = element("p", { className: "time" });
    const text = element("div", { className: "text" }, element("h2", {}, name), this.result, this.time);
    this.item = element("li", { className: "card" }, element("div", { className: "inner" }, this.frame, text));
  }

  /** Give the picture its place before anything lies on it. */
  sized([width, height]) {
    this.size = [width, height];
    this.frame.style.setProperty("--ratio", width / height);
  }

  wait() {
    this.item.ariaBusy = "true";
    if (!this.result.hasChildNodes()) this.result.append(element("p", { className: "waiting" }, "Waiting for the answer"));
  }

  /** Show an answer, and return it in one line. */
  async answer(answer, model) {
    this.result.replaceChildren(...(await show(answer, model)));
    this.draw(answer, model);
    this.time.replaceChildren(...timesOf(answer));
    this.item.ariaBusy = "false";
    return say(answer, model);
  }

  draw({ boxes }, { classes }) {
    this.frame.querySelector(".boxes")?.remove();
    if (boxes && this.size) this.frame.append(boxesOn(boxes, this.size, classes));
  }

  /** Show the photos that are nearest to an embedding. */
  near(rows) {
    this.result.querySelector(".nearest, .waiting")?.remove();
    this.result.append(nearestList(rows));
  }

  /** Show why there is no answer; `again` is called by a button where a second attempt may succeed. */
  refuse(refused, again) {
    this.frame.querySelector(".boxes")?.remove();
    this.time.textContent = "";
    this.item.ariaBusy = "false";
    const line = element("p", { className: "error" }, refused.message);
    const button = element("button", { type: "button", className: "quiet", onclick: again }, "Try again");
    this.result.replaceChildren(line, ...(again && refused.passing ? [button] : []));
  }
}
