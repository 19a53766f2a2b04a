import { element } from "./element.js";

const SHOWN = 4;

/** Return the photos whose embeddings are nearest to one, the nearest first, as { photo, cosine }. */
export function nearestTo(embedding, photos) {
  const others = photos.filter((photo) => photo.embedding && photo.embedding !== embedding);
  const rows = others.map((photo) => ({ photo, cosine: cosine(embedding, photo.embedding) }));
  return rows.sort((one, other) => other.cosine - one.cosine).slice(0, SHOWN);
}

/** Return the cosine of two unit vectors. */
function cosine(one, other) {
  return one.reduce((sum, value, at) => sum + value * other[at], 0);
}

/** Return the list of the nearest photos on the page. */
export function nearestList(rows) {
  if (!rows.length) return element("p", { className: "waiting" }, "Add photos to see which are nearest");
  const items = rows.map(({ photo, cosine }) => {
    const picture = element("img", { src: photo.address, alt: "" });
    const name = element("span", { className: "name" }, photo.file.name);
    return element("li", {}, picture, name, element("span", { className: "number" }, cosine.toFixed(3)));
  });
  return element("ol", { className: "nearest", ariaLabel: "Nearest photos on this page, with cosines" }, ...items);
}
