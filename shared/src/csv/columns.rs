//! The columns of a table that hold the texts and the ids, found by their names.

/// The names of a text column, in the order in which the reference notebook tries them.
const TEXT_NAMES: [&str; 5] = ["text", "comment_text", "sentence", "content", "review"];

const ID_NAME: &str = "id";

/// The column that has a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Match {
    /// One column has it, whatever the case of its letters.
    One(usize),
    /// No column has it.
    None,
    /// Several columns have it in other letters than were asked for: their indices.
    Several(Vec<usize>),
}

impl Match {
    /// The column, if there is exactly one.
    pub fn one(self) -> Option<usize> {
        match self {
            Self::One(column) => Some(column),
            Self::None | Self::Several(_) => None,
        }
    }
}

/// Finds the column with this name: the one that has it letter by letter, else the one that has it in upper
/// or lower case. A column without a name is never found, as it often holds row numbers.
pub fn find(header: &[String], name: &str) -> Match {
    if name.is_empty() {
        return Match::None;
    }
    if let Some(column) = header.iter().position(|column| column == name) {
        return Match::One(column);
    }
    let name = name.to_lowercase();
    let found: Vec<usize> =
        (0..header.len()).filter(|&column| header[column].to_lowercase() == name).collect();
    match found[..] {
        [] => Match::None,
        [column] => Match::One(column),
        _ => Match::Several(found),
    }
}

/// Finds the text column by the usual names.
pub fn find_text(header: &[String]) -> Option<usize> {
    TEXT_NAMES.iter().find_map(|name| find(header, name).one())
}

/// Finds the id column by its usual name.
pub fn find_id(header: &[String]) -> Option<usize> {
    find(header, ID_NAME).one()
}

/// Whether a column's name says that it holds ids: `tweet_id`, `commentId`, `UUID`.
pub fn looks_like_id(name: &str) -> bool {
    let lower = name.to_lowercase();
    let ends = ["_id", "-id", " id", ".id"].iter().any(|end| lower.ends_with(end));
    ends || name.ends_with("Id") || ["id", "ids", "uuid", "guid", "key"].contains(&lower.as_str())
}

/// The column whose values read most like texts: those with most words, and of those the one with most
/// letters. `None` if no column has values of more than one word.
pub fn reads_like_text<'a>(rows: impl IntoIterator<Item = Vec<&'a str>>) -> Option<usize> {
    let mut counts: Vec<(usize, usize)> = Vec::new();
    let mut height = 0;
    for row in rows {
        counts.resize(row.len(), (0, 0));
        height += 1;
        for (count, value) in counts.iter_mut().zip(row) {
            count.0 += value.split_whitespace().filter(|word| has_letter(word)).count();
            count.1 += value.chars().filter(|c| c.is_alphabetic()).count();
        }
    }
    let best = (0..counts.len()).rev().max_by_key(|&column| counts[column])?;
    let (words, letters) = counts[best];
    (words > height || letters > 20 * height).then_some(best)
}

fn has_letter(word: &str) -> bool {
    word.chars().any(char::is_alphabetic)
}
