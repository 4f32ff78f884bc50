//! JSON Lines: a file with an object on each line, whose keys are the columns.
//!
//! serde_json reads line by line. polars' own reader of JSON Lines would guess a type for each column, where every value has
//! to stay what the file says, and it knows no line of an error.
//!
//! | value | text in the chunk |
//! |---|---|
//! | a string | the string |
//! | a number, `true`, `false` | as JSON writes it |
//! | `null`, a key that is missing | nothing |
//! | a list, an object | as JSON writes it; refused in the columns of texts and ids |

use std::collections::HashMap;
use std::collections::VecDeque;
use std::fmt;
use std::io::{BufRead, BufReader, Read};

use anyhow::Result;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::Value;
use shared::csv::Lines;

use super::chunk::{ChunkBuilder, Place, Unit};
use super::input::unreadable;
use super::needed::Needed;
use super::warning::Warning;
use crate::error::UserError;

/// The lines by whose keys the columns are known, and their bytes.
const SAMPLE_LINES: usize = 8192;
const SAMPLE_BYTES: usize = 16 << 20;

/// The longest line in bytes: no text to classify is this long.
const MAX_LINE: usize = 16 << 20;

/// The most keys that a warning names.
const MAX_LATE_KEYS: usize = 20;

const EXAMPLE: &str = "each line is an object, such as `{\"id\": \"7\", \"text\": \"what a day\"}`";

/// A file of JSON Lines being read.
pub struct Reader {
    file: String,
    source: BufReader<Box<dyn Read + Send>>,
    line: usize,
    header: Vec<String>,
    columns: HashMap<String, usize>,
    /// The lines that were read to know the keys.
    sample: VecDeque<(usize, String)>,
    needed: Needed,
    blank_lines: Lines,
    /// The first keys that the sample has not, each with the first line that has it.
    late_keys: Vec<(String, usize)>,
}

/// An object, whose keys stay in order.
struct Row(Vec<(String, Value)>);

impl Reader {
    /// Finds the keys of `source`, which messages call `file`.
    ///
    /// # Errors
    /// If it holds no object, or one of its first lines is none.
    pub fn new(file: String, source: Box<dyn Read + Send>) -> Result<Self> {
        let mut reader = Self {
            file,
            source: BufReader::with_capacity(64 << 10, source),
            line: 0,
            header: Vec::new(),
            columns: HashMap::new(),
            sample: VecDeque::new(),
            needed: Needed::ALL,
            blank_lines: Lines::default(),
            late_keys: Vec::new(),
        };
        reader.take_sample()?;
        Ok(reader)
    }

    /// The keys, in the order in which the file first has them.
    pub fn header(&self) -> &[String] {
        &self.header
    }

    /// The file's name in messages.
    pub fn file(&self) -> &str {
        &self.file
    }

    /// Says which values are needed from here on; those of other columns are empty.
    pub fn need(&mut self, needed: Needed) {
        self.needed = needed;
    }

    /// Adds the next row to `chunk`; false at the end of the file.
    ///
    /// # Errors
    /// If a line is no object, or a text or an id is a list or an object.
    pub fn read_row(&mut self, chunk: &mut ChunkBuilder) -> Result<bool> {
        let next = self.sample.pop_front().map_or_else(|| self.next_line(), |line| Ok(Some(line)));
        let Some((line, text)) = next? else { return Ok(false) };
        let Row(entries) = self.parse(line, &text)?;
        let mut values = vec![String::new(); self.header.len()];
        for (key, value) in entries {
            match self.columns.get(&key) {
                Some(&column) if self.needed.has(column) => {
                    values[column] = self.text_of(line, column, value)?;
                }
                Some(_) => {}
                None => self.note_late(key, line),
            }
        }
        chunk.push(line, values.iter().map(String::as_str));
        Ok(true)
    }

    /// The warnings about the lines read so far.
    pub fn warnings(&self) -> Vec<Warning> {
        let file = || self.file.clone();
        let lines = self.blank_lines;
        let blank = (!lines.is_empty()).then(|| Warning::BlankLines { file: file(), lines });
        let late = (!self.late_keys.is_empty())
            .then(|| Warning::LateKeys { file: file(), keys: self.late_keys.clone() });
        blank.into_iter().chain(late).collect()
    }

    fn note_late(&mut self, key: String, line: usize) {
        let is_new = self.late_keys.iter().all(|(late, _)| *late != key);
        if is_new && self.late_keys.len() < MAX_LATE_KEYS {
            self.late_keys.push((key, line));
        }
    }

