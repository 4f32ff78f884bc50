//! `cargo xtask small`: makes the built-in model `small` again, from a pretrained encoder and the shared folder's texts.
//!
//! The sentences of the demo are not among the texts, so that its scores are of sentences that the model has never seen.

use std::path::PathBuf;

use anyhow::{Result, ensure};
use fs_err as fs;

use crate::shell::{self, Shell};
use crate::workspace::Workspace;

/// The folder that `native-train` embeds.
const EMBEDDED: &str = "native-train/small";

const TEACHER: &str = "pretrained/minilm-deberta";

/// Lines of a text, a tab, and what is not needed.
const GOEMOTIONS: [&str; 3] =
    ["data/goemotions/train.tsv", "data/goemotions/dev.tsv", "data/goemotions/test.tsv"];

/// Tables with a text column.
const TABLES: [&str; 3] = [
    "data/kaggle-2025-sep-dl-genai/train.csv",
    "data/brighter-eng/train.csv",
    "data/brighter-eng/dev.csv",
];

/// The shape that fits into 8 MB, and a schedule of about twenty minutes on two cores.
const SETTINGS: &str = "--layers 3 --embedding-size 128 --vocab-size 12000 --epochs 2 --lr 6e-4";

/// Trains the model, or goes on where an interrupted call stopped, and replaces the embedded one.
///
/// # Errors
/// If the shared folder lacks teacher or texts, or a command fails.
pub fn run(workspace: &Workspace) -> Result<()> {
    let shared = workspace.shared_data();
    let teacher = shared.join(TEACHER);
    ensure!(
        teacher.is_dir(),
        "no model in {}: QUINTET_SHARED names the folder that has `{TEACHER}`",
        teacher.display()
    );
    let shell = Shell::new(workspace);
    let mut build = shell.cargo("build");
    build.args(["--workspace", "--bin", "native-train"]);
    shell::run(&mut build, "see the compiler's message above")?;

    let folder = workspace.target.join("small");
    fs::create_dir_all(&folder)?;
    let (texts, model) = (folder.join("goemotions.txt"), folder.join("model"));
    fs::write(&texts, first_columns(&GOEMOTIONS.map(|file| shared.join(file)))?)?;
    let program = workspace.program("native-train");
    let mut shrink = shell.command(&program);
    shrink.args(["shrink", "--resume", "--teacher"]).arg(&teacher).arg("--texts").arg(&texts);
    shrink.args(TABLES.map(|file| shared.join(file)));
    shrink.args(SETTINGS.split(' ')).arg("--output").arg(&model);
    shell::run(&mut shrink, "see native-train's message above")?;
    let mut pack = shell.command(&program);
    pack.arg("pack").arg(&model).args(["--output", EMBEDDED]);
    shell::run(&mut pack, "see native-train's message above")
}

/// What stands before the first tab of each line.
fn first_columns(files: &[PathBuf]) -> Result<String> {
    let mut texts = String::new();
    for file in files {
        let lines = fs::read_to_string(file)?;
        for line in lines.lines() {
            texts.push_str(line.split('\t').next().unwrap_or_default());
            texts.push('\n');
        }
    }
    Ok(texts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_ends_at_its_tab() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.tsv");
        fs::write(&file, "I'm glad.\t17\tx1\nno tab\n").unwrap();
        assert_eq!(first_columns(&[file.clone(), file]).unwrap(), "I'm glad.\nno tab\n".repeat(2));
    }
}
