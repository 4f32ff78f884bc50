//! The folder of a run: its files, and the leases of the trainings that write there.
//!
//! ```text
//! RUN/config.toml                     written first; it makes the folder a run
//!     inputs.json                     digests of the training data and the model
//!     folds.csv                       row, id, fold
//!     fold-K/                         a folder that Hugging Face loads, K counted from 0
//!         config.json  model.safetensors  tokenizer.json  tokenizer_config.json
//!         metrics.jsonl               a line for each step and for each epoch's validation
//!         checkpoint                  resumable training state
//!     oof.csv                         id, a probability for each label
//!     thresholds.json  summary.json
//!     submission.csv                  id, 0 or 1 for each label
//!     report.html                     scores, pictures, and the texts worth a look
//!     distil.toml                     of a run that learned from a teacher: how; written before config.toml
//!     final/                          likewise: a folder like fold-K of a model that holds out no rows
//!     teacher/fold-K/                 likewise: the teacher's answers
//!     baseline/fold-K/                likewise: the same model without a teacher
//!     .lease-N                        which process writes here; likewise in fold-K, which process trains the fold
//! ```
//!
//! One process may train all folds, and holds the run until it ends. Or several train a fold each (`--only-fold`), on one
//! machine or on many: each holds its fold, and the run only while it writes files of the run.
//!
//! `files` and `new_file` write whole files or none; `tables` and `tensors` define their contents.

mod claim;
pub mod files;
pub mod label_table;
pub mod lease;
mod model_folder;
pub mod new_file;
pub mod tables;
pub mod tensors;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result};
use same_file::is_same_file;

use self::claim::{lease, make_folder, refuse_foreign};
use self::lease::{Holder, Lease, held};
pub use self::model_folder::{FoldFolder, StudentFolder};
use crate::error::UserError;
use crate::shell::flag;

const CONFIG: &str = "config.toml";
const DISTIL: &str = "distil.toml";

/// A run folder, open for reading, or leased for a training.
#[derive(Debug)]
pub struct Run {
    folder: PathBuf,
    lease: Option<Arc<Lease>>,
}

impl Run {
    /// Opens an empty or missing folder for a new training.
    ///
    /// # Errors
    /// If another training is writing there, or the folder holds a run or other files.
    pub fn create(folder: &Path) -> Result<Self> {
        let run = Self::leased(folder)?;
        if run.has_begun() {
            return Err(UserError::new(format!("`{}` already holds a run", folder.display()))
                .hint("pass `--resume` to continue it, or another `--output`")
                .into());
        }
        Ok(run)
    }

    /// Opens a run to continue it, and removes the unfinished files of a killed training.
    ///
    /// An empty or missing folder is accepted as well, as a training may be killed before its first file:
    /// see [`Run::has_begun`].
    ///
    /// # Errors
    /// If another training is writing there, or the folder holds other files and no run.
    pub fn resume(folder: &Path) -> Result<Self> {
        Self::leased(folder)
    }

    /// Opens a folder for a process that trains one of its folds, beside others that train the others. It holds the run for
    /// now: see [`share`](Self::share). `waiting` is told which process is waited for.
    ///
    /// # Errors
    /// If a training of all folds is writing there, or the folder holds other files and no run.
    pub fn join(folder: &Path, waiting: impl FnOnce(&Holder)) -> Result<Self> {
        make_folder(folder)?;
        refuse_foreign(folder, &[CONFIG, DISTIL], "no run")?;
        let lease = Lease::take_for_writing(folder, waiting)?;
        files::remove_leftovers(folder)?;
        Ok(Self { folder: folder.to_owned(), lease: Some(lease.into()) })
    }

    /// Lets other processes write files of the run, until [`write`](Self::write).
    pub fn share(&mut self) {
        self.lease = None;
    }

    /// Holds the run again, to write files of it.
    ///
    /// # Errors
    /// As of [`join`](Self::join).
    pub fn write(&mut self, waiting: impl FnOnce(&Holder)) -> Result<()> {
        if self.lease.is_none() {
            self.lease = Some(Lease::take_for_writing(&self.folder, waiting)?.into());
        }
        Ok(())
    }

