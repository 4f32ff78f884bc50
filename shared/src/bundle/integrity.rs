//! The integrity of a manifest: what a page must know of a bundle that lies on another site.

use std::fmt;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use sha2::{Digest, Sha256};

const ALGORITHM: &str = "sha256-";

/// The sha256 of a file, written as in HTML's attribute `integrity`: `sha256-` and the hash in base64
/// (<https://www.w3.org/TR/sri/>).
///
/// The manifest names every other file of its bundle by its hash, so whoever knows the manifest's need not trust the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Integrity([u8; 32]);

impl Integrity {
    /// Computes the integrity of a file.
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// Reads an integrity; `None` if it is not `sha256-` and the base64 of 32 bytes.
    pub fn parse(text: &str) -> Option<Self> {
        let hash = BASE64_STANDARD.decode(text.trim().strip_prefix(ALGORITHM)?).ok()?;
        Some(Self(hash.try_into().ok()?))
    }
}

impl fmt::Display for Integrity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{ALGORITHM}{}", BASE64_STANDARD.encode(self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `printf abc | openssl dgst -sha256 -binary | base64`
    const OF_ABC: &str = "sha256-ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=";

    #[test]
    fn it_is_written_and_read_as_html_has_it() {
        assert_eq!(Integrity::of(b"abc").to_string(), OF_ABC);
        assert_eq!(Integrity::parse(OF_ABC), Some(Integrity::of(b"abc")));
        assert_ne!(Integrity::parse(OF_ABC), Some(Integrity::of(b"abd")));
        for wrong in [
            "",
            "sha256-",
            "sha384-AAAA",
            "sha256-ungWv48B",
            "ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=",
        ] {
            assert_eq!(Integrity::parse(wrong), None, "{wrong}");
        }
    }
}
