//! The settings of a distillation: those of the students' training, and distil.toml, which says how they learn from their
//! teacher and what it began with.

use std::path::{Path, PathBuf};

use anyhow::Result;
use serde::{Deserialize, Serialize};

use super::teacher::TeacherRun;
use crate::{
    cli::DistilArgs,
    commands::train,
    config::{Settings, TrainConfig, located, place_of},
    digest::Digest,
    error::UserError,
    progress::Progress,
    run::{
        Run,
        files::{damaged, read, write_text},
    },
};

/// The way in which students learn from their teacher.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Distilling {
    /// The folder of the teacher's run.
    pub teacher: PathBuf,
    pub texts: Vec<PathBuf>,
    /// The weight of an answer beside a label.
    pub alpha: f64,
    pub temperature: f64,
    /// Whether the same model is trained without a teacher as well.
    pub baseline: bool,
}

/// distil.toml.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Saved {
    #[serde(flatten)]
    distilling: Distilling,
    /// Digests of the teacher's folds.
    teacher_folds: Vec<String>,
    /// The digest of the texts that are learned from.
    texts_digest: String,
    /// Where teacher and texts lie as seen from the run; empty for what is no file or folder.
    teacher_place: PathBuf,
    text_places: Vec<PathBuf>,
}

/// The answers' weight beside labels: they know more than the labels, but are wrong where the teacher is.
const ALPHA: f64 = 0.7;

/// The flags of `train` that are not the user's to choose here, as the teacher has decided.
pub fn refuse_decided(given: &Settings) -> Result<(), UserError> {
    let decided = [
        ("labels", given.labels.is_some()),
        ("text-column", given.text_column.is_some()),
        ("id-column", given.id_column.is_some()),
        ("delimiter", given.delimiter.is_some()),
        ("label-list-column", given.label_list_column.is_some()),
        ("skip-unlabelled", given.skip_unlabelled.is_some()),
        ("soft-labels", given.soft_labels.is_some()),
        ("folds", given.folds.is_some()),
        ("split", given.split.is_some()),
    ];
    if let Some((flag, _)) = decided.iter().find(|(_, is_given)| *is_given) {
        let message =
            format!("`--{flag}` is decided by the teacher, whose rows and folds its students have");
        return Err(UserError::new(message).hint(format!("leave `--{flag}` out")));
    }
    if given.only_fold.is_some() {
        return Err(UserError::new(
            "`--only-fold` is not for `distil`, whose final model comes after all folds",
        )
        .hint("leave `--only-fold` out; `--resume` continues with the next fold"));
    }
    Ok(())
}

/// Takes each setting from the flags, else from the run to be resumed, else from the teacher, else from the defaults.
///
/// # Errors
/// If a setting is missing, out of range, or decided by the teacher, or if the teacher cannot be used.
pub fn resolve(
    args: &DistilArgs,
    progress: &Progress,
) -> Result<(TrainConfig, Distilling, TeacherRun)> {
    let mut given = args.settings.clone();
    refuse_decided(&given)?;
    let saved = if args.resume { saved(&given)? } else { None };
    let distilling = distilling(args, saved.as_ref())?;
    let teacher = TeacherRun::open(&distilling.teacher)?;
    teacher.tell_doubts(progress);
    if args.resume
        && let Some(saved) = train::settings::saved(&given)?
    {
        given = given.or(saved);
    }
    let decided = teacher.decided(given.train_csv.as_deref())?;
    let max_len = Settings { max_len: Some(teacher.config.max_len), ..Settings::default() };
    let given = decided.or(given).or(max_len);
    if given.model.is_none() {
        return Err(UserError::new("`model` is not set")
            .hint("pass the model that is to be taught as `--model mini`, a folder or a hub id")
            .into());
    }
    let config = train::settings::complete(given, progress)?;
    Ok((config, distilling, teacher))
}

