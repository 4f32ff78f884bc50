//! The files that make a folder's tokenizer.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use shared::tokenizer::{TokenizerFiles, Vocabulary};

use super::layout::{TOKENIZER_FILES, TOKENIZER_SETTINGS_FILES};
use crate::error::UserError;

/// Reads the tokenizer's files of a folder.
///
/// # Errors
/// If there is no tokenizer, or a file cannot be read.
pub fn in_folder(folder: &Path) -> Result<TokenizerFiles> {
    let file = find(folder).ok_or_else(|| {
        UserError::new(format!(
            "no tokenizer in `{}` (looked for {})",
            folder.display(),
            TOKENIZER_FILES.join(", ")
        ))
        .hint("copy the tokenizer of the model that it was fine-tuned from into the folder")
    })?;
    beside(&file)
}

/// The file of a folder that holds the tokenizer's pieces, if there is one.
pub fn find(folder: &Path) -> Option<PathBuf> {
    TOKENIZER_FILES.iter().map(|name| folder.join(name)).find(|file| file.is_file())
}

/// Reads a `tokenizer.json` or `spm.model`, and the files beside it that change its ids.
///
/// # Errors
/// If a file cannot be read.
pub fn beside(file: &Path) -> Result<TokenizerFiles> {
    let bytes = fs::read(file).with_context(|| format!("cannot read `{}`", file.display()))?;
    let vocabulary = match file.extension().is_some_and(|extension| extension == "json") {
        true => Vocabulary::Json(bytes),
        false => Vocabulary::SentencePiece(bytes),
    };
    let setting = |name| {
        let path = file.with_file_name(name);
        match fs::read(&path) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).with_context(|| format!("cannot read `{}`", path.display())),
        }
    };
    let [config, added_tokens, special_tokens_map] = TOKENIZER_SETTINGS_FILES.map(setting);
    Ok(TokenizerFiles {
        vocabulary,
        tokenizer_config: config?,
        added_tokens: added_tokens?,
        special_tokens_map: special_tokens_map?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_converted_tokenizer_is_preferred() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
        write("spm.model", "pieces");
        let pieces = TokenizerFiles::alone(Vocabulary::SentencePiece(b"pieces".to_vec()));
        assert_eq!(in_folder(folder.path()).unwrap(), pieces);
        write("tokenizer.json", "{}");
        let json = TokenizerFiles::alone(Vocabulary::Json(b"{}".to_vec()));
        assert_eq!(in_folder(folder.path()).unwrap(), json);
    }

    #[test]
    fn what_lies_beside_it_is_read() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["spm.model"].iter().chain(&TOKENIZER_SETTINGS_FILES) {
            fs::write(folder.path().join(name), name).unwrap();
        }
        let files = in_folder(folder.path()).unwrap();
        let bytes = |name: &str| Some(name.as_bytes().to_vec());
        assert_eq!(files.tokenizer_config, bytes("tokenizer_config.json"));
        assert_eq!(files.added_tokens, bytes("added_tokens.json"));
        assert_eq!(files.special_tokens_map, bytes("special_tokens_map.json"));
    }
}
