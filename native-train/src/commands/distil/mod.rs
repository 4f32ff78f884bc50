//! `distil`: trains a small model on the answers of a trained run, the teacher.
//!
//! ```text
//! flags, distil.toml -> settings -> teacher, inputs (rows, folds, texts), material = context
//!     -> forecast (--dry-run)
//!     -> answers (of each of the teacher's folds, to all rows and texts)
//!     -> lessons -> cross_validation: student K learns from fold K; the final model from all folds
//!     -> results
//! ```
//!
//! The teacher's fold K has not seen the rows that student K holds out, nor does student K, so the students' out-of-fold
//! scores are as honest as the teacher's.

mod answers;
mod forecast;
mod lessons;
mod settings;
mod teacher;
mod texts;

use std::time::Instant;

use anyhow::Result;

use self::{answers::Answers, lessons::Lessons, settings::Distilling, teacher::TeacherRun};
use super::stdout::print;
use super::train::{
    self,
    context::TrainContext,
    fingerprint::Test,
    inputs::Inputs,
    material::Material,
    results,
    settings::{begin, open_run},
};
use crate::{
    cli::DistilArgs,
    config::TrainConfig,
    cross_validation::{self, Outcome, Plan},
    device,
    evaluation::report::{CrossValidation, Distillation, FinalModel, Summary, TextsUsed},
    progress::Progress,
    run::{Run, lease::host},
    threads, trust,
};

/// Trains the students that `--output` lacks and the final model, and prints the closing table, or with `--dry-run` the
/// plan.
///
/// # Errors
/// If settings, teacher, data or model cannot be used, or a training or its files fail.
pub fn run(args: &DistilArgs, progress: &mut Progress) -> Result<()> {
    let started = Instant::now();
    if !args.dry_run {
        progress.name_lines(host());
    }
    let (mut config, distilling, teacher) = settings::resolve(args, progress)?;
    threads::set(Some(config.threads))?;
    let mut inputs = Inputs::dealt_by(&config, |dataset| teacher.fold_of(dataset), progress)?;
    config.labels = Some(inputs.dataset.labels.clone());
    let texts_used;
    (inputs.unlabelled, texts_used) = texts::read(&distilling.texts, &config, &inputs, progress)?;
    let lessons = Lessons::new(&inputs);
    lessons.tell(&inputs, progress);
    if args.dry_run {
        let material = Material::prepare(&config, &inputs, progress)?;
        material.pretrained.check(inputs.dataset.labels.len())?;
        let context = TrainContext { config, inputs, material };
        return print(&forecast::text(&context, &distilling, &teacher, &lessons));
    }

    let run = open_run(args.resume, &config, progress)?;
    let digests = teacher.digests()?;
    settings::keep(&run, &distilling, &digests, &inputs.unlabelled)?;
    let material = Material::prepare(&config, &inputs, progress)?;
    let context = TrainContext { config, inputs, material };
    begin(&run, &context, Test::AsBegun)?;
    if let Some(summary) = finished(&run, &context.config, &distilling)? {
        progress.note("this run is finished: nothing is left to train");
        return train::report(&summary, progress);
    }
    train::explain_interrupts(format!("`{}`", run.resume_command()))?;

    trust::establish_all(&context.config.device, progress)?;
    let device = device::open(context.config.device.first())?;
    let answering = Instant::now();
    let answers =
        Answers::gather(&teacher, &digests, &context.inputs, &run.teacher(), &device, progress)?;
    let answering = answering.elapsed();
    let setup = started.elapsed().saturating_sub(answering);
    let (mut outcome, baseline) =
        train_all(&run, &context, &distilling, &lessons, &answers, progress)?;
    outcome.prediction_time += answering;
    progress.clear();
    let students =
        results::scored_rows(&context.inputs, &outcome.predictions).score().cross_validation;
    let report = report(&context, &distilling, &teacher, texts_used, students, baseline);
    let summary = results::write(&run, &context, &outcome, Some(report), (started, setup))?;
    train::report(&summary, progress)
}

/// Trains what is not trained yet: students, the final model, and the same model without a teacher if that is wanted, whose
/// scores are returned.
fn train_all(
    run: &Run,
    context: &TrainContext,
    distilling: &Distilling,
    lessons: &Lessons,
    answers: &Answers,
    progress: &mut Progress,
) -> Result<(Outcome, Option<CrossValidation>)> {
    let hyperparameters = context.config.hyperparameters();
    let of_students = lessons.of_students(answers, distilling);
    let plan = train::plan(context, run, &hyperparameters, &of_students)?;
    let mut outcome = cross_validation::run(&plan, run, progress)?;
    progress.note("the final model learns from the whole ensemble, on all rows and texts");
    let of_final = lessons.of_final(answers, distilling);
    outcome.times += cross_validation::train_final(&plan, &of_final, &run.final_model(), progress)?;
    if !distilling.baseline {
        return Ok((outcome, None));
    }
    progress.note("the same model without a teacher, for comparison");
    let labels_alone = lessons.without_teacher();
    let events = plan.events.as_ref().map(|events| events.within("baseline"));
    let plan = Plan { lessons: &labels_alone, test: None, events, ..plan };
    let alone = cross_validation::run(&plan, &run.baseline(), progress)?;
    outcome.times += alone.times;
    outcome.prediction_time += alone.prediction_time;
    let scored = results::scored_rows(&context.inputs, &alone.predictions).score();
    Ok((outcome, Some(scored.cross_validation)))
}

/// The summary of a run that lacks nothing.
fn finished(run: &Run, config: &TrainConfig, distilling: &Distilling) -> Result<Option<Summary>> {
    let summary = results::finished(run, config)?;
    let is_whole = |summary: &Summary| {
        let baseline = summary.distillation.as_ref().and_then(|it| it.baseline);
        run.final_model().has_model() && (baseline.is_some() || !distilling.baseline)
    };
    Ok(summary.filter(is_whole))
}

fn report(
    context: &TrainContext,
    distilling: &Distilling,
    teacher: &TeacherRun,
    texts: TextsUsed,
    students: CrossValidation,
    baseline: Option<CrossValidation>,
) -> Distillation {
    let expected = students.macro_f1_cross_fitted.unwrap_or(students.macro_f1_at_half);
    Distillation {
        teacher: distilling.teacher.display().to_string(),
        teacher_model: teacher.summary.model.clone(),
        alpha: distilling.alpha,
        temperature: distilling.temperature,
        texts,
        teacher_scores: teacher.summary.cross_validation,
        baseline,
        final_model: FinalModel {
            rows: context.material.examples.input_ids.len(),
            expected_macro_f1: expected,
        },
    }
}
