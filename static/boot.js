// Starts the application. It is a file because the page's policy allows no inline script.

// The module's digest, which trunk wrote into the page: a module that was changed or is of another version does not
// start.
function integrity() {
  return document.querySelector('link[rel="preload"][as="fetch"]')?.integrity ?? "";
}

function start({ default: init }) {
  return init({ module_or_path: fetch("app_bg.wasm", { integrity: integrity() }) });
}

// Saves the page itself for visits without a network. The page works without it, too.
function keep() {
  navigator.serviceWorker?.register("service-worker.js").catch(() => {});
}

function show(error) {
  document.getElementById("boot-error").textContent = String(error);
  document.getElementById("boot-failed").hidden = false;
  throw error;
}

// Imported here, because a script whose own imports are missing says nothing.
import("./app.js").then(start).then(keep, show);
