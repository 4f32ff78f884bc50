//! A shard: a safetensors file that the manifest names by its sha256 and size. Bytes become an [`OpenShard`] only if they
//! match both, so whoever holds one need not check again.

use safetensors::SafeTensors;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::names::refuse;
use crate::{Error, Result};

/// The most bytes of a shard: what static hosts take, and what a phone can hold beside a model.
pub const LARGEST_SHARD: u64 = 16 << 20;

/// A shard as the manifest lists it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shard {
    /// The sha256 of the file, in lower-case hexadecimal.
    pub sha256: String,
    /// The size of the file in bytes.
    pub bytes: u64,
    /// The folds that need it: indices into the manifest's `folds`, ascending. None: only the final model needs it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub folds: Vec<usize>,
    /// Whether it holds cold rows of the word embeddings and nothing else. A fold answers most texts without it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub cold: bool,
}

/// The shards of the final model.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct FinalShards {
    /// Shards that folds need, too, by their indices.
    pub shared: Vec<usize>,
    /// Shards that no fold needs.
    pub own: Vec<Shard>,
}

/// The contents of a shard, known to match the manifest and to be a safetensors file.
#[derive(Debug)]
pub struct OpenShard {
    sha256: String,
    bytes: Vec<u8>,
}

impl Shard {
    /// Describes the bytes of a new shard.
    pub(super) fn of(bytes: &[u8], folds: Vec<usize>) -> Self {
        Self {
            sha256: hexadecimal(Sha256::digest(bytes).into()),
            bytes: bytes.len() as u64,
            folds,
            cold: false,
        }
    }

    /// The name of the file in the manifest's folder.
    pub fn file_name(&self) -> String {
        format!("{}.safetensors", self.sha256)
    }

    /// Checks the contents of the file.
    ///
    /// # Errors
    /// If `bytes` do not have the sha256 and size of the manifest, or are not a safetensors file.
    pub fn open(&self, bytes: Vec<u8>) -> Result<OpenShard> {
        let hash = Sha256::digest(&bytes).into();
        self.open_hashed(bytes, hash)
    }

    /// Opens a shard like [`open`](Self::open), with the sha256 of `bytes` computed by the caller.
    ///
    /// # Errors
    /// As for [`open`](Self::open).
    pub fn open_hashed(&self, bytes: Vec<u8>, hash: [u8; 32]) -> Result<OpenShard> {
        let damaged = |reason: String| Error::Shard { file: self.file_name(), reason };
        if bytes.len() as u64 != self.bytes {
            let (found, expected) = (bytes.len(), self.bytes);
            return Err(damaged(format!("it has {found} bytes, but the manifest says {expected}")));
        }
        if hexadecimal(hash) != self.sha256 {
            return Err(damaged("its sha256 is not the one in the manifest".to_owned()));
        }
        SafeTensors::deserialize(&bytes).map_err(|error| damaged(error.to_string()))?;
        Ok(OpenShard { sha256: self.sha256.clone(), bytes })
    }

    /// Checks what a manifest from elsewhere says: the sha256 goes into a path, the size is allocated.
    pub(super) fn check(&self) -> Result<()> {
        let hexadecimal = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        if self.sha256.len() != 64 || !self.sha256.bytes().all(hexadecimal) {
            return refuse("the `sha256` of a shard is not 64 lower-case hexadecimal digits");
        }
        if self.bytes > LARGEST_SHARD {
            return refuse(format!(
                "shard {} has {} bytes, at most {LARGEST_SHARD} are allowed",
                self.sha256, self.bytes
            ));
        }
        Ok(())
    }

    /// Checks the list of folds that need it.
    pub(super) fn check_folds(&self, folds: usize) -> Result<()> {
        let ascending = self.folds.is_sorted_by(|a, b| a < b);
        if !ascending || self.folds.last().is_none_or(|&last| last >= folds) {
            return refuse(format!(
                "the `folds` of shard {} must be ascending indices of the bundle's {folds} folds",
                self.sha256
            ));
        }
        Ok(())
    }
}

impl OpenShard {
    /// The sha256 of the file, in lower-case hexadecimal.
    pub fn sha256(&self) -> &str {
        &self.sha256
    }

    /// The tensors in it.
    pub(super) fn tensors(&self) -> SafeTensors<'_> {
        SafeTensors::deserialize(&self.bytes).expect("opened only if it is one")
    }
}

fn hexadecimal(hash: [u8; 32]) -> String {
    hash.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shard() -> (Shard, Vec<u8>) {
        let header = br#"{"a":{"dtype":"U8","shape":[3],"data_offsets":[0,3]}}   "#;
        let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
        bytes.extend(header);
        bytes.extend([1, 2, 3]);
        (Shard::of(&bytes, vec![0]), bytes)
    }

    #[test]
    fn sha256_is_that_of_the_standard() {
        // FIPS 180-2, appendix B.1
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(hexadecimal(Sha256::digest(b"abc").into()), abc);
    }

    #[test]
    fn opens_its_own_bytes() {
        let (shard, bytes) = shard();
        let open = shard.open(bytes).unwrap();
        assert_eq!(open.tensors().tensor("a").unwrap().data(), [1, 2, 3]);
    }

    #[test]
    fn another_hash_is_rejected() {
        let (shard, bytes) = shard();
        let mut hash: [u8; 32] = Sha256::digest(&bytes).into();
        shard.open_hashed(bytes.clone(), hash).unwrap();
        hash[31] ^= 1;
        assert!(shard.open_hashed(bytes, hash).is_err());
    }

    #[test]
    fn one_flipped_bit_anywhere_is_rejected() {
        let (shard, bytes) = shard();
        for place in 0..bytes.len() {
            let mut flipped = bytes.clone();
            flipped[place] ^= 1;
            let error = shard.open(flipped).unwrap_err().to_string();
            assert!(error.ends_with("its sha256 is not the one in the manifest"), "{error}");
        }
    }

    #[test]
    fn a_cut_or_longer_file_is_rejected() {
        let (shard, bytes) = shard();
        for length in 0..bytes.len() {
            let error = shard.open(bytes[..length].to_vec()).unwrap_err().to_string();
            assert!(error.contains("the manifest says"), "{error}");
        }
        assert!(shard.open([bytes, vec![0]].concat()).is_err());
    }

    #[test]
    fn a_file_that_is_what_was_named_and_yet_no_safetensors_is_rejected() {
        let lies = [&b""[..], b"{}", &[0xFF; 8], &[0xFF; 64]];
        for bytes in lies {
            let shard = Shard::of(bytes, vec![0]);
            assert!(matches!(shard.open(bytes.to_vec()), Err(Error::Shard { .. })), "{bytes:?}");
        }
    }
}
