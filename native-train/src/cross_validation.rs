//! Cross-validation: trains the folds that are not trained yet, then lets each predict the rows that it
//! held out, and all of them together the test texts. Beside the folds, a final model of all rows.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Result;
use shared::batch::Batch;
use shared::model::FrozenClassifier;
use shared::tokenizer::{TOKENIZER_CONFIG, Tokenizer};
use shared::words::joined;
use shared::{LabelSet, ensemble};

use crate::data::folds::Folds;
use crate::device::{self, Device, Devices};
use crate::evaluation::report::FoldReport;
use crate::grid::Probabilities;
use crate::inference;
use crate::length_batches;
use crate::parallel_folds;
use crate::pretrained::Pretrained;
use crate::progress::Progress;
use crate::run::lease::Lease;
use crate::run::{FoldFolder, Run, files, tensors};
use crate::training::checkpoint;
use crate::training::event_file::EventFolder;
use crate::training::fine_tuning::{self, Trained};
use crate::training::metrics_log::EpochRecord;
use crate::training::trainer::Files;
use crate::training::{
    Compute, Examples, FoldContext, Hyperparameters, PhaseTimes, Precision, Subject, Teacher,
};
use crate::training::{metrics_log, rng};

/// All that decides the result of a cross-validation.
pub struct Plan<'a> {
    /// The model to fine-tune; its config has been changed as the settings ask.
    pub pretrained: &'a Pretrained,
    pub tokenizer: &'a Tokenizer,
    pub labels: &'a LabelSet,
    pub examples: &'a Examples,
    pub folds: &'a Folds,
    /// The lesson of each fold.
    pub lessons: &'a [Lesson],
    /// The only fold to train; `None` for all.
    pub only_fold: Option<usize>,
    pub hyperparameters: &'a Hyperparameters,
    pub devices: &'a Devices,
    pub precision: Precision,
    /// The device of each of the folds that train side by side.
    pub workers: Vec<Device>,
    pub checkpoint_interval: Duration,
    /// The token ids of texts for the ensemble to label.
    pub test: Option<&'a [Vec<u32>]>,
    /// The right to train.
    pub lease: Option<Arc<Lease>>,
    /// Where TensorBoard finds each model's training, if it is to.
    pub events: Option<EventFolder>,
}

/// The rows that a model learns from.
pub struct Lesson {
    /// Rows of the examples, ascending.
    pub rows: Vec<usize>,
    /// `None` if it learns from labels alone.
    pub teacher: Option<Teacher>,
}

/// The result of a cross-validation.
pub struct Outcome {
    pub predictions: Predictions,
    pub times: PhaseTimes,
    pub prediction_time: Duration,
}

/// The predictions of the trained folds.
pub struct Predictions {
    /// The rows that a trained fold has held out, ascending.
    pub rows: Vec<usize>,
    /// The out-of-fold probabilities of these rows.
    pub out_of_fold: Probabilities,
    /// The folds' mean probabilities of the test texts.
    pub test: Option<Probabilities>,
    pub folds: Vec<FoldReport>,
}

/// Trains the folds that are not trained yet, and predicts with all that are.
///
/// # Errors
/// As of [`train`] and [`gather`].
pub fn run(plan: &Plan<'_>, run: &Run, progress: &mut Progress) -> Result<Outcome> {
    let times = train(plan, run, progress)?;
    gather(plan, run, times, progress)
}

/// Trains the folds that are not trained yet.
///
/// # Errors
/// If a training diverges, or a file cannot be read or written; [`Stopped`](crate::training::stop::Stopped) if the process
/// is asked to stop.
pub fn train(plan: &Plan<'_>, run: &Run, progress: &mut Progress) -> Result<PhaseTimes> {
    let wanted: Vec<usize> = match plan.only_fold {
        Some(fold) => vec![fold],
        None => (0..plan.folds.count()).collect(),
    };
    let (trained, untrained) = run.split_trained(wanted);
    for fold in trained {
        progress.note(format_args!("fold {fold} is trained already"));
        // A training that was killed after it had saved the model leaves its checkpoint.
        checkpoint::remove(&run.fold(fold).checkpoint())?;
    }
    let precision = plan.precision;
    let open = |device| Ok(Compute { device: device::open(device)?, precision });
    let train = |fold, compute: &Compute, progress: &mut Progress| {
        let (subject, held_out) = (Subject::Fold(fold), plan.folds.validation_rows(fold));
        let lesson = &plan.lessons[fold];
        train_model(plan, subject, lesson, &held_out, &run.fold(fold), compute, progress)
    };
    let times = parallel_folds::train_all(&untrained, &plan.workers, progress, open, train)?;
    progress.end_of_folds();
    Ok(times)
}

/// Predicts with all folds that are trained, of which training has taken these times.
///
/// # Errors
/// If a file cannot be read.
pub fn gather(
    plan: &Plan<'_>,
    run: &Run,
    times: PhaseTimes,
    progress: &mut Progress,
) -> Result<Outcome> {
    let started = Instant::now();
    let predictions = predict(plan, run, progress)?;
    Ok(Outcome { predictions, times, prediction_time: started.elapsed() })
}

