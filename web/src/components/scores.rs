//! The scores in the manifest, with an explanation of each.

use leptos::prelude::*;
use shared::bundle::{Interval, Verification};

use crate::state::BundleSummary;
use crate::words::percent;

#[component]
pub fn ScoreTable(bundle: BundleSummary) -> impl IntoView {
    let scores = bundle.card.scores;
    let thresholds = bundle.thresholds.values().to_vec();
    let is_cross_fitted = scores.macro_f1_cross_fitted.is_some();
    let has_intervals = scores.macro_f1_interval.is_some();
    let rows: Vec<_> = scores
        .per_label
        .iter()
        .zip(thresholds)
        .map(|(score, threshold)| {
            let interval = has_intervals.then(|| view! { <td>{score.interval.map(range)}</td> });
            let cross_fitted = is_cross_fitted
                .then(|| view! { <td>{score.f1_cross_fitted.map_or_else(|| "\u{2013}".to_owned(), f1)}</td> });
            view! {
                <tr>
                    <th scope="row">{score.label.clone()}</th>
                    <td>{percent(threshold)}</td>
                    <td>{score.support.to_string()}</td>
                    <td>{f1(score.f1_at_half)}</td>
                    <td>{f1(score.f1_tuned)}</td>
                    {cross_fitted}
                    {interval}
                </tr>
            }
        })
        .collect();
    let head = is_cross_fitted.then(|| view! { <th scope="col">"F1, cross-fitted"</th> });
    let macro_cross_fitted =
        scores.macro_f1_cross_fitted.map(|score| view! { <td>{f1(score)}</td> });
    let interval_head = has_intervals.then(|| view! { <th scope="col">"95% interval"</th> });
    let macro_interval =
        scores.macro_f1_interval.map(|interval| view! { <td>{range(interval)}</td> });
    let honest = scores.macro_f1_interval.map(|interval| {
        let (score, which) = match scores.macro_f1_cross_fitted {
            Some(score) => (score, "cross-fitted"),
            None => (scores.macro_f1_at_half, "at 50%"),
        };
        let told = format!(
            "The honest score is a macro-F1 of {} ({which}), with a 95% interval from {}: what these models would score on \
             other texts of the same kind.",
            f1(score),
            range(interval)
        );
        view! { <p id="honest-score" data-low=interval.low data-high=interval.high>{told}</p> }
    });
    let repeated = match scores.repeated_rows {
        0 => "No text is in two folds".to_owned(),
        rows => format!("{rows} of them are also in another fold, so the scores are too high"),
    };
    view! {
        <p>
            {format!(
                "Each of {} texts was scored by the model that had not seen it (split: {}). {repeated}.",
                scores.rows,
                scores.split,
            )}
        </p>
        <div class="scroll" role="region" aria-label="Scores" tabindex="0">
            <table class="scores">
                <thead>
                    <tr>
                        <th scope="col">"Label"</th>
                        <th scope="col">"Threshold"</th>
                        <th scope="col">"Texts with the label"</th>
                        <th scope="col">"F1 at 50%"</th>
                        <th scope="col">"F1, tuned"</th>
                        {head}
                        {interval_head}
                    </tr>
                </thead>
                <tbody>{rows}</tbody>
                <tfoot>
                    <tr>
                        <th scope="row">"Mean (macro-F1)"</th>
                        <td></td>
                        <td></td>
                        <td>{f1(scores.macro_f1_at_half)}</td>
                        <td>{f1(scores.macro_f1_tuned)}</td>
                        {macro_cross_fitted}
                        {macro_interval}
                    </tr>
                </tfoot>
            </table>
        </div>
        <p>
            "\u{201c}Tuned\u{201d} is scored on the same texts that the thresholds were tuned on, so it is \
             too high. \u{201c}Cross-fitted\u{201d} scores each part of the texts with thresholds tuned on \
             the other parts: trust that one."
        </p>
        {honest}
    }
}

fn range(Interval { low, high }: Interval) -> String {
    format!("{} to {}", f1(low), f1(high))
}

fn f1(score: f64) -> String {
    format!("{score:.3}")
}

/// The export's comparison of the bundle with the run it was made from.
#[component]
pub fn Verified(found: Verification) -> impl IntoView {
    view! {
        <p>
            {format!(
                "Before these models were published, they were compared with the trained originals on {} \
                 texts: no probability differs by more than {:.1e} (allowed: {:.0e}), and macro-F1 is {} \
                 (originals: {}).",
                found.rows,
                found.probability_difference,
                found.tolerance,
                f1(found.macro_f1_bundle),
                f1(found.macro_f1_run),
            )}
        </p>
    }
}
