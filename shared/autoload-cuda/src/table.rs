//! The libraries that are linked, and what their files are called where they are loaded.

/// A library that `cudarc` links against.
pub struct Library {
    /// As in `-lcublas`; the archive of its trampolines is called so too.
    pub name: &'static str,
    version: Version,
}

/// What follows `.so.` in the file's name.
enum Version {
    Always(u32),
    /// CUDA's own.
    Cuda,
}

pub const LIBRARIES: [Library; 5] = [
    Library { name: "cuda", version: Version::Always(1) },
    Library { name: "cublas", version: Version::Cuda },
    Library { name: "cublasLt", version: Version::Cuda },
    Library { name: "curand", version: Version::Always(10) },
    Library { name: "nvrtc", version: Version::Cuda },
];

impl Library {
    /// The file to load for a program built with CUDA `major`.
    pub fn file(&self, major: u32) -> String {
        let version = match self.version {
            Version::Always(version) => version,
            Version::Cuda => major,
        };
        format!("lib{}.so.{version}", self.name)
    }
}
