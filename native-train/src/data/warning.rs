//! Warnings about data that is unusual but usable.

use std::fmt;

/// The number of lines with one peculiarity, and the first of them.
pub use shared::csv::Lines as Tally;
use shared::words::{counted, joined};

use shared::csv::Note;

use super::chunk::Unit;
use super::label_values::LabelValues;
use crate::progress::Progress;
use crate::shell::flag;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Warning {
    /// Something that was decided about the file and loses nothing.
    Decided { file: String, what: String },
    /// Lines above the header that begin with `#`, which were skipped.
    Comments { file: String, lines: Tally },
    /// Columns that hold only what labels hold but are none, as the five emotions are there.
    OtherLabels { file: String, labels: Vec<String>, others: Vec<String>, values: LabelValues },
    /// Rows without labels, which were left out as the user asked.
    Unlabelled { file: String, rows: Tally, unit: Unit },
    /// Empty lines, which were skipped.
    BlankLines { file: String, lines: Tally },
    /// Rows whose text is empty; they are kept.
    EmptyTexts { file: String, rows: Tally, unit: Unit },
    /// The first keys of JSON Lines that come too late to be columns, each with its first line.
    LateKeys { file: String, keys: Vec<(String, usize)> },
    /// Labels in lists that are none of the labels that the user named, each with the number of its rows.
    LabelsLeftOut { file: String, column: String, labels: Vec<(String, usize)> },
    /// Rows whose id an earlier row has.
    RepeatedIds { file: String, count: usize, first: String },
    /// A label that has the same value in every row.
    ConstantLabel { label: String, value: String },
    /// A soft label that is below 0.5 in every row, or in none.
    OneSidedLabel { label: String, counts_as: u8 },
    /// The rarest combination of labels has fewer rows than there are folds.
    RareCombination { rows: usize, folds: usize },
    /// Labels that some folds have no row of: name, rows, folds that have one.
    LabelsMissingInFolds { labels: Vec<(String, usize, usize)>, folds: usize },
    /// Folds of different sizes, because a text repeats too often to deal it evenly.
    UnevenFolds { smallest: usize, largest: usize },
}

impl Warning {
    /// Whether this is no more than a note, because it loses no row and no label.
    fn is_note(&self) -> bool {
        matches!(self, Self::Decided { .. })
    }

    /// Says it on stderr.
    pub fn tell(&self, progress: &Progress) {
        if self.is_note() { progress.note(self) } else { progress.warn(self) }
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Decided { file, what } => write!(f, "`{file}`: {what}"),
            Self::Comments { file, lines } => {
                write!(f, "`{file}`: {}", Note::Comments(*lines).sentence())
            }
            Self::OtherLabels { file, labels, others, values } => {
                let all: Vec<String> = labels.iter().chain(others).cloned().collect();
                let (columns, hold) =
                    if others.len() == 1 { ("column", "holds") } else { ("columns", "hold") };
                write!(
                    f,
                    "`{file}`: the labels are the five emotions; the {columns} {} {hold} only {values} too, but \
                     nothing is learned from {} (to take all: `{}`)",
                    joined(others.iter().map(|name| format!("`{name}`"))),
                    if others.len() == 1 { "it" } else { "them" },
                    flag("--labels", &all.join(",")),
                )
            }
            Self::Unlabelled { file, rows, unit } => write!(
                f,
                "`{file}`: {} in which every label is blank or -1 left out (the first {})",
                counted(rows.count, "row"),
                unit.at(rows.first)
            ),
            Self::BlankLines { file, lines } => write!(
                f,
                "`{file}`: {} skipped (the first is line {})",
                counted(lines.count, "blank line"),
                lines.first
            ),
            Self::EmptyTexts { file, rows, unit } => write!(
                f,
                "`{file}`: {} without a text, used as the empty text (the first {})",
                counted(rows.count, "row"),
                unit.at(rows.first)
            ),
            Self::LateKeys { file, keys } => {
                let one = |(key, line): &(String, usize)| format!("`{key}` (line {line})");
                write!(
                    f,
                    "`{file}`: keys that the first lines of the file lack are not used: {}; a first line with every key \
                     makes them columns",
                    joined(keys.iter().map(one))
                )
            }
            Self::LabelsLeftOut { file, column, labels } => {
                let one = |(label, rows): &(String, usize)| {
                    format!("`{label}` ({})", counted(*rows, "row"))
                };
                write!(
                    f,
                    "`{file}`: lists in `{column}` hold labels that `--labels` does not name, and nothing is learned \
                     from them: {}",
                    joined(labels.iter().map(one))
                )
            }
            Self::RepeatedIds { file, count, first } => write!(
                f,
                "`{file}`: {} with the id of an earlier row (the first is `{first}`)",
                counted(*count, "row")
            ),
            Self::ConstantLabel { label, value } => {
                write!(
                    f,
                    "label `{label}` is {value} in every row, so nothing can be learned about it"
                )
            }
            Self::OneSidedLabel { label, counts_as } => write!(
                f,
                "label `{label}` is {} in every row, so scores take it as {counts_as} everywhere and say nothing \
                 about it",
                if *counts_as == 0 { "below 0.5" } else { "0.5 or more" },
            ),
            Self::RareCombination { rows, folds } => write!(
                f,
                "the rarest combination of labels has {}, fewer than the {folds} folds",
                counted(*rows, "row")
            ),
            Self::LabelsMissingInFolds { labels, folds } => {
                let one = |(label, rows, present): &(String, usize, usize)| {
                    format!("`{label}` ({} in {present})", counted(*rows, "row"))
                };
                let labels: Vec<String> = labels.iter().map(one).collect();
                write!(
                    f,
                    "not all of the {folds} folds have a row with each label, and a fold without one cannot \
                     score it: {}",
                    labels.join(", ")
                )
            }
            Self::UnevenFolds { smallest, largest } => write!(
                f,
                "folds have {smallest} to {largest} rows, because equal texts stay together"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn warnings_say_what_and_where() {
        let file = "a.csv".to_owned();
        assert_eq!(
            Warning::BlankLines { file: file.clone(), lines: Tally { count: 1, first: 9 } }
                .to_string(),
            "`a.csv`: 1 blank line skipped (the first is line 9)"
        );
        assert_eq!(
            Warning::EmptyTexts {
                file: file.clone(),
                rows: Tally { count: 2, first: 4 },
                unit: Unit::Line
            }
            .to_string(),
            "`a.csv`: 2 rows without a text, used as the empty text (the first on line 4)"
        );
        assert_eq!(
            Warning::RepeatedIds { file, count: 3, first: "x7".to_owned() }.to_string(),
            "`a.csv`: 3 rows with the id of an earlier row (the first is `x7`)"
        );
        assert_eq!(
            Warning::RareCombination { rows: 1, folds: 5 }.to_string(),
            "the rarest combination of labels has 1 row, fewer than the 5 folds"
        );
        let labels = vec![("a".to_owned(), 1, 1), ("b".to_owned(), 7, 3)];
        assert_eq!(
            Warning::LabelsMissingInFolds { labels, folds: 5 }.to_string(),
            "not all of the 5 folds have a row with each label, and a fold without one cannot score it: \
             `a` (1 row in 1), `b` (7 rows in 3)"
        );
    }
}
