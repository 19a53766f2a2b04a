// From pixels to the network's input: Pillow's resize in the integers that Pillow uses, so that no byte differs.

const BITS = 22; // of the fraction of a weight
const HALF = 1 << (BITS - 1);

const KERNELS = {
  box: [0.5, (x) => (x > -0.5 && x <= 0.5 ? 1 : 0)],
  bilinear: [1, (x) => Math.max(0, 1 - Math.abs(x))],
  bicubic: [2, bicubic],
  lanczos: [3, (x) => (x >= -3 && x < 3 ? sinc(x) * sinc(x / 3) : 0)],
};

function bicubic(x) {
  x = Math.abs(x);
  if (x < 1) return (1.5 * x - 2.5) * x * x + 1;
  return x < 2 ? (((x - 5) * x + 8) * x - 4) * -0.5 : 0;
}

function sinc(x) {
  return x === 0 ? 1 : Math.sin(x * Math.PI) / (x * Math.PI);
}

/**
 * Return the bytes [height][width][channels] that the network takes, of an image's pixels.
 * `image`: {data, width, height}; of each pixel `data` holds one byte (grey), three (RGB) or four (RGBA).
 */
export function prepare(image, wanted) {
  const { width, height, channels } = wanted;
  const box = centreBox(image, wanted);
  const [w, h] = wanted.fit === "letterbox" ? within(box, width, height) : [width, height];
  const columns = weights(image.width, box[0], box[2], w, wanted.resize);
  const rows = weights(image.height, box[1], box[3], h, wanted.resize);
  const resized = resize(image, columns, rows, channels);
  if (w === width && h === height) return resized;
  const canvas = new Uint8Array(width * height * channels);
  const left = even((width - w) / 2);
  const top = even((height - h) / 2);
  for (let y = 0; y < h; y++) {
    const row = resized.subarray(y * w * channels, (y + 1) * w * channels);
    canvas.set(row, ((top + y) * width + left) * channels);
  }
  return canvas;
}

/** The part of the image that is resized: left, top, right, bottom, as 32-bit floats. */
function centreBox({ width, height }, { width: toWidth, height: toHeight, fit, crop }) {
  if (fit !== "crop") return [0, 0, width, height];
  const scale = Math.min(width / toWidth, height / toHeight) * crop;
  const w = toWidth * scale;
  const h = toHeight * scale;
  const left = Math.max(0, (width - w) / 2);
  const top = Math.max(0, (height - h) / 2);
  return [left, top, Math.min(width, left + w), Math.min(height, top + h)].map(Math.fround);
}

/** The largest size of the box's aspect ratio within width x height. */
function within([left, top, right, bottom], width, height) {
  const w = right - left;
  const h = bottom - top;
  if (w / h > width / height) return [width, Math.max(1, even((h / w) * width))];
  return [Math.max(1, even((w / h) * height)), height];
}

/** The nearest whole number, of halves the even one. */
function even(x) {
  const near = Math.round(x);
  return near - x === 0.5 && near % 2 ? near - 1 : near;
}

/** For each of `count` outputs the first input that it sees, how many, and their weights. */
function weights(size, from, to, count, resize) {
  const scale = Math.fround(to - from) / count;
  if (resize === "nearest") return nearest(from, scale, count);
  const [support, kernel] = KERNELS[resize];
  const spread = Math.max(scale, 1);
  const reach = support * spread;
  const most = Math.ceil(reach) * 2 + 1;
  const first = new Int32Array(count);
  const seen = new Int32Array(count);
  const values = new Int32Array(count * most);
  for (let i = 0; i < count; i++) {
    const centre = from + (i + 0.5) * scale;
    first[i] = Math.max(0, Math.trunc(centre - reach + 0.5));
    seen[i] = Math.min(size, Math.trunc(centre + reach + 0.5)) - first[i];
    const found = Array.from({ length: seen[i] }, (_, x) => kernel((x + first[i] - centre + 0.5) * (1 / spread)));
    const total = found.reduce((sum, w) => sum + w, 0);
    found.forEach((w, x) => {
      const scaled = (total ? w / total : w) * (1 << BITS);
      values[i * most + x] = Math.trunc(scaled + (scaled < 0 ? -0.5 : 0.5));
    });
  }
  return { count, first, seen, values, most };
}

