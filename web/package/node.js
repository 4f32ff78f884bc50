// The package's entry point in Node: the same modules, in threads, and bundles from folders or by address.
import { availableParallelism, totalmem } from "node:os";
import { readFile } from "node:fs/promises";
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { Worker } from "node:worker_threads";
import init, * as bindings from "./quintet_bindings.js";
import { entry } from "./entry.js";
import { fetchFile } from "./node_files.js";

const start = async () => init({ module_or_path: await readFile(new URL("./quintet_bg.wasm", import.meta.url)) });

// What the module uses of a browser's worker.
function startWorker() {
  const thread = new Worker(new URL("./node_worker.js", import.meta.url));
  const like = {
    onmessage: null,
    onerror: null,
    postMessage: (message) => thread.postMessage(message),
    terminate: () => void thread.terminate(),
  };
  thread.on("message", (data) => like.onmessage?.({ data }));
  thread.on("error", (error) => like.onerror?.({ message: String(error) }));
  return like;
}

// The address of a folder that may be given by its path.
function address(folder) {
  const text = String(folder);
  return /^(https?|file):/.test(text) ? text : pathToFileURL(resolve(text)).href;
}

const host = { startWorker, fetch: fetchFile, cores: availableParallelism(), memory: totalmem() };

export const { load, cacheSize, clearCache } = entry(bindings, start, host, address);
