//! The table of `audit`.

use shared::LabelSet;
use shared::words::counted;

use super::{align, cells, percent};
use crate::evaluation::audit::{Audit, FoundBy};

/// The longest text of a line, in characters.
const SNIPPET: usize = 80;

/// The doubts about each label, and the `top` findings of each kind.
pub fn audit_table(
    audit: &Audit,
    labels: &LabelSet,
    ids: &[String],
    texts: &[String],
    top: usize,
) -> String {
    let mut rows =
        vec![cells(["label", "given", "suspects", "given it", "not", "missed", "added"])];
    for label in &audit.per_label {
        rows.push(vec![
            label.label.clone(),
            label.given.to_string(),
            (label.suspects_on + label.suspects_off).to_string(),
            label.suspects_on.to_string(),
            label.suspects_off.to_string(),
            percent(label.missed),
            percent(label.added),
        ]);
    }
    let mut table = format!(
        "{} by models that have not seen them\n\n{}         missed: of the texts that have the label, the estimated share that is said not to; added: of the others,\n         the estimated share that is said to\n",
        counted(audit.rows, "row"),
        align(&rows),
    );
    for found_by in FoundBy::ALL {
        let found = audit.found_by(found_by).count();
        table += &format!("\n{}\n", heading(found_by, found, top));
        let lines: Vec<Vec<String>> = audit
            .found_by(found_by)
            .take(top)
            .map(|finding| {
                let name = &labels.names()[finding.label];
                let says = if finding.given { name.clone() } else { format!("not {name}") };
                vec![
                    ids[finding.row].clone(),
                    says,
                    format!("{:.2}", finding.score),
                    snippet(&texts[finding.row]),
                ]
            })
            .collect();
        if !lines.is_empty() {
            let header = vec![cells(["id", "given", "score", "text"])];
            table += &align_left(&[header, lines].concat());
        }
    }
    table
}

fn heading(found_by: FoundBy, found: usize, top: usize) -> String {
    let labels = counted(found, "label");
    let what = match found_by {
        FoundBy::Model => "that the models doubt (score: the probability they give the other)",
        FoundBy::EqualText => "in which equal texts contradict each other (score: their share)",
        FoundBy::NearText => "in which nearly equal texts do (score: how similar they are)",
    };
    let shown = if found > top { format!(", the first {top}") } else { String::new() };
    format!("{labels} {what}{shown}:")
}

/// The beginning of a text, on one line.
pub fn snippet(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if line.chars().count() <= SNIPPET {
        return line;
    }
    line.chars().take(SNIPPET - 1).chain(['…']).collect()
}

/// Columns of words, each beginning where the longest cell before it has ended.
fn align_left(rows: &[Vec<String>]) -> String {
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max();
    let widths: Vec<usize> = (0..rows[0].len()).filter_map(width).collect();
    let line = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths).map(|(cell, &width)| format!("{cell:<width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned() + "\n"
    };
    rows.iter().map(line).collect()
}
