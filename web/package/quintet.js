// The package's entry point in browsers. Bundlers find the worker and the modules by these `new URL`s and those in the bindings.
import init, * as bindings from "./quintet_bindings.js";
import { entry } from "./entry.js";

const startWorker = () => new Worker(new URL("./worker_loader.js", import.meta.url), { type: "module" });

export const { load, cacheSize, clearCache } = entry(bindings, () => init(), { startWorker });