    /// Opens a run for reading, without a lock.
    ///
    /// # Errors
    /// If the folder is not a run.
    pub fn open(folder: &Path) -> Result<Self> {
        let run = Self { folder: folder.to_owned(), lease: None };
        if !run.has_begun() {
            let message = format!("`{}` is not a run: it has no {CONFIG}", folder.display());
            return Err(UserError::new(message)
                .hint("pass the folder that was given to `train --output`")
                .into());
        }
        Ok(run)
    }

    /// The right to write here.
    pub fn lease(&self) -> Option<Arc<Lease>> {
        self.lease.clone()
    }

    /// Whether a training has written its settings here.
    pub fn has_begun(&self) -> bool {
        self.config_toml().is_file()
    }

    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The files that `export`, `predict` and a resumed training read.
    pub fn own_files(&self) -> [PathBuf; 6] {
        [
            self.config_toml(),
            self.inputs_json(),
            self.folds_csv(),
            self.oof_csv(),
            self.thresholds_json(),
            self.summary_json(),
        ]
    }

    /// Checks that a command's output replaces neither a file that it reads, each with the name of its flag, nor one that the
    /// run is made of.
    ///
    /// # Errors
    /// If it does.
    pub fn check_output(&self, output: &Path, read: &[(&str, &Path)]) -> Result<(), UserError> {
        let shown = output.display();
        let is_it = |(_, path): &&(&str, &Path)| is_same_file(path, output).unwrap_or(false);
        let message = if let Some((flag, _)) = read.iter().find(is_it) {
            format!("`--output {shown}` is the file that `{flag}` reads")
        } else if self.owns(output) {
            format!("`--output {shown}` is a file of the run")
        } else {
            return Ok(());
        };
        Err(UserError::new(message).hint("give `--output` another name"))
    }

    /// Whether a file that exists is one that the run is made of: of [`own_files`](Self::own_files), or of a model within it.
    fn owns(&self, file: &Path) -> bool {
        let is_it = |own: &PathBuf| is_same_file(own, file).unwrap_or(false);
        if self.own_files().iter().any(is_it) {
            return true;
        }
        let (Ok(run), Ok(file)) = (self.folder.canonicalize(), file.canonicalize()) else {
            return false;
        };
        let folder = file.parent().filter(|folder| folder.starts_with(&run) && *folder != run);
        folder.is_some_and(|folder| FoldFolder::new(folder.to_owned()).own_files().contains(&file))
    }

    pub fn config_toml(&self) -> PathBuf {
        self.folder.join(CONFIG)
    }

    pub fn inputs_json(&self) -> PathBuf {
        self.folder.join("inputs.json")
    }

    pub fn folds_csv(&self) -> PathBuf {
        self.folder.join("folds.csv")
    }

    pub fn oof_csv(&self) -> PathBuf {
        self.folder.join("oof.csv")
    }

    pub fn thresholds_json(&self) -> PathBuf {
        self.folder.join("thresholds.json")
    }

    pub fn summary_json(&self) -> PathBuf {
        self.folder.join("summary.json")
    }

    pub fn report_html(&self) -> PathBuf {
        self.folder.join("report.html")
    }

    pub fn submission_csv(&self) -> PathBuf {
        self.folder.join("submission.csv")
    }

    /// The folder of fold `fold`, counted from 0 as in folds.csv, whether or not it exists.
    pub fn fold(&self, fold: usize) -> FoldFolder {
        FoldFolder::new(self.folder.join(format!("fold-{fold}")))
    }

    /// The settings of a run that learned from a teacher.
    pub fn distil_toml(&self) -> PathBuf {
        self.folder.join(DISTIL)
    }

    /// The folder of the model that holds out no rows, whether or not it exists.
    pub fn final_model(&self) -> FoldFolder {
        FoldFolder::new(self.folder.join("final"))
    }

    /// The folder of a teacher's answers.
    pub fn teacher(&self) -> PathBuf {
        self.folder.join("teacher")
    }

    /// The folds of the same model without a teacher, as a run within this one, which holds the lock.
    pub fn baseline(&self) -> Self {
        Self { folder: self.folder.join("baseline"), lease: None }
    }

    /// The name of the run's folder.
    pub fn name(&self) -> String {
        let folder = self.folder.canonicalize().unwrap_or_else(|_| self.folder.clone());
        folder.file_name().map_or_else(String::new, |name| name.to_string_lossy().into())
    }

