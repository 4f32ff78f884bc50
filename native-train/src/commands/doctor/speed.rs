//! The speed of training: twenty steps of the built-in model `small`.

use std::path::PathBuf;
use std::time::Duration;
use std::{env, fs, process};

use anyhow::{Context, Result, ensure};
use serde::Serialize;
use shared::kernels::random::RandomKey;

use crate::config::PrecisionChoice;
use crate::device::{self, Device};
use crate::grid::Targets;
use crate::pretrained::{self, SMALL};
use crate::progress::{Downloads, Progress};
use crate::training::fine_tuning;
use crate::training::metrics_log::StepRecord;
use crate::training::trainer::Files;
use crate::training::{Compute, Examples, FoldContext, Hyperparameters, Order, Precision, Subject};

/// Steps of an epoch. The first epoch is not counted, as memory is taken in it and a GPU loads its kernels.
const STEPS: usize = 20;
const EPOCHS: usize = 2;
const BATCH: usize = 16;
/// Lengths of texts in tokens, in turn: from 7 to 40, as in a file of short messages.
const LENGTHS: [usize; 8] = [12, 31, 7, 22, 17, 40, 26, 9];
const LABELS: usize = 5;

/// The speed of a training step.
#[derive(Serialize)]
pub struct Speed {
    precision: Precision,
    step_ms: f64,
    samples_per_s: f64,
    first_loss: f32,
    last_loss: f32,
}

impl Speed {
    pub fn to_text(&self, device: &str) -> String {
        let Self { step_ms, samples_per_s, .. } = self;
        let precision = format!("{:?}", self.precision).to_lowercase();
        format!(
            "{step_ms:.1} ms a step, {samples_per_s:.0} texts/s: training `small`, {BATCH} texts a step, \
             {precision} on {device}"
        )
    }
}

/// Trains for some steps on texts of arbitrary tokens.
///
/// # Errors
/// If the device does not suffice, or a temporary file cannot be written.
pub fn measure(device: Device) -> Result<Speed> {
    let model = pretrained::resolve(SMALL, Downloads::Hidden)?;
    let precision = PrecisionChoice::Auto.resolve(&device.into(), device::cards);
    let compute = Compute { device: device::open(device)?, precision };
    let rows: Vec<usize> = (0..STEPS * BATCH).collect();
    let examples = examples(rows.len(), model.config.vocab_size);
    let hyperparameters = Hyperparameters {
        epochs: EPOCHS,
        batch_size: BATCH,
        grad_accumulation: 1,
        learning_rate: 1e-5,
        warmup_ratio: 0.1,
        weight_decay: 0.01,
        max_grad_norm: 1.0,
        order: Order::AsGiven,
        seed: 42,
    };
    let context = FoldContext {
        subject: Subject::Final,
        examples: &examples,
        teacher: None,
        train_rows: &rows,
        validation_rows: &[],
        hyperparameters: &hyperparameters,
        compute: &compute,
    };
    let scratch = Scratch::new()?;
    let files = Files {
        lease: None,
        checkpoint: &scratch.0.join("checkpoint"),
        checkpoint_interval: Duration::MAX,
        metrics: &scratch.0.join("metrics.jsonl"),
        events: None,
    };
    let mut progress = Progress::timing();
    let initial = model.load(LABELS, 42)?.tensors;
    fine_tuning::train(&model.config, initial, context, &files, &mut progress)?;
    // A GPU's steps are reported together, when the epoch is at its end.
    let times = progress.step_times();
    ensure!(times.len() == EPOCHS * STEPS, "{} steps were reported", times.len());
    let seconds = times[EPOCHS * STEPS - 1].duration_since(times[STEPS - 1]).as_secs_f64();
    let log = fs::read_to_string(files.metrics)?;
    let losses: Vec<f32> = log
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .map(|record: StepRecord| record.loss)
        .collect();
    Ok(Speed {
        precision,
        step_ms: seconds * 1e3 / STEPS as f64,
        samples_per_s: (STEPS * BATCH) as f64 / seconds,
        first_loss: *losses.first().context("no loss was logged")?,
        last_loss: *losses.last().context("no loss was logged")?,
    })
}

/// Texts of arbitrary tokens, with arbitrary labels.
fn examples(rows: usize, vocabulary: usize) -> Examples {
    let key = RandomKey::new(7, 0);
    let token =
        |row: usize, place: usize| key.bits((row * 64 + place) as u32) as usize % vocabulary;
    let text = |row: usize| -> Vec<u32> {
        (0..LENGTHS[row % LENGTHS.len()]).map(|place| token(row, place) as u32).collect()
    };
    let targets =
        (0..rows * LABELS).map(|i| u8::from(key.bits(!(i as u32)).is_multiple_of(4))).collect();
    Examples {
        input_ids: (0..rows).map(text).collect(),
        targets: Targets::new(LABELS, targets),
        soft_targets: None,
    }
}

/// A folder for the files of the training, which goes with them.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Result<Self> {
        let folder = env::temp_dir().join(format!("quintet-doctor-{}", process::id()));
        fs::create_dir_all(&folder)
            .with_context(|| format!("cannot make the folder {}", folder.display()))?;
        Ok(Self(folder))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.0));
    }
}
