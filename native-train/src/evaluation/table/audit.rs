//! The table of `audit`.

use shared::LabelSet;
use shared::words::counted;

use crate::evaluation::audit::{Audit, FoundBy};
use crate::evaluation::columns::{align, align_left, cells, percent, snippet};

/// The doubts about each label, and the `top` findings of each kind.
pub fn audit_table(
    audit: &Audit,
    labels: &LabelSet,
    ids: &[String],
    texts: &[String],
    top: usize,
) -> String {
    let mut rows =
        vec![cells(["label", "rows", "suspects", "has it", "has not", "missed", "added"])];
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
        "{} by models that have not seen them\n\n{}\
         missed: of the texts that have the label, the estimated share that is said not to; added: of the others, the\n\
         share that is said to; models that know little make both too large\n",
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
