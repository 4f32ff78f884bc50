//! The loop over folds: train those that are not trained yet, then let each judge the rows it has
//! not seen, and all of them together the test texts.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;
use shared::batch::Batch;
use shared::model::FrozenClassifier;
use shared::tokenizer::{TOKENIZER_CONFIG, Tokenizer};
use shared::{LabelSet, ensemble};

use crate::data::folds::Folds;
use crate::device::{self, Device};
use crate::evaluation::report::FoldReport;
use crate::grid::Probabilities;
use crate::inference;
use crate::length_batches;
use crate::pretrained::Pretrained;
use crate::progress::Progress;
use crate::run::{FoldFolder, Run, files, tensors};
use crate::training::checkpoint;
use crate::training::trainer::{self, Files, Fold, Trained};
use crate::training::{Compute, Examples, Hyperparameters, Precision, metrics_log, rng};

/// All that decides what a cross-validation arrives at.
pub struct Plan<'a> {
    /// Its config is the one to train with: what the settings change has been changed in it.
    pub pretrained: &'a Pretrained,
    pub tokenizer: &'a Tokenizer,
    pub labels: &'a LabelSet,
    pub examples: &'a Examples,
    pub folds: &'a Folds,
    /// Train this fold only.
    pub only_fold: Option<usize>,
    pub hyperparameters: &'a Hyperparameters,
    pub device: Device,
    pub precision: Precision,
    /// How many folds train side by side.
    pub parallel_folds: usize,
    pub checkpoint_interval: Duration,
    /// Encoded texts to be labelled by the ensemble.
    pub test: Option<&'a [Vec<u32>]>,
}

/// What the trained folds say.
pub struct Outcome {
    /// The rows that some trained fold has held out, ascending.
    pub rows: Vec<usize>,
    /// Out-of-fold probabilities of these rows.
    pub out_of_fold: Probabilities,
    /// The folds' mean probabilities of the test texts.
    pub test: Option<Probabilities>,
    pub folds: Vec<FoldReport>,
    pub train_time: Duration,
    pub validation_time: Duration,
    pub prediction_time: Duration,
}

/// Trains and gathers. Folds that are already trained are not trained again.
///
/// # Errors
/// If a training diverges, or a file cannot be read or written.
pub fn run(plan: &Plan<'_>, run: &Run, progress: &mut Progress) -> Result<Outcome> {
    let wanted: Vec<usize> = match plan.only_fold {
        Some(fold) => vec![fold],
        None => (0..plan.folds.count()).collect(),
    };
    let (trained, untrained): (Vec<usize>, Vec<usize>) =
        wanted.into_iter().partition(|&fold| run.fold(fold).has_model());
    for fold in trained {
        progress.note(format_args!("fold {fold} is trained already"));
        // Killed after it was saved, a training has not got to this.
        checkpoint::remove(&run.fold(fold).checkpoint())?;
    }
    let (train_time, validation_time) = train_folds(plan, run, &untrained, progress)?;
    let started = Instant::now();
    let gathered = gather(plan, run, progress)?;
    Ok(Outcome { train_time, validation_time, prediction_time: started.elapsed(), ..gathered })
}

/// Trains folds, as many side by side as the plan says; returns how much of the time went into
/// training and into validation.
///
/// Where one fails, the others that are under way are trained to their end, and no further one is
/// begun.
fn train_folds(
    plan: &Plan<'_>,
    run: &Run,
    folds: &[usize],
    progress: &mut Progress,
) -> Result<(Duration, Duration)> {
    let started = Instant::now();
    let left: Mutex<VecDeque<(usize, usize)>> =
        Mutex::new((1..).zip(folds.iter().copied()).collect());
    let work = |progress: &mut Progress| -> Result<(Duration, Duration)> {
        let (mut train_time, mut validation_time) = (Duration::ZERO, Duration::ZERO);
        let next = || left.lock().expect("nobody panics with it").pop_front();
        let mut compute = None;
        while let Some((place, fold)) = next() {
            if compute.is_none() {
                let device = device::open(plan.device)?;
                compute = Some(Compute { device, precision: plan.precision });
            }
            let compute = compute.as_ref().expect("just made");
            progress.fold(fold, place, folds.len());
            let trained = train_fold(plan, fold, &run.fold(fold), compute, progress)
                .inspect_err(|_| left.lock().expect("nobody panics with it").clear())?;
            train_time += trained.train_time;
            validation_time += trained.validation_time;
        }
        Ok((train_time, validation_time))
    };
    let workers = plan.parallel_folds.min(folds.len());
    if workers < 2 {
        return work(progress);
    }
    let times = thread::scope(|scope| {
        let workers: Vec<_> = progress
            .side_by_side(workers)
            .into_iter()
            .map(|mut progress| scope.spawn(move || work(&mut progress)))
            .collect();
        let joined = workers.into_iter().map(|worker| match worker.join() {
            Ok(result) => result,
            Err(panic) => std::panic::resume_unwind(panic),
        });
        joined.collect::<Vec<_>>()
    });
    let (mut train_time, mut validation_time) = (Duration::ZERO, Duration::ZERO);
    for result in times {
        let (train, validation) = result?;
        train_time += train;
        validation_time += validation;
    }
    // What ran side by side shares the time that passed.
    let busy = (train_time + validation_time).as_secs_f64().max(f64::MIN_POSITIVE);
    let share = started.elapsed().as_secs_f64() / busy;
    Ok((train_time.mul_f64(share.min(1.0)), validation_time.mul_f64(share.min(1.0))))
}

