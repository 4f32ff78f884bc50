//! NVIDIA's libraries, loaded when the first of their functions is called, so that a program built with CUDA starts
//! on a machine without it.
//!
//! `candle-core` has `cudarc` link against these libraries, and a program linked so does not start without them. The
//! build script puts archives of trampolines in their place: a trampoline has the name of a function, and its first
//! call loads the library and jumps to the real function. If the library is missing, that call ends the program; hence
//! `missing` has to be asked first. The CUDA runtime is linked statically; it finds the driver by itself.
//!
//! On other systems than Linux on x86-64, programs are linked against the libraries, as `cudarc` has it. Without the
//! feature `cuda` this crate is empty.

#[cfg(feature = "cuda")]
mod table;

/// A library that cannot be loaded.
#[cfg(feature = "cuda")]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missing {
    /// The name of its file, such as `libcuda.so.1`.
    pub file: String,
    /// The message of the system's loader.
    pub reason: String,
}

/// Returns the major and minor version of CUDA with which this program was built, such as 13 and 0.
#[cfg(feature = "cuda")]
pub fn version() -> (u32, u32) {
    let version: u32 =
        env!("QUINTET_CUDA_VERSION").parse().expect("the build script wrote a number");
    (version / 1000, version % 1000 / 10)
}

/// Returns the first library that cannot be loaded, the driver before all others, or `None` if all can.
#[cfg(feature = "cuda")]
pub fn missing() -> Option<Missing> {
    if !cfg!(quintet_trampolines) {
        return None; // the program is linked against them, and would not have started
    }
    libraries().into_iter().find_map(|(_, missing)| missing)
}

/// Loads all libraries, the driver first. Returns the name of each file, and why it cannot be loaded.
#[cfg(feature = "cuda")]
pub fn libraries() -> Vec<(String, Option<Missing>)> {
    let load = |library: &table::Library| {
        let file = library.file(version().0);
        let missing = load(&file).err().map(|reason| Missing { file: file.clone(), reason });
        (file, missing)
    };
    table::LIBRARIES.iter().map(load).collect()
}

#[cfg(feature = "cuda")]
fn load(file: &str) -> Result<(), String> {
    #[expect(unsafe_code, reason = "a library may do anything when it is loaded")]
    // SAFETY: NVIDIA's set themselves up and touch nothing of ours.
    let library = unsafe { libloading::Library::new(file) };
    // Stays loaded, as its functions are about to be called.
    library.map(std::mem::forget).map_err(|error| innermost(&error))
}

/// Returns the system's message, which `libloading` wraps in its own.
#[cfg(feature = "cuda")]
fn innermost(error: &dyn std::error::Error) -> String {
    error.source().map_or_else(|| error.to_string(), innermost)
}

#[cfg(all(test, feature = "cuda"))]
mod tests {
    use super::*;

    #[test]
    fn files_are_called_as_nvidia_calls_them() {
        let files = table::LIBRARIES.map(|library| library.file(13));
        let expected = ["libcuda.so.1", "libcublas.so.13", "libcublasLt.so.13", "libcurand.so.10"];
        assert_eq!(files[..4], expected);
        assert_eq!(files[4], "libnvrtc.so.13");
    }

    #[test]
    fn what_is_missing_is_named_with_the_loaders_reason() {
        // Where all are there, a GPU machine, nothing is to be seen.
        if let Some(Missing { file, reason }) = missing() {
            assert!(file.starts_with("lib") && file.contains(".so."), "{file}");
            assert!(reason.contains(&file), "{reason}");
        }
    }
}
