/** Bytes of pixels, row by row: one (grey), three (RGB) or four (RGBA) of each. */
export interface Pixels {
  data: Uint8Array | Uint8ClampedArray;
  width: number;
  height: number;
}

/** Anything that can be drawn on a canvas, an image file, its address, or pixels (in Node: pixels). */
export type Picture = Pixels | ImageData | CanvasImageSource | Blob | URL | string;

export interface Options {
  /** How many labels are listed, the most probable first; by default 5. */
  top?: number;
}

export interface Model {
  /** The labels of the outputs, in order. */
  readonly labels: readonly string[];
  /** Whether a module with relaxed SIMD runs. */
  readonly relaxed: boolean;
  /** What the network says of an image. */
  predict(image: Picture, options?: Options): Promise<Prediction>;
  /** The network's outputs for an image, before the last function (softmax). */
  logits(image: Picture): Promise<Float32Array>;
  /** Give back the memory; the model cannot be used after it. */
  dispose(): void;
}

/** Load the network. `url`: the folder of its .wasm and .bin, if it is not that of the module. */
export function load(url?: string | URL): Promise<Model>;

export type Prediction = @PREDICTION@;
