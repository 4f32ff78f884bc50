//! Checks SentencePiece's `precompiled_charsmap`, the table by which text is normalised. The library that
//! applies it reads wherever the table points, so a damaged one would make it panic on some text.
//!
//! Layout: u32 size in bytes of a double-array trie, the trie as u32 units, then the replacements, each
//! ended by NUL; all little-endian. A unit holds the byte it is reached by, whether a key ends at it, and
//! the distance to its children's block (Darts, <https://github.com/s-yata/darts-clone>).

use super::refuse;
use crate::Result;

/// Fails unless every byte string can be looked up.
pub fn check(charsmap: &[u8]) -> Result<()> {
    match split(charsmap) {
        Some((trie, replacements)) if all_paths_stay_inside(&trie, replacements) => Ok(()),
        _ => refuse("its precompiled charsmap is damaged"),
    }
}

fn split(charsmap: &[u8]) -> Option<(Vec<u32>, &str)> {
    let (size, rest) = charsmap.split_first_chunk()?;
    let size = usize::try_from(u32::from_le_bytes(*size)).ok()?;
    let (trie, replacements) = rest.split_at_checked(size - size % 4)?;
    let (units, _) = trie.as_chunks();
    Some((
        units.iter().copied().map(u32::from_le_bytes).collect(),
        std::str::from_utf8(replacements).ok()?,
    ))
}

/// Visits every node once, the root first, and checks all that a look-up may read from there.
fn all_paths_stay_inside(trie: &[u32], replacements: &str) -> bool {
    let Some(&root) = trie.first() else { return false };
    let mut blocks = vec![distance(root)];
    let mut seen = vec![false; trie.len()];
    while let Some(block) = blocks.pop() {
        for byte in 1..=0xFF {
            let child = block ^ byte;
            let Some(&unit) = trie.get(child) else { return false };
            if !is_reached_by(unit, byte) {
                continue;
            }
            let next = child ^ distance(unit);
            let ends_well =
                |&value: &u32| replacements.is_char_boundary((value & 0x7FFF_FFFF) as usize);
            if ends_a_key(unit) && !trie.get(next).is_some_and(ends_well) {
                return false;
            }
            match seen.get_mut(next) {
                Some(seen) if *seen => {}
                Some(seen) => {
                    *seen = true;
                    blocks.push(next);
                }
                None => return false,
            }
        }
    }
    true
}

fn distance(unit: u32) -> usize {
    ((unit >> 10) << ((unit & (1 << 9)) >> 6)) as usize
}

/// The top bit marks a value: no byte leads to it.
fn is_reached_by(unit: u32, byte: usize) -> bool {
    (unit & 0x8000_00FF) as usize == byte
}

fn ends_a_key(unit: u32) -> bool {
    unit & (1 << 8) != 0
}

/// A charsmap that replaces one byte, for tests: root block at 256, the value at 512.
#[cfg(test)]
pub fn sample(byte: u8, replacement: &str) -> Vec<u8> {
    let byte = u32::from(byte);
    let node = 256 ^ byte;
    let mut trie = [0_u32; 768];
    trie[0] = 256 << 10;
    trie[node as usize] = ((node ^ 512) << 10) | (1 << 8) | byte;
    trie[512] = 1 << 31;
    let size = u32::try_from(size_of_val(&trie)).unwrap();
    let units = std::iter::once(size).chain(trie).flat_map(u32::to_le_bytes);
    units.chain(replacement.bytes()).chain([0]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The sample with one unit of its trie set to another value.
    fn changed(unit: usize, value: u32) -> Vec<u8> {
        let mut charsmap = sample(b'A', "é");
        charsmap[4 + 4 * unit..][..4].copy_from_slice(&value.to_le_bytes());
        charsmap
    }

    #[test]
    fn accepts_what_can_be_looked_up() {
        assert!(check(&sample(b'A', "a")).is_ok());
        assert!(
            check(&changed(512, (1 << 31) | 2)).is_ok(),
            "a replacement may start anywhere between characters"
        );
    }

    #[test]
    fn refuses_a_trie_that_leads_outside() {
        assert!(check(&changed(0, 768 << 10)).is_err(), "root block beyond the trie");
        assert!(
            check(&changed(256 ^ 0x41, (1 << 20) | 0x41)).is_err(),
            "child block beyond the trie"
        );
        assert!(
            check(&changed(512, (1 << 31) | 1)).is_err(),
            "replacement from the middle of a character"
        );
        assert!(check(&changed(512, (1 << 31) | 9)).is_err(), "replacement beyond the end");
    }

    #[test]
    fn a_trie_that_leads_back_to_itself_ends() {
        let node = 256 ^ 0x41;
        assert!(check(&changed(node, (((node as u32) ^ 256) << 10) | 0x41)).is_ok());
    }

    #[test]
    fn refuses_other_bytes() {
        let whole = sample(b'A', "a");
        for damaged in [&[][..], &[0; 3], &[0; 4], &[0xFF; 9], &whole[..whole.len() / 2]] {
            assert!(check(damaged).is_err());
        }
        let mut not_utf8 = whole;
        let last = not_utf8.len() - 2;
        not_utf8[last] = 0xFF;
        assert!(check(&not_utf8).is_err());
    }
}