fn train_fold(
    plan: &Plan<'_>,
    fold: usize,
    folder: &FoldFolder,
    compute: &Compute,
    progress: &mut Progress,
) -> Result<Trained> {
    folder.make()?;
    let seed = rng::initialisation_seed(plan.hyperparameters.seed, fold);
    let initial = plan.pretrained.load(plan.labels.len(), seed)?;
    let (train_rows, validation_rows) =
        (plan.folds.train_rows(fold), plan.folds.validation_rows(fold));
    let rows = Fold {
        index: fold,
        examples: plan.examples,
        train_rows: &train_rows,
        validation_rows: &validation_rows,
    };
    let files = Files {
        checkpoint: &folder.checkpoint(),
        checkpoint_interval: plan.checkpoint_interval,
        metrics: &folder.metrics_jsonl(),
    };
    let trained = trainer::train(
        &plan.pretrained.config,
        initial.tensors,
        &rows,
        plan.hyperparameters,
        compute,
        &files,
        progress,
    )?;
    save(plan, &trained, folder)?;
    Ok(trained)
}

/// Writes a folder that Hugging Face loads; the model last, for with it the fold is trained.
fn save(plan: &Plan<'_>, trained: &Trained, folder: &FoldFolder) -> Result<()> {
    files::write_text(&folder.config_json(), &plan.pretrained.config.to_json(plan.labels))?;
    files::write_text(&folder.tokenizer_json(), &plan.tokenizer.to_json())?;
    files::write_text(&folder.tokenizer_config_json(), TOKENIZER_CONFIG)?;
    // Without the format transformers refuses the file.
    let metadata = BTreeMap::from([("format".to_owned(), "pt".to_owned())]);
    tensors::write(&folder.model_safetensors(), metadata, &trained.weights)?;
    checkpoint::remove(&folder.checkpoint())
}

/// Runs every trained fold, as it lies on the disk, over the rows it held out and the test texts.
fn gather(plan: &Plan<'_>, run: &Run, progress: &mut Progress) -> Result<Outcome> {
    let columns = plan.labels.len();
    let mut held_out: BTreeMap<usize, Vec<f32>> = BTreeMap::new();
    let mut test = Vec::new();
    let mut folds = Vec::new();
    let (trained, untrained): (Vec<usize>, Vec<usize>) =
        (0..plan.folds.count()).partition(|&fold| run.fold(fold).has_model());
    if !untrained.is_empty() {
        progress.note(format_args!(
            "the rows of the folds that are not trained are left out: {untrained:?}"
        ));
    }
    let device = device::open(plan.device)?;
    for fold in trained {
        let folder = run.fold(fold);
        let classifier = inference::load_fold(&folder, plan.labels, &device)?;
        let rows = plan.folds.validation_rows(fold);
        let texts: Vec<&[u32]> =
            rows.iter().map(|&row| &plan.examples.input_ids[row][..]).collect();
        let probabilities = probabilities(&classifier, &texts, columns)?;
        held_out.extend(rows.iter().copied().zip(probabilities.rows().map(<[f32]>::to_vec)));
        if let Some(texts) = plan.test {
            let texts: Vec<&[u32]> = texts.iter().map(Vec::as_slice).collect();
            test.push(self::probabilities(&classifier, &texts, columns)?.into_values());
        }
        folds.push(report(fold, rows.len(), &folder)?);
    }
    let rows = held_out.keys().copied().collect();
    let out_of_fold = held_out.into_values().flatten().collect();
    Ok(Outcome {
        rows,
        out_of_fold: Probabilities::new(columns, out_of_fold),
        test: plan.test.map(|_| Probabilities::new(columns, ensemble::mean(&test))),
        folds,
        train_time: Duration::ZERO,
        validation_time: Duration::ZERO,
        prediction_time: Duration::ZERO,
    })
}

fn probabilities(
    classifier: &FrozenClassifier,
    texts: &[&[u32]],
    columns: usize,
) -> Result<Probabilities> {
    let forward = |batch: &Batch| Ok(classifier.probabilities(batch)?);
    length_batches::run(texts, columns, forward, |_| ())
}

/// How a fold's training went, from its log.
fn report(fold: usize, rows: usize, folder: &FoldFolder) -> Result<FoldReport> {
    let epochs = metrics_log::read_epochs(&folder.metrics_jsonl())?;
    let macro_f1_at_half: Vec<f64> = epochs.iter().map(|epoch| epoch.validation_macro_f1).collect();
    let best = metrics_log::best_epoch(&epochs)
        .ok_or_else(|| files::damaged(&folder.metrics_jsonl(), "it holds no epoch"))?;
    Ok(FoldReport { fold, rows, macro_f1_at_half, best_epoch: best.epoch })
}