/// Trains a model that holds out no rows and so keeps the weights of its last epoch, unless `folder` has it.
///
/// # Errors
/// If the training diverges, or a file cannot be read or written.
pub fn train_final(
    plan: &Plan<'_>,
    lesson: &Lesson,
    folder: &FoldFolder,
    progress: &mut Progress,
) -> Result<PhaseTimes> {
    if folder.has_model() {
        progress.note("the final model is trained already");
        checkpoint::remove(&folder.checkpoint())?;
        return Ok(PhaseTimes::default());
    }
    let compute = Compute { device: open_one(plan.devices)?, precision: plan.precision };
    progress.only_model();
    train_model(plan, Subject::Final, lesson, &[], folder, &compute, progress)
}

/// Opens the first device that is of use: a GPU that has failed while folds were trained is of none.
fn open_one(devices: &Devices) -> Result<candle_core::Device> {
    let first = device::open(devices.first());
    match first {
        Err(_) if devices.are_several() => {
            devices.iter().find_map(|device| device::open(device).ok()).map_or(first, Ok)
        }
        first => first,
    }
}

fn train_model(
    plan: &Plan<'_>,
    subject: Subject,
    lesson: &Lesson,
    validation_rows: &[usize],
    folder: &FoldFolder,
    compute: &Compute,
    progress: &mut Progress,
) -> Result<PhaseTimes> {
    folder.make()?;
    let seed = rng::initialisation_seed(plan.hyperparameters.seed, subject.number());
    let initial = plan.pretrained.load(plan.labels.len(), seed)?;
    let context = FoldContext {
        subject,
        examples: plan.examples,
        teacher: lesson.teacher.as_ref(),
        train_rows: &lesson.rows,
        validation_rows,
        hyperparameters: plan.hyperparameters,
        compute,
    };
    let events = plan.events.as_ref().map(|events| events.within(&folder.name()));
    let files = Files {
        lease: plan.lease.as_deref(),
        checkpoint: &folder.checkpoint(),
        checkpoint_interval: plan.checkpoint_interval,
        metrics: &folder.metrics_jsonl(),
        events: events.as_ref(),
    };
    let config = &plan.pretrained.config;
    let trained = fine_tuning::train(config, initial.tensors, context, &files, progress)?;
    if let Some(lease) = &plan.lease {
        lease.check()?;
    }
    save(plan, &trained, folder)?;
    Ok(trained.times)
}

/// Writes a folder that Hugging Face transformers loads. The model comes last, as a fold counts as
/// trained once it is there.
fn save(plan: &Plan<'_>, trained: &Trained, folder: &FoldFolder) -> Result<()> {
    files::write_text(&folder.config_json(), &plan.pretrained.config.to_json(plan.labels))?;
    files::write_text(&folder.tokenizer_json(), &plan.tokenizer.to_json())?;
    files::write_text(&folder.tokenizer_config_json(), TOKENIZER_CONFIG)?;
    // transformers rejects a file without the format.
    let metadata = BTreeMap::from([("format".to_owned(), "pt".to_owned())]);
    tensors::write(&folder.model_safetensors(), metadata, &trained.weights)?;
    checkpoint::remove(&folder.checkpoint())
}

/// Loads every trained fold from the disk and predicts the rows that it held out and the test texts.
fn predict(plan: &Plan<'_>, run: &Run, progress: &mut Progress) -> Result<Predictions> {
    let columns = plan.labels.len();
    let mut held_out: BTreeMap<usize, Vec<f32>> = BTreeMap::new();
    let mut test = Vec::new();
    let mut folds = Vec::new();
    let (trained, untrained) = run.split_trained(0..plan.folds.count());
    if !untrained.is_empty() {
        progress.note(format_args!(
            "scores leave out the rows of the folds that are not trained: {}",
            joined(untrained)
        ));
    }
    let device = open_one(plan.devices)?;
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
    Ok(Predictions {
        rows,
        out_of_fold: Probabilities::new(columns, out_of_fold),
        test: plan.test.map(|_| Probabilities::new(columns, ensemble::mean(&test))),
        folds,
    })
}

fn probabilities(
    classifier: &FrozenClassifier,
    texts: &[&[u32]],
    columns: usize,
) -> Result<Probabilities> {
    let forward = |batch: &Batch| Ok(classifier.probabilities(batch)?);
    length_batches::run(classifier.device(), texts, columns, forward, |_| ())
}

/// The scores of a fold's training, from its log.
fn report(fold: usize, rows: usize, folder: &FoldFolder) -> Result<FoldReport> {
    let epochs = metrics_log::read_epochs(&folder.metrics_jsonl())?;
    let macro_f1 = |epoch: &EpochRecord| epoch.validation.and_then(|it| it.macro_f1);
    let macro_f1_at_half: Option<Vec<f64>> = epochs.iter().map(macro_f1).collect();
    let macro_f1_at_half = macro_f1_at_half
        .ok_or_else(|| files::damaged(&folder.metrics_jsonl(), "an epoch has no macro-F1"))?;
    let best = metrics_log::best_epoch(&epochs)
        .ok_or_else(|| files::damaged(&folder.metrics_jsonl(), "it has no line for an epoch"))?;
    Ok(FoldReport { fold, rows, macro_f1_at_half, best_epoch: best.epoch })
}
