// Starts the application. It is a file because the page's policy allows no inline script.

import init from "./app.js";

// The module's digest, which trunk wrote into the page: a module that was changed or is of another version does not
// start.
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

// Saves the page itself for visits without a network. The page works without it, too.
navigator.serviceWorker?.register("service-worker.js").catch(() => {});
