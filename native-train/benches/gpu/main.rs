//! Our side of `cargo xtask gpu-check`: the trainer on one device, timed or compared (bench/README.md).
//!
//! `speed` trains one epoch of a fold, or of several side by side, as `native-train train` does: the fold's own texts
//! in their lengths and its compact vocabulary, without checkpoints; validation is included in the memory but not in the step times.
//! `losses` trains on the first rows of the file in order and prints what each step's loss was. `roofline` times the operations
//! of a step one by one.

mod roofline;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use candle_core::DType;
use clap::{Parser, ValueEnum};
use native_train::config::{DeviceChoice, PrecisionChoice};
use native_train::data::{Dataset, FileOptions, Folds, LabelChoice, Split, folds};
use native_train::device::{self, Device};
use native_train::memory;
use native_train::pretrained::Pretrained;
use native_train::progress::Progress;
use native_train::training::Subject;
use native_train::training::fine_tuning;
use native_train::training::metrics_log::StepRecord;
use native_train::training::trainer::Files;
use native_train::training::{Compute, Examples, FoldContext, Hyperparameters, Order, Precision};
use rayon::prelude::*;
use serde_json::json;
use shared::kernels::cuda::launches;

const FOLDS: usize = 5;
const SEED: u32 = 42;

/// Steps that a timing leaves out: kernels are loaded and memory is taken in them.
const WARM_UP: usize = 20;

/// The shortest time of a step. Steps that are reported closer together were reported at once.
const BURST: Duration = Duration::from_micros(50);

#[derive(Parser)]
struct Arguments {
    #[arg(long, value_enum)]
    case: Case,
    /// The folder of a model with its tokenizer.
    #[arg(long)]
    model: PathBuf,
    #[arg(long)]
    train_csv: PathBuf,
    #[arg(long, default_value = "auto")]
    device: DeviceChoice,
    #[arg(long, value_enum, default_value = "auto")]
    precision: PrecisionChoice,
    #[arg(long, default_value_t = 16)]
    batch_size: usize,
    #[arg(long, default_value_t = 128)]
    max_len: usize,
    #[arg(long, default_value_t = 1.5e-5)]
    lr: f64,
    /// The dropout of hidden states, attention and classifier [default: the model's own].
    #[arg(long)]
    dropout: Option<f64>,
    /// `speed`: how many folds to train side by side.
    #[arg(long, default_value_t = 1)]
    folds_at_once: usize,
    /// `losses`: how many steps to take.
    #[arg(long, default_value_t = 20)]
    steps: usize,
    /// `roofline`: find the limits by a small block and product, on a card that is emulated; on a processor always.
    #[arg(long)]
    small_limits: bool,
    /// The flag that `cargo bench` adds.
    #[arg(long, hide = true)]
    bench: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum Case {
    Speed,
    Losses,
    Roofline,
}

fn main() -> Result<()> {
    memory::keep_freed_pages();
    let answer = measure(&Arguments::parse()).map_err(device::explain)?;
    println!("{answer}");
    Ok(())
}

fn measure(arguments: &Arguments) -> Result<serde_json::Value> {
    let bench = Bench::prepare(arguments)?;
    match arguments.case {
        Case::Speed => bench.speed(arguments.folds_at_once),
        Case::Losses => bench.losses(arguments.steps),
        Case::Roofline => bench.roofline(arguments.small_limits),
    }
}

/// All that the trainings have in common.
struct Bench {
    pretrained: Pretrained,
    examples: Examples,
    folds: Folds,
    hyperparameters: Hyperparameters,
    device: Device,
    precision: Precision,
    /// The folder of checkpoints and logs.
    folder: PathBuf,
}

/// The results of a training.
struct Trained {
    step_times: Vec<Instant>,
    losses: Vec<f32>,
}

impl Bench {
    fn prepare(arguments: &Arguments) -> Result<Self> {
        let device = arguments.device.resolve_one(device::cards)?;
        let precision = arguments.precision.resolve(&device.into(), device::cards);
        let mut pretrained = Pretrained::from_folder(&arguments.model)?;
        if let Some(probability) = arguments.dropout {
            pretrained.config.hidden_dropout_prob = probability;
            pretrained.config.attention_probs_dropout_prob = probability;
            pretrained.config.cls_dropout = Some(probability);
        }
        let files = pretrained.tokenizer.as_ref().context("the model has no tokenizer")?;
        let (tokenizer, _) = files.tokenizer()?;
        let options = FileOptions::default();
        let dataset = Dataset::read(&arguments.train_csv, &options, LabelChoice::Find)?.dataset;
        let encode = |text: &String| tokenizer.encode(text, arguments.max_len).input_ids;
        let examples = Examples {
            input_ids: dataset.texts.par_iter().map(encode).collect(),
            targets: dataset.targets.clone(),
            soft_targets: None,
        };
        let (folds, _) = folds::assign(&dataset, Split::default(), FOLDS, u64::from(SEED))?;
        let folder = std::env::temp_dir().join(format!("quintet-gpu-bench-{}", std::process::id()));
        Ok(Self {
            pretrained,
            examples,
            folds,
            hyperparameters: Hyperparameters {
                epochs: 1,
                batch_size: arguments.batch_size,
                grad_accumulation: 1,
                learning_rate: arguments.lr,
                warmup_ratio: 0.1,
                weight_decay: 0.01,
                max_grad_norm: 1.0,
                order: Order::Shuffled,
                seed: SEED,
            },
            device,
            precision,
            folder,
        })
    }

