//! NVIDIA's libraries, loaded when the first of their functions is called, so that a program built with CUDA starts
//! where there is none.
//!
//! `candle-core` has `cudarc` link against them, and a program that does will not start without them. The build script
//! puts archives of trampolines in their place: each function is there under its name, and its first call loads the
//! library and goes on to the real one. Where one is missing that call ends the program, so [`missing`] is asked first.
//! The CUDA runtime is linked statically; it finds the driver by itself.
//!
//! On other systems than Linux on x86-64 programs are linked against the libraries, as `cudarc` has it.

#[cfg(feature = "cuda")]
mod table;

/// A library that a function would be looked for in.
#[cfg(feature = "cuda")]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missing {
    /// `libcuda.so.1`
    pub file: String,
    /// In the words of the system's loader.
    pub reason: String,
}

/// The CUDA that this program was built with: 13 and 0, say.
#[cfg(feature = "cuda")]
pub fn version() -> (u32, u32) {
    let version: u32 =
        env!("QUINTET_CUDA_VERSION").parse().expect("the build script wrote a number");
    (version / 1000, version % 1000 / 10)
}

/// The first library that cannot be loaded, the driver before all others; `None` if all are there.
#[cfg(feature = "cuda")]
pub fn missing() -> Option<Missing> {
    if !cfg!(quintet_trampolines) {
        return None; // or the program would not have started
    }
    table::LIBRARIES.iter().find_map(|library| {
        let file = library.file(version().0);
        #[expect(unsafe_code, reason = "a library may do anything when it is loaded")]
        // SAFETY: NVIDIA's set themselves up and touch nothing of ours.
        let loaded = unsafe { libloading::Library::new(&file) };
        match loaded {
            Ok(library) => {
                // It stays: its functions are about to be called.
                std::mem::forget(library);
                None
            }
            Err(error) => Some(Missing { file, reason: innermost(&error) }),
        }
    })
}

/// `libloading`'s own words are around those of the system.
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
