//! `metrics.jsonl`: one line for each step and one for each epoch. Nothing in it differs between two
//! runs of the same training, so that a resumed run's log equals an uninterrupted one's. TensorBoard's event file
//! says the same.

use std::fmt::Display;
use std::fs::{File, OpenOptions};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use super::event_file::{EventFile, EventFolder};
use crate::progress::Measure;
use crate::run::files;
use crate::run::lease::Lease;

/// One optimizer step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StepRecord {
    /// Counted from 1 over the whole training.
    pub step: usize,
    /// The learning rate of this step.
    pub lr: f64,
    /// The batch's mean loss before the step.
    pub loss: f32,
    /// The global norm of the gradients before clipping; `None` where f16 overflowed and the step
    /// changed nothing but the loss scale.
    pub grad_norm: Option<f32>,
}

impl StepRecord {
    /// Its figures by the names of TensorBoard's curves.
    fn points(&self) -> Vec<(&'static str, f64)> {
        let mut points =
            vec![("train/loss", f64::from(self.loss)), ("train/learning_rate", self.lr)];
        points.extend(self.grad_norm.map(|norm| ("train/gradient_norm", f64::from(norm))));
        points
    }
}

/// One epoch, and how good the model was at its end.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "EpochLine", into = "EpochLine")]
pub struct EpochRecord {
    /// Counted from 1.
    pub epoch: usize,
    /// The steps up to its end.
    pub step: usize,
    /// `None` if the training holds out no texts.
    pub validation: Option<Validation>,
}

/// The score of a model on texts that it does not learn from.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Validation {
    pub loss: f32,
    /// Macro-F1 at threshold 0.5, of a classifier.
    pub macro_f1: Option<f64>,
}

/// An [`EpochRecord`] as a line of the log has it.
#[derive(Clone, Serialize, Deserialize)]
struct EpochLine {
    epoch: usize,
    step: usize,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    validation_loss: Option<f32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    validation_macro_f1: Option<f64>,
}

impl TryFrom<EpochLine> for EpochRecord {
    type Error = &'static str;

    fn try_from(line: EpochLine) -> Result<Self, Self::Error> {
        let validation = match (line.validation_loss, line.validation_macro_f1) {
            (None, None) => None,
            (None, Some(_)) => return Err("a macro-F1 stands without a loss"),
            (Some(loss), macro_f1) => Some(Validation { loss, macro_f1 }),
        };
        Ok(Self { epoch: line.epoch, step: line.step, validation })
    }
}

impl From<EpochRecord> for EpochLine {
    fn from(EpochRecord { epoch, step, validation }: EpochRecord) -> Self {
        Self {
            epoch,
            step,
            validation_loss: validation.map(|validation| validation.loss),
            validation_macro_f1: validation.and_then(|validation| validation.macro_f1),
        }
    }
}

impl EpochRecord {
    /// Its figures by the names of TensorBoard's curves.
    fn points(&self) -> Vec<(&'static str, f64)> {
        let Some(validation) = self.validation else { return Vec::new() };
        let mut points = vec![("validation/loss", f64::from(validation.loss))];
        points.extend(validation.macro_f1.map(|macro_f1| ("validation/macro_f1", macro_f1)));
        points
    }

    /// Whether its weights are to be kept instead of those of the best epoch before: where nothing was measured,
    /// the later ones are.
    pub fn improves_on(&self, best: &Self) -> bool {
        match (self.validation, best.validation) {
            (Some(new), Some(best)) => new.score() > best.score(),
            _ => true,
        }
    }
}

impl Validation {
    /// The figure by which epochs are compared.
    pub fn measure(self) -> Measure {
        self.macro_f1.map_or(Measure::Loss(f64::from(self.loss)), Measure::MacroF1)
    }

    /// A number that is higher for a better model.
    fn score(self) -> f64 {
        match self.measure() {
            Measure::MacroF1(macro_f1) => macro_f1,
            Measure::Loss(loss) => -loss,
        }
    }
}

/// The log of one fold, open for appending.
pub struct MetricsLog<'a> {
    path: PathBuf,
    /// The right to write it, if others want it too.
    lease: Option<&'a Lease>,
    file: BufWriter<File>,
    /// Where TensorBoard sees it, if it is to.
    events: Option<EventFile>,
}

