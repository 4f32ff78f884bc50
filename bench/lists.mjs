// A list of texts for our package and for transformers.js in one headless Chromium: started by `cargo xtask bench lists`.
//
//   node lists.mjs RIVAL PACKAGE BUNDLES TEXTS TURNS ONLY
//
// RIVAL, PACKAGE and BUNDLES are those of browser.mjs, TEXTS is a JSON file with an array of texts. Ours is given the list in one
// call. The rival is given it in every way that its users know: text by text, in chunks, in chunks of texts that were sorted by
// length, and in one call. The first texts find its best, which then takes turns with ours. Prints a line of JSON a side and way.
import fs from "node:fs";

import { launch, median, rounded, serve } from "./chromium.mjs";

const [RIVAL, PACKAGE, BUNDLES, TEXTS_FILE, TURNS, ONLY = ""] = process.argv.slice(2);
const TEXTS = JSON.parse(fs.readFileSync(TEXTS_FILE, "utf8"));

const SIDES = [
  { side: "ours int8", bundle: "int8" },
  // Too little memory for a copy of the model.
  { side: "ours int8, one worker", bundle: "int8", memory: 1 },
  { side: "ours int12", bundle: "int12" },
  { side: "transformers.js q8", threads: 1 },
  { side: "transformers.js q8", threads: 2 },
  { side: "ours int8, five folds", bundle: "five" },
].filter(({ side }) => side.includes(ONLY));

// Texts that find the best way.
const TRIED = TEXTS.slice(0, 64);

// Texts in a call; the whole list if it is 0.
const CHUNKS = [{ chunk: 1 }, { chunk: 8 }, { chunk: 16 }, { chunk: 32 }, { chunk: 4, sorted: true }, { chunk: 8, sorted: true }, { chunk: 32, sorted: true }, { chunk: 0 }];

const OURS = `<!doctype html><meta charset="utf-8"><title>bench</title><script type="module">
  import { load } from "/package/quintet.js";
  let ensemble;
  window.load = async (bundle, options) => { ensemble = await load(bundle, options); };
  window.classify = async (texts) => {
    const start = performance.now();
    const answers = await ensemble.classify(texts);
    const ms = performance.now() - start;
    if (answers.some((answer) => answer.truncated)) throw new Error("a text is longer than the model reads");
    return { ms, logits: answers.map((answer) => Object.values(answer.labels).map(({ folds: [p] }) => Math.log(p / (1 - p)))) };
  };
  window.ready = true;
</script>`;

const WORKER = `
  let classify;
  const ops = {
    async load({ threads }) {
      const { env, pipeline } = await import("/tjs/transformers.min.js");
      Object.assign(env, { allowLocalModels: true, allowRemoteModels: false, localModelPath: "/tjsmodels/" });
      const at = "/tjsort/ort-wasm-simd-threaded.asyncify";
      Object.assign(env.backends.onnx.wasm, { wasmPaths: { wasm: at + ".wasm", mjs: at + ".mjs" }, numThreads: threads });
      classify = await pipeline("text-classification", "base", { dtype: "q8", device: "wasm" });
    },
    async classify({ texts, chunk, sorted }) {
      const start = performance.now();
      const order = texts.map((_, place) => place);
      if (sorted) order.sort((a, b) => texts[a].length - texts[b].length);
      const size = chunk || texts.length;
      const answers = new Array(texts.length);
      for (let first = 0; first < order.length; first += size) {
        const places = order.slice(first, first + size);
        const scores = await classify(places.map((place) => texts[place]), { top_k: null });
        scores.forEach((score, i) => { answers[places[i]] = score; });
      }
      const ms = performance.now() - start;
      const labels = ["anger", "fear", "joy", "sadness", "surprise"];
      return { ms, scores: answers.map((scores) => labels.map((name) => scores.find(({ label }) => label === name).score)) };
    },
  };
  self.onmessage = async ({ data: { id, op, args } }) => {
    try { self.postMessage({ id, ok: await ops[op](args) }); } catch (error) { self.postMessage({ id, err: String(error?.stack ?? error) }); }
  };
`;

