//! `metrics.jsonl`: a line a step and a line an epoch, and nothing that differs between two runs
//! of the same training (no clock), so that a resumed run's log equals an undisturbed one's.

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

/// One optimizer step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StepRecord {
    /// Counted from 1 over the whole training.
    pub step: usize,
    /// The learning rate of this step.
    pub lr: f64,
    /// The batch's mean loss before the step.
    pub loss: f32,
    /// The global norm of the gradients before clipping.
    pub grad_norm: f64,
}

/// One epoch's validation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EpochRecord {
    /// Counted from 1.
    pub epoch: usize,
    pub step: usize,
    pub validation_loss: f32,
    /// At threshold 0.5.
    pub validation_macro_f1: f64,
}

/// The log of one fold, open for appending.
pub struct MetricsLog {
    path: PathBuf,
    file: BufWriter<File>,
}

impl MetricsLog {
    /// Goes on after the first `bytes` bytes; what an interrupted training wrote beyond is dropped.
    pub fn open(path: &Path, bytes: u64) -> Result<Self> {
        let context = || format!("opening `{}`", path.display());
        let file = OpenOptions::new()
            .create(true)
            .append(true)
            .truncate(false)
            .open(path)
            .with_context(context)?;
        file.set_len(bytes).with_context(context)?;
        Ok(Self { path: path.to_owned(), file: BufWriter::new(file) })
    }

    pub fn step(&mut self, record: &StepRecord) -> Result<()> {
        self.append(record)
    }

    pub fn epoch(&mut self, record: &EpochRecord) -> Result<()> {
        self.append(record)
    }

    /// Brings everything to the disk and returns the log's length in bytes.
    pub fn sync(&mut self) -> Result<u64> {
        let context = || format!("writing `{}`", self.path.display());
        self.file.flush().with_context(context)?;
        self.file.get_ref().sync_all().with_context(context)?;
        Ok(self.file.get_ref().metadata().with_context(context)?.len())
    }

    fn append(&mut self, record: &impl Serialize) -> Result<()> {
        let context = || format!("writing `{}`", self.path.display());
        let mut line = serde_json::to_vec(record).expect("plain numbers");
        line.push(b'\n');
        self.file.write_all(&line).with_context(context)
    }
}

/// The epochs' records of a log.
pub fn read_epochs(path: &Path) -> Result<Vec<EpochRecord>> {
    let context = || format!("reading `{}`", path.display());
    let mut epochs = Vec::new();
    for line in BufReader::new(File::open(path).with_context(context)?).lines() {
        if let Ok(record) = serde_json::from_str(&line.with_context(context)?) {
            epochs.push(record);
        }
    }
    Ok(epochs)
}
