import { Camera } from "./camera.js";
import { element } from "./element.js";
import { nearestTo } from "./nearest.js";
import { Photo } from "./photo.js";
import { listModels, useToken } from "./server.js";

const AT_ONCE = 4; // requests
const TASKS = {
  classify: ["Classification", "classes"],
  attributes: ["Attributes", "attributes"],
  detect: ["Detection", "classes"],
  geolocate: ["Geolocation", "cells"],
  embed: ["Embedding", "dimensions"],
};
const NAMES = ["model", "about", "access", "token", "drop", "files", "camera", "clear", "status", "error", "answers"];
const page = Object.fromEntries(NAMES.map((id) => [id, document.getElementById(id)]));

let models = [];
let photos = [];
let camera;

const chosen = () => models.find(({ name }) => name === page.model.value);
const fail = (text) => (page.error.textContent = text);
const tell = (text) => (page.status.textContent = text);

async function start() {
  try {
    models = await listModels();
  } catch (exc) {
    page.access.hidden = exc.status !== 401;
    if (exc.status === 401) page.token.focus();
    return fail(exc.message);
  }
  fail("");
  page.access.hidden = true;
  page.model.replaceChildren(...models.map(({ name }) => element("option", { value: name }, name)));
  page.model.disabled = page.files.disabled = page.camera.disabled = false;
  describe();
  tell("Ready");
}

function describe() {
  const { name, task, classes, image, precision } = chosen();
  const [height, width] = image;
  const [title, outputs] = TASKS[task];
  page.about.textContent = [title, `${classes.length} ${outputs}`, `${width} × ${height} pixels`, precision].join(" · ");
  page.answers.dataset.task = task;
  document.title = `${name} · mobilenets`;
}

async function add(files) {
  fail("");
  const added = [...files].map((file) => new Photo(file));
  photos = [...added, ...photos];
  const items = added.map(({ card }) => card.item);
  if (camera) camera.card.item.after(...items); // a video that is moved stops
  else page.answers.prepend(...items);
  page.clear.hidden = !photos.length;
  await ask(added);
}

/** Ask the model about photos, a few at once, and say how that ended. */
async function ask(asked) {
  if (!asked.length) return;
  const model = chosen();
  const waiting = [...asked], lines = [];
  tell(`Waiting for ${asked.length === 1 ? "the answer" : `${asked.length} answers`}`);
  const worker = async () => {
    for (let photo; (photo = waiting.shift()); ) {
      const line = await photo.ask(model);
      if (line !== undefined) lines.push(`${photo.file.name}: ${line}`);
      compare();
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
  if (model !== chosen()) return;
  if (asked.length === 1) tell(lines[0] ?? `${asked[0].file.name}: no answer`);
  else tell(`${lines.length} of ${asked.length} photos answered`);
}

/** Show the nearest photos beside each that has an embedding. */
function compare() {
  for (const { embedding, card } of photos) if (embedding) card.near(nearestTo(embedding, photos));
}

async function toggleCamera() {
  fail("");
  if (camera) {
    camera.close();
    camera = undefined;
    page.camera.textContent = "Use the camera";
    return tell("The camera is off");
  }
  const opened = new Camera();
  try {
    await opened.open();
  } catch (exc) {
    return fail(`The camera cannot be used: ${exc.message}`);
  }
  camera = opened;
  page.camera.textContent = "Stop the camera";
  page.answers.prepend(opened.card.item);
  await opened.run(chosen, () => photos, tell);
}

page.model.addEventListener("change", () => {
  describe();
  ask(photos);
});
page.files.addEventListener("change", () => {
  add([...page.files.files]);
  page.files.value = "";
});
page.camera.addEventListener("click", toggleCamera);
page.clear.addEventListener("click", () => {
  for (const photo of photos) photo.remove();
  photos = [];
  page.clear.hidden = true;
  page.files.focus();
  tell("All photos are removed");
});
page.access.addEventListener("submit", (event) => {
  event.preventDefault();
  useToken(page.token.value);
  start();
});
for (const name of ["dragover", "dragleave", "drop"]) {
  document.addEventListener(name, (event) => {
    event.preventDefault();
    page.drop.classList.toggle("over", name === "dragover");
    if (name === "drop" && models.length) add(event.dataTransfer.files);
  });
}
document.addEventListener("paste", (event) => {
  if (models.length && event.clipboardData.files.length) add(event.clipboardData.files);
});
start();
