//! What this is, how good it is, what it cannot do, and where it comes from.

use leptos::prelude::*;

use super::scores::{ScoreTable, Verified};
use crate::state::Ensemble;
use crate::store::Store;
use crate::words::{begun, bytes};

#[component]
pub fn About() -> impl IntoView {
    let store = Store::of_component();
    let ensemble = store.part(|state| state.model.ensemble.clone());
    view! {
        <details id="about" class="card about">
            <summary>
                <h2>"About this page"</h2>
            </summary>
            <div class="prose">
                <h3>"Privacy"</h3>
                <p>
                    "The models run in your browser. What you type, paste or drop is not sent anywhere: once \
                     the models are loaded, this page makes no request at all, and its security policy \
                     forbids any to other sites. There are no cookies, no statistics, no third parties. A \
                     link that you copy here carries its text behind the #, which browsers do not send to \
                     servers; whoever has the link has the text."
                </p>
                {move || ensemble.get().map(|ensemble| view! { <TheModels ensemble /> })}
                <h3>"Limits"</h3>
                <p>
                    "The models learned from labelled examples what people wrote when they felt something; \
                     they know nothing of the writer, miss irony, and repeat the habits of whoever labelled \
                     the examples. A probability is the models' confidence, not a measure of a feeling. The \
                     scores hold for texts like those they were measured on; other kinds of text, and other \
                     languages, do worse. Decide nothing about a person by this."
                </p>
            </div>
        </details>
    }
}

#[component]
fn TheModels(ensemble: Ensemble) -> impl IntoView {
    let card = ensemble.card.clone();
    let labels = ensemble.labels.names().len();
    let told = format!(
        "{}, each trained on another part of the same data and each naming any of {labels} labels. A label's \
         probability is the mean over the models; the label is on where the mean reaches the label's own \
         threshold, which was tuned on texts that the models had not seen. The thin line on a bar goes from \
         the most doubtful model to the surest.",
        begun(ensemble.folds, "DeBERTa-v3 model")
    );
    let verified = card.verification.clone().map(|found| view! { <Verified found /> });
    view! {
        <h3>"The models"</h3>
        <p>{told}</p>
        <h3>"Measured scores"</h3>
        <ScoreTable ensemble=ensemble.clone() />
        {verified}
        <h3>"Where it comes from"</h3>
        <Provenance ensemble />
    }
}

#[component]
fn Provenance(ensemble: Ensemble) -> impl IntoView {
    let card = ensemble.card;
    let origin = card.provenance;
    let versions: Vec<String> =
        origin.versions.iter().map(|(program, version)| format!("{program} {version}")).collect();
    let facts = [
        ("Name", card.title),
        ("Base model", origin.model),
        (
            "Trained on",
            format!("{} texts, in {} folds, seed {}", origin.rows, origin.run_folds, origin.seed),
        ),
        (
            "One model",
            origin.averaged_folds.map_or_else(String::new, |folds| {
                format!("the averaged weights of {} folds", folds.len())
            }),
        ),
        ("Reads", format!("the first {} tokens of a text", ensemble.max_len)),
        ("Download", format!("{}, weights as {}", bytes(ensemble.download_bytes), card.encoding)),
        ("Licence of the weights", card.licence.unwrap_or_else(|| "not stated".to_owned())),
        ("Made by", versions.join(", ")),
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
