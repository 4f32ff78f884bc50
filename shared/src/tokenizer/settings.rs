//! The settings of a tokenizer in the files beside its vocabulary.
//!
//! | field of `tokenizer_config.json` | what is done |
//! |---|---|
//! | `do_lower_case`, `split_by_punct` | done as asked beside `spm.model`; a note beside `tokenizer.json`, if that does otherwise |
//! | `added_tokens_decoder` | these tokens with all their flags |
//! | `*_token`, `additional_special_tokens`, `extra_special_tokens`, `model_specific_special_tokens` | special tokens; `cls_token` and `sep_token` only as `[CLS]` and `[SEP]` |
//! | `tokenizer_class` | `DebertaV2Tokenizer` or `DebertaV2TokenizerFast`; beside `tokenizer.json` also the generic classes |
//! | `sp_model_kwargs`, `vocab_type`, `add_prefix_space`, `split_special_tokens`, `truncation_side`, `add_bos_token`, `add_eos_token`, `from_slow` | their defaults; another value is refused, as it changes ids in some release of transformers |
//! | fields that change no id, such as `model_max_length` | nothing |
//! | any other | a note that it is without effect, as it is in transformers |

use serde_json::{Map, Value};

use super::named::{
    ADDED_TOKENS, CONFIG, Named, SPECIAL_TOKENS_MAP, Stated, added_token, by_names, decoder, legacy,
};
use super::refuse;
use super::special_tokens::{
    ADDITIONAL, ATTRIBUTES, SpecialTokens, VocabularyKind, note_what_the_map_adds,
};
use crate::{Error, Result};

/// Special tokens by names of the model's own; in transformers 5 the first may be a list.
const EXTRA: [&str; 2] = ["extra_special_tokens", "model_specific_special_tokens"];

/// The fields that are read here and in [`Settings::read`].
const READ: [&str; 5] =
    ["added_tokens_decoder", "do_lower_case", "split_by_punct", "tokenizer_class", ADDITIONAL];

/// The fields that change no id: what they say concerns other uses, or is for the one who looks at the file.
const WITHOUT_EFFECT_ON_IDS: [&str; 26] = [
    "added_tokens_file",
    "backend",
    "chat_template",
    "clean_up_tokenization_spaces",
    "errors",
    "is_local",
    "local_files_only",
    "max_len",
    "max_length",
    "model_input_names",
    "model_max_length",
    "name_or_path",
    "pad_to_multiple_of",
    "pad_token_type_id",
    "padding_side",
    "processor_class",
    "return_token_type_ids",
    "special_tokens_map_file",
    "spaces_between_special_tokens",
    "stride",
    "tokenizer_file",
    "transformers_version",
    "truncation_strategy",
    "unk_id",
    "verbose",
    "vocab_file",
];

/// The fields that may change ids, each with the values that do not; `null` never does.
const ONLY_DEFAULTS: [(&str, &[&str], &str); 9] = [
    ("vocab_type", &["\"spm\""], "only SentencePiece vocabularies can be used"),
    ("add_prefix_space", &["true"], "every text begins with a space, as in pre-training"),
    ("split_special_tokens", &["false"], "special tokens in a text are never split"),
    ("truncation_side", &["\"right\""], "texts are only cut at their end"),
    ("add_bos_token", &["false"], "a text is framed by [CLS] and [SEP] only"),
    ("add_eos_token", &["false"], "a text is framed by [CLS] and [SEP] only"),
    ("from_slow", &["false"], "a tokenizer.json is never made anew from spm.model"),
    ("cls_token", &["\"[CLS]\""], "a text is framed by [CLS] and [SEP]"),
    ("sep_token", &["\"[SEP]\""], "a text is framed by [CLS] and [SEP]"),
];

/// The way to words.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Words {
    pub lower_case: bool,
    pub split_by_punct: bool,
}

#[derive(Debug)]
pub struct Settings {
    pub words: Words,
    /// The added tokens to which a file gives an id, in the order of these.
    pub stated: Vec<Stated>,
    /// The special tokens, in the order in which they are added.
    pub special: Vec<Named>,
}

