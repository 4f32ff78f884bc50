// Our package beside onnxruntime-web and transformers.js in one headless Chromium: started by `cargo xtask bench browser`.
//
//   node browser.mjs RIVAL PACKAGE BUNDLES TURNS ONLY
//
// RIVAL is the rival's folder (models, node modules, web/), PACKAGE our JavaScript package, BUNDLES a folder of bundles. Every
// side has a page of its own and stays loaded; for each length they take turns. Prints a line of JSON a side and length.
import fs from "node:fs";
import http from "node:http";
import { createRequire } from "node:module";
import os from "node:os";
import path from "node:path";

const [RIVAL, PACKAGE, BUNDLES, TURNS, ONLY = ""] = process.argv.slice(2);
const { chromium } = createRequire(path.join(path.resolve(RIVAL), "bench.mjs"))("playwright-core");
const TEXTS = JSON.parse(fs.readFileSync(path.join(RIVAL, "ours/texts.json"), "utf8"));
const WARM_UP = 6;

const SIDES = [
  { side: "ours int8", threads: 1, bundle: "int8" },
  { side: "ours int12", threads: 1, bundle: "int12" },
  { side: "ours f32", threads: 1, bundle: "f32" },
  { side: "ort-web q8", threads: 1, file: "ts_q8" },
  { side: "ort-web f32", threads: 1, file: "ts_fp32" },
  { side: "ort-web q8", threads: 2, file: "ts_q8" },
  { side: "ort-web f32", threads: 2, file: "ts_fp32" },
  { side: "transformers.js q8", threads: 1, dtype: "q8" },
  { side: "transformers.js q8", threads: 2, dtype: "q8" },
  { side: "ours int8, five folds", threads: 2, bundle: "five" },
].filter(({ side }) => side.includes(ONLY));

const modules = path.join(RIVAL, "node_modules");
const MOUNTS = {
  "/package/": PACKAGE,
  "/bundles/": BUNDLES,
  "/ort/": path.join(modules, "onnxruntime-web/dist"),
  "/tjs/": path.join(modules, "@huggingface/transformers/dist"),
  "/tjsort/": [path.join(modules, "@huggingface/transformers/node_modules/onnxruntime-web/dist"), path.join(modules, "onnxruntime-web/dist")].find(fs.existsSync),
  "/tjsmodels/": path.join(RIVAL, "tjsmodels"),
  "/models/": path.join(RIVAL, "models"),
  "/": path.join(RIVAL, "web"),
};
const TYPES = { ".html": "text/html", ".js": "text/javascript", ".mjs": "text/javascript", ".wasm": "application/wasm", ".json": "application/json" };
const OURS = `<!doctype html><meta charset="utf-8"><title>bench</title><script type="module">
  import { load } from "/package/quintet.js";
  let ensemble;
  window.load = async (bundle) => { const t = performance.now(); ensemble = await load(bundle); return performance.now() - t; };
  window.classify = async (text, runs) => {
    const times = [];
    let answer;
    for (let i = 0; i < runs; i++) { const t = performance.now(); answer = await ensemble.classify(text); times.push(performance.now() - t); }
    return { times, folds: Object.values(answer.labels).map((label) => label.folds[0]) };
  };
  window.ready = true;
</script>`;

let served = 0;
const server = http.createServer((request, response) => {
  const url = decodeURIComponent(request.url.split("?")[0]);
  // What threads ask for; ours needs none of it.
  const headers = { "Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Embedder-Policy": "require-corp", "Cache-Control": "no-store" };
  if (url === "/ours.html") {
    response.writeHead(200, { ...headers, "Content-Type": "text/html" });
    return response.end(OURS);
  }
  const mount = Object.keys(MOUNTS).find((mount) => url.startsWith(mount));
  const file = path.join(MOUNTS[mount], url.slice(mount.length) || "index.html");
  if (!fs.existsSync(file) || fs.statSync(file).isDirectory()) {
    response.writeHead(404, headers);
    return response.end();
  }
  const size = fs.statSync(file).size;
  response.writeHead(200, { ...headers, "Content-Type": TYPES[path.extname(file)] ?? "application/octet-stream", "Content-Length": size });
  if (request.method === "HEAD") return response.end();
  served += size;
  fs.createReadStream(file).pipe(response);
});
await new Promise((listening) => server.listen(0, "127.0.0.1", listening));
const site = `http://127.0.0.1:${server.address().port}`;

