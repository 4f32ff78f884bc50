//! The form that every DeBERTa-v3 tokenizer has: its special tokens, the split at spaces, the frame
//! `[CLS]` text `[SEP]`. Pieces and normalisation come from [`super::sentencepiece`] or [`super::learn`].
//!
//! Reference: `DebertaV2Converter` in
//! <https://github.com/huggingface/transformers/blob/v4.57.0/src/transformers/convert_slow_tokenizer.py>

use tokenizers::models::unigram::Unigram;
use tokenizers::normalizers::replace::ReplacePattern;
use tokenizers::normalizers::{Replace, Sequence};
use tokenizers::pre_tokenizers::metaspace::Metaspace;
use tokenizers::pre_tokenizers::punctuation::Punctuation;
use tokenizers::pre_tokenizers::sequence::Sequence as PreTokenizers;
use tokenizers::processors::PostProcessorWrapper;
use tokenizers::processors::template::TemplateProcessing;
use tokenizers::{AddedToken, NormalizerWrapper, SplitDelimiterBehavior, Tokenizer};

use crate::{Error, Result};

pub const PAD: &str = "[PAD]";
pub const CLS: &str = "[CLS]";
pub const SEP: &str = "[SEP]";
pub const UNK: &str = "[UNK]";
/// The special token that is no piece: its id follows that of the last piece.
pub const MASK: &str = "[MASK]";

/// The `tokenizer_config.json` to lay beside a `tokenizer.json` for Hugging Face's `AutoTokenizer`. Without it
/// transformers 5 takes the model type deberta-v2 for a tokenizer class that replaces the normalisation by
/// its own and gives other ids for `…`, `Ａ` or `½`.
pub const TOKENIZER_CONFIG: &str = r#"{
  "tokenizer_class": "PreTrainedTokenizerFast",
  "pad_token": "[PAD]",
  "bos_token": "[CLS]",
  "cls_token": "[CLS]",
  "eos_token": "[SEP]",
  "sep_token": "[SEP]",
  "unk_token": "[UNK]",
  "mask_token": "[MASK]"
}
"#;

/// The places where a normalised text is split into words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Split {
    Spaces,
    /// Every punctuation character is a word of its own.
    PunctuationAndSpaces,
}

/// Completes a Unigram model, whose pieces hold all special tokens but `[MASK]`, to a tokenizer of DeBERTa-v3's
/// form that finds the tokens `added` in a text.
pub fn assemble(
    model: Unigram,
    normalizers: Vec<NormalizerWrapper>,
    split: Split,
    added: Vec<AddedToken>,
) -> Result<Tokenizer> {
    let mut tokenizer = Tokenizer::new(model);
    let id = |token| {
        tokenizer
            .token_to_id(token)
            .ok_or_else(|| Error::Tokenizer(format!("it has no {token} piece")))
    };
    id(PAD)?;
    let frame = frame(id(CLS)?, id(SEP)?);

    tokenizer.with_normalizer(Some(Sequence::new(normalizers))).map_err(self::words)?;
    let mut words = vec![Metaspace::default().into()];
    if split == Split::PunctuationAndSpaces {
        words.insert(0, Punctuation::new(SplitDelimiterBehavior::Isolated).into());
    }
    tokenizer.with_pre_tokenizer(Some(PreTokenizers::new(words)));
    tokenizer.with_decoder(Some(Metaspace::default()));
    tokenizer.with_post_processor(Some(frame));
    tokenizer.add_tokens(added).map_err(self::words)?;
    Ok(tokenizer)
}

/// `[CLS]` text `[SEP]`, or `[CLS]` text `[SEP]` text `[SEP]`.
pub fn frame(cls_id: u32, sep_id: u32) -> PostProcessorWrapper {
    let template = TemplateProcessing::builder()
        .try_single("[CLS]:0 $A:0 [SEP]:0")
        .and_then(|builder| builder.try_pair("[CLS]:0 $A:0 [SEP]:0 $B:1 [SEP]:1"))
        .expect("the templates parse")
        .special_tokens(vec![(CLS, cls_id), (SEP, sep_id)])
        .build();
    template.expect("the templates use these two special tokens").into()
}

/// Makes one space of several. The charsmap has turned other white space into spaces before.
pub fn single_spaces() -> NormalizerWrapper {
    let spaces = ReplacePattern::Regex(" {2,}".into());
    Replace::new(spaces, " ").expect("the pattern parses").into()
}

/// Returns the special tokens. They are found in a text as they stand; only `[UNK]` is looked for after normalisation, as
/// Hugging Face has it.
pub fn special_tokens() -> Vec<AddedToken> {
    let token = |token| AddedToken::from(token, true).normalized(token == UNK);
    [PAD, CLS, SEP, UNK, MASK].map(token).into()
}

/// Wraps an error of the library, which carries nothing but its message.
pub fn words(error: tokenizers::Error) -> Error {
    Error::Tokenizer(error.to_string())
}
