//! From the bytes of a file to UTF-8, a block at a time.

use super::encoding::Encoding;
use super::fault::{Fault, FaultKind};

/// Turns blocks of bytes into UTF-8. A character may lie in two blocks.
pub struct Decoder {
    encoding: Encoding,
    /// Bytes that have not been decoded yet.
    waiting: Vec<u8>,
    /// The line feeds so far.
    line_feeds: usize,
}

impl Decoder {
    /// Bytes of a file's beginning that tell its encoding.
    pub const SAMPLE: usize = 4 << 10;

    /// A decoder for a file that begins with these bytes, [`SAMPLE`](Self::SAMPLE) of it or all, and the length of its byte order mark, which
    /// is not to be decoded.
    pub fn new(beginning: &[u8]) -> (Self, usize) {
        let (encoding, mark) = Encoding::of(beginning);
        (Self { encoding, waiting: Vec::new(), line_feeds: 0 }, mark)
    }

    /// The encoding of the file.
    pub fn encoding(&self) -> Encoding {
        self.encoding
    }

    /// Appends the text of the next bytes.
    ///
    /// # Errors
    /// If they are not text in this encoding; what comes before them has been appended.
    pub fn push(&mut self, bytes: &[u8], text: &mut String) -> Result<(), Fault> {
        self.waiting.extend_from_slice(bytes);
        let before = text.len();
        let result = match self.encoding {
            Encoding::Utf8 => self.push_utf8(text),
            Encoding::Utf16Le => self.push_utf16(u16::from_le_bytes, text),
            Encoding::Utf16Be => self.push_utf16(u16::from_be_bytes, text),
        };
        self.line_feeds += text[before..].bytes().filter(|&byte| byte == b'\n').count();
        result.map_err(|NotText| self.fault())
    }

    /// Ends the file.
    ///
    /// # Errors
    /// If it ends within a character.
    pub fn end(&self) -> Result<(), Fault> {
        if self.waiting.is_empty() { Ok(()) } else { Err(self.fault()) }
    }

    fn push_utf8(&mut self, text: &mut String) -> Result<(), NotText> {
        let (valid, result) = match std::str::from_utf8(&self.waiting) {
            Ok(all) => (all, Ok(())),
            Err(error) => {
                let (valid, _) = self.waiting.split_at(error.valid_up_to());
                let valid = std::str::from_utf8(valid).expect("valid up to there");
                (valid, error.error_len().map_or(Ok(()), |_| Err(NotText)))
            }
        };
        text.push_str(valid);
        let done = valid.len();
        self.waiting.drain(..done);
        result
    }

    fn push_utf16(&mut self, unit: fn([u8; 2]) -> u16, text: &mut String) -> Result<(), NotText> {
        let (pairs, _) = self.waiting.as_chunks::<2>();
        let mut units: Vec<u16> = pairs.iter().map(|&pair| unit(pair)).collect();
        // The second half of the last character may be in the next block.
        if units.last().is_some_and(|last| (0xD800..0xDC00).contains(last)) {
            units.pop();
        }
        self.waiting.drain(..2 * units.len());
        for decoded in char::decode_utf16(units) {
            text.push(decoded.map_err(|_| NotText)?);
        }
        Ok(())
    }

    fn fault(&self) -> Fault {
        Fault::on(self.line_feeds + 1, FaultKind::NotText(self.encoding))
    }
}

struct NotText;

/// The text of a whole file.
///
/// # Errors
/// If it is not text, or not in one of the encodings.
pub fn decode(bytes: &[u8]) -> Result<(String, Encoding), Fault> {
    let (mut decoder, mark) = Decoder::new(&bytes[..bytes.len().min(Decoder::SAMPLE)]);
    let mut text = String::new();
    decoder.push(&bytes[mark..], &mut text)?;
    decoder.end()?;
    Ok((text, decoder.encoding()))
}
