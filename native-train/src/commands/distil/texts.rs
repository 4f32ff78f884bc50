//! The texts of `--texts`: those of which students learn what the teacher says.
//!
//! A text that equals a row of the training file is left out: students of other folds learn that row with its labels, and
//! the student that holds it out must not read it.

use std::collections::HashSet;
use std::path::PathBuf;

use anyhow::Result;
use shared::words::{counted, thousands};

use crate::{
    commands::train::inputs::Inputs,
    config::TrainConfig,
    data::{FileOptions, distinct, read_all_texts, text_key},
    evaluation::report::TextsUsed,
    progress::Progress,
};

/// Reads the files and tells which of their texts are left out.
///
/// # Errors
/// If a file cannot be read or has no text column.
pub fn read(
    files: &[PathBuf],
    config: &TrainConfig,
    inputs: &Inputs,
    progress: &Progress,
) -> Result<(Vec<String>, TextsUsed)> {
    // Each is read by its own name.
    let options = FileOptions { format: None, ..config.file_options() };
    let all = read_all_texts(files, &options, progress)?;
    let (texts, used) = select(all, &inputs.dataset.texts);
    if !files.is_empty() {
        tell(used, files.len(), progress);
    }
    Ok((texts, used))
}

/// The texts that are neither empty, nor equal to an earlier one, nor to a row.
fn select(texts: Vec<String>, rows: &[String]) -> (Vec<String>, TextsUsed) {
    let rows: HashSet<String> = rows.iter().map(|row| text_key(row)).collect();
    let all = texts.len();
    let is_new = |text: &String| !rows.contains(&text_key(text));
    let new: Vec<String> = texts.into_iter().filter(is_new).collect();
    let in_training_file = all - new.len();
    let chosen = distinct(new);
    let repeated = all - in_training_file - chosen.len();
    let used = TextsUsed { used: chosen.len(), repeated, in_training_file };
    (chosen, used)
}

fn tell(used: TextsUsed, files: usize, progress: &Progress) {
    let all = used.used + used.repeated + used.in_training_file;
    progress.note(format_args!(
        "{} in {}: {} to learn from",
        counted(all, "text"),
        counted(files, "file"),
        thousands(used.used)
    ));
    if used.repeated > 0 {
        let repeated = counted(used.repeated, "text");
        progress.note(format_args!("  {repeated} left out, as an equal one came before"));
    }
    if used.in_training_file > 0 {
        let known = counted(used.in_training_file, "text");
        progress.note(format_args!(
            "  {known} left out, as an equal one is in the training file: it is learned with its labels, or held out"
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_text_is_learned_once_and_no_row_is_among_them() {
        let strings = |texts: &[&str]| texts.iter().map(ToString::to_string).collect::<Vec<_>>();
        let texts = strings(&["new", "A  row", "New ", "other", "a row", " ", "new"]);
        let (texts, used) = select(texts, &strings(&["a ROW", "another row"]));
        assert_eq!(texts, ["new", "other"]);
        assert_eq!(used, TextsUsed { used: 2, repeated: 3, in_training_file: 2 });
    }
}