fn distilling(args: &DistilArgs, saved: Option<&Distilling>) -> Result<Distilling, UserError> {
    let of_saved = |value: fn(&Distilling) -> f64| saved.map(value);
    let Some(teacher) = args.run.clone().or_else(|| saved.map(|saved| saved.teacher.clone()))
    else {
        return Err(UserError::new("`run` is not set")
            .hint("pass the folder of the teacher, a run that `train` wrote, as `--run TEACHER`"));
    };
    let texts = match saved {
        Some(saved) if args.texts.is_empty() => saved.texts.clone(),
        _ => args.texts.clone(),
    };
    let distilling = Distilling {
        teacher,
        texts,
        alpha: args.alpha.or(of_saved(|saved| saved.alpha)).unwrap_or(ALPHA),
        temperature: args.temperature.or(of_saved(|saved| saved.temperature)).unwrap_or(1.0),
        baseline: args.baseline || saved.is_some_and(|saved| saved.baseline),
    };
    let Distilling { alpha, temperature, .. } = distilling;
    if !(0.0..=1.0).contains(&alpha) {
        return Err(UserError::new(format!("`alpha` is {alpha}, but must be between 0 and 1"))
            .hint("with 0 students learn labels alone, with 1 answers alone"));
    }
    if !(temperature > 0.0 && temperature.is_finite()) {
        let message = format!("`temperature` is {temperature}, but must be above 0");
        return Err(UserError::new(message).hint("1 leaves the answers as they are"));
    }
    Ok(distilling)
}

/// The settings that the run to be resumed has saved, with paths that can be opened from this working folder.
fn saved(given: &Settings) -> Result<Option<Distilling>> {
    let Some(run) = given.output.as_ref().and_then(|output| Run::open(output).ok()) else {
        return Ok(None);
    };
    if !run.distil_toml().exists() {
        let folder = run.folder().display();
        return Err(UserError::new(format!("`{folder}` was begun by `train`, not by `distil`"))
            .hint(format!("`{}` continues it", run.resume_command()))
            .into());
    }
    let Saved { mut distilling, teacher_place, text_places, .. } = Saved::read(&run)?;
    // A path that leads nowhere any more may be given anew.
    distilling.teacher = located(&run, &distilling.teacher, &teacher_place);
    for (text, place) in distilling.texts.iter_mut().zip(&text_places) {
        *text = located(&run, text, place);
    }
    Ok(Some(distilling))
}

/// Saves the settings, or checks them against the saved ones.
///
/// # Errors
/// If they differ, or the file cannot be read or written.
pub fn keep(run: &Run, now: &Distilling, teacher: &[String], texts: &[String]) -> Result<()> {
    let mut digest = Digest::default();
    digest.texts(texts);
    let place = |path: &PathBuf| place_of(run, path).unwrap_or_default();
    let now = Saved {
        teacher_place: place(&now.teacher),
        text_places: now.texts.iter().map(place).collect(),
        distilling: now.clone(),
        teacher_folds: teacher.to_vec(),
        texts_digest: digest.finish(),
    };
    if run.has_begun() {
        let before = Saved::read(run)?;
        now.check(&before, run.folder())?;
        if before == now {
            return Ok(());
        }
    }
    let text = toml::to_string(&now).expect("settings are plain TOML values");
    write_text(&run.distil_toml(), &text)
}

impl Saved {
    fn read(run: &Run) -> Result<Self> {
        let path = run.distil_toml();
        let text = String::from_utf8(read(&path)?).map_err(|error| damaged(&path, error))?;
        toml::from_str(&text).map_err(|error| damaged(&path, error.message()))
    }

    /// Checks that students which learned by `before` may learn on by these settings. Paths may differ, and the model
    /// without a teacher may be asked for later.
    fn check(&self, before: &Self, run: &Path) -> Result<(), UserError> {
        let run = run.display();
        let (is, was) = (&self.distilling, &before.distilling);
        let changed =
            [("alpha", is.alpha, was.alpha), ("temperature", is.temperature, was.temperature)];
        #[expect(clippy::float_cmp, reason = "both are as they were given")]
        let changed: Vec<String> = changed
            .into_iter()
            .filter(|(_, is, was)| is != was)
            .map(|(key, is, was)| format!("\n  {key}: was {was}, now {is}"))
            .collect();
        if !changed.is_empty() {
            return Err(UserError::new(format!(
                "`{run}` was begun with other settings:{}",
                changed.concat()
            ))
            .hint(
                "leave these settings out to continue the run, or distil into another `--output`",
            ));
        }
        let teacher = is.teacher.display();
        let mut folds = self.teacher_folds.iter().zip(&before.teacher_folds);
        if let Some(fold) = folds.position(|(is, was)| is != was) {
            return Err(UserError::new(format!(
                "fold {fold} of the teacher `{teacher}` is not the model from which the students of `{run}` began to learn"
            ))
            .hint("pass the same teacher as `--run`, or distil into another `--output`"));
        }
        if self.texts_digest != before.texts_digest {
            return Err(UserError::new(format!(
                "the texts of `--texts` are not those from which the students of `{run}` began to learn"
            ))
            .hint("pass the same files as `--texts`, or distil into another `--output`"));
        }
        Ok(())
    }
}
