//! The libraries that are linked, and the names of their files.

/// A library that `cudarc` links against.
pub struct Library {
    /// The name for the linker, as in `-lcublas`, and of the archive of trampolines.
    pub name: &'static str,
    version: Version,
}

/// The number after `.so.` in the name of a file.
enum Version {
    /// The same number for every CUDA.
    Always(u32),
    /// The major version of CUDA.
    Cuda,
}

/// All libraries, the driver first.
pub const LIBRARIES: [Library; 5] = [
    Library { name: "cuda", version: Version::Always(1) },
    Library { name: "cublas", version: Version::Cuda },
    Library { name: "cublasLt", version: Version::Cuda },
    Library { name: "curand", version: Version::Always(10) },
    Library { name: "nvrtc", version: Version::Cuda },
];

impl Library {
    /// Returns the name of the file that a program built with CUDA `major` loads.
    pub fn file(&self, major: u32) -> String {
        let version = match self.version {
            Version::Always(version) => version,
            Version::Cuda => major,
        };
        format!("lib{}.so.{version}", self.name)
    }
}
