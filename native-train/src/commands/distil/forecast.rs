//! The plan that `--dry-run` prints: that of a training, and what each model learns from.

use std::fmt::Write;

use shared::words::thousands;

use super::{lessons::Lessons, settings::Distilling, teacher::TeacherRun};
use crate::{
    commands::train::{context::TrainContext, forecast},
    evaluation::columns::align,
};

/// The plan in words and tables.
pub fn text(
    context: &TrainContext,
    distilling: &Distilling,
    teacher: &TeacherRun,
    lessons: &Lessons,
) -> String {
    let scores = teacher.summary.cross_validation;
    let mut text = forecast::text(context);
    let _ = writeln!(
        text,
        "\nteacher {}: {}, {} folds, macro-F1 {:.4} at 0.5\nan answer counts {} beside a label, at a temperature of {}\n",
        distilling.teacher.display(),
        teacher.summary.model,
        teacher.config.folds,
        scores.macro_f1_at_half,
        distilling.alpha,
        distilling.temperature,
    );
    text + &align(&table(context, distilling, lessons))
}

/// A line for each model.
fn table(context: &TrainContext, distilling: &Distilling, lessons: &Lessons) -> Vec<Vec<String>> {
    let TrainContext { config, inputs, .. } = context;
    let hyperparameters = config.hyperparameters();
    let texts = inputs.unlabelled.len();
    let line = |model: String, rows: usize, left_out: usize, texts: usize| {
        let steps = hyperparameters.total_steps(rows + texts);
        let numbers = [rows, left_out, texts, steps].map(thousands);
        std::iter::once(model).chain(numbers).collect::<Vec<String>>()
    };
    let header = ["model", "rows", "left out", "texts", "steps"];
    let mut table = vec![header.map(str::to_owned).to_vec()];
    let folds = 0..config.folds;
    let student = |fold: usize| (lessons.len(fold) - texts, lessons.left_out(fold, inputs));
    table.extend(folds.clone().map(|fold| {
        let (rows, left_out) = student(fold);
        line(format!("student {fold}"), rows, left_out, texts)
    }));
    table.push(line("final".to_owned(), lessons.all() - texts, 0, texts));
    if distilling.baseline {
        table.extend(folds.map(|fold| {
            let (rows, left_out) = student(fold);
            line(format!("no teacher {fold}"), rows, left_out, 0)
        }));
    }
    table
}
