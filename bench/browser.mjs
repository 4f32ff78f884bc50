// Our package beside onnxruntime-web and transformers.js in one headless Chromium: started by `cargo xtask bench browser`.
//
//   node browser.mjs RIVAL PACKAGE BUNDLES TURNS ONLY
//
// RIVAL is the rival's folder (models, node modules, web/), PACKAGE our JavaScript package, BUNDLES a folder of bundles. Every
// side has a page of its own and stays loaded; for each length they take turns. Prints a line of JSON a side and length.
import fs from "node:fs";
import path from "node:path";

import { launch, median, memoryMib, rounded, serve } from "./chromium.mjs";

const [RIVAL, PACKAGE, BUNDLES, TURNS, ONLY = ""] = process.argv.slice(2);
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

const site = await serve({ rival: RIVAL, ours: PACKAGE, bundles: BUNDLES, scripts: { "/ours.html": OURS } });
const { context, renderers, cpuMs, close } = await launch(RIVAL);

async function open(side) {
  const before = new Set(renderers());
  site.served = 0;
  const page = await context.newPage();
  const start = performance.now();
  side.page = page;
  if (side.bundle) {
    await page.goto(`${site.address}/ours.html`);
    await page.waitForFunction("window.ready");
    side.load_ms = await page.evaluate((bundle) => window.load(bundle), `/bundles/${side.bundle}/`);
    side.run = ({ text }, runs) => page.evaluate(([text, runs]) => window.classify(text, runs), [text, runs]);
    side.logits = ({ folds }) => folds.map((p) => Math.log(p / (1 - p)));
  } else {
    await page.goto(site.address);
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
  side.download_mb = site.served / 1e6;
  side.pids = renderers().filter((pid) => !before.has(pid));
}

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
await close();
process.exit(0);
