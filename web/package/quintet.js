// The package's front: sets WebAssembly up on the first call, so that its users need not.
import init, * as bindings from "./quintet_bindings.js";

let ready;

function setUp() {
  ready ??= init().catch((cause) => {
    ready = undefined; // the next call tries again
    throw explained(cause);
  });
  return ready;
}

// The module itself uses vector instructions, so a browser without them says so here.
function explained(cause) {
  const lacksSimd = cause instanceof WebAssembly.CompileError;
  const error = lacksSimd
    ? new Error("This browser's WebAssembly has no vector instructions (SIMD)", { cause })
    : new Error("The classifier's program cannot be fetched", { cause });
  error.name = "QuintetError";
  error.code = lacksSimd ? "simd-missing" : "offline";
  error.remedy = lacksSimd
    ? "Update the browser: Chrome or Edge from 91, Firefox from 114 and Safari from 16.4 will do."
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
