//! Columns of text, aligned for a terminal or a log, and figures as all tables show them.

/// The longest text of a line, in characters.
const SNIPPET: usize = 80;

/// A score.
pub fn figure(score: f64) -> String {
    format!("{score:.4}")
}

/// A share as a percentage.
pub fn percent(share: f64) -> String {
    format!("{:.1}%", 100.0 * share)
}

/// A row of fixed words.
pub fn cells<const N: usize>(cells: [&str; N]) -> Vec<String> {
    cells.map(str::to_owned).to_vec()
}

/// Formats rows of equal length, the first column aligned to the left, the others to the right.
pub fn align(rows: &[Vec<String>]) -> String {
    lines(
        rows,
        |column, cell, width| {
            if column == 0 { format!("{cell:<width$}") } else { format!("{cell:>width$}") }
        },
    )
}

/// Formats rows of equal length, all columns aligned to the left.
pub fn align_left(rows: &[Vec<String>]) -> String {
    lines(rows, |_, cell, width| format!("{cell:<width$}"))
}

fn lines(rows: &[Vec<String>], padded: impl Fn(usize, &str, usize) -> String) -> String {
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max();
    let widths: Vec<usize> = (0..rows[0].len()).filter_map(width).collect();
    let line = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths).enumerate();
        let cells = cells.map(|(column, (cell, &width))| padded(column, cell, width));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned() + "\n"
    };
    rows.iter().map(line).collect()
}

/// The beginning of a text, on one line.
pub fn snippet(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if line.chars().count() <= SNIPPET {
        return line;
    }
    line.chars().take(SNIPPET - 1).chain(['…']).collect()
}