impl Settings {
    /// Reads `tokenizer_config.json`, `special_tokens_map.json` and `added_tokens.json`, each if it is there.
    pub fn read(
        kind: VocabularyKind,
        [config, map, added]: [Option<&[u8]>; 3],
        notes: &mut Vec<String>,
    ) -> Result<Self> {
        let extra = extra(config)?;
        let (config, map) = (object(CONFIG, config)?, object(SPECIAL_TOKENS_MAP, map)?);
        let added = object(ADDED_TOKENS, added)?;
        check_fields(kind, &config, notes)?;
        let words = Words {
            lower_case: flag(&config, "do_lower_case")?,
            split_by_punct: flag(&config, "split_by_punct")?,
        };
        let has_decoder = config.contains_key("added_tokens_decoder");
        let mut special = SpecialTokens::of_config(kind, &config, extra)?;
        let mut stated = Vec::new();
        if has_decoder {
            stated = decoder(&config["added_tokens_decoder"])?;
            special.take_flags_of(&stated);
            note_what_the_map_adds(&map, &special, &stated, notes)?;
        } else {
            special.take_map(&map)?;
        }
        let known = |text: &str| stated.iter().any(|known: &Stated| known.token.content == text);
        let legacy = legacy(&added, &special.given(), has_decoder)?;
        let legacy: Vec<Stated> =
            legacy.into_iter().filter(|entry| !known(&entry.token.content)).collect();
        stated.extend(legacy);
        stated.sort_by_key(|entry| entry.id);
        Ok(Self { words, stated, special: special.in_order(kind) })
    }
}

fn extra(config: Option<&[u8]>) -> Result<Vec<Named>> {
    let mut extra = Vec::new();
    for field in EXTRA {
        extra.extend(config.map_or(Ok(Vec::new()), |json| by_names(CONFIG, field, json))?);
    }
    Ok(extra)
}

fn object(file: &str, bytes: Option<&[u8]>) -> Result<Map<String, Value>> {
    let Some(bytes) = bytes else { return Ok(Map::new()) };
    serde_json::from_slice(bytes)
        .map_err(|error| Error::Tokenizer(format!("{file} is not a JSON object: {error}")))
}

fn flag(config: &Map<String, Value>, field: &str) -> Result<bool> {
    match config.get(field) {
        None | Some(Value::Null) => Ok(false),
        Some(Value::Bool(flag)) => Ok(*flag),
        Some(other) => {
            refuse(format!("{CONFIG}: `{field}` is {other}, which is not true or false"))
        }
    }
}

fn check_fields(
    kind: VocabularyKind,
    config: &Map<String, Value>,
    notes: &mut Vec<String>,
) -> Result<()> {
    check_class(kind, config)?;
    for (field, value) in config.iter().filter(|(_, value)| !value.is_null()) {
        if let Some((_, defaults, reason)) = ONLY_DEFAULTS.iter().find(|(name, ..)| name == field) {
            let value = match value.is_object() {
                true => Value::String(added_token(CONFIG, field, value)?.content),
                false => value.clone(),
            };
            if !defaults.contains(&value.to_string().as_str()) {
                return refuse(format!("{CONFIG}: `{field}` is {value}; {reason}"));
            }
        } else if field == "sp_model_kwargs" {
            check_sentencepiece_options(kind, value, notes)?;
        } else if field == "auto_map" {
            notes.push(format!(
                "`auto_map` of {CONFIG} is without effect: code that comes with a model is not run"
            ));
        } else if !is_known(field) {
            notes
                .push(format!("`{field}` of {CONFIG} is without effect on DeBERTa-v3's tokenizer"));
        }
    }
    Ok(())
}

fn is_known(field: &str) -> bool {
    READ.contains(&field)
        || EXTRA.contains(&field)
        || WITHOUT_EFFECT_ON_IDS.contains(&field)
        || ATTRIBUTES.iter().any(|(name, _)| *name == field)
}

fn check_class(kind: VocabularyKind, config: &Map<String, Value>) -> Result<()> {
    let class = match config.get("tokenizer_class") {
        None | Some(Value::Null) => return Ok(()),
        Some(class) => class.as_str().unwrap_or_default(),
    };
    match (class, kind) {
        ("DebertaV2Tokenizer" | "DebertaV2TokenizerFast", _)
        | ("PreTrainedTokenizerFast" | "TokenizersBackend", VocabularyKind::Json) => Ok(()),
        ("PreTrainedTokenizerFast" | "TokenizersBackend", VocabularyKind::SentencePiece) => {
            refuse(format!(
                "{CONFIG}: `tokenizer_class` is `{class}`, which reads a tokenizer.json, and there is none"
            ))
        }
        _ => refuse(format!(
            "{CONFIG}: `tokenizer_class` is {}; only DebertaV2Tokenizer can be used",
            config["tokenizer_class"]
        )),
    }
}

fn check_sentencepiece_options(
    kind: VocabularyKind,
    value: &Value,
    notes: &mut Vec<String>,
) -> Result<()> {
    match (value.as_object().is_some_and(Map::is_empty), kind) {
        (true, _) => Ok(()),
        (false, VocabularyKind::Json) => {
            notes.push(format!(
                "`sp_model_kwargs` of {CONFIG} is without effect beside a tokenizer.json"
            ));
            Ok(())
        }
        (false, VocabularyKind::SentencePiece) => refuse(format!(
            "{CONFIG}: `sp_model_kwargs` is {value}; pieces are never sampled, and other options are not known"
        )),
    }
}
