// The package's entry point. It initialises WebAssembly on the first call.
import init, * as bindings from "./quintet_bindings.js";

let ready;

function setUp() {
  ready ??= init().catch((cause) => {
    ready = undefined; // the next call tries again
    throw explained(cause);
  });
  return ready;
}

// The module itself uses SIMD, so a browser without it fails here.
function explained(cause) {
  const lacksSimd = cause instanceof WebAssembly.CompileError;
  const error = lacksSimd
    ? new Error("This browser does not support WebAssembly SIMD", { cause })
    : new Error("The classifier's program cannot be loaded", { cause });
  error.name = "QuintetError";
  error.code = lacksSimd ? "simd-missing" : "offline";
  error.remedy = lacksSimd
    ? "Update the browser: it must be Chrome or Edge 91, Firefox 114, Safari 16.4, or newer."
    : "Check the connection, then try again.";
  return error;
}

export async function load(url, options) {
  await setUp();
  return bindings.load(url, options);
}

export async function cacheSize() {
  await setUp();
  return bindings.cacheSize();
}

export async function clearCache() {
  await setUp();
  return bindings.clearCache();
}
