//! A shard: a safetensors file that the manifest names by its sha256 and its size. Bytes become an
//! [`OpenShard`] only by being those that were named, so whatever holds one need not ask again.

use safetensors::SafeTensors;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::refuse;
use crate::{Error, Result};

/// No shard is larger: what static hosts take, and what a phone can hold beside a model.
pub const LARGEST_SHARD: u64 = 16 << 20;

/// What a manifest says of a shard.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shard {
    /// Of the whole file, in lower-case hexadecimal.
    pub sha256: String,
    /// Size of the file.
    pub bytes: u64,
    /// The folds that need it, as places in the manifest's list of folds, ascending.
    pub folds: Vec<usize>,
    /// It has cold rows of word embeddings and nothing else: a fold answers most texts without.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub cold: bool,
}

/// The bytes of a shard, known to be whole and of the safetensors format.
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

    /// The file's name beside the manifest.
    pub fn file_name(&self) -> String {
        format!("{}.safetensors", self.sha256)
    }

    /// The way to an [`OpenShard`].
    ///
    /// # Errors
    /// If `bytes` are not those the manifest names, or no safetensors file.
    pub fn open(&self, bytes: Vec<u8>) -> Result<OpenShard> {
        let hash = Sha256::digest(&bytes).into();
        self.open_hashed(bytes, hash)
    }

    /// The same for somebody who has a faster sha256: `hash` is that of the bytes.
    ///
    /// # Errors
    /// As for [`open`](Self::open).
    pub fn open_hashed(&self, bytes: Vec<u8>, hash: [u8; 32]) -> Result<OpenShard> {
        let damaged = |reason: String| Error::Shard { file: self.file_name(), reason };
        if bytes.len() as u64 != self.bytes {
            let (found, expected) = (bytes.len(), self.bytes);
            return Err(damaged(format!("it has {found} bytes, the manifest says {expected}")));
        }
        if hexadecimal(hash) != self.sha256 {
            return Err(damaged("its bytes are not those the manifest names".to_owned()));
        }
        SafeTensors::deserialize(&bytes).map_err(|error| damaged(error.to_string()))?;
        Ok(OpenShard { sha256: self.sha256.clone(), bytes })
    }

    /// What a manifest from elsewhere may not say: the name goes into a path, the size is allocated.
    pub(super) fn check(&self, folds: usize) -> Result<()> {
        let hexadecimal = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        if self.sha256.len() != 64 || !self.sha256.bytes().all(hexadecimal) {
            return refuse("the name of a shard is not a sha256 in lower-case hexadecimal");
        }
        if self.bytes > LARGEST_SHARD {
            return refuse(format!(
                "shard {} has {} bytes, the most allowed are {LARGEST_SHARD}",
                self.sha256, self.bytes
            ));
        }
        let ascending = self.folds.is_sorted_by(|a, b| a < b);
        if !ascending || self.folds.last().is_none_or(|&last| last >= folds) {
            return refuse(format!("shard {} does not say which folds need it", self.sha256));
        }
        Ok(())
    }
}

impl OpenShard {
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
            assert!(error.ends_with("its bytes are not those the manifest names"), "{error}");
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
