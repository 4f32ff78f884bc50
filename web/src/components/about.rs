//! Privacy, limits, measured scores and origin of the models.

use leptos::prelude::*;
use shared::words::bytes;

use super::scores::{ScoreTable, Verified};
use crate::state::BundleSummary;
use crate::store::Store;
use crate::words::begun;

#[component]
pub fn About() -> impl IntoView {
    let store = Store::of_component();
    let bundle = store.part(|state| state.model.bundle.clone());
    let policy = move || match bundle.get().and_then(|bundle| bundle.other_site) {
        None => "forbids requests to other sites".to_owned(),
        Some(host) => format!(
            "forbids requests to other sites but {host}, which holds the models; each file from \
             there is checked against its hash"
        ),
    };
    view! {
        <details id="about" class="card about">
            <summary>
                <h2>"About this page"</h2>
            </summary>
            <div class="prose">
                <h3>"Privacy"</h3>
                <p>
                    "The models run in your browser. What you type, paste or drop is not sent anywhere: once \
                     the models are loaded, this page requests nothing but its own files, when it has to start \
                     models again or more of them, and its security policy "
                    {policy} ". There are no cookies, no statistics and no third \
                     parties. A link that you copy here contains your text after the #, which browsers do \
                     not send to servers; anyone who has the link has the text."
                </p>
                {move || bundle.get().map(|bundle| view! { <TheModels bundle /> })}
                <h3>"Limits"</h3>
                <p>
                    "The models learned from labelled examples how people write when they feel something. \
                     They know nothing about the writer, miss irony, and repeat the habits of the people who \
                     labelled the examples. A probability is the models' confidence, not the strength of a \
                     feeling. The scores are for texts like those they were measured on; expect worse for \
                     other kinds of text and other languages. Do not base a decision about a person on \
                     these answers."
                </p>
            </div>
        </details>
    }
}

#[component]
fn TheModels(bundle: BundleSummary) -> impl IntoView {
    let verification = bundle.card.verification.clone();
    let labels = bundle.labels.len();
    let told = format!(
        "{}, each trained on a different part of the data, each with {labels} labels. A label's probability \
         is the mean over the models. A label is on if its probability reaches the label's own threshold, \
         which was tuned on texts that the models had not seen. The thin line on a bar goes from the lowest \
         to the highest answer of the models.",
        begun(bundle.folds, "DeBERTa-v3 model")
    );
    let verified = verification.map(|found| view! { <Verified found /> });
    let beginning = bundle.final_bytes.map(|_| view! { <FinalModel bundle=bundle.clone() /> });
    view! {
        <h3>"The models"</h3>
        <p>{told}</p>
        {beginning}
        <h3>"Measured scores"</h3>
        <ScoreTable bundle=bundle.clone() />
        {verified}
        <h3>"Where the models come from"</h3>
        <Provenance bundle />
    }
}

/// The model that answers until the folds are in.
#[component]
fn FinalModel(bundle: BundleSummary) -> impl IntoView {
    let alike = bundle.card.final_verification.map_or_else(String::new, |found| {
        let texts = match found.ensemble.seen_in_training {
            true => "training texts",
            false => "other texts",
        };
        format!(
            " It decides {:.1}% as the others together do, on {} {texts}.",
            100.0 * found.ensemble.agreement,
            found.ensemble.rows
        )
    });
    let told = format!(
        "Beside these, one final model learned from all texts, which left none to score it: the scores below are \
         those of the others, its thresholds are theirs.{alike} The page begins with it. The others are downloaded \
         when you ask for them. Until all of them have answered a text, the answer is the final model's and says so; \
         then their mean replaces it, and the final model leaves memory. It is no part of the mean."
    );
    view! { <p>{told}</p> }
}

#[component]
fn Provenance(bundle: BundleSummary) -> impl IntoView {
    let card = bundle.card;
    let origin = card.provenance;
    let versions: Vec<String> =
        origin.versions.iter().map(|(program, version)| format!("{program} {version}")).collect();
    let all = bytes(bundle.download_bytes);
    let size = match bundle.final_bytes {
        Some(first) => format!("{} for the final model, {all} for all models", bytes(first)),
        None => all,
    };
    let facts = [
        ("Name", card.title),
        ("Base model", origin.model),
        (
            "Trained on",
            format!("{} texts, in {} folds, seed {}", origin.rows, origin.run_folds, origin.seed),
        ),
        (
            "Averaged model",
            origin.averaged_folds.map_or_else(String::new, |folds| {
                format!("the mean of the weights of {} folds", folds.len())
            }),
        ),
        (
            "Final model",
            match origin.final_model {
                true => "one model that learned from all texts; the scores are those of the folds"
                    .to_owned(),
                false => String::new(),
            },
        ),
        ("Reads", format!("the first {} tokens of a text", bundle.max_len)),
        ("Download", format!("{size}, weights as {}", card.encoding)),
        ("License of the weights", card.license.unwrap_or_else(|| "not stated".to_owned())),
        ("Made with", versions.join(", ")),
    ];
    let rows: Vec<_> = facts
        .into_iter()
        .filter(|(_, fact)| !fact.is_empty())
        .map(|(name, fact)| {
            view! {
                <div>
                    <dt>{name}</dt>
                    <dd>{fact}</dd>
                </div>
            }
        })
        .collect();
    view! { <dl class="facts">{rows}</dl> }
}