impl<'a> MetricsLog<'a> {
    /// Opens the log and cuts it to its first `bytes` bytes: an interrupted training may have written
    /// more.
    ///
    /// # Errors
    /// If the file cannot be opened, or is shorter than that.
    pub fn open(path: &Path, bytes: u64, lease: Option<&'a Lease>) -> Result<Self> {
        let context = || format!("cannot open `{}`", path.display());
        let file = OpenOptions::new()
            .create(true)
            .append(true)
            .truncate(false)
            .open(path)
            .with_context(context)?;
        if file.metadata().with_context(context)?.len() < bytes {
            return Err(files::damaged(path, "it is shorter than at the last checkpoint"));
        }
        file.set_len(bytes).with_context(context)?;
        Ok(Self { path: path.to_owned(), lease, file: BufWriter::new(file), events: None })
    }

    /// From now on TensorBoard sees in `folder` what the log says. What it says already is added if the folder has nothing
    /// yet.
    ///
    /// # Errors
    /// If the log cannot be read, or the folder cannot be written.
    pub fn show_in(&mut self, folder: &EventFolder) -> Result<()> {
        let (steps, epochs) = read(&self.path)?;
        let is_new = !folder.is_used();
        let mut events = folder.begin(steps.last().map_or(0, |last| last.step))?;
        if is_new {
            steps.iter().try_for_each(|step| events.points(step.step, &step.points()))?;
            epochs.iter().try_for_each(|epoch| events.points(epoch.step, &epoch.points()))?;
        }
        self.events = Some(events);
        Ok(())
    }

    /// # Errors
    /// If it cannot be written, or another process has taken the training over.
    pub fn step(&mut self, record: &StepRecord) -> Result<()> {
        self.lease.map_or(Ok(()), Lease::check_now_and_then)?;
        if let Some(events) = &mut self.events {
            events.points(record.step, &record.points())?;
        }
        self.append(record)
    }

    /// # Errors
    /// If it cannot be written, or another process has taken the training over.
    pub fn epoch(&mut self, record: &EpochRecord) -> Result<()> {
        self.lease.map_or(Ok(()), Lease::check_now_and_then)?;
        if let Some(events) = &mut self.events {
            events.points(record.step, &record.points())?;
            events.flush()?;
        }
        self.append(record)
    }

    /// Ends the log of a training that is at its end.
    ///
    /// # Errors
    /// As of [`sync`](Self::sync).
    pub fn end(&mut self) -> Result<()> {
        if let Some(events) = &mut self.events {
            events.end()?;
        }
        self.sync().map(drop)
    }

    /// Writes everything to the disk and returns the log's length in bytes.
    ///
    /// # Errors
    /// If the disk does not take it.
    pub fn sync(&mut self) -> Result<u64> {
        let context = || format!("cannot write `{}`", self.path.display());
        self.file.flush().with_context(context)?;
        self.file.get_ref().sync_all().with_context(context)?;
        Ok(self.file.get_ref().metadata().with_context(context)?.len())
    }

    fn append(&mut self, record: &impl Serialize) -> Result<()> {
        let context = || format!("cannot write `{}`", self.path.display());
        let mut line = serde_json::to_vec(record).expect("plain numbers");
        line.push(b'\n');
        self.file.write_all(&line).with_context(context)
    }
}

/// A line of the log.
#[derive(Deserialize)]
#[serde(untagged)]
enum Record {
    Step(StepRecord),
    Epoch(EpochRecord),
}

/// Reads the records of a log's epochs.
///
/// # Errors
/// As of [`read`].
pub fn read_epochs(path: &Path) -> Result<Vec<EpochRecord>> {
    Ok(read(path)?.1)
}

