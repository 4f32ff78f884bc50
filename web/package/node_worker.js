// A thread of Node with what the worker's module uses of a browser's worker.
import { readFile } from "node:fs/promises";
import { parentPort } from "node:worker_threads";
import { fetchFile } from "./node_files.js";
import init from "./worker.js";

const { fetch } = globalThis;
globalThis.fetch = (request) => fetchFile(request, fetch);
globalThis.postMessage = (message) => parentPort.postMessage(message);
parentPort.on("message", (data) => globalThis.onmessage?.({ data }));
await init({ module_or_path: await readFile(new URL("./worker_bg.wasm", import.meta.url)) });
