//! The cards that a compiled kernel file has code for, read from the headers of a fatbin as nvcc writes it.

use std::collections::BTreeSet;
use std::fmt;

use anyhow::{Context, Result, ensure};

const MAGIC: u32 = 0xba55_ed50;
const HEADER_BYTES: usize = 16;

/// The code in one entry of a fatbin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Code {
    /// Machine code for cards of this compute capability, 80 for 8.0.
    Machine(u32),
    /// PTX, which the driver of any later card compiles when it is loaded.
    Ptx(u32),
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Machine(card) => write!(f, "sm_{card}"),
            Self::Ptx(card) => write!(f, "compute_{card}"),
        }
    }
}

/// Returns what a fatbin holds.
///
/// NVIDIA does not document the format. Behind a header (magic, version, its own size and that of the rest) come
/// entries, each with its kind, the sizes of its header and of what follows, and at byte 28 the compute capability.
///
/// # Errors
/// If it is no fatbin, or of another form.
pub fn contents(bytes: &[u8]) -> Result<BTreeSet<Code>> {
    ensure!(number(bytes, 0, 4)? == u64::from(MAGIC), "it does not begin as a fatbin does");
    let end = HEADER_BYTES as u64 + number(bytes, 8, 8)?;
    ensure!(end == bytes.len() as u64, "it has {} bytes, its header says {end}", bytes.len());
    let mut codes = BTreeSet::new();
    let mut entry = bytes.get(HEADER_BYTES..).unwrap_or_default();
    while !entry.is_empty() {
        let card = number(entry, 28, 4)? as u32;
        let kind = number(entry, 0, 2)?;
        codes.insert(match kind {
            1 => Code::Ptx(card),
            2 => Code::Machine(card),
            _ => anyhow::bail!("it has an entry of the unknown kind {kind}"),
        });
        let size = number(entry, 4, 4)? + number(entry, 8, 8)?;
        entry = usize::try_from(size)
            .ok()
            .and_then(|size| entry.get(size..))
            .context("an entry is longer than the file")?;
    }
    Ok(codes)
}

/// Returns a little-endian number of `size` bytes.
fn number(bytes: &[u8], at: usize, size: usize) -> Result<u64> {
    let bytes = bytes.get(at..at + size).context("it ends within a header")?;
    Ok(bytes.iter().rev().fold(0, |number, &byte| number << 8 | u64::from(byte)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(kind: u8, card: u8, payload: usize) -> Vec<u8> {
        let mut entry = vec![0; 64 + payload];
        (entry[0], entry[4], entry[8], entry[28]) = (kind, 64, payload as u8, card);
        entry
    }

    fn fatbin(entries: &[Vec<u8>]) -> Vec<u8> {
        let entries = entries.concat();
        let mut bytes = MAGIC.to_le_bytes().to_vec();
        bytes.extend([1, 0, HEADER_BYTES as u8, 0]);
        bytes.extend((entries.len() as u64).to_le_bytes());
        bytes.extend(entries);
        bytes
    }

    #[test]
    fn every_entry_is_listed() {
        let bytes = fatbin(&[entry(2, 80, 24), entry(2, 90, 8), entry(1, 90, 0)]);
        let codes: Vec<String> = contents(&bytes).unwrap().iter().map(Code::to_string).collect();
        assert_eq!(codes, ["sm_80", "sm_90", "compute_90"]);
    }

    #[test]
    fn what_is_cut_or_something_else_is_refused() {
        let whole = fatbin(&[entry(2, 80, 24)]);
        for end in 0..whole.len() {
            assert!(contents(&whole[..end]).is_err(), "{end}");
        }
        let error = |bytes: &[u8]| contents(bytes).unwrap_err().to_string();
        assert_eq!(error(b"\x7fELF and so on, for long"), "it does not begin as a fatbin does");
        assert_eq!(error(&fatbin(&[entry(9, 80, 0)])), "it has an entry of the unknown kind 9");
        let mut long = fatbin(&[entry(2, 80, 24)]);
        long[HEADER_BYTES + 8] += 1;
        assert_eq!(error(&long), "an entry is longer than the file");
    }
}
