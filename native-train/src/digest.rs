//! A digest of inputs, by which changed ones are noticed.

use xxhash_rust::xxh3::Xxh3;

/// The digest of what was added so far.
#[derive(Default)]
pub struct Digest(Xxh3);

impl Digest {
    /// Adds the number of texts, and each of them.
    pub fn texts(&mut self, texts: &[String]) {
        self.bytes(&texts.len().to_le_bytes());
        texts.iter().for_each(|text| self.bytes(text.as_bytes()));
    }

    /// Adds the length as well, so that text that moves from one value into the next is noticed.
    pub fn bytes(&mut self, bytes: &[u8]) {
        self.0.update(&bytes.len().to_le_bytes());
        self.0.update(bytes);
    }

    /// Adds the next piece of a file, however it is divided.
    pub fn piece(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// Ends it: 16 hexadecimal digits.
    pub fn finish(self) -> String {
        format!("{:016x}", self.0.digest())
    }
}
