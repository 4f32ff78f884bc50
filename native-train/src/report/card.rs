//! The card of a model: README.md as the Hugging Face hub shows it, with the honest score in its header.

use askama::Template;
use shared::words::thousands;

use super::overview::{Fact, facts};
use crate::config::TrainConfig;
use crate::evaluation::columns::figure;
use crate::evaluation::report::{LabelReport, Summary};
use crate::evaluation::resampling::Interval;
use crate::pretrained::{Source, public_name};

#[derive(Template)]
#[template(path = "model_card.txt", escape = "none")]
struct Card {
    /// These are YAML strings.
    base_model: Option<String>,
    name: String,
    dataset: String,
    metric: &'static str,
    title: String,
    role: String,
    basis: &'static str,
    score: String,
    interval: String,
    rows: String,
    labels: Vec<Label>,
    /// A Python dictionary, which JSON is as well.
    thresholds: String,
    max_len: usize,
    facts: Vec<Fact>,
}

struct Label {
    name: String,
    threshold: String,
    f1: String,
    interval: String,
    rows: u64,
}

/// The card of a fold's model, or with `None` of the final one, of the run `title`.
///
/// # Errors
/// If the template cannot be filled.
pub fn card(
    title: &str,
    fold: Option<usize>,
    config: &TrainConfig,
    summary: &Summary,
) -> askama::Result<String> {
    let scores = &summary.cross_validation;
    let (score, interval, metric) = match scores.macro_f1_cross_fitted {
        Some(honest) => (
            honest,
            scores.intervals.and_then(|of| of.cross_fitted),
            "macro-F1, thresholds tuned on the other folds",
        ),
        None => (
            scores.macro_f1_at_half,
            scores.intervals.map(|of| of.at_half),
            "macro-F1, thresholds of 0.5",
        ),
    };
    let (name, role, basis) = match fold {
        Some(fold) => (
            format!("{title}, fold {fold}"),
            format!(
                "The model of fold {fold} of {}: it labels texts by itself, and better together with the others.",
                summary.folds
            ),
            "Each row was judged by the model of the one fold that has not seen it.",
        ),
        None => (
            format!("{title}, final"),
            "The model that learned from all rows, so that none is left to score it.".to_owned(),
            "This is the score of models that learned likewise from fewer rows, on those that they have not seen.",
        ),
    };
    let file = config.train_csv.file_name();
    let dataset = file.map_or_else(String::new, |name| name.to_string_lossy().into_owned());
    let labels = summary.per_label.iter().map(|label| Label {
        name: escaped(&label.label),
        threshold: format!("{:.2}", label.threshold),
        f1: figure(label.f1_cross_fitted.unwrap_or(label.f1_at_half)),
        interval: range(label.interval),
        rows: label.support,
    });
    let hub_model = match Source::parse(&summary.model) {
        Ok(Source::Hub { id, .. }) => Some(quoted(&id)),
        _ => None,
    };
    Card {
        base_model: hub_model,
        name: quoted(&name),
        dataset: quoted(&dataset),
        metric,
        title: name,
        role,
        basis,
        score: figure(score),
        interval: range(interval),
        rows: thousands(scores.rows),
        labels: labels.collect(),
        thresholds: dictionary(&summary.per_label),
        max_len: config.max_len,
        facts: public(facts(summary), summary),
    }
    .render()
}

/// The facts without paths, as a card is published.
fn public(facts: Vec<Fact>, summary: &Summary) -> Vec<Fact> {
    let value = |fact: Fact| match fact.name {
        "Model" => Fact { value: public_name(&summary.model), ..fact },
        _ => fact,
    };
    facts.into_iter().filter(|fact| fact.name != "Teacher").map(value).collect()
}

fn range(interval: Option<Interval>) -> String {
    interval
        .map_or_else(|| "–".to_owned(), |Interval { low, high }| format!("{low:.3} to {high:.3}"))
}

/// A string in YAML, which takes JSON's.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// A cell of a Markdown table.
fn escaped(text: &str) -> String {
    text.replace('|', "\\|")
}

fn dictionary(labels: &[LabelReport]) -> String {
    let entries =
        labels.iter().map(|label| format!("{}: {:?}", quoted(&label.label), label.threshold));
    format!("{{{}}}", entries.collect::<Vec<_>>().join(", "))
}
