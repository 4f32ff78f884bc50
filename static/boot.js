// Starts the application. A file of its own, as the page's policy allows no inline script.

import init from "./app.js";

// What trunk wrote down of the module when it was built: one that is altered, or of another version, does not start.
function integrity() {
  return document.querySelector('link[rel="preload"][as="fetch"]')?.integrity ?? "";
}

try {
  await init({ module_or_path: fetch("app_bg.wasm", { integrity: integrity() }) });
} catch (error) {
  document.getElementById("boot-error").textContent = String(error);
  document.getElementById("boot-failed").hidden = false;
  throw error;
}

// Keeps the page itself for visits without a network. Where it may not, the page works as before.
navigator.serviceWorker?.register("service-worker.js").catch(() => {});