    /// Reads the first lines and their keys.
    fn take_sample(&mut self) -> Result<()> {
        let mut bytes = 0;
        while self.sample.len() < SAMPLE_LINES && bytes < SAMPLE_BYTES {
            let Some((line, text)) = self.next_line()? else { break };
            for (key, _) in self.parse(line, &text)?.0 {
                if !self.columns.contains_key(&key) {
                    self.columns.insert(key.clone(), self.header.len());
                    self.header.push(key);
                }
            }
            bytes += text.len();
            self.sample.push_back((line, text));
        }
        if self.header.is_empty() {
            let message = format!("`{}`: the file holds no object with a key", self.file);
            return Err(UserError::new(message).hint(EXAMPLE).into());
        }
        Ok(())
    }

    /// The next line that is not blank, and its number.
    fn next_line(&mut self) -> Result<Option<(usize, String)>> {
        loop {
            let mut bytes = Vec::new();
            let mut limited = self.source.by_ref().take(MAX_LINE as u64 + 1);
            let read = limited.read_until(b'\n', &mut bytes);
            read.map_err(|error| unreadable(&self.file, error))?;
            if bytes.is_empty() {
                return Ok(None);
            }
            self.line += 1;
            let line = self.line;
            if bytes.len() > MAX_LINE {
                let what = format!("a line of over {} MiB", MAX_LINE >> 20);
                return Err(self.refuse(line, &what, "check that the file is JSON Lines"));
            }
            if line == 1 && bytes.starts_with(b"PAR1") {
                let hint =
                    "pass `--format parquet`, or give the file a name that ends in `.parquet`";
                return Err(self.refuse(line, "the file is in the format Parquet", hint));
            }
            let text = String::from_utf8(bytes);
            let text =
                text.map_err(|_| self.refuse(line, "not UTF-8 text", "save the file as UTF-8"))?;
            let text = if line == 1 { text.trim_start_matches('\u{feff}') } else { &text };
            if !text.trim().is_empty() {
                return Ok(Some((line, text.trim().to_owned())));
            }
            self.blank_lines.note(line);
        }
    }

    fn parse(&self, line: usize, text: &str) -> Result<Row> {
        let row = serde_json::from_str::<Row>(text).map_err(|error| {
            let what = error.to_string();
            let what = what.split(" at line ").next().unwrap_or_default();
            let what = format!("not an object of JSON: {what}, at byte {}", error.column());
            let hint = match text.as_bytes()[0] {
                b'[' => {
                    "write each object of the list on a line of its own (`jq -c '.[]'` does it)"
                }
                b'{' if error.is_eof() => {
                    "write each object on one line (`jq -c .` does it); the last one may be cut off"
                }
                _ => EXAMPLE,
            };
            self.refuse(line, &what, hint)
        })?;
        let mut keys: Vec<&str> = row.0.iter().map(|(key, _)| key.as_str()).collect();
        keys.sort_unstable();
        match keys.windows(2).find(|pair| pair[0] == pair[1]) {
            Some(pair) => {
                let what = format!("two values of the key `{}`", pair[0]);
                Err(self.refuse(line, &what, "remove or rename one of them"))
            }
            None => Ok(row),
        }
    }

    fn text_of(&self, line: usize, column: usize, value: Value) -> Result<String> {
        let is_input = self.needed.is_text(column) || self.needed.is_id(column);
        let found = match value {
            Value::Null => return Ok(String::new()),
            Value::String(text) => return Ok(text),
            Value::Number(number) if self.needed.is_id(column) && number.is_f64() => {
                "a number that is not kept digit by digit"
            }
            Value::Array(_) if is_input => "a list",
            Value::Object(_) if is_input => "an object",
            value => return Ok(value.to_string()),
        };
        let (file, name) = (&self.file, &self.header[column]);
        let place = Place { unit: Unit::Line, number: line };
        let (what, remedy) = if self.needed.is_id(column) {
            ("an id", "write ids as strings or integers, or name another column with `--id-column`")
        } else {
            ("a text", "write texts as strings, or name another column with `--text-column`")
        };
        let message = format!("`{file}`, {place}, column `{name}`: {found} is not {what}");
        Err(UserError::new(message).hint(remedy).into())
    }

    fn refuse(&self, line: usize, what: &str, hint: &str) -> anyhow::Error {
        UserError::new(format!("`{}`, line {line}: {what}", self.file)).hint(hint).into()
    }
}

impl<'de> Deserialize<'de> for Row {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries;
        impl<'de> Visitor<'de> for Entries {
            type Value = Row;

            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Row, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(Row(entries))
            }
        }
        deserializer.deserialize_map(Entries)
    }
}
