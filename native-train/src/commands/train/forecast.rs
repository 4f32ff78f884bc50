//! The plan that `--dry-run` prints: rows, folds, steps, truncated texts, memory.

use std::fmt::Write;

use anyhow::Result;
use shared::words::{bytes, counted, thousands};

use super::context::TrainContext;
use crate::{
    config::ParallelFolds,
    device::{self, Device},
    evaluation::columns::{align, percent},
    training::{lr_scheduler::LinearSchedule, vocabulary::CompactVocabulary},
};

/// The plan in words and tables.
pub fn text(context: &TrainContext) -> String {
    [data, model, lengths, schedule, folds].map(|part| part(context)).join("\n")
}

fn data(TrainContext { config, inputs, .. }: &TrainContext) -> String {
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
        let _ = writeln!(
            text,
            "{} test rows are also in the training file ({share})",
            thousands(known)
        );
    }
    text
}

fn model(context: &TrainContext) -> String {
    let TrainContext { config, material, .. } = context;
    let model = &material.pretrained.config;
    format!(
        "model {}: {} layers x {}, {} parameters, {} token ids\nabout {} of memory\n",
        config.model,
        model.num_hidden_layers,
        model.hidden_size,
        thousands(parameters(context)),
        thousands(material.tokenizer.vocab_size()),
        bytes(memory(context) as u64),
    )
}

fn lengths(TrainContext { config, material, .. }: &TrainContext) -> String {
    let lengths = material.examples.input_ids.iter().map(Vec::len);
    let (longest, rows) = (lengths.clone().max().unwrap_or(0), lengths.len().max(1));
    let mut text = format!(
        "training texts have {:.1} tokens on average, {longest} at most\n{} of them are longer than {} \
         tokens and would be truncated\n",
        lengths.sum::<usize>() as f64 / rows as f64,
        thousands(material.truncated.train),
        config.max_len,
    );
    if let Some(truncated) = material.truncated.test {
        let _ = writeln!(text, "{} of the test texts would be truncated", thousands(truncated));
    }
    text
}

fn schedule(TrainContext { config, inputs, .. }: &TrainContext) -> String {
    let hyperparameters = config.hyperparameters();
    let labelled = inputs.dataset.len() - inputs.folds.sizes()[config.only_fold.unwrap_or(0)];
    let rows = labelled + inputs.unlabelled.len();
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

/// A line for each fold: the rows that it holds out, and each label's share of them.
fn folds(TrainContext { inputs, .. }: &TrainContext) -> String {
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

fn parameters(TrainContext { inputs, material, .. }: &TrainContext) -> usize {
    let shapes = material.pretrained.config.tensor_shapes(inputs.dataset.labels.len());
    shapes.values().map(|shape| shape.iter().product::<usize>()).sum()
}

/// Bytes at the peak of a fold's training: within about a fifth of the measured ones.
fn memory(context: &TrainContext) -> usize {
    /// The program, its texts and its batches.
    const REST: usize = 50_000_000;
    /// Bytes of an f32.
    const BYTES: usize = 4;
    /// Weights, their gradients, AdamW's two moments, the best epoch's weights.
    const TRAINING: usize = 5;
    /// A checkpoint in memory: the moments once more, then all but the gradients one after another.
    const CHECKPOINT: usize = 6;
    let (model, trained) = (&context.material.pretrained.config, trained(context));
    let table = model.vocab_size * model.embedding_size;
    let step = step(context).max(CHECKPOINT * trained);
    REST + BYTES * (table + TRAINING * trained + step)
}

/// The device of each worker: as many folds as wanted and possible train side by side, first one on each device.
///
/// # Errors
/// If the GPU does not report its memory. Of several, such a one gets a worker, and fails when that begins.
pub fn workers(context: &TrainContext) -> Result<Vec<Device>> {
    let config = &context.config;
    let wanted = if config.only_fold.is_some() { 1 } else { config.folds };
    let mut rooms = Vec::new();
    for device in config.device.iter() {
        let room = match room(context, device) {
            Err(_) if config.device.are_several() => 1,
            room => room?,
        };
        rooms.push((device, room));
    }
    Ok(side_by_side(&rooms, wanted))
}

/// The folds that a device trains side by side.
fn room(context: &TrainContext, device: Device) -> Result<usize> {
    match context.config.parallel_folds {
        ParallelFolds::Only(folds) => Ok(folds),
        ParallelFolds::Auto => match device::memory(&device::open(device)?)? {
            None => Ok(1),
            Some(memory) => {
                let free = usize::try_from(memory.free).expect("a 64-bit machine");
                Ok((free / gpu_memory(context)).max(1))
            }
        },
    }
}

/// At most `wanted` devices, in turns, each as often as it has room.
fn side_by_side(rooms: &[(Device, usize)], wanted: usize) -> Vec<Device> {
    let turns = (0..wanted).flat_map(|turn| {
        rooms.iter().filter(move |(_, room)| turn < *room).map(|(device, _)| *device)
    });
    turns.take(wanted).collect()
}

/// Bytes of a GPU's memory that a fold's training takes at most.
fn gpu_memory(context: &TrainContext) -> usize {
    /// cuBLAS' workspace and the driver's own memory for a stream.
    const REST: usize = 200_000_000;
    /// Weights, gradients and two moments in f32, a copy of the weights in half precision.
    const BYTES: usize = 4 * 4 + 2;
    // The numbers of a step are counted as f32; in half precision only half of them are.
    REST + BYTES * trained(context) + 4 * step(context)
}

/// The parameters that are trained: all but the word embeddings of ids that no text holds.
fn trained(context: &TrainContext) -> usize {
    let material = &context.material;
    let (model, ids) = (&material.pretrained.config, &material.examples.input_ids);
    let vocabulary = CompactVocabulary::new(ids.iter().map(Vec::as_slice), model.pad_token_id);
    let idle = (model.vocab_size - vocabulary.len()) * model.embedding_size;
    parameters(context) - idle
}

/// The numbers that the forward pass of the longest possible batch keeps for the backward pass.
fn step(TrainContext { config, material, .. }: &TrainContext) -> usize {
    let (model, ids) = (&material.pretrained.config, &material.examples.input_ids);
    let mut lengths: Vec<usize> = ids.iter().map(Vec::len).collect();
    lengths.sort_unstable_by(|a, b| b.cmp(a));
    lengths.truncate(config.batch_size.div_ceil(config.grad_accumulation));
    let tokens: usize = lengths.iter().sum();
    let pairs: usize = lengths.iter().map(|length| length * length).sum();
    let a_token = 12 * model.hidden_size + 3 * model.intermediate_size;
    model.num_hidden_layers * (tokens * a_token + 2 * pairs * model.num_attention_heads)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folds_are_dealt_to_the_devices_in_turns() {
        let [a, b] = [Device::Cuda(0), Device::Cuda(1)];
        assert_eq!(side_by_side(&[(a, 4), (b, 1)], 5), [a, b, a, a, a]);
        assert_eq!(side_by_side(&[(a, 1), (b, 1)], 5), [a, b]);
        assert_eq!(side_by_side(&[(a, 9), (b, 9)], 1), [a]);
        assert_eq!(side_by_side(&[(Device::Cpu, 2)], 5), [Device::Cpu; 2]);
    }
}
