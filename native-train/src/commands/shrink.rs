//! `shrink`: makes a smaller encoder from a larger one, on plain texts.

use std::{collections::BTreeMap, path::Path, time::Duration};

use anyhow::Result;
use rayon::prelude::*;
use shared::{
    model::DebertaConfig,
    nn::Weights,
    tokenizer::{Cut, TOKENIZER_CONFIG, Tokenizer},
    words::counted,
};

use super::{stdout::print, train::explain_interrupts};
use crate::{
    cli::ShrinkArgs,
    config::ShrinkConfig,
    data::{self, distinct},
    device,
    digest::Digest,
    error::UserError,
    pretrained::{self, Pretrained},
    progress::Progress,
    run::{
        StudentFolder,
        files::{damaged, read, write_text},
        lease::host,
        tensors::{self, Tensors},
    },
    shrink::{Imitation, Lesson, Model, PROJECTION, Shape, initial_weights, kept_pieces},
    threads,
    training::{
        Compute, Subject, TrainingContext, checkpoint,
        trainer::{self, Files},
    },
    trust,
};

/// One text in this many measures the student, but no more than `MOST_HELD_OUT`.
const HELD_OUT_EVERY: usize = 50;
const MOST_HELD_OUT: usize = 1000;

/// A shrinking whose settings, teacher and texts have been read and checked.
struct Shrinking {
    config: ShrinkConfig,
    teacher: Pretrained,
    /// The teacher's tensors, f32 on the CPU.
    teacher_weights: Tensors,
    shape: Shape,
    cut: Cut,
    /// The number of times that the texts have each of the teacher's tokens.
    occurrences: Vec<u64>,
    lesson: Lesson,
    digest: String,
}

/// Makes the student in `--output`, and prints what it is; with `--dry-run` only the plan.
///
/// # Errors
/// If settings, teacher or texts cannot be used, or the training or its files fail.
pub fn run(args: &ShrinkArgs, progress: &mut Progress) -> Result<()> {
    if !args.dry_run {
        progress.name_lines(host());
    }
    let config = ShrinkConfig::resolve(&args.settings, device::cards)?;
    threads::set(Some(config.threads))?;
    let shrinking = Shrinking::prepare(config, progress)?;
    if args.dry_run {
        return print(&shrinking.plan());
    }
    let folder = StudentFolder::open(&args.output, args.resume)?;
    shrinking.begin(&folder)?;
    if folder.model().has_model() {
        progress.note("this student is finished: nothing is left to train");
        // One that was killed after it had saved the model leaves its checkpoint.
        checkpoint::remove(&folder.model().checkpoint())?;
    } else {
        explain_interrupts("the same command with `--resume`".to_owned())?;
        shrinking.train(&folder, progress)?;
    }
    progress.clear();
    print(&shrinking.plan())
}

impl Shrinking {
    fn prepare(config: ShrinkConfig, progress: &Progress) -> Result<Self> {
        let texts = distinct_texts(&config, progress)?;
        let teacher = pretrained::resolve(&config.teacher, progress.downloads())?;
        let Some(files) = teacher.tokenizer.as_ref().filter(|_| teacher.has_weights()) else {
            let message = format!("model `{}` has not learned anything yet", config.teacher);
            return Err(UserError::new(message)
                .hint("pass a folder or hub id with weights as `--teacher`")
                .into());
        };
        let (tokenizer, notes) = files
            .tokenizer()
            .map_err(|error| UserError::new(format!("model `{}`: {error}", config.teacher)))?;
        notes.iter().for_each(|note| progress.warn(note));
        let shape = Shape::new(&teacher.config, config.wishes())?;
        let occurrences = count(&tokenizer, &texts, teacher.config.vocab_size, config.max_len);
        let wanted = match config.vocab_size {
            Some(size) => kept_pieces(&occurrences, size),
            None => vec![true; occurrences.len()],
        };
        let cut = tokenizer
            .cut(|id| wanted.get(id as usize).copied().unwrap_or(false))
            .map_err(|error| UserError::new(format!("model `{}`: {error}", config.teacher)))?;
        let lesson = Lesson::new(&texts, &tokenizer, &cut.tokenizer, config.max_len);
        progress.note(format_args!(
            "{}, of which the student reads {} in other pieces than its teacher",
            counted(lesson.len(), "text"),
            lesson.differing()
        ));
        let mut digest = Digest::default();
        digest.texts(&texts);
        digest.bytes(tokenizer.to_json().as_bytes());
        teacher.read_weight_files(|bytes| digest.piece(bytes))?;
        let teacher_weights = teacher.load(1, 0)?.tensors;
        let digest = digest.finish();
        Ok(Self { config, teacher, teacher_weights, shape, cut, occurrences, lesson, digest })
    }

