//! inputs.json: digests of the texts, labels and weights that a training began with, so that `--resume`
//! rejects others, and where they lay. The settings only name their files.
//!
//! | input on `--resume` | what happens |
//! |---|---|
//! | the same content at its place, or at another that is found or given | the training goes on, and the place is noted |
//! | other content, wherever | it is refused by its path; an equal file or another `--output` is asked for |
//! | nothing at its place | it is refused by its path; the flag that names another place is told (`places`) |

use anyhow::Result;
use serde::{Deserialize, Serialize};

use super::context::TrainContext;
use crate::{
    config::{Places, TrainConfig},
    digest::Digest,
    error::UserError,
    run::{
        Run,
        files::{read_json, write_json},
    },
};

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Fingerprint {
    /// `scored_rows` reads it, too.
    train: String,
    test: Option<String>,
    model: String,
    #[serde(default)]
    places: Places,
}

/// The test texts that a run goes on with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Test {
    /// Those that it began with.
    AsBegun,
    /// The same, or any if it began with none: they decide nothing but what is predicted at its end.
    MayBeNew,
}

/// Saves the digests, or checks them against the saved ones.
///
/// # Errors
/// If they differ, or a file cannot be read or written.
pub fn keep(run: &Run, context: &TrainContext, test: Test) -> Result<()> {
    let config = &context.config;
    let now = Fingerprint::of(run, context)?;
    let path = run.inputs_json();
    if !path.exists() {
        return write_json(&path, &now);
    }
    let saved: Fingerprint = read_json(&path)?;
    let changed = |what: String, flag: &str| {
        let run = run.folder().display();
        UserError::new(format!("{what} are not those that the training of `{run}` began with"))
            .hint(format!("pass the same content as `--{flag}`, or train into another `--output`"))
    };
    if now.train != saved.train {
        let file = config.train_csv.display();
        return Err(changed(format!("the ids, texts or labels of `{file}`"), "train-csv").into());
    }
    let is_new = test == Test::MayBeNew && saved.test.is_none();
    if now.test != saved.test && !is_new {
        let file = config.test_csv.as_deref().unwrap_or("".as_ref()).display();
        return Err(changed(format!("the ids or texts of `{file}`"), "test-csv").into());
    }
    if now.model != saved.model {
        let model = &config.model;
        let what = format!("the config, tokenizer or weights of model `{model}`");
        return Err(changed(what, "model").into());
    }
    // The next resumption looks where the inputs lie now.
    if now.places == saved.places || now.test != saved.test {
        Ok(())
    } else {
        write_json(&path, &now)
    }
}

impl Fingerprint {
    fn of(run: &Run, TrainContext { config, inputs, material }: &TrainContext) -> Result<Self> {
        let dataset = &inputs.dataset;
        let test = inputs.test.as_ref().map(|test| {
            let mut digest = Digest::default();
            digest.texts(&test.ids);
            digest.texts(&test.texts);
            digest.finish()
        });

        let mut model = Digest::default();
        let pretrained = &material.pretrained;
        model.bytes(pretrained.config.to_json(&dataset.labels).as_bytes());
        model.bytes(material.tokenizer.to_json().as_bytes());
        // Last and without lengths, so that the size of the pieces does not matter.
        pretrained.read_weight_files(|bytes| model.piece(bytes))?;
        let TrainConfig { train_csv, test_csv, model: choice, .. } = config;
        let places = Places::of(run, train_csv, test_csv.as_deref(), choice);
        Ok(Self { train: dataset.digest(), test, model: model.finish(), places })
    }
}
