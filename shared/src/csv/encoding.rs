//! The encoding of a file's text, by its first bytes.

use std::fmt;

/// The encoding of a file's text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// UTF-8.
    Utf8,
    /// UTF-16, the lower byte first, as Windows and Excel write it.
    Utf16Le,
    /// UTF-16, the higher byte first.
    Utf16Be,
}

const UTF8_MARK: &[u8] = b"\xEF\xBB\xBF";

impl Encoding {
    /// The encoding of a file that begins with these bytes, and the length of its byte order mark.
    pub(super) fn of(beginning: &[u8]) -> (Self, usize) {
        match beginning {
            [0xEF, 0xBB, 0xBF, ..] => (Self::Utf8, UTF8_MARK.len()),
            [0xFF, 0xFE, ..] => (Self::Utf16Le, 2),
            [0xFE, 0xFF, ..] => (Self::Utf16Be, 2),
            _ if has_zeros_at(beginning, 1) => (Self::Utf16Le, 0),
            _ if has_zeros_at(beginning, 0) => (Self::Utf16Be, 0),
            _ => (Self::Utf8, 0),
        }
    }
}

impl fmt::Display for Encoding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Utf8 => "UTF-8",
            Self::Utf16Le => "UTF-16 (little-endian)",
            Self::Utf16Be => "UTF-16 (big-endian)",
        })
    }
}

/// Whether the bytes look like UTF-16 without a mark: text that is mostly ASCII has a zero in nearly every
/// second byte, and none in the others.
fn has_zeros_at(beginning: &[u8], place: usize) -> bool {
    let (pairs, _) = beginning.as_chunks::<2>();
    let zeros = |place: usize| pairs.iter().filter(|pair| pair[place] == 0).count();
    pairs.len() >= 2 && zeros(1 - place) == 0 && zeros(place) * 4 >= pairs.len() * 3
}
