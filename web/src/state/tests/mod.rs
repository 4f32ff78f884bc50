//! Stories about the state: events in, effects and answers out.

mod composer;
mod explanation;
mod final_model;
mod many;
mod model;

use std::collections::BTreeMap;

use shared::bundle::{Provenance, Scores, TextAnswer};
use shared::quant::Format;
use shared::{LabelSet, Thresholds};

use super::*;
use crate::failure::Failure;
use crate::models::Models;
use crate::texts_file::{Problem, TextsFile, TextsReader};

/// A page whose models are ready.
fn ready(folds: usize) -> State {
    let mut state = loading(folds);
    for fold in 0..folds {
        update(&mut state, Event::Model(ModelEvent::FoldReady { fold }));
    }
    state
}

/// A page whose models are being loaded.
fn loading(folds: usize) -> State {
    let mut state = State::default();
    let bundle = Box::new(bundle(folds));
    let arrived = ModelEvent::ManifestArrived { bundle, to_download: 0, then: None };
    update(&mut state, Event::Model(arrived));
    state
}

fn bundle(folds: usize) -> BundleSummary {
    let labels = ["joy", "fear"].map(str::to_owned).to_vec();
    BundleSummary {
        labels: LabelSet::new(labels).unwrap(),
        thresholds: Thresholds::new(vec![0.5, 0.25], 2).unwrap(),
        folds,
        max_len: 256,
        download_bytes: 1_000,
        final_bytes: None,
        has_cold_rows: false,
        other_site: None,
        card: Card {
            title: "Test".to_owned(),
            license: None,
            encoding: Format::F32.into(),
            provenance: Provenance {
                model: "mini".to_owned(),
                seed: 42,
                run_folds: folds,
                averaged_folds: None,
                final_model: false,
                rows: 10,
                versions: BTreeMap::new(),
            },
            scores: Scores {
                rows: 10,
                split: "grouped".to_owned(),
                repeated_rows: 0,
                macro_f1_at_half: 0.5,
                macro_f1_tuned: 0.6,
                macro_f1_cross_fitted: None,
                macro_f1_interval: None,
                per_label: Vec::new(),
            },
            verification: None,
            final_verification: None,
        },
    }
}

/// A page whose models are ready and still without cold rows.
fn ready_without_cold(folds: usize) -> State {
    let mut state = State::default();
    let bundle = Box::new(BundleSummary { has_cold_rows: true, ..bundle(folds) });
    model(&mut state, ModelEvent::ManifestArrived { bundle, to_download: 0, then: None });
    for fold in 0..folds {
        model(&mut state, ModelEvent::FoldReady { fold });
    }
    state
}

fn model(state: &mut State, event: ModelEvent) -> Vec<Effect> {
    update(state, Event::Model(event))
}

fn type_text(state: &mut State, text: &str) -> Vec<Effect> {
    update(state, Event::Composer(ComposerEvent::Typed(text.to_owned())))
}

/// Types a text and ends the pause.
fn ask(state: &mut State, text: &str) -> Vec<Effect> {
    let effects = type_text(state, text);
    elapse(state, &effects)
}

/// Ends every wait among the effects.
fn elapse(state: &mut State, effects: &[Effect]) -> Vec<Effect> {
    let mut after = Vec::new();
    for effect in effects {
        if let Effect::Wait { timer, sequence, .. } = *effect {
            after.extend(update(state, Event::Elapsed { timer, sequence }));
        }
    }
    after
}

fn answer(state: &mut State, request: u32, fold: usize, answers: &[[f32; 2]]) -> Vec<Effect> {
    let answers = answers
        .iter()
        .map(|probabilities| TextAnswer { probabilities: probabilities.to_vec(), truncated: false })
        .collect();
    update(state, Event::Answer { request, fold, answers })
}

/// The numbers and texts of the requests among the effects.
fn asked(effects: &[Effect]) -> Vec<(u32, Vec<String>)> {
    effects
        .iter()
        .filter_map(|effect| match effect {
            Effect::Classify { request, texts, .. } => Some((*request, texts.clone())),
            _ => None,
        })
        .collect()
}

/// The number of the only request among the effects.
fn request(effects: &[Effect]) -> u32 {
    let asked = asked(effects);
    assert_eq!(asked.len(), 1, "{effects:?}");
    asked[0].0
}

fn probabilities(state: &State) -> Vec<f32> {
    let bundle = state.model.bundle.as_ref().unwrap();
    let results = state.composer.shown().unwrap().results(bundle);
    results.iter().map(|result| result.probability).collect()
}