const profile = fs.mkdtempSync(path.join(os.tmpdir(), "bench-browser-"));
const browser = await chromium.launchPersistentContext(profile, {
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

function memoryMib(pids) {
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

async function open(side) {
  const before = new Set(renderers());
  served = 0;
  const page = await browser.newPage();
  const start = performance.now();
  side.page = page;
  if (side.bundle) {
    await page.goto(`${site}/ours.html`);
    await page.waitForFunction("window.ready");
    side.load_ms = await page.evaluate((bundle) => window.load(bundle), `/bundles/${side.bundle}/`);
    side.run = ({ text }, runs) => page.evaluate(([text, runs]) => window.classify(text, runs), [text, runs]);
    side.logits = ({ folds }) => folds.map((p) => Math.log(p / (1 - p)));
  } else {
    await page.goto(site);
    await page.waitForFunction("window.ready");
    await page.evaluate(() => startWorker("/worker.js"));
    const call = (op, given) => page.evaluate(([op, given]) => call(op, given), [op, given]);
    const { threads } = side;
    const t = performance.now();
    await (side.file
      ? call("loadOrt", { bundle: "ort.wasm.min.mjs", threads, ep: "wasm", url: `/models/base/${side.file}.onnx` })
      : call("loadTjs", { dtype: side.dtype, device: "wasm", name: "base", threads }));
    side.load_ms = performance.now() - t;
    side.run = async ({ ids }, runs) => {
      const { ts, logits } = await call(side.file ? "run" : "runTjs", { ids, runs });
      return { times: ts, logits };
    };
    side.logits = ({ logits }) => logits;
  }
  await side.run(TEXTS[16], 1);
  side.first_answer_ms = performance.now() - start;
  side.download_mb = served / 1e6;
  side.pids = renderers().filter((pid) => !before.has(pid));
}

const median = (values) => [...values].sort((a, b) => a - b)[values.length >> 1];
const rounded = (value, digits) => (value === null ? null : +value.toFixed(digits));

for (const side of SIDES) {
  await open(side);
  console.error(`bench: ${side.side}, threads ${side.threads}: loaded`);
  // The first compilation is quick to make and slow to run; the second takes over in the background.
  await side.run(TEXTS[16], WARM_UP);
  await new Promise((later) => setTimeout(later, 1000));
}
for (const [length, text] of Object.entries(TEXTS)) {
  for (const side of SIDES) Object.assign(side, { times: [], cpu: [], answer: await side.run(text, 2) });
  const runs = length < 64 ? 3 : 1;
  for (let turn = 0; turn < +TURNS; turn++) {
    for (const side of SIDES) {
      const before = cpuMs();
      const { times } = await side.run(text, runs);
      side.cpu.push((cpuMs() - before) / runs);
      side.times.push(median(times));
    }
  }
  for (const side of SIDES) {
    const found = side.logits(side.answer);
    const [mem_mib, peak_mib] = memoryMib(side.pids);
    console.log(JSON.stringify({
      side: side.side,
      threads: side.threads,
      length: +length,
      ms: rounded(median(side.times), 2),
      cpu_ms: rounded(median(side.cpu), 2),
      first_answer_ms: rounded(side.first_answer_ms, 0),
      load_ms: rounded(side.load_ms, 0),
      mem_mib,
      peak_mib,
      download_mb: rounded(side.download_mb, 1),
      logit_error: Math.max(...found.map((logit, i) => Math.abs(logit - text.logits[i]))),
    }));
  }
}
await browser.close();
fs.rmSync(profile, { recursive: true, force: true });
process.exit(0);
