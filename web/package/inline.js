// The entry point `quintet/inline`: worker and modules are within JavaScript, for what copies no files beside it.
import init, * as bindings from "./quintet_bindings.js";
import { entry } from "./entry.js";
import { page, worker, workerScript } from "./inline_parts.js";

// A worker gets its module by its first message. The page hears of an error that is thrown, and not of a promise that is rejected.
const RUN = `self.onmessage = ({ data }) => {
  self.onmessage = null;
  __wbg_init({ module_or_path: data }).catch((error) => setTimeout(() => { throw error; }));
};`;

let workerModule;
let workerUrl;

async function compiled(base64) {
  const bytes = Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
  const unpacked = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return WebAssembly.compile(await new Response(unpacked).arrayBuffer());
}

async function start() {
  const modules = await Promise.all([compiled(page), compiled(worker)]);
  workerModule = modules[1];
  workerUrl ??= URL.createObjectURL(new Blob([workerScript, RUN], { type: "text/javascript" }));
  await init({ module_or_path: modules[0] });
}

function startWorker() {
  const started = new Worker(workerUrl, { type: "module" });
  started.postMessage(workerModule);
  return started;
}

export const { load, cacheSize, clearCache } = entry(bindings, start, { startWorker });
