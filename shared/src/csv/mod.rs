//! Tables as people have them: CSV and its relatives, read from bytes into checked records.
//!
//! The command line and the page read files by this module, so the same bytes give the same rows in both.
//!
//! | found in the file | what happens |
//! |---|---|
//! | UTF-8, with or without a byte order mark | read |
//! | UTF-16 with a mark, or with a zero in every other byte | read; [`Note::Encoding`] |
//! | other bytes that are no text | refused with the line |
//! | a workbook, an archive, Parquet, JSON, a web page, ... | refused by its name ([`Foreign`]) |
//! | commas, semicolons, tabs or bars between the columns of the header | read; [`Note::Delimiter`] if not commas |
//! | several of them, and the rows do not tell which | refused: the caller has to say it |
//! | a first line `sep=;` | obeyed and skipped; [`Note::SepLine`] |
//! | lines above the header that begin with `#` | skipped; [`Note::Comments`] |
//! | blank lines | skipped and counted |
//! | spaces around the names of columns | removed |
//! | values in quotes with delimiters, line breaks and doubled quotes (RFC 4180) | read |
//! | a quote inside an unquoted value | part of the value, as for pandas and Python's `csv` |
//! | LF or CRLF | read; a lone CR outside of quotes is refused |
//! | a quote that is never closed, text after a closing quote, a row of over 16 MiB | refused with line and column |
//! | a row with more or fewer values than the header has | refused with the line |
//! | the header again, as in files that were joined | refused with the line |
//! | two columns of one name, a file without a header or without rows | refused |

mod columns;
mod decoder;
mod delimiter;
mod encoding;
mod fault;
mod foreign;
mod lines;
mod preamble;
mod reader;
mod scan;

pub use columns::{Match, find, find_id, find_text, looks_like_id, reads_like_text};
pub use decoder::{Decoder, decode};
pub use delimiter::Delimiter;
pub use encoding::Encoding;
pub use fault::{Fault, FaultKind};
pub use foreign::Foreign;
pub use lines::Lines;
pub use preamble::Note;
pub use reader::{Reader, Record};

#[cfg(test)]
mod tests;