    /// The command that continues the run.
    pub fn resume_command(&self) -> String {
        let command = files::begun_by(&self.folder);
        let folder = self.folder.display().to_string();
        format!("native-train {command} --resume {}", flag("--output", &folder))
    }

    /// The given folds in two: those that are trained and those that are not.
    pub fn split_trained(
        &self,
        folds: impl IntoIterator<Item = usize>,
    ) -> (Vec<usize>, Vec<usize>) {
        folds.into_iter().partition(|&fold| self.fold(fold).has_model())
    }

    fn leased(folder: &Path) -> Result<Self> {
        make_folder(folder)?;
        // Before the lease, so that nothing is written to a folder of other files.
        refuse_foreign(folder, &[CONFIG, DISTIL], "no run")?;
        let run = Self { folder: folder.to_owned(), lease: Some(lease(folder)?.into()) };
        run.refuse_trained_folds()?;
        run.remove_leftovers()?;
        Ok(run)
    }

    /// Rejects a run of which other processes are training folds.
    fn refuse_trained_folds(&self) -> Result<()> {
        for name in files::names(&self.folder)?.iter().filter(|name| name.starts_with("fold-")) {
            let fold = self.folder.join(name);
            if let Some(holder) = FoldFolder::new(fold.clone()).holder()? {
                return Err(held(&fold, &holder).into());
            }
        }
        Ok(())
    }

    fn remove_leftovers(&self) -> Result<()> {
        if !self.has_begun() && self.distil_toml().exists() {
            // A process was killed before it began the run.
            let path = self.distil_toml();
            fs::remove_file(&path)
                .with_context(|| format!("cannot remove `{}`", path.display()))?;
        }
        remove_leftovers_of(&self.folder)
    }
}

