//! Normalisation: the steps of the `tokenizers` crate that DeBERTa-v3's tokenizer and learnt ones use, on plain
//! strings. The crate also tracks where each character came from, which is most of its work.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use spm_precompiled::Precompiled;
use unicode_normalization_alignments::UnicodeNormalization;
use unicode_segmentation::UnicodeSegmentation;

use crate::Result;
use crate::tokenizer::{charsmap, refuse};

/// A grapheme of at least this many bytes is looked up character by character only.
const LONG_GRAPHEME: usize = 6;

/// The steps of normalisation, in order.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Normalizer {
    steps: Vec<Step>,
    charsmap: Option<Charsmap>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Step {
    /// Removes white space at both ends.
    Strip,
    /// Removes white space at the beginning.
    StripStart,
    /// Removes white space at the end.
    StripEnd,
    /// Makes one space of several white space characters, and of a tab or line break.
    WhiteSpace,
    /// Replaces by SentencePiece's table.
    Charsmap,
    /// Makes one space of several.
    SingleSpaces,
    /// Removes control characters and makes spaces of other white space.
    Nmt,
    /// Applies the Unicode normalisation form C.
    Nfc,
    /// Applies the Unicode normalisation form KC.
    Nfkc,
    /// Replaces capital letters, character by character.
    Lowercase,
}

#[derive(Debug, Clone, PartialEq)]
struct Charsmap {
    bytes: Vec<u8>,
    table: Precompiled,
}

impl Normalizer {
    /// # Errors
    /// If the charsmap is damaged, or missing although a step uses it.
    pub fn new(steps: Vec<Step>, charsmap: Option<Vec<u8>>) -> Result<Self> {
        if charsmap.is_none() && steps.contains(&Step::Charsmap) {
            return refuse("its charsmap is missing");
        }
        let charsmap = charsmap.map(Charsmap::new).transpose()?;
        Ok(Self { steps, charsmap })
    }

    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    pub fn charsmap(&self) -> Option<&[u8]> {
        self.charsmap.as_ref().map(|charsmap| &charsmap.bytes[..])
    }

    pub fn apply<'t>(&self, text: &'t str) -> Cow<'t, str> {
        let mut text = Cow::Borrowed(text);
        for step in &self.steps {
            text = match step {
                Step::Strip => stripped(text),
                Step::StripStart => text.trim_start().to_owned().into(),
                Step::StripEnd => text.trim_end().to_owned().into(),
                Step::WhiteSpace => white_space(&text).into(),
                Step::SingleSpaces => match text.contains("  ") {
                    true => single_spaces(&text).into(),
                    false => text,
                },
                Step::Charsmap => {
                    self.charsmap.as_ref().expect("checked by `new`").apply(&text).into()
                }
                Step::Nmt => nmt(&text).into(),
                Step::Nfc => text.nfc().map(|(character, _)| character).collect::<String>().into(),
                Step::Nfkc => {
                    text.nfkc().map(|(character, _)| character).collect::<String>().into()
                }
                // Character by character: a capital sigma has one small form, wherever it stands.
                Step::Lowercase => {
                    text.chars().flat_map(char::to_lowercase).collect::<String>().into()
                }
            };
        }
        text
    }
}

impl Charsmap {
    fn new(bytes: Vec<u8>) -> Result<Self> {
        charsmap::check(&bytes)?;
        match Precompiled::from(&bytes) {
            Ok(table) => Ok(Self { bytes, table }),
            Err(error) => refuse(error.to_string()),
        }
    }

    /// Replaces as `tokenizers::normalizers::Precompiled` does: a short grapheme as a whole where the table has
    /// it, else each of its characters.
    fn apply(&self, text: &str) -> String {
        let mut replaced = String::with_capacity(text.len());
        for grapheme in text.graphemes(true) {
            if grapheme.len() < LONG_GRAPHEME
                && let Some(replacement) = self.table.transform(grapheme)
            {
                replaced.push_str(replacement);
                continue;
            }
            for character in grapheme.chars() {
                match self.table.transform(character.encode_utf8(&mut [0; 4])) {
                    Some(replacement) => replaced.push_str(replacement),
                    None => replaced.push(character),
                }
            }
        }
        replaced
    }
}

fn stripped(text: Cow<'_, str>) -> Cow<'_, str> {
    match text {
        Cow::Borrowed(text) => text.trim().into(),
        Cow::Owned(text) if text.trim().len() == text.len() => text.into(),
        Cow::Owned(text) => text.trim().to_owned().into(),
    }
}

fn single_spaces(text: &str) -> String {
    let mut after_space = false;
    let kept = text.chars().filter(|&character| {
        let again = after_space && character == ' ';
        after_space = character == ' ';
        !again
    });
    kept.collect()
}

/// Replaces as the pattern `\s{2,}|[\n\r\t]` by a space does, with which tokenizers of transformers 5 begin.
fn white_space(text: &str) -> String {
    let mut replaced = String::with_capacity(text.len());
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        let mut several = false;
        while character.is_whitespace() && characters.next_if(|next| next.is_whitespace()).is_some()
        {
            several = true;
        }
        let is_replaced = several || matches!(character, '\n' | '\r' | '\t');
        replaced.push(if is_replaced { ' ' } else { character });
    }
    replaced
}

fn nmt(text: &str) -> String {
    let kept = text.chars().filter(|character| {
        !matches!(
            character,
            '\u{1}'..='\u{8}' | '\u{B}' | '\u{E}'..='\u{1F}' | '\u{7F}' | '\u{8F}' | '\u{9F}'
        )
    });
    let spaced = kept.map(|character| match character {
        '\t'
        | '\n'
        | '\u{C}'
        | '\r'
        | '\u{1680}'
        | '\u{200B}'..='\u{200F}'
        | '\u{2028}'
        | '\u{2029}'
        | '\u{2581}'
        | '\u{FEFF}'
        | '\u{FFFD}' => ' ',
        other => other,
    });
    spaced.collect()
}
