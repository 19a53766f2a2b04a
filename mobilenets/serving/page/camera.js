import { Card } from "./card.js";
import { element } from "./element.js";
import { nearestTo } from "./nearest.js";
import { predict, Refused } from "./server.js";

const PAUSE = 1000; // ms after a refused frame
const SPOKEN = 3000; // ms between two lines for screen readers

const pause = (ms) => new Promise((done) => setTimeout(done, ms));

/** The camera: its card, and the loop that asks the model about one frame after another. */
export class Camera {
  constructor() {
    this.video = element("video", { muted: true, playsInline: true, ariaLabel: "The camera" });
    this.canvas = element("canvas");
    this.card = new Card(this.video, "Camera");
  }

  /** Ask for the camera; throws an error with one line where there is none. */
  async open() {
    if (!navigator.mediaDevices) throw new Error("browsers give it to pages from localhost or over HTTPS only");
    this.stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment" } });
    this.video.srcObject = this.stream;
    await this.video.play();
  }

  close() {
    for (const track of this.stream?.getTracks() ?? []) track.stop();
    this.card.item.remove();
  }

  /** Answer frames until the camera is closed; `model` and `photos` return what the page has, `tell` takes a line. */
  async run(model, photos, tell) {
    let told = "", when = 0;
    while (this.stream.active) {
      const line = await this.answerFrame(model(), photos());
      if (line && line !== told && performance.now() - when > SPOKEN) {
        tell((told = line));
        when = performance.now();
      }
    }
  }

  async answerFrame(model, photos) {
    try {
      const answer = await predict(model, await this.frame());
      if (!this.stream.active) return undefined;
      const line = await this.card.answer(answer, model);
      if (answer.embedding) this.card.near(nearestTo(answer.embedding, photos));
      return line;
    } catch (exc) {
      if (!(exc instanceof Refused)) throw exc;
      this.card.refuse(exc);
      await pause(PAUSE);
    }
    return undefined;
  }

  /** Return the next frame as a JPEG. */
  async frame() {
    await new Promise(requestAnimationFrame);
    const [width, height] = [this.video.videoWidth, this.video.videoHeight];
    this.card.sized([width, height]);
    Object.assign(this.canvas, { width, height });
    this.canvas.getContext("2d").drawImage(this.video, 0, 0);
    return new Promise((done) => this.canvas.toBlob(done, "image/jpeg", 0.92));
  }
}
