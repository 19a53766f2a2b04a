import { shape } from "./element.js";

let coasts;

/** Return the map of the Earth with a dot at each place, the larger the more probable. */
export async function map(places, title) {
  coasts ??= fetch("coasts.json").then((response) => response.json());
  const { land, lakes } = await coasts;
  const dots = places.map(({ latitude, longitude, probability }, rank) => {
    const size = 3 + 8 * Math.sqrt(probability);
    return shape("circle", { cx: longitude, cy: -latitude, r: size, class: rank ? "place" : "place first" });
  });
  const parts = [outline(land, "land"), outline(lakes, "lake"), grid(), ...dots.reverse()];
  return shape("svg", { class: "map", viewBox: "-180 -90 360 180", role: "img", "aria-label": title }, ...parts);
}

/** Draw rings of tenths of degrees, longitude and latitude in turn. */
function outline(rings, name) {
  const path = rings.map((ring) => {
    const corners = [];
    for (let at = 0; at < ring.length; at += 2) corners.push(`${ring[at] / 10} ${-ring[at + 1] / 10}`);
    return `M${corners.join("L")}Z`;
  });
  return shape("path", { d: path.join(""), class: name });
}

function grid() {
  const lines = [];
  for (let degrees = -150; degrees < 180; degrees += 30) lines.push(`M${degrees}-90v180`);
  for (let degrees = -60; degrees < 90; degrees += 30) lines.push(`M-180 ${degrees}h360`);
  return shape("path", { d: lines.join(""), class: "grid" });
}

/** Return a location as text: 48.86° N, 2.35° E. */
export function place({ latitude, longitude }) {
  const part = (degrees, sides) => `${Math.abs(degrees).toFixed(2)}° ${sides[degrees < 0 ? 1 : 0]}`;
  return `${part(latitude, "NS")}, ${part(longitude, "EW")}`;
}
