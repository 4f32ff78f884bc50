//! The table of `compare`.

use shared::LabelSet;
use shared::words::counted;

use crate::evaluation::columns::{align, cells, figure, snippet};
use crate::evaluation::comparison::{Comparison, Difference, Move, shown_p};

/// Two runs side by side: scores, differences, the rows that moved most, and what may be concluded. `names` are those of A and
/// B.
pub fn comparison_table(
    comparison: &Comparison,
    names: [&str; 2],
    labels: &LabelSet,
    (ids, texts): (&[String], &[String]),
    moves: &[Move],
) -> String {
    let [a, b] = names;
    let line = |name: &str, Difference { a, b, difference, interval, p }: Difference| {
        vec![
            name.to_owned(),
            figure(a),
            figure(b),
            format!("{difference:+.4}"),
            format!("{:+.4} to {:+.4}", interval.low, interval.high),
            shown_p(p),
        ]
    };
    let mut rows = vec![cells(["F1", "A", "B", "B - A", "95% interval", "p"])];
    rows.push(line("macro", comparison.macro_f1));
    rows.extend(comparison.per_label.iter().map(|label| line(&label.label, label.f1)));
    let moved = comparison.moved;
    let mut table = format!(
        "A: {a}\nB: {b}\n{}, {}\n\n{}\
         p: how often chance alone makes as large a difference; of labels, corrected for their number (Holm)\n\n\
         {} better by B, {} worse, {} with other labels but as many right, {} decided alike\n",
        counted(comparison.rows, "row"),
        counted(comparison.distinct_texts, "distinct text"),
        align(&rows),
        counted(moved.better, "row"),
        moved.worse,
        moved.changed,
        moved.same,
    );
    if !moves.is_empty() {
        table += "\nrows that moved most:\n";
    }
    for moved in moves {
        let name = &labels.names()[moved.label];
        table += &format!(
            "{:.2} -> {:.2}  {}  {} has{} {name}: {}\n",
            moved.a,
            moved.b,
            if moved.is_better() { "better" } else { "worse " },
            ids[moved.row],
            if moved.is_on { "" } else { " not" },
            snippet(&texts[moved.row]),
        );
    }
    table + "\n" + &comparison.conclusion(a, b) + "\n"
}