    /// Saves the settings, or checks them against those that the student in this folder began with.
    fn begin(&self, folder: &StudentFolder) -> Result<()> {
        let path = folder.shrink_toml();
        let saved = path.exists().then(|| Saved::load(&path)).transpose()?;
        let now = Saved { digest: self.digest.clone(), settings: self.config.clone() };
        match saved {
            None => write_text(&path, &now.to_toml()),
            Some(saved) if saved == now => Ok(()),
            Some(saved) => {
                let what = if saved.digest == now.digest { "settings" } else { "texts or weights" };
                Err(UserError::new(format!("`{}` was begun with other {what}", path.display()))
                    .hint("pass those it was begun with, or shrink into another `--output`")
                    .into())
            }
        }
    }

    fn train(&self, folder: &StudentFolder, progress: &mut Progress) -> Result<()> {
        let hyperparameters = self.config.hyperparameters();
        trust::establish(self.config.device, progress)?;
        let compute =
            Compute { device: device::open(self.config.device)?, precision: self.config.precision };
        let (held_out, train_rows) = self.rows();
        let context = TrainingContext {
            subject: Subject::Student,
            train_rows: &train_rows,
            hyperparameters: &hyperparameters,
            compute: &compute,
        };
        let initial = initial_weights(
            &self.teacher.config,
            &self.teacher_weights,
            &self.shape,
            &self.cut.kept,
            &self.occurrences,
        )?;
        let optimizer = trainer::optimizer(&initial, &context)?;
        let on_device = |tensor: &candle_core::Tensor| tensor.to_device(&compute.device);
        let teacher_weights: Tensors = self
            .teacher_weights
            .iter()
            .map(|(name, tensor)| Ok((name.clone(), on_device(tensor)?)))
            .collect::<Result<_>>()?;
        let mut config = self.student_config();
        config.hidden_dropout_prob = self.config.dropout;
        config.attention_probs_dropout_prob = self.config.dropout;
        let objective = Imitation::new(
            Model { config: &self.teacher.config, weights: Weights::new(&teacher_weights) },
            Model { config: &config, weights: optimizer.weights() },
            &self.shape,
            &self.lesson,
            &held_out,
        )?;
        let model = folder.model();
        let files = Files {
            lease: Some(folder.lease()),
            checkpoint: &model.checkpoint(),
            checkpoint_interval: Duration::from_secs(self.config.checkpoint_seconds),
            metrics: &model.metrics_jsonl(),
            events: None,
        };
        let kept = trainer::train(context, optimizer, objective, &files, progress)?;
        self.save(folder, kept.weights)
    }

    /// Writes a folder that Hugging Face transformers loads. The model comes last, as the student counts as finished
    /// once it is there.
    fn save(&self, folder: &StudentFolder, mut weights: Tensors) -> Result<()> {
        let model = folder.model();
        weights.remove(&format!("{PROJECTION}.weight"));
        write_text(&model.config_json(), &self.student_config().to_backbone_json())?;
        write_text(&model.tokenizer_json(), &self.cut.tokenizer.to_json())?;
        write_text(&model.tokenizer_config_json(), TOKENIZER_CONFIG)?;
        let metadata = BTreeMap::from([("format".to_owned(), "pt".to_owned())]);
        tensors::write(&model.model_safetensors(), metadata, &weights)?;
        checkpoint::remove(&model.checkpoint())
    }

