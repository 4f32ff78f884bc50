//! The pretrained model, its tokenizer, and all texts as token ids.

use std::time::{Duration, Instant};

use anyhow::Result;
use rayon::prelude::*;
use shared::tokenizer::{Encoding, Tokenizer, TokenizerFiles};
use shared::words::counted;

use super::inputs::Inputs;
use crate::{
    config::TrainConfig,
    data::Dataset,
    error::UserError,
    evaluation::report::TruncatedTexts,
    pretrained::{self, MINI_VOCAB_SIZE, Pretrained},
    progress::Progress,
    training::Examples,
};

pub struct Material {
    /// The model, its config changed as the settings ask.
    pub pretrained: Pretrained,
    pub tokenizer: Tokenizer,
    pub examples: Examples,
    pub test: Option<Vec<Vec<u32>>>,
    pub truncated: TruncatedTexts,
    pub tokenise_time: Duration,
}

impl Material {
    /// Finds the model and encodes all texts. The model's tensors are read when a fold begins.
    ///
    /// # Errors
    /// If the model does not exist, does not fit the settings, or lacks tensors.
    pub fn prepare(settings: &TrainConfig, inputs: &Inputs, progress: &Progress) -> Result<Self> {
        let mut pretrained =
            pretrained::resolve(&settings.model.to_string(), progress.downloads())?;
        for odd in &pretrained.odd_labels {
            progress.note(format_args!(
                "the labels in the config of model `{}` are not used: {odd}",
                settings.model
            ));
        }
        let started = Instant::now();
        let tokenizer = match &pretrained.tokenizer {
            Some(files) => read(files, settings, progress)?,
            None => learned(inputs).map_err(|error| {
                UserError::new(format!("`{}`: {error}", settings.train_csv.display()))
            })?,
        };
        adapt(&mut pretrained, &tokenizer, settings, progress)?;
        progress.note(pretrained.report(inputs.dataset.labels.len())?);

        let max_len = settings.max_len;
        let (mut train, truncated) = encode(&tokenizer, &inputs.dataset.texts, max_len);
        let (unlabelled, truncated_too) = encode(&tokenizer, &inputs.unlabelled, max_len);
        train.extend(unlabelled);
        let test = inputs.test.as_ref();
        let test = test.map(|test| encode(&tokenizer, &test.texts, max_len));
        let truncated = TruncatedTexts {
            train: truncated + truncated_too,
            test: test.as_ref().map(|(_, truncated)| *truncated),
        };
        let Dataset { targets, soft_targets, .. } = inputs.dataset.clone();
        let examples = Examples { input_ids: train, targets, soft_targets };
        Ok(Self {
            pretrained,
            tokenizer,
            examples,
            test: test.map(|(test, _)| test),
            truncated,
            tokenise_time: started.elapsed(),
        })
    }
}

/// The tokenizer of a model that is trained from nothing.
fn learned(inputs: &Inputs) -> shared::Result<Tokenizer> {
    Tokenizer::learn(inputs.dataset.texts.iter().chain(&inputs.unlabelled), MINI_VOCAB_SIZE)
}

fn read(
    files: &TokenizerFiles,
    settings: &TrainConfig,
    progress: &Progress,
) -> Result<Tokenizer, UserError> {
    let (tokenizer, notes) = files.tokenizer().map_err(|error| {
        UserError::new(format!("model `{}`: {error}", settings.model)).hint(
            "mend that file of the model's folder, or put the tokenizer.json there that transformers saves for the \
             tokenizer as it should be",
        )
    })?;
    for note in notes {
        progress.warn(format_args!("model `{}`: {note}", settings.model));
    }
    Ok(tokenizer)
}

/// Changes the model's config as the settings ask, if the two fit each other.
fn adapt(
    pretrained: &mut Pretrained,
    tokenizer: &Tokenizer,
    settings: &TrainConfig,
    progress: &Progress,
) -> Result<(), UserError> {
    let (tokens, rows) = (tokenizer.vocab_size(), pretrained.config.vocab_size);
    if pretrained.tokenizer.is_none() {
        pretrained.config.vocab_size = tokens;
    } else if tokens > rows && tokenizer.pieces() <= rows {
        pretrained.extend_vocabulary(tokens);
        let new = counted(tokens - rows, "new word embedding");
        let added = tokenizer.added_tokens();
        let tokens = added[added.len() - (tokens - rows).min(added.len())..].join("`, `");
        progress.warn(format_args!(
            "model `{}` gets {new} at the mean of its {rows}, for the added tokens `{tokens}`",
            settings.model
        ));
    } else if tokens > rows {
        let model = &settings.model;
        return Err(UserError::new(format!(
            "model `{model}`: its tokenizer has {tokens} ids, but its config has {rows} word embeddings"
        ))
        .hint("put the tokenizer of this model into its folder"));
    }
    let config = &mut pretrained.config;
    let (max_len, positions) = (settings.max_len, config.max_position_embeddings);
    if max_len > positions {
        return Err(UserError::new(format!(
            "`max-len` is {max_len}, but model `{}` has {positions} positions",
            settings.model
        ))
        .hint(format!("pass `--max-len {positions}` or less")));
    }
    if let Some(probability) = settings.dropout {
        config.hidden_dropout_prob = probability;
        config.attention_probs_dropout_prob = probability;
        config.cls_dropout = Some(probability);
        // HF has no dropout at this site unless a model's config asks for it.
        config.pooler_dropout = config.pooler_dropout.min(probability);
    }
    Ok(())
}

/// The token ids of each text, and the number of texts that were truncated.
fn encode(tokenizer: &Tokenizer, texts: &[String], max_len: usize) -> (Vec<Vec<u32>>, usize) {
    let encodings: Vec<Encoding> =
        texts.par_iter().map(|text| tokenizer.encode(text, max_len)).collect();
    let truncated = encodings.iter().filter(|encoding| encoding.truncated).count();
    (encodings.into_iter().map(|encoding| encoding.input_ids).collect(), truncated)
}
