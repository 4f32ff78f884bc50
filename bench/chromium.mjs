// One headless Chromium and the site that it visits, for the benches that have our package beside transformers.js.
import fs from "node:fs";
import http from "node:http";
import { createRequire } from "node:module";
import os from "node:os";
import path from "node:path";

const TYPES = { ".html": "text/html", ".js": "text/javascript", ".mjs": "text/javascript", ".wasm": "application/wasm", ".json": "application/json" };

// Serves the rival's folder, our package and the bundles; `scripts` are pages and scripts by their paths.
export async function serve({ rival, ours, bundles, scripts }) {
  const modules = path.join(rival, "node_modules");
  const mounts = {
    "/package/": ours,
    "/bundles/": bundles,
    "/ort/": path.join(modules, "onnxruntime-web/dist"),
    "/tjs/": path.join(modules, "@huggingface/transformers/dist"),
    "/tjsort/": [path.join(modules, "@huggingface/transformers/node_modules/onnxruntime-web/dist"), path.join(modules, "onnxruntime-web/dist")].find(fs.existsSync),
    "/tjsmodels/": path.join(rival, "tjsmodels"),
    "/models/": path.join(rival, "models"),
    "/": path.join(rival, "web"),
  };
  const site = { served: 0 };
  const server = http.createServer((request, response) => {
    const url = decodeURIComponent(request.url.split("?")[0]);
    // What threads ask for; ours needs none of it.
    const headers = { "Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Embedder-Policy": "require-corp", "Cache-Control": "no-store" };
    if (url in scripts) {
      response.writeHead(200, { ...headers, "Content-Type": TYPES[path.extname(url)] });
      return response.end(scripts[url]);
    }
    const mount = Object.keys(mounts).find((mount) => url.startsWith(mount));
    const file = path.join(mounts[mount], url.slice(mount.length) || "index.html");
    if (!fs.existsSync(file) || fs.statSync(file).isDirectory()) {
      response.writeHead(404, headers);
      return response.end();
    }
    const size = fs.statSync(file).size;
    response.writeHead(200, { ...headers, "Content-Type": TYPES[path.extname(file)] ?? "application/octet-stream", "Content-Length": size });
    if (request.method === "HEAD") return response.end();
    site.served += size;
    fs.createReadStream(file).pipe(response);
  });
  await new Promise((listening) => server.listen(0, "127.0.0.1", listening));
  site.address = `http://127.0.0.1:${server.address().port}`;
  return site;
}

// Starts Chromium by the rival's driver, with a profile of its own.
export async function launch(rival) {
  const { chromium } = createRequire(path.join(path.resolve(rival), "bench.mjs"))("playwright-core");
  const profile = fs.mkdtempSync(path.join(os.tmpdir(), "bench-browser-"));
  const context = await chromium.launchPersistentContext(profile, {
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    headless: true,
    args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage"],
  });

  // Chromium's processes for pages: children of the one with our profile.
  function renderers() {
    const parentOf = (pid) => +fs.readFileSync(`/proc/${pid}/status`, "utf8").match(/PPid:\s+(\d+)/)[1];
    const command = (pid) => fs.readFileSync(`/proc/${pid}/cmdline`, "utf8");
    return fs.readdirSync("/proc").filter((name) => /^\d+$/.test(name)).filter((pid) => {
      try {
        if (!command(pid).includes("--type=renderer")) return false;
        for (let at = parentOf(pid), steps = 0; at > 1 && steps < 6; at = parentOf(at), steps++) if (command(at).includes(profile)) return true;
      } catch {} // it has ended meanwhile
      return false;
    });
  }

  // Of all pages: those that are not asked do nothing.
  function cpuMs() {
    let ns = 0;
    for (const pid of renderers()) {
      try {
        for (const task of fs.readdirSync(`/proc/${pid}/task`)) ns += +fs.readFileSync(`/proc/${pid}/task/${task}/schedstat`, "utf8").split(" ")[0];
      } catch {}
    }
    return ns / 1e6;
  }

  async function close() {
    await context.close();
    fs.rmSync(profile, { recursive: true, force: true });
  }

  return { context, renderers, cpuMs, close };
}

// The resident set of the largest of these processes, now and at its largest, in MiB.
export function memoryMib(pids) {
  const resident = pids.map((pid) => {
    try {
      const status = fs.readFileSync(`/proc/${pid}/status`, "utf8");
      return ["VmRSS", "VmHWM"].map((field) => Math.round(+status.match(new RegExp(`${field}:\\s+(\\d+)`))[1] / 1024));
    } catch {
      return [0, 0];
    }
  });
  return resident.sort((a, b) => b[0] - a[0])[0] ?? [null, null];
}

export const median = (values) => [...values].sort((a, b) => a - b)[values.length >> 1];
export const rounded = (value, digits) => (value === null ? null : +value.toFixed(digits));