const site = await serve({ rival: RIVAL, ours: PACKAGE, bundles: BUNDLES, scripts: { "/ours.html": OURS, "/lists.js": WORKER } });
const { context, cpuMs, close } = await launch(RIVAL);

async function open(side) {
  const page = await context.newPage();
  side.page = page;
  if (side.bundle) {
    await page.goto(`${site.address}/ours.html`);
    await page.waitForFunction("window.ready");
    const options = side.memory && { memory: side.memory };
    await page.evaluate(([bundle, options]) => window.load(bundle, options), [`/bundles/${side.bundle}/`, options]);
    side.run = async (texts) => {
      const { ms, logits } = await page.evaluate((texts) => window.classify(texts), texts);
      return { ms, scores: logits.map(softmax) };
    };
    return;
  }
  await page.goto(site.address);
  await page.waitForFunction("window.ready");
  await page.evaluate(() => startWorker("/lists.js"));
  const call = (op, args) => page.evaluate(([op, args]) => call(op, args), [op, args]);
  await call("load", { threads: side.threads });
  side.run = (texts, way = side.way) => call("classify", { texts, ...way });
}

// What the rival makes of logits.
function softmax(logits) {
  const powers = logits.map(Math.exp);
  const sum = powers.reduce((a, b) => a + b);
  return powers.map((power) => power / sum);
}

async function timed(side, texts, way) {
  const before = cpuMs();
  const { ms, scores } = await side.run(texts, way);
  return { ms, cpu: cpuMs() - before, scores };
}

function print({ side, threads, way }, texts, { ms, cpu_ms, ...more }) {
  console.log(JSON.stringify({
    side,
    threads,
    texts: texts.length,
    ...(way && { chunk: way.chunk || texts.length, sorted: Boolean(way.sorted) }),
    texts_per_s: rounded((1000 * texts.length) / ms, 2),
    cpu_ms: rounded(cpu_ms / texts.length, 2),
    ...more,
  }));
}

for (const side of SIDES) {
  await open(side);
  console.error(`bench: ${side.side}, threads ${side.threads ?? "as it likes"}: loaded`);
  // The first compilation is quick to make and slow to run; the second takes over in the background.
  await side.run(TEXTS.slice(0, 8), CHUNKS[0]);
  await new Promise((later) => setTimeout(later, 1000));
  await side.run(TEXTS.slice(0, 8), CHUNKS[0]);
}
for (const side of SIDES.filter(({ bundle }) => !bundle)) {
  const tried = [];
  for (const way of CHUNKS) {
    const { ms, cpu } = await timed(side, TRIED, way);
    tried.push({ way, ms });
    print({ ...side, way }, TRIED, { ms, cpu_ms: cpu, tried: true });
  }
  side.way = tried.sort((a, b) => a.ms - b.ms)[0].way;
}
for (const side of SIDES) Object.assign(side, { ms: [], cpu: [] });
for (let turn = 0; turn < +TURNS; turn++) {
  for (const side of SIDES) {
    const { ms, cpu, scores } = await timed(side, TEXTS);
    console.error(`bench: turn ${turn + 1} of ${TURNS}, ${side.side}: ${((1000 * TEXTS.length) / ms).toFixed(1)} texts a second`);
    side.ms.push(ms);
    side.cpu.push(cpu);
    side.scores = scores;
  }
}
const rival = SIDES.find(({ bundle }) => !bundle);
for (const side of SIDES) {
  const differences = rival && side.scores.flatMap((scores, text) => scores.map((score, i) => Math.abs(score - rival.scores[text][i])));
  // Both answered the same texts in the same order.
  const score_difference = differences ? Math.max(...differences) : null;
  side.threads ??= side.page.workers().length;
  print(side, TEXTS, { ms: median(side.ms), cpu_ms: median(side.cpu), score_difference: rounded(score_difference, 4) });
}
await close();
process.exit(0);
