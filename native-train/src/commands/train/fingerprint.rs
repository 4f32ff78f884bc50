//! inputs.json: digests of the texts, labels and weights that a training was begun with, so that
//! `--resume` goes on with no others. The settings only say in which files they were.

use anyhow::Result;
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::Xxh3;

use super::{inputs::Inputs, material::Material};
use crate::{
    config::TrainConfig,
    error::UserError,
    run::{
        Run,
        files::{read_json, write_json},
    },
};

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Fingerprint {
    train: String,
    test: Option<String>,
    model: String,
}

/// Saves the digests, or makes sure that the saved ones are these.
///
/// # Errors
/// If they differ, or a file fails.
pub fn keep(run: &Run, config: &TrainConfig, inputs: &Inputs, material: &Material) -> Result<()> {
    let now = Fingerprint::of(inputs, material)?;
    let path = run.inputs_json();
    if !path.exists() {
        return write_json(&path, &now);
    }
    let saved: Fingerprint = read_json(&path)?;
    let changed = |what: String| {
        let run = run.folder().display();
        UserError::new(format!("{what} changed since `{run}` was begun"))
            .hint("give what it was begun with, or train into another `--output`")
    };
    if now.train != saved.train {
        let file = config.train_csv.display();
        return Err(changed(format!("the ids, texts or labels of `{file}`")).into());
    }
    if now.test != saved.test {
        let file = config.test_csv.as_deref().unwrap_or("".as_ref()).display();
        return Err(changed(format!("the ids or texts of `{file}`")).into());
    }
    if now.model != saved.model {
        let model = &config.model;
        return Err(changed(format!("config, tokenizer or weights of model `{model}`")).into());
    }
    Ok(())
}

impl Fingerprint {
    fn of(inputs: &Inputs, material: &Material) -> Result<Self> {
        let dataset = &inputs.dataset;
        let mut train = Digest::default();
        train.texts(dataset.labels.names());
        train.texts(&dataset.ids);
        train.texts(&dataset.texts);
        dataset.targets.rows().for_each(|row| train.bytes(row));

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
        // Last and without lengths: in which pieces they are read must not matter.
        pretrained.read_weight_files(|bytes| model.0.update(bytes))?;
        Ok(Self { train: train.finish(), test, model: model.finish() })
    }
}

#[derive(Default)]
struct Digest(Xxh3);

impl Digest {
    fn texts(&mut self, texts: &[String]) {
        self.bytes(&texts.len().to_le_bytes());
        texts.iter().for_each(|text| self.bytes(text.as_bytes()));
    }

    /// With the length, so that nothing can move from one text into the next unseen.
    fn bytes(&mut self, bytes: &[u8]) {
        self.0.update(&bytes.len().to_le_bytes());
        self.0.update(bytes);
    }

    fn finish(&self) -> String {
        format!("{:016x}", self.0.digest())
    }
}
