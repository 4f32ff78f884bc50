//! The character between the columns of a table.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The character between the columns of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Delimiter {
    /// `,`
    #[serde(alias = ",")]
    Comma,
    /// `;`, which spreadsheet programs write where the comma is a decimal point.
    #[serde(alias = ";")]
    Semicolon,
    /// A tab, as in files that end in `.tsv`.
    #[serde(alias = "\t")]
    Tab,
    /// `|`
    #[serde(alias = "|", alias = "pipe")]
    Bar,
}

impl Delimiter {
    /// All delimiters, the most usual first.
    pub const ALL: [Self; 4] = [Self::Comma, Self::Semicolon, Self::Tab, Self::Bar];

    /// The character, which is ASCII.
    pub const fn byte(self) -> u8 {
        match self {
            Self::Comma => b',',
            Self::Semicolon => b';',
            Self::Tab => b'\t',
            Self::Bar => b'|',
        }
    }

    /// The word for it in the singular: `comma`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Comma => "comma",
            Self::Semicolon => "semicolon",
            Self::Tab => "tab",
            Self::Bar => "bar",
        }
    }
}

impl fmt::Display for Delimiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Takes the character or its name. A tab may also be written `\t`, as it is hard to type in a shell.
impl FromStr for Delimiter {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "," | "comma" => Ok(Self::Comma),
            ";" | "semicolon" => Ok(Self::Semicolon),
            "\t" | "\\t" | "tab" => Ok(Self::Tab),
            "|" | "bar" | "pipe" => Ok(Self::Bar),
            _ => Err("use comma, semicolon, tab or bar".to_owned()),
        }
    }
}