    /// An epoch of the first `at_once` folds, each in a thread of its own.
    fn speed(&self, at_once: usize) -> Result<serde_json::Value> {
        ensure!((1..=FOLDS).contains(&at_once), "there are {FOLDS} folds");
        let card = device::open(self.device)?;
        let launches = Launches::now();
        let started = Instant::now();
        let trained = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..at_once)
                .map(|fold| {
                    scope.spawn(move || {
                        let (train, validation) =
                            (self.folds.train_rows(fold), self.folds.validation_rows(fold));
                        self.train(fold, &train, &validation, &self.hyperparameters)
                    })
                })
                .collect();
            let joined = threads.into_iter().map(|thread| thread.join().expect("no panic"));
            joined.collect::<Result<Vec<Trained>>>()
        })?;
        let pace = Pace::of_all(&trained).context("too few steps to time")?;
        let steps: usize = trained.iter().map(|fold| fold.step_times.len()).sum();
        Ok(json!({
            "device": self.device.to_string(),
            "precision": self.precision,
            "folds_at_once": at_once,
            "batch_size": self.hyperparameters.batch_size,
            "steps": steps,
            "step_ms_median": rounded(pace.step_ms),
            "samples_per_s": rounded(pace.steps_per_s * self.hyperparameters.batch_size as f64),
            "epoch_s": rounded(started.elapsed().as_secs_f64()),
            "peak_mib": device::peak_memory(&card).map(|bytes| bytes >> 20),
            "rss_mib": memory::peak_memory_bytes().map(|bytes| bytes >> 20),
            "launches": launches.map(|before| before.each_of(steps)),
            "loss_first": trained[0].losses.first(),
            "loss_last": trained[0].losses.last(),
        }))
    }

    /// `steps` steps on the first rows, in the file's order.
    fn losses(&self, steps: usize) -> Result<serde_json::Value> {
        let batch = self.hyperparameters.batch_size;
        let rows: Vec<usize> = (0..steps * batch).collect();
        ensure!(rows.len() <= self.examples.input_ids.len(), "the file has too few rows");
        let hyperparameters =
            Hyperparameters { order: Order::AsGiven, ..self.hyperparameters.clone() };
        // The trainer wants rows to judge by; which, does not matter here.
        let trained = self.train(0, &rows, &rows[..batch], &hyperparameters)?;
        Ok(json!({
            "device": self.device.to_string(),
            "precision": self.precision,
            "losses": trained.losses,
        }))
    }

    /// The operations of a step on the first rows.
    fn roofline(&self, small_limits: bool) -> Result<serde_json::Value> {
        let device = device::open(self.device)?;
        let all = &self.examples.input_ids;
        let ids: BTreeSet<u32> = all.iter().flatten().copied().collect();
        roofline::measure(&roofline::Work {
            config: &self.pretrained.config,
            device: &device,
            small_limits: small_limits || device.is_cpu(),
            format: match self.precision {
                Precision::F32 => DType::F32,
                Precision::F16 => DType::F16,
                Precision::Bf16 => DType::BF16,
            },
            texts: &all[..self.hyperparameters.batch_size.min(all.len())],
            ids: ids.len(),
        })
    }

    /// Trains as `native-train train` does.
    fn train(
        &self,
        fold: usize,
        train_rows: &[usize],
        validation_rows: &[usize],
        hyperparameters: &Hyperparameters,
    ) -> Result<Trained> {
        let compute = Compute { device: device::open(self.device)?, precision: self.precision };
        let folder = self.folder.join(format!("fold-{fold}"));
        fs::create_dir_all(&folder)?;
        let files = Files {
            lease: None,
            checkpoint: &folder.join("checkpoint"),
            checkpoint_interval: Duration::MAX, // writing and syncing them would take longer than the steps
            metrics: &folder.join("metrics.jsonl"),
            events: None,
        };
        let labels = self.examples.targets.columns();
        let initial = self.pretrained.load(labels, u64::from(SEED))?.tensors;
        let context = FoldContext {
            subject: Subject::Fold(fold),
            examples: &self.examples,
            teacher: None,
            train_rows,
            validation_rows,
            hyperparameters,
            compute: &compute,
        };
        let mut progress = Progress::timing();
        fine_tuning::train(&self.pretrained.config, initial, context, &files, &mut progress)?;
        let losses = losses(files.metrics)?;
        Ok(Trained { step_times: progress.step_times().to_vec(), losses })
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.folder));
    }
}

