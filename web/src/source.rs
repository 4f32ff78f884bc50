//! Where a bundle lies: in a folder of the page's own site, or of another one, with the integrity of its manifest.

use shared::bundle::Integrity;

use crate::browser;
use crate::failure::Failure;

/// The folder of a bundle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// Its absolute address, ending in a slash.
    folder: String,
    /// The integrity of its manifest, if the bundle may be no other.
    integrity: Option<Integrity>,
}

impl Source {
    /// Finds the folder at `address`, which may be relative to the document and may name the manifest in the folder.
    ///
    /// # Errors
    /// If the folder is on another site and there is no integrity: whoever owns that site could replace the models.
    pub fn new(address: &str, integrity: Option<Integrity>) -> Result<Self, Failure> {
        let folder = browser::folder_url(address)?;
        if integrity.is_none() && !browser::is_of_this_site(&folder) {
            return Err(Failure::Unpinned { address: folder });
        }
        Ok(Self { folder, integrity })
    }

    /// A folder as it is, for tests outside a browser.
    #[cfg(test)]
    pub fn of_test(folder: &str, integrity: Option<Integrity>) -> Self {
        Self { folder: folder.to_owned(), integrity }
    }

    pub fn folder(&self) -> &str {
        &self.folder
    }

    /// The other site that the bundle lies on, such as `cdn.example`.
    pub fn other_site(&self) -> Option<String> {
        (!browser::is_of_this_site(&self.folder)).then(|| browser::host(&self.folder))
    }

    /// Checks the manifest of this bundle, which came from `address`.
    ///
    /// # Errors
    /// If there is an integrity, and it is of another manifest.
    pub fn check(&self, manifest: &[u8], address: &str) -> Result<(), Failure> {
        match self.integrity {
            Some(expected) if expected != Integrity::of(manifest) => {
                Err(Failure::Altered { address: address.to_owned() })
            }
            _ => Ok(()),
        }
    }

    /// Whether the manifest that was kept of an earlier visit is the only one that the bundle can have.
    pub fn is_settled_by(&self, kept: &[u8]) -> bool {
        self.integrity == Some(Integrity::of(kept))
    }
}
