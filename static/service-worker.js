// Saves the page's files for visits without a network. The models are not its task: the workers cache them by their
// hash, and the page caches the last manifest.
//
// The network comes first. Without it the page is served from one set of files that were fetched together, so that a
// new page never meets an old module.

const SHELL = [
  "./",
  "app.js",
  "app_bg.wasm",
  "boot.js",
  "favicon.svg",
  "icon-192.png",
  "icon-512.png",
  "manifest.webmanifest",
  "style.css",
  "worker.js",
  "worker_bg.wasm",
  "worker_loader.js",
];

// Sites below different paths of a host share their caches, so each has names of its own.
const PREFIX = `quintet-shell ${self.registration.scope} `;

const ROOT = new URL("./", self.registration.scope).href;
const FILES = new Set(SHELL.map((file) => new URL(file, ROOT).href));

self.addEventListener("install", (event) => {
  self.skipWaiting();
  event.waitUntil(keepShell());
});

self.addEventListener("activate", (event) => event.waitUntil(self.clients.claim()));

self.addEventListener("fetch", (event) => {
  const { request } = event;
  if (request.method !== "GET") return;
  if (request.mode === "navigate" && isPage(request.url)) {
    event.respondWith(page(event));
  } else if (FILES.has(withoutQuery(request.url))) {
    event.respondWith(fetch(request).catch(() => kept(withoutQuery(request.url))));
  }
});

function withoutQuery(url) {
  return url.split(/[?#]/, 1)[0];
}

function isPage(url) {
  return [ROOT, `${ROOT}index.html`].includes(withoutQuery(url));
}

// The page from the network. This is also the moment to update the saved set.
async function page(event) {
  try {
    const response = await fetch(event.request);
    if (response.ok) event.waitUntil(keepShell().catch(() => {}));
    return response;
  } catch {
    return kept(ROOT);
  }
}

async function kept(url) {
  for (const name of await shells()) {
    const response = await (await caches.open(name)).match(url);
    if (response) return response;
  }
  return Response.error();
}

// The names of the saved sets, newest first. There is more than one only while a new set is being saved.
async function shells() {
  const names = (await caches.keys()).filter((name) => name.startsWith(PREFIX));
  return names.sort().reverse();
}

// Fetches the whole set into a new cache, then deletes older ones.
async function keepShell() {
  const name = `${PREFIX}${String(Date.now()).padStart(15, "0")}`;
  const cache = await caches.open(name);
  try {
    // no-cache: asks the server whether the browser's copy is current.
    await cache.addAll(SHELL.map((file) => new Request(new URL(file, ROOT), { cache: "no-cache" })));
    await ensureWhole(cache);
  } catch (error) {
    await caches.delete(name);
    throw error;
  }
  for (const other of await shells()) {
    if (other < name) await caches.delete(other);
  }
}

// Fails if the site was updated meanwhile, because the set may then have files of two versions.
async function ensureWhole(cache) {
  const first = await (await cache.match(ROOT)).text();
  const last = await (await fetch(ROOT, { cache: "no-cache" })).text();
  if (first !== last) throw new Error("the site is being updated");
}
