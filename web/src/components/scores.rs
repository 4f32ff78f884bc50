//! The run's scores as the manifest has them, with what each means.

use leptos::prelude::*;
use shared::bundle::Verification;

use crate::state::Ensemble;
use crate::words::percent;

#[component]
pub fn ScoreTable(ensemble: Ensemble) -> impl IntoView {
    let scores = ensemble.card.scores;
    let thresholds = ensemble.thresholds.values().to_vec();
    let is_cross_fitted = scores.macro_f1_cross_fitted.is_some();
    let rows: Vec<_> = scores
        .per_label
        .iter()
        .zip(thresholds)
        .map(|(score, threshold)| {
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
                </tr>
            }
        })
        .collect();
    let head = is_cross_fitted.then(|| view! { <th scope="col">"F1, cross-fitted"</th> });
    let macro_cross_fitted =
        scores.macro_f1_cross_fitted.map(|score| view! { <td>{f1(score)}</td> });
    let repeated = match scores.repeated_rows {
        0 => "No text stands in two folds".to_owned(),
        rows => {
            format!("{rows} of them stand in another fold as well, which makes scores too good")
        }
    };
    view! {
        <p>
            {format!(
                "Each of {} texts was judged by the model that had not seen it (split: {}). {repeated}.",
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
                        <th scope="col">"Texts with it"</th>
                        <th scope="col">"F1 at 50%"</th>
                        <th scope="col">"F1, tuned"</th>
                        {head}
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
                    </tr>
                </tfoot>
            </table>
        </div>
        <p>
            "\u{201c}Tuned\u{201d} is scored on the very texts that the thresholds were tuned on, and so is \
             too good; \u{201c}cross-fitted\u{201d} scores each part of the texts at thresholds tuned on the \
             others: believe that one."
        </p>
    }
}

fn f1(score: f64) -> String {
    format!("{score:.3}")
}

/// What the export found when it loaded the bundle as a browser does.
#[component]
pub fn Verified(found: Verification) -> impl IntoView {
    view! {
        <p>
            {format!(
                "Before it was published, this download was compared with the models as they were trained, on \
                 {} texts: no probability differs by more than {:.1e} (allowed: {:.0e}), and macro-F1 is {} \
                 where theirs is {}.",
                found.rows,
                found.probability_difference,
                found.tolerance,
                f1(found.macro_f1_bundle),
                f1(found.macro_f1_run),
            )}
        </p>
    }
}
