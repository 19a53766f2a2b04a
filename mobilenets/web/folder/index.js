// A network in WebAssembly: const model = await load(); const { top } = await model.predict(image);

import { FILES, MODEL } from "./model.js";
import { prepare } from "./pixels.js";

// a module whose function multiplies bytes by relaxed SIMD, out of the range in which processors must agree
const PROBE = new Uint8Array([
  0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 127, 3, 2, 1, 0, 7, 7, 1, 3, 100, 111, 116, 0, 0, 10, 23, 1, 21, 0, 65,
  255, 0, 253, 15, 65, 127, 253, 15, 65, 0, 253, 17, 253, 147, 2, 253, 27, 0, 11,
]);
// what one instruction makes of it: VNNI of x86, whose bytes are unsigned, and SDOT of ARM
const DOTS = { [4 * 127 * 255]: "vnni", [4 * 127 * -1]: "relaxed" };
const ALIGNMENT = 64;

/** Load the network. `url`: the folder of its .wasm and .bin, if it is not that of this file. */
export async function load(url) {
  const module = fastest();
  const names = [`${module}.wasm`, MODEL[module].weights];
  const files = names.map((name) => (url === undefined ? FILES[name] : within(url, name)));
  const [code, weights] = await Promise.all(files.map(read));
  const { instance } = await WebAssembly.instantiate(code, {});
  return new Model(instance.exports, weights, module);
}

/** The module for this browser: with relaxed SIMD, and for a network of bytes, where one instruction multiplies them. */
function fastest() {
  if (!WebAssembly.validate(PROBE)) return "simd";
  if (MODEL.precision !== "int8") return "relaxed";
  const module = DOTS[new WebAssembly.Instance(new WebAssembly.Module(PROBE)).exports.dot()];
  return module in MODEL ? module : "simd";
}

function within(folder, name) {
  const base = new URL(folder, globalThis.location?.href ?? import.meta.url);
  if (!base.pathname.endsWith("/")) base.pathname += "/";
  return new URL(name, base);
}

async function read(url) {
  if (url.protocol === "file:") {
    const { readFile } = await import(/* webpackIgnore: true */ /* @vite-ignore */ "node:fs/promises");
    return readFile(url);
  }
  const response = await fetch(url);
  if (!response.ok) throw new Error(`${url}: ${response.status} ${response.statusText}`);
  return new Uint8Array(await response.arrayBuffer());
}

class Model {
  #run;
  #memory;
  #weights;
  #pixels;
  #output;
  #arena;

  constructor(code, weights, module) {
    const facts = MODEL[module];
    if (weights.length !== facts.bytes) {
      throw new Error(`${facts.weights}: ${weights.length} bytes, must be ${facts.bytes}`);
    }
    /** The labels of the outputs, in order. */
    this.labels = MODEL.labels;
    /** Whether a module with relaxed SIMD runs. */
    this.relaxed = module !== "simd";
    let end = code.__heap_base.value;
    const place = (size) => {
      const start = Math.ceil(end / ALIGNMENT) * ALIGNMENT;
      end = start + size;
      return start;
    };
    this.#weights = place(weights.length);
    this.#pixels = place(MODEL.width * MODEL.height * MODEL.channels);
    this.#output = place(8 * MODEL.classes);
    this.#arena = place(facts.arena);
    const missing = end - code.memory.buffer.byteLength;
    if (missing > 0) code.memory.grow(Math.ceil(missing / 65536));
    new Uint8Array(code.memory.buffer).set(weights, this.#weights);
    this.#memory = code.memory;
    this.#run = code.mobilenets_network_run;
  }

  /** What the network says of an image; `top`: how many labels are listed. */
  async predict(image, { top = 5 } = {}) {
    const scores = (await this.#outputs(image)).subarray(MODEL.classes);
    return ANSWERS[MODEL.task](scores, top);
  }

  /** The network's outputs for an image, before softmax. */
  async logits(image) {
    return (await this.#outputs(image)).slice(0, MODEL.classes);
  }

  /** Give back the memory; the model cannot be used after it. */
  dispose() {
    this.#run = this.#memory = undefined;
  }

  async #outputs(image) {
    const input = prepare(checked(await pixelsOf(image)), MODEL);
    if (!this.#memory) throw new Error("the model was disposed of");
    new Uint8Array(this.#memory.buffer).set(input, this.#pixels);
    this.#run(this.#weights, this.#pixels, this.#output, this.#arena);
    return new Float32Array(this.#memory.buffer, this.#output, 2 * MODEL.classes).slice();
  }
}

const ANSWERS = {
  classify: (scores, top) => ({
    top: best(scores, top).map((i) => ({ label: MODEL.labels[i], probability: scores[i] })),
  }),
  attributes: (scores) => ({ attributes: Object.fromEntries(best(scores).map((i) => [MODEL.labels[i], scores[i]])) }),
  embed: (scores) => ({ embedding: Array.from(scores) }),
  geolocate: (scores, top) => {
    const cells = best(scores, top).map((i) => {
      const [cell, latitude, longitude] = MODEL.cells[i];
      return { cell, latitude, longitude, probability: scores[i] };
    });
    return { latitude: cells[0].latitude, longitude: cells[0].longitude, top: cells };
  },
};

/** The numbers of the largest scores, the largest first. */
function best(scores, count = scores.length) {
  return Array.from(scores.keys())
    .sort((a, b) => scores[b] - scores[a] || a - b)
    .slice(0, count);
}

/** {data, width, height} of an image that can be drawn, of a file or an address, or of pixels as they are. */
async function pixelsOf(image) {
  if (image?.data !== undefined) return image;
  if (typeof document === "undefined" && typeof OffscreenCanvas === "undefined") {
    throw new TypeError("without a browser an image must be pixels: {data, width, height}");
  }
  if (typeof image === "string" || image instanceof URL) {
    const response = await fetch(image);
    if (!response.ok) throw new Error(`${image}: ${response.status} ${response.statusText}`);
    image = await response.blob();
  }
  if (!(image instanceof Blob)) return drawn(image);
  const bitmap = await createImageBitmap(image, { colorSpaceConversion: "none" });
  const pixels = drawn(bitmap);
  bitmap.close();
  return pixels;
}

function drawn(image) {
  const width = image?.naturalWidth ?? image?.videoWidth ?? image?.displayWidth ?? image?.width;
  const height = image?.naturalHeight ?? image?.videoHeight ?? image?.displayHeight ?? image?.height;
  if (!(width > 0 && height > 0)) throw new TypeError(`an image of ${width} x ${height} pixels cannot be predicted`);
  const canvas =
    typeof OffscreenCanvas === "undefined"
      ? Object.assign(document.createElement("canvas"), { width, height })
      : new OffscreenCanvas(width, height);
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(image, 0, 0, width, height);
  return context.getImageData(0, 0, width, height);
}

function checked(image) {
  const { data, width, height } = image;
  const channels = data.length / (width * height);
  if (![1, 3, 4].includes(channels)) {
    throw new TypeError(`pixels of ${width} x ${height} must be 1, 3 or 4 bytes each, are ${data.length} bytes`);
  }
  return image;
}
