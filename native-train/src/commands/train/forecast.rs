//! What a training would do, for `--dry-run`: rows, folds, steps, truncations, memory.

use std::fmt::Write;

use anyhow::Result;

use super::{inputs::Inputs, material::Material};
use crate::{
    commands::{counted, thousands},
    config::{ParallelFolds, TrainConfig},
    device,
    evaluation::table::align,
    training::{lr_scheduler::LinearSchedule, vocabulary::CompactVocabulary},
};

/// The plan in words and tables.
pub fn text(config: &TrainConfig, inputs: &Inputs, material: &Material) -> String {
    [
        data(config, inputs),
        model(config, inputs, material),
        lengths(config, material),
        schedule(config, inputs),
        folds(inputs),
    ]
    .join("\n")
}

fn data(config: &TrainConfig, inputs: &Inputs) -> String {
    let rows =
        |file: &std::path::Path, rows| format!("{}: {} rows\n", file.display(), thousands(rows));
    let mut text = rows(&config.train_csv, inputs.dataset.len());
    if let (Some(file), Some(test)) = (&config.test_csv, &inputs.test) {
        text += &rows(file, test.len());
    }
    let duplicates = &inputs.duplicates.verbatim;
    let twins = duplicates.twin_in_another_fold;
    let share = percent(twins.share);
    let _ = writeln!(
        text,
        "{} distinct training texts; {} rows have their text in another fold too ({share})",
        thousands(duplicates.distinct_texts),
        thousands(twins.rows),
    );
    if let Some(test) = &duplicates.test {
        let (known, share) = (test.rows_in_train.rows, percent(test.rows_in_train.share));
        let _ =
            writeln!(text, "{} test rows stand in the training file ({share})", thousands(known));
    }
    text
}

fn model(config: &TrainConfig, inputs: &Inputs, material: &Material) -> String {
    let model = &material.pretrained.config;
    format!(
        "model {}: {} layers x {}, {} parameters, {} token ids\nabout {} of memory\n",
        config.model,
        model.num_hidden_layers,
        model.hidden_size,
        thousands(parameters(inputs, material)),
        thousands(material.tokenizer.vocab_size()),
        size(memory(config, inputs, material)),
    )
}

fn lengths(config: &TrainConfig, material: &Material) -> String {
    let lengths = material.examples.input_ids.iter().map(Vec::len);
    let (longest, rows) = (lengths.clone().max().unwrap_or(0), lengths.len().max(1));
    let mut text = format!(
        "{:.1} tokens a training text on average, {longest} at most\n{} of them are longer than {} \
         tokens and would be cut\n",
        lengths.sum::<usize>() as f64 / rows as f64,
        thousands(material.truncated.train),
        config.max_len,
    );
    if let Some(truncated) = material.truncated.test {
        let _ = writeln!(text, "{} of the test texts would be cut", thousands(truncated));
    }
    text
}

fn schedule(config: &TrainConfig, inputs: &Inputs) -> String {
    let hyperparameters = config.hyperparameters();
    let rows = inputs.dataset.len() - inputs.folds.sizes()[config.only_fold.unwrap_or(0)];
    let total = hyperparameters.total_steps(rows);
    let warmup = LinearSchedule::new(config.lr, config.warmup_ratio, total).warmup_steps();
    let folds = if config.only_fold.is_some() { 1 } else { config.folds };
    format!(
        "{} to train, each in {} of {} of {}\n{} a fold, the first {} of them warm-up to a learning \
         rate of {:e}\n",
        counted(folds, "fold"),
        counted(config.epochs, "epoch"),
        counted(hyperparameters.steps_per_epoch(rows), "step"),
        counted(config.batch_size, "text"),
        counted(total, "step"),
        thousands(warmup),
        config.lr,
    )
}

/// A line a fold: how many rows it holds out, and the share of them that each label is on in.
fn folds(inputs: &Inputs) -> String {
    let (dataset, folds) = (&inputs.dataset, &inputs.folds);
    let mut header = vec!["fold".to_owned(), "rows".to_owned()];
    header.extend(dataset.labels.names().iter().cloned());
    let line = |name: String, rows: &[usize]| {
        let targets = dataset.targets.select(rows);
        let share = |label| targets.column(label).map(f64::from).sum::<f64>() / rows.len() as f64;
        let mut line = vec![name, thousands(rows.len())];
        line.extend((0..dataset.labels.len()).map(|label| percent(share(label))));
        line
    };
    let mut table = vec![header];
    table.extend((0..folds.count()).map(|k| line(k.to_string(), &folds.validation_rows(k))));
    table.push(line("all".to_owned(), &(0..dataset.len()).collect::<Vec<_>>()));
    align(&table)
}

