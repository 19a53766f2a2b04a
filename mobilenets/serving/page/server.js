/** What the server refused, in its words; `status` is 0 where it did not answer. */
export class Refused extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }

  /** Whether the same request may succeed later. */
  get passing() {
    return [0, 408, 429, 503, 504].includes(this.status);
  }
}

let token = "";

/** Send `text` as bearer token from now on. */
export function useToken(text) {
  token = text;
}

async function answered(address, request = {}) {
  const headers = token ? { authorization: `Bearer ${token}` } : {};
  let response, text;
  try {
    response = await fetch(address, { ...request, headers });
    text = await response.text();
  } catch (exc) {
    if (exc.name === "AbortError") throw exc;
    throw new Refused(0, "The server did not answer");
  }
  if (!response.ok) throw new Refused(response.status, `${response.status}: ${said(text) ?? response.statusText}`);
  return { value: JSON.parse(text), timing: response.headers.get("server-timing") };
}

function said(text) {
  try {
    return JSON.parse(text).error;
  } catch {
    return undefined;
  }
}

/** Return the models of this server. */
export async function listModels() {
  return (await answered("models")).value.models;
}

/** Return the answer of a model for an image file and the milliseconds that its parts took. */
export async function predict(model, image, signal) {
  const begin = performance.now();
  const address = `predict?model=${encodeURIComponent(model.name)}`;
  const { value, timing } = await answered(address, { method: "POST", body: image, signal });
  const times = { total: performance.now() - begin };
  for (const [, name, dur] of (timing ?? "").matchAll(/(\w+);dur=([\d.]+)/g)) times[name] = Number(dur);
  return { ...value.predictions[0], times };
}
