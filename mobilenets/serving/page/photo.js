import { Card } from "./card.js";
import { element } from "./element.js";
import { predict, Refused } from "./server.js";

/** A photo on the page, which a model answers; it is kept to be answered by another. */
export class Photo {
  constructor(file) {
    this.file = file;
    this.address = URL.createObjectURL(file);
    const image = element("img", { src: this.address, alt: "", decoding: "async" });
    this.card = new Card(image, file.name);
    this.loaded = image.decode().then(
      () => this.card.sized([image.naturalWidth, image.naturalHeight]),
      () => image.replaceWith(element("p", { className: "blank" }, "This browser does not show this file")),
    );
  }

  /** Ask a model; return its answer in one line, or undefined where it was refused or another was asked meanwhile. */
  async ask(model) {
    this.asked?.abort();
    const asked = (this.asked = new AbortController());
    this.embedding = undefined;
    this.card.wait();
    try {
      const [answer] = await Promise.all([predict(model, this.file, asked.signal), this.loaded]);
      if (asked.signal.aborted) return undefined;
      this.embedding = answer.embedding;
      return await this.card.answer(answer, model);
    } catch (exc) {
      if (asked.signal.aborted) return undefined;
      if (!(exc instanceof Refused)) throw exc;
      this.card.refuse(exc, () => this.ask(model));
    }
    return undefined;
  }

  remove() {
    this.asked?.abort();
    URL.revokeObjectURL(this.address);
    this.card.item.remove();
  }
}
