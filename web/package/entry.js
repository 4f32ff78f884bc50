// What all entry points of the package share. WebAssembly is initialised by the first call.

/**
 * The package's functions. `start` initialises the module of `bindings`; `host` says where it runs: `startWorker`, and in
 * Node `fetch`, `cores` and `memory`.
 */
export function entry(bindings, start, host, address = String) {
  let ready;

  function setUp() {
    ready ??= start().catch((cause) => {
      ready = undefined; // the next call tries again
      throw explained(cause);
    });
    return ready;
  }

  return {
    async load(url, options) {
      await setUp();
      return bindings.load(address(url), options, host);
    },
    async cacheSize() {
      await setUp();
      return bindings.cacheSize();
    },
    async clearCache() {
      await setUp();
      return bindings.clearCache();
    },
  };
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