/// Reads the records of a log: steps and epochs.
///
/// # Errors
/// If the file cannot be read, or a line is neither a step nor an epoch.
pub fn read(path: &Path) -> Result<(Vec<StepRecord>, Vec<EpochRecord>)> {
    let bytes = files::read(path)?;
    let (mut steps, mut epochs) = (Vec::new(), Vec::new());
    for (index, line) in bytes.split_inclusive(|&byte| byte == b'\n').enumerate() {
        let damaged =
            |what: &dyn Display| files::damaged(path, format_args!("line {}: {what}", index + 1));
        match serde_json::from_slice(line).map_err(|error| damaged(&error))? {
            Record::Epoch(record) if line.ends_with(b"\n") => epochs.push(record),
            Record::Step(record) if line.ends_with(b"\n") => steps.push(record),
            _ => return Err(damaged(&"it is cut off")),
        }
    }
    Ok((steps, epochs))
}

/// The epoch whose weights a training keeps: the first of the best.
pub fn best_epoch(epochs: &[EpochRecord]) -> Option<&EpochRecord> {
    epochs.iter().reduce(|best, epoch| if epoch.improves_on(best) { epoch } else { best })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn epoch(epoch: usize, validation_macro_f1: f64) -> EpochRecord {
        let validation = Validation { loss: 0.5, macro_f1: Some(validation_macro_f1) };
        EpochRecord { epoch, step: 10 * epoch, validation: Some(validation) }
    }

    #[test]
    fn the_first_of_the_best_epochs_is_kept() {
        let epochs = [epoch(1, 0.25), epoch(2, 0.5), epoch(3, 0.5), epoch(4, 0.125)];
        assert_eq!(best_epoch(&epochs), Some(&epochs[1]));
        assert_eq!(best_epoch(&[]), None);
    }

    #[test]
    fn reopening_drops_what_came_after_the_checkpoint() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("metrics.jsonl");
        let step = StepRecord { step: 1, lr: 1e-5, loss: 0.7, grad_norm: Some(1.5) };
        let mut log = MetricsLog::open(&path, 0, None).unwrap();
        log.step(&step).unwrap();
        log.epoch(&epoch(1, 0.25)).unwrap();
        let bytes = log.sync().unwrap();
        log.step(&step).unwrap();
        drop(log);

        let mut log = MetricsLog::open(&path, bytes, None).unwrap();
        log.epoch(&epoch(2, 0.5)).unwrap();
        drop(log);
        assert_eq!(read_epochs(&path).unwrap(), [epoch(1, 0.25), epoch(2, 0.5)]);
        assert_eq!(std::fs::read_to_string(&path).unwrap().lines().count(), 3);
    }

    #[test]
    fn a_line_with_a_part_of_a_validation_is_damage() {
        let parse = serde_json::from_str::<EpochRecord>;
        assert_eq!(parse(r#"{"epoch":1,"step":2}"#).unwrap().validation, None);
        let loss = parse(r#"{"epoch":1,"step":2,"validation_loss":0.5}"#).unwrap();
        assert_eq!(loss.validation, Some(Validation { loss: 0.5, macro_f1: None }));
        for line in [
            r#"{"epoch":1,"step":2,"validation_macro_f1":0.5}"#,
            r#"{"epoch":1,"step":2,"validation_loss":"low","validation_macro_f1":0.5}"#,
        ] {
            assert!(parse(line).is_err(), "{line}");
        }
    }

    #[test]
    fn a_log_that_lost_or_changed_a_line_is_no_log() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("metrics.jsonl");
        let mut log = MetricsLog::open(&path, 0, None).unwrap();
        log.epoch(&epoch(1, 0.25)).unwrap();
        let bytes = log.sync().unwrap();
        drop(log);
        let whole = std::fs::read(&path).unwrap();

        std::fs::write(&path, &whole[..whole.len() - 1]).unwrap();
        let error = MetricsLog::open(&path, bytes, None).err().unwrap().to_string();
        assert!(
            error.ends_with("is damaged: it is shorter than at the last checkpoint"),
            "{error}"
        );
        let error = read_epochs(&path).unwrap_err().to_string();
        assert!(error.ends_with("is damaged: line 1: it is cut off"), "{error}");
        std::fs::write(&path, String::from_utf8(whole).unwrap().replace("epoch", "epocX")).unwrap();
        let error = read_epochs(&path).unwrap_err().to_string();
        assert!(error.contains("is damaged: line 1: "), "{error}");
    }
}
