//! The values that a label column may hold.

use std::fmt;

/// Hard labels or soft ones.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum LabelValues {
    #[default]
    ZeroAndOne,
    /// Soft labels, from 0 to 1.
    Probabilities,
}

impl LabelValues {
    /// The values of soft labels, or of others.
    pub fn soft(soft: bool) -> Self {
        if soft { Self::Probabilities } else { Self::ZeroAndOne }
    }

    /// The value of a cell, if a label may have it.
    pub fn parse(self, cell: &str) -> Option<f32> {
        match cell {
            "0" | "0.0" => Some(0.0),
            "1" | "1.0" => Some(1.0),
            _ if cell.eq_ignore_ascii_case("false") => Some(0.0),
            _ if cell.eq_ignore_ascii_case("true") => Some(1.0),
            _ if self == Self::Probabilities => probability(cell),
            _ => None,
        }
    }
}

impl fmt::Display for LabelValues {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ZeroAndOne => "0 and 1",
            Self::Probabilities => "probabilities from 0 to 1",
        })
    }
}

/// The value of a cell that is a number from 0 to 1.
pub fn probability(cell: &str) -> Option<f32> {
    cell.parse().ok().filter(|value| (0.0..=1.0).contains(value))
}
