//! The answer of `native-train predict` about one sentence, for a terminal.

use anyhow::{Context, Result};
use serde_json::Value;

#[derive(Debug, PartialEq)]
pub struct Label {
    name: String,
    probability: f64,
    threshold: f64,
}

/// What `predict` wrote of the one row beside the run's thresholds, the likeliest label first.
pub fn labels(csv: &str, thresholds: &str) -> Result<Vec<Label>> {
    let mut lines = csv.lines();
    let (names, values) = lines.next().zip(lines.next()).context("predict wrote no row")?;
    let thresholds: Value =
        serde_json::from_str(thresholds).context("thresholds.json is damaged")?;
    let threshold = |name| {
        let place = thresholds["labels"].as_array()?.iter().position(|label| label == name)?;
        thresholds["thresholds"][place].as_f64()
    };
    let mut labels = names
        .split(',')
        .zip(values.split(','))
        .filter(|(name, _)| *name != "id")
        .map(|(name, value)| {
            let probability =
                value.parse().with_context(|| format!("`{value}` is no probability"))?;
            let threshold = threshold(name)
                .with_context(|| format!("thresholds.json knows no label `{name}`"))?;
            Ok(Label { name: name.to_owned(), probability, threshold })
        })
        .collect::<Result<Vec<_>>>()?;
    labels.sort_by(|left, right| right.probability.total_cmp(&left.probability));
    Ok(labels)
}

/// A bar a label; a mark where the probability reaches the label's threshold.
pub fn print(sentence: &str, labels: &[Label]) {
    println!("\n{sentence}\n");
    for Label { name, probability, threshold } in labels {
        let mark = if probability >= threshold { '*' } else { ' ' };
        let bar = "#".repeat((probability * 40.0).round() as usize);
        println!("{mark} {name:<10} {probability:.2}  {bar}");
    }
    println!("\n* at or above the label's own threshold");
}

#[cfg(test)]
mod tests {
    use super::*;

    const THRESHOLDS: &str = r#"{"labels": ["anger", "joy"], "thresholds": [0.2, 0.8]}"#;

    #[test]
    fn puts_the_likeliest_label_first_with_its_own_threshold() {
        let found = labels("id,anger,joy\n0,0.25,0.75\n", THRESHOLDS).unwrap();
        let label = |name: &str, probability, threshold| Label {
            name: name.into(),
            probability,
            threshold,
        };
        assert_eq!(found, [label("joy", 0.75, 0.8), label("anger", 0.25, 0.2)]);
    }

    #[test]
    fn refuses_what_is_no_table_of_probabilities() {
        for csv in ["id,anger\n", "id,anger\n0,x\n", "id,fear\n0,0.5\n"] {
            assert!(labels(csv, THRESHOLDS).is_err(), "{csv}");
        }
    }
}