function nearest(from, scale, count) {
  const first = new Int32Array(count);
  for (let i = 0, at = from + scale * 0.5; i < count; i++, at += scale) first[i] = Math.trunc(at);
  return { count, first, seen: first.map(() => 1), values: first.map(() => 1 << BITS), most: 1 };
}

/** As Pillow 13 does: the columns first, but the rows first where the height shrinks by more than twice the width. */
function resize(image, columns, rows, channels) {
  const top = rows.first[0];
  const bottom = rows.first[rows.count - 1] + rows.seen[rows.count - 1];
  const flat = flattened(image, top, bottom, channels);
  const seen = { ...rows, first: rows.first.map((at) => at - top) };
  const shrinks = image.height - rows.count;
  if (shrinks > 0 && shrinks > 2 * (image.width - columns.count)) {
    return across(down(flat, image.width * channels, seen), image.width, columns, channels);
  }
  return down(across(flat, image.width, columns, channels), columns.count * channels, seen);
}

/** Resize each row, of `width` pixels. */
function across(from, width, { count, first, seen, values, most }, channels) {
  const to = new Uint8Array((from.length / width) * count);
  for (let row = 0, o = 0; row < from.length; row += width * channels) {
    for (let x = 0; x < count; x++) {
      const start = row + first[x] * channels;
      const end = x * most + seen[x];
      for (let c = 0; c < channels; c++) {
        let sum = HALF;
        for (let k = x * most, i = start + c; k < end; k++, i += channels) sum = (sum + from[i] * values[k]) | 0;
        to[o++] = byte(sum);
      }
    }
  }
  return to;
}

/** Resize each column; a row has `step` bytes. */
function down(from, step, { count, first, seen, values, most }) {
  const to = new Uint8Array(count * step);
  const sums = new Int32Array(step);
  for (let y = 0; y < count; y++) {
    sums.fill(HALF);
    for (let k = 0; k < seen[y]; k++) {
      const weight = values[y * most + k];
      const row = (first[y] + k) * step;
      for (let i = 0; i < step; i++) sums[i] += from[row + i] * weight;
    }
    for (let i = 0; i < step; i++) to[y * step + i] = byte(sums[i]);
  }
  return to;
}

function byte(sum) {
  const whole = sum >> BITS;
  return whole < 0 ? 0 : whole > 255 ? 255 : whole;
}

/** Rows top..bottom-1 of an image as RGB or grey; transparent pixels lie on white. */
function flattened({ data, width, height }, top, bottom, channels) {
  const given = data.length / (width * height);
  const flat = new Uint8Array((bottom - top) * width * channels);
  for (let i = top * width * given, o = 0; o < flat.length; i += given) {
    let r = data[i];
    let g = given === 1 ? r : data[i + 1];
    let b = given === 1 ? r : data[i + 2];
    if (given === 4 && data[i + 3] < 255) [r, g, b] = [r, g, b].map((value) => onWhite(value, data[i + 3]));
    if (channels === 1) {
      flat[o++] = given === 1 ? r : (r * 19595 + g * 38470 + b * 7471 + 0x8000) >> 16;
    } else {
      flat[o++] = r;
      flat[o++] = g;
      flat[o++] = b;
    }
  }
  return flat;
}

/** A byte of a colour of this opacity on white, in Pillow's integers. */
function onWhite(value, alpha) {
  const opacity = Math.floor((alpha * 255 * 255 * 128) / (alpha * 255 + 255 * (255 - alpha)));
  const sum = value * opacity + 255 * (255 * 128 - opacity) + (0x80 << 7);
  return ((sum >> 8) + sum) >> 8 >> 7;
}