/// The steps' losses in a log, of which each epoch's line is none.
fn losses(log: &Path) -> Result<Vec<f32>> {
    let text = fs::read_to_string(log)?;
    let records = text.lines().filter_map(|line| serde_json::from_str::<StepRecord>(line).ok());
    Ok(records.map(|record| record.loss).collect())
}

/// The speed of steps after the warm-up.
#[derive(Debug, Clone, Copy)]
struct Pace {
    step_ms: f64,
    steps_per_s: f64,
}

impl Pace {
    /// The pace of one training, from the times at which its steps were reported.
    ///
    /// A device may run ahead of the reports, so that several steps are reported at once. Only the time of the last
    /// report of such a burst counts.
    fn of(times: &[Instant]) -> Option<Self> {
        let whole = times.last()?.duration_since(*times.first()?);
        let apart = BURST.max(whole / (4 * times.len() as u32));
        let mut bursts: Vec<(Instant, usize)> = Vec::new();
        for &time in times {
            match bursts.last_mut() {
                Some((last, steps)) if time.duration_since(*last) < apart => {
                    (*last, *steps) = (time, *steps + 1);
                }
                _ => bursts.push((time, 1)),
            }
        }
        // A short rehearsal has fewer steps than a warm-up takes.
        let warm_up = WARM_UP.min(times.len() / 2);
        let mut heard = 0;
        let warm = bursts.iter().position(|(_, steps)| {
            heard += steps;
            heard >= warm_up
        })?;
        let gaps = bursts[warm..].windows(2).map(|pair| {
            let (time, steps) = pair[1];
            (time.duration_since(pair[0].0).as_secs_f64(), steps)
        });
        let mut each_ms: Vec<f64> =
            gaps.clone().map(|(seconds, steps)| seconds * 1e3 / steps as f64).collect();
        each_ms.sort_by(f64::total_cmp);
        let (seconds, steps) =
            gaps.fold((0.0, 0), |(sum, all), (seconds, steps)| (sum + seconds, all + steps));
        Some(Self {
            step_ms: *each_ms.get(each_ms.len() / 2)?,
            steps_per_s: steps as f64 / seconds,
        })
    }

    /// The pace of several trainings side by side: their steps together, and the time that each adds.
    fn of_all(trainings: &[Trained]) -> Option<Self> {
        let paces: Vec<Self> =
            trainings.iter().map(|one| Self::of(&one.step_times)).collect::<Option<_>>()?;
        match paces[..] {
            [one] => Some(one),
            _ => {
                let steps_per_s = paces.iter().map(|pace| pace.steps_per_s).sum();
                Some(Self { step_ms: 1e3 / steps_per_s, steps_per_s })
            }
        }
    }
}

/// The kernels' own count of launches.
struct Launches(u64);

impl Launches {
    /// `None` where nothing is launched.
    fn now() -> Option<Self> {
        Some(launches()).filter(|_| cfg!(feature = "cuda")).map(Self)
    }

    fn each_of(&self, steps: usize) -> f64 {
        rounded((Self::now().map_or(0, |now| now.0) - self.0) as f64 / steps as f64)
    }
}

fn rounded(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}