    /// The texts that measure the student, and those that it learns from.
    fn rows(&self) -> (Vec<usize>, Vec<usize>) {
        let texts = self.lesson.len();
        let every = HELD_OUT_EVERY.max(texts.div_ceil(MOST_HELD_OUT));
        (0..texts).partition(|row| row % every == every - 1)
    }

    fn student_config(&self) -> DebertaConfig {
        let mut config = self.shape.config.clone();
        config.vocab_size = self.cut.kept.len();
        config
    }

    fn plan(&self) -> String {
        let (teacher, student) = (&self.teacher.config, self.student_config());
        let parameters = |config: &DebertaConfig| -> usize {
            config.backbone_shapes().values().map(|shape| shape.iter().product::<usize>()).sum()
        };
        let line = |name: &str, size: fn(&DebertaConfig) -> usize| {
            format!("{name:<22}{:>12}{:>12}\n", size(teacher), size(&student))
        };
        let layers: Vec<String> =
            self.shape.layers.iter().map(|layer| (layer + 1).to_string()).collect();
        let (held_out, train_rows) = self.rows();
        let steps = self.config.hyperparameters().total_steps(train_rows.len());
        [
            format!("{:<22}{:>12}{:>12}\n", "", "teacher", "student"),
            line("layers", |config| config.num_hidden_layers),
            line("hidden size", |config| config.hidden_size),
            line("attention heads", |config| config.num_attention_heads),
            line("feed-forward size", |config| config.intermediate_size),
            line("embedding size", |config| config.embedding_size),
            line("vocabulary", |config| config.vocab_size),
            format!(
                "{:<22}{:>12}{:>12}\n",
                "parameters",
                parameters(teacher),
                parameters(&student)
            ),
            format!("\nlayers of the teacher: {}\n", layers.join(", ")),
            format!(
                "texts: {} to learn from, {} to measure by; {steps} steps\n",
                train_rows.len(),
                held_out.len()
            ),
        ]
        .concat()
    }
}

/// The settings, and a digest of what they only name.
#[derive(PartialEq, serde::Serialize, serde::Deserialize)]
struct Saved {
    /// The digest of texts, tokenizer and weights.
    digest: String,
    settings: ShrinkConfig,
}

impl Saved {
    fn to_toml(&self) -> String {
        toml::to_string(self).expect("settings are plain TOML values")
    }

    fn load(path: &Path) -> Result<Self> {
        let text = String::from_utf8(read(path)?).map_err(|error| damaged(path, error))?;
        toml::from_str(&text).map_err(|error| damaged(path, error))
    }
}

/// The distinct texts of all files.
fn distinct_texts(config: &ShrinkConfig, progress: &Progress) -> Result<Vec<String>> {
    let all = data::read_all_texts(&config.texts, &config.file_options(), progress)?;
    let read = all.len();
    let texts = distinct(all);
    if texts.len() < read {
        let repeated = counted(read - texts.len(), "text");
        progress.note(format_args!("{repeated} left out, as an equal one came before"));
    }
    if texts.len() < 2 {
        return Err(UserError::new(format!(
            "there is {} to learn from",
            counted(texts.len(), "text")
        ))
        .hint("pass files with more texts as `--texts`")
        .into());
    }
    Ok(texts)
}

/// The number of times that each of `ids` ids occurs.
fn count(tokenizer: &Tokenizer, texts: &[String], ids: usize, max_len: usize) -> Vec<u64> {
    let encoded: Vec<Vec<u32>> =
        texts.par_iter().map(|text| tokenizer.encode(text, max_len).input_ids).collect();
    let mut occurrences = vec![0; ids.max(tokenizer.vocab_size())];
    encoded.iter().flatten().for_each(|&id| occurrences[id as usize] += 1);
    occurrences
}