fn parameters(inputs: &Inputs, material: &Material) -> usize {
    let shapes = material.pretrained.config.tensor_shapes(inputs.dataset.labels.len());
    shapes.values().map(|shape| shape.iter().product::<usize>()).sum()
}

/// Bytes at the peak of a fold's training, within about a fifth on what was measured.
fn memory(config: &TrainConfig, inputs: &Inputs, material: &Material) -> usize {
    /// The program, its texts and its batches.
    const REST: usize = 50_000_000;
    /// A number is an f32.
    const BYTES: usize = 4;
    /// Weights, their gradients, AdamW's two moments, the best epoch's weights.
    const TRAINING: usize = 5;
    /// A checkpoint in memory: the moments once more, then all but the gradients in a row.
    const CHECKPOINT: usize = 6;
    let (model, trained) = (&material.pretrained.config, trained(inputs, material));
    let table = model.vocab_size * model.embedding_size;
    let step = step(config, material).max(CHECKPOINT * trained);
    REST + BYTES * (table + TRAINING * trained + step)
}

/// How many folds train side by side.
///
/// # Errors
/// If the card cannot be asked for its memory.
pub fn parallel_folds(config: &TrainConfig, inputs: &Inputs, material: &Material) -> Result<usize> {
    let wanted = if config.only_fold.is_some() { 1 } else { config.folds };
    match config.parallel_folds {
        ParallelFolds::Only(folds) => Ok(folds.min(wanted)),
        ParallelFolds::Auto => match device::memory(&device::open(config.device)?)? {
            None => Ok(1),
            Some(memory) => {
                let free = usize::try_from(memory.free).expect("a machine of 64 bits");
                Ok((free / on_card(config, inputs, material)).clamp(1, wanted))
            }
        },
    }
}

/// Bytes of a card that a fold's training takes at most.
fn on_card(config: &TrainConfig, inputs: &Inputs, material: &Material) -> usize {
    /// cuBLAS' workspace, and what the driver keeps for a stream.
    const REST: usize = 200_000_000;
    /// Weights, gradients and two moments in f32, a copy of the weights in half precision.
    const BYTES: usize = 4 * 4 + 2;
    // A number of a step is counted as f32: half of them are, in half precision.
    REST + BYTES * trained(inputs, material) + 4 * step(config, material)
}

/// Numbers that training changes: embeddings of ids that no text holds take part in nothing but the
/// final decay.
fn trained(inputs: &Inputs, material: &Material) -> usize {
    let (model, ids) = (&material.pretrained.config, &material.examples.input_ids);
    let vocabulary = CompactVocabulary::new(ids.iter().map(Vec::as_slice), model.pad_token_id);
    let idle = (model.vocab_size - vocabulary.len()) * model.embedding_size;
    parameters(inputs, material) - idle
}

/// Numbers that the forward pass of the longest possible batch keeps for the backward pass.
fn step(config: &TrainConfig, material: &Material) -> usize {
    let (model, ids) = (&material.pretrained.config, &material.examples.input_ids);
    let mut lengths: Vec<usize> = ids.iter().map(Vec::len).collect();
    lengths.sort_unstable_by(|a, b| b.cmp(a));
    lengths.truncate(config.batch_size.div_ceil(config.grad_accumulation));
    let tokens: usize = lengths.iter().sum();
    let pairs: usize = lengths.iter().map(|length| length * length).sum();
    let a_token = 12 * model.hidden_size + 3 * model.intermediate_size;
    model.num_hidden_layers * (tokens * a_token + 2 * pairs * model.num_attention_heads)
}

fn size(bytes: usize) -> String {
    match bytes {
        1_000_000_000.. => format!("{:.1} GB", bytes as f64 / 1e9),
        _ => format!("{:.0} MB", bytes as f64 / 1e6),
    }
}

fn percent(share: f64) -> String {
    format!("{:.1}%", 100.0 * share)
}
