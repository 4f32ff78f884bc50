//! The bytes of a pickle: instructions and the values that follow them.

use std::io::{BufRead, Read};

use anyhow::{Context, Result, ensure};

use super::value::Value;

/// The longest text or list of bytes: nothing that a model's weights need is longer.
const LONGEST: u64 = 1 << 28;

pub(super) struct Input<'a, R> {
    pub reader: &'a mut R,
}

impl<R: BufRead> Input<'_, R> {
    /// The number, text or bytes that an instruction brings with it.
    pub fn value(&mut self, instruction: u8) -> Result<Value> {
        Ok(match instruction {
            b'I' | b'L' => self.whole_number_in_words()?,
            b'F' => self.line().map(|_| Value::Other)?,
            b'J' => Value::Integer((self.length(4)? as u32 as i32).into()),
            b'K' => Value::Integer(self.length(1)? as i64),
            b'M' => Value::Integer(self.length(2)? as i64),
            b'G' => self.skip(8).map(|()| Value::Other)?,
            0x8a => self.long(1)?,
            0x8b => self.long(4)?,
            b'S' => self.quoted_text()?,
            b'V' => Value::Text(self.line()?),
            b'U' | 0x8c => self.text(1)?,
            b'T' | b'X' => self.text(4)?,
            0x8d => self.text(8)?,
            b'C' => self.counted(1).map(|_| Value::Other)?,
            b'B' => self.counted(4).map(|_| Value::Other)?,
            _ => self.counted(8).map(|_| Value::Other)?,
        })
    }

    pub fn byte(&mut self) -> Result<u8> {
        Ok(self.length(1)? as u8)
    }

    pub fn skip(&mut self, bytes: usize) -> Result<()> {
        self.length(bytes).map(|_| ())
    }

    /// A length or whole number of so many bytes, little-endian.
    pub fn length(&mut self, bytes: usize) -> Result<u64> {
        let mut all = [0; 8];
        self.reader.read_exact(&mut all[..bytes])?;
        Ok(u64::from_le_bytes(all))
    }

    pub fn line(&mut self) -> Result<String> {
        let mut line = Vec::new();
        self.reader.by_ref().take(LONGEST).read_until(b'\n', &mut line)?;
        ensure!(line.pop() == Some(b'\n'), "its pickle ends early");
        Ok(String::from_utf8(line)?)
    }

    fn counted(&mut self, bytes: usize) -> Result<Vec<u8>> {
        let length = self.length(bytes)?;
        ensure!(length <= LONGEST, "a value of {length} bytes");
        let mut value = Vec::new();
        let read = self.reader.by_ref().take(length).read_to_end(&mut value)?;
        ensure!(read as u64 == length, "its pickle ends early");
        Ok(value)
    }

    fn text(&mut self, length_bytes: usize) -> Result<Value> {
        let text = self.counted(length_bytes)?;
        Ok(Value::Text(String::from_utf8_lossy(&text).into_owned()))
    }

    fn quoted_text(&mut self) -> Result<Value> {
        let line = self.line()?;
        let text = line.trim_end_matches('\r');
        let inner = text.len().checked_sub(1).and_then(|end| text.get(1..end));
        Ok(Value::Text(inner.context("a text without quotes")?.to_owned()))
    }

    /// An integer of any size, in two's complement.
    fn long(&mut self, length_bytes: usize) -> Result<Value> {
        let digits = self.counted(length_bytes)?;
        let negative = digits.last().is_some_and(|byte| byte & 0x80 != 0);
        let mut all = [if negative { 0xFF } else { 0 }; 8];
        let Some(low) = all.get_mut(..digits.len()) else { return Ok(Value::Other) };
        low.copy_from_slice(&digits);
        Ok(Value::Integer(i64::from_le_bytes(all)))
    }

    fn whole_number_in_words(&mut self) -> Result<Value> {
        let line = self.line()?;
        let number = line.trim().trim_end_matches('L').parse();
        Ok(number.map_or(Value::Other, Value::Integer))
    }
}