/// Removes the unfinished files of a run's folder and of those in it that a training writes to.
fn remove_leftovers_of(folder: &Path) -> Result<()> {
    files::remove_leftovers(folder)?;
    let is_ours = |name: &&String| {
        name.starts_with("fold-") || ["final", "teacher", "baseline"].contains(&name.as_str())
    };
    for name in files::names(folder)?.iter().filter(is_ours) {
        let inner = folder.join(name);
        if inner.is_dir() {
            remove_leftovers_of(&inner)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader, Write};
    use std::process::{Command, Stdio};
    use std::time::Duration;

    use super::new_file::is_temporary;
    use super::*;

    fn user_error(result: Result<Run>) -> (String, String) {
        let error = result.expect_err("refused");
        let error = error.downcast_ref::<UserError>().expect("a user's mistake");
        (error.to_string(), error.remedy().expect("a hint").to_owned())
    }

    fn begin(run: &Run) {
        files::write_atomically(&run.config_toml(), |output| Ok(output.write_all(b"seed = 1\n")?))
            .unwrap();
    }

    #[test]
    fn a_folder_that_holds_a_run_is_resumed_and_not_created_again() {
        let parent = tempfile::tempdir().unwrap();
        let folder = parent.path().join("runs").join("a");
        let run = Run::create(&folder).unwrap();
        assert!(!run.has_begun());
        begin(&run);
        drop(run);

        let (message, hint) = user_error(Run::create(&folder));
        assert_eq!(message, format!("`{}` already holds a run", folder.display()));
        assert_eq!(hint, "pass `--resume` to continue it, or another `--output`");
        assert!(Run::resume(&folder).unwrap().has_begun());
        assert_eq!(Run::open(&folder).unwrap().folder(), folder);
    }

    #[test]
    fn a_training_killed_before_its_first_file_can_be_resumed_or_begun_again() {
        let parent = tempfile::tempdir().unwrap();
        let folder = parent.path().join("a");
        assert!(!Run::resume(&folder).unwrap().has_begun());
        fs::write(folder.join(".config.toml.1.tmp"), "half").unwrap();
        assert!(!Run::resume(&folder).unwrap().has_begun());
        fs::write(folder.join(".config.toml.1.tmp"), "half").unwrap();
        assert!(Run::create(&folder).is_ok());
        assert!(files::names(&folder).unwrap().is_empty());
    }

    #[test]
    fn somebody_elses_folder_is_refused_and_left_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("thesis.txt"), "mine").unwrap();
        for refused in [Run::create(folder.path()), Run::resume(folder.path())] {
            let (message, _) = user_error(refused);
            assert!(message.contains("holds other files (`thesis.txt`) and no run"), "{message}");
        }
        assert_eq!(files::names(folder.path()).unwrap(), ["thesis.txt"]);
        let (message, _) = user_error(Run::create(&folder.path().join("thesis.txt")));
        assert!(message.contains("a file is in the way"), "{message}");
        let (message, _) = user_error(Run::create(&folder.path().join("thesis.txt").join("run")));
        assert!(message.contains("a file is in the way"), "{message}");
    }

    #[test]
    fn what_holds_no_run_cannot_be_opened() {
        let folder = tempfile::tempdir().unwrap();
        let (message, hint) = user_error(Run::open(folder.path()));
        assert!(message.ends_with("is not a run: it has no config.toml"), "{message}");
        assert!(hint.contains("train --output"), "{hint}");
        assert!(files::names(folder.path()).unwrap().is_empty(), "reading changes nothing");
    }

    #[test]
    fn a_second_handle_is_refused_until_the_first_is_dropped() {
        let folder = tempfile::tempdir().unwrap();
        let first = Run::create(folder.path()).unwrap();
        begin(&first);
        for second in [Run::create(folder.path()), Run::resume(folder.path())] {
            let (message, _) = user_error(second);
            assert!(message.starts_with("another training is writing in `"), "{message}");
        }
        assert!(Run::open(folder.path()).is_ok(), "reading is free");
        drop(first);
        assert!(Run::resume(folder.path()).is_ok());
    }

    #[test]
    fn a_fold_has_a_model_when_all_its_files_are_there() {
        let folder = tempfile::tempdir().unwrap();
        let fold = Run::create(folder.path()).unwrap().fold(3);
        fold.make().unwrap();
        assert!(fold.folder().ends_with("fold-3"));
        for file in [fold.config_json(), fold.tokenizer_json(), fold.model_safetensors()] {
            assert!(!fold.has_model());
            fs::write(file, "").unwrap();
        }
        assert!(fold.has_model());
    }

    const TRAINING: &str = "QUINTET_TEST_TRAINING_IN";

    /// This test runs itself again as the training that is killed.
    #[test]
    fn a_killed_training_lets_go_of_the_run_and_leaves_whole_files() {
        if let Some(folder) = std::env::var_os(TRAINING) {
            write_half_and_wait(Path::new(&folder));
        }
        let folder = tempfile::tempdir().unwrap();
        let mut training = Command::new(std::env::current_exe().unwrap())
            .arg("run::tests::a_killed_training_lets_go_of_the_run_and_leaves_whole_files")
            .args(["--exact", "--nocapture"])
            .env(TRAINING, folder.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(training.stdout.take().unwrap()).lines();
        assert!(lines.any(|line| line.unwrap().contains("half is written")));

        let (message, _) = user_error(Run::resume(folder.path()));
        assert!(message.starts_with("another training is writing in `"), "{message}");
        training.kill().unwrap();
        training.wait().unwrap();

        let fold = Run::open(folder.path()).unwrap().fold(0);
        let left = files::names(fold.folder()).unwrap();
        assert!(left.iter().any(|name| is_temporary(name)), "{left:?}");
        Run::resume(folder.path()).unwrap();
        assert_eq!(files::names(fold.folder()).unwrap(), ["checkpoint"]);
        assert_eq!(fs::read(fold.checkpoint()).unwrap(), b"epoch 1");
    }

    fn write_half_and_wait(folder: &Path) -> ! {
        let run = Run::create(folder).unwrap();
        begin(&run);
        let fold = run.fold(0);
        fold.make().unwrap();
        files::write_atomically(&fold.checkpoint(), |output| Ok(output.write_all(b"epoch 1")?))
            .unwrap();
        files::write_atomically(&fold.checkpoint(), |output| {
            output.write_all(&[2; 1 << 20])?;
            println!("half is written");
            std::thread::sleep(Duration::from_secs(60));
            Ok(())
        })
        .unwrap();
        unreachable!("killed before")
    }
}
