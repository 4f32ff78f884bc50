//! The description of a tokenizer, and the tokens that it makes of a text.

use std::{
    fmt::Write,
    fs,
    path::{Path, PathBuf},
};

use anyhow::Result;
use shared::tokenizer::{Token, Tokenizer};
use shared::words::thousands;

use crate::error::UserError;
use crate::pretrained::{tokenizer_file, tokenizer_files_beside};

/// The tokenizer in the file or folder `path`. A run's is that of its first trained fold.
///
/// # Errors
/// If there is none.
pub fn find(path: &Path) -> Result<Tokenizer> {
    if path.is_file() {
        return read(path);
    }
    let mut folders = vec![path.to_owned()];
    folders.extend(fold_folders(path));
    let file = folders.iter().find_map(|folder| tokenizer_file(folder)).ok_or_else(|| {
        UserError::new(format!("there is no tokenizer in `{}`", path.display()))
            .hint("pass a folder with tokenizer.json or spm.model, or one of these files")
    })?;
    read(&file)
}

fn fold_folders(run: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(run).into_iter().flatten().flatten();
    let is_fold =
        |path: &PathBuf| path.file_name().is_some_and(|n| n.to_string_lossy().starts_with("fold-"));
    let mut folders: Vec<PathBuf> = entries.map(|entry| entry.path()).filter(is_fold).collect();
    folders.sort();
    folders
}

/// Describes a tokenizer's file, with the files beside it, in a line; another line names the tokens that were added to its
/// pieces, and others say which settings are without effect.
///
/// # Errors
/// If the file cannot be read, or is not a tokenizer of DeBERTa-v3's kind.
pub fn describe(path: &Path) -> Result<String> {
    let (tokenizer, notes) = with_notes(path)?;
    let mut answer = format!(
        "tokenizer `{}`: Unigram, {} ids, [PAD] {}, [CLS] {}, [SEP] {}\n",
        path.display(),
        thousands(tokenizer.vocab_size()),
        tokenizer.pad_id(),
        tokenizer.cls_id(),
        tokenizer.sep_id(),
    );
    let added = tokenizer.added_tokens();
    if added.iter().any(|token| token != "[MASK]") {
        writeln!(answer, "added tokens: {}", added.join(" "))?;
    }
    for note in notes {
        writeln!(answer, "note: {note}")?;
    }
    Ok(answer)
}

/// A table with a line for each token: its id, its range of characters in the text, and its piece.
pub fn tokens(tokenizer: &Tokenizer, text: &str) -> String {
    let tokens = tokenizer.tokens(text);
    let range = |token: &Token| format!("{}..{}", token.offsets.0, token.offsets.1);
    let line = |token: &Token| format!("{:>8} {:>10}  {}\n", token.id, range(token), token.text);
    let header = format!("{:>8} {:>10}  token\n", "id", "characters");
    header + &tokens.iter().map(line).collect::<String>()
}

fn read(path: &Path) -> Result<Tokenizer> {
    Ok(with_notes(path)?.0)
}

fn with_notes(path: &Path) -> Result<(Tokenizer, Vec<String>)> {
    tokenizer_files_beside(path)?
        .tokenizer()
        .map_err(|error| UserError::new(format!("`{}`: {error}", path.display())).into())
}
