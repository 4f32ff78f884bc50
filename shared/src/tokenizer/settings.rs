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
use tokenizers::AddedToken;

use super::named::{
    ADDED_TOKENS, CONFIG, Named, SPECIAL_TOKENS_MAP, Stated, added_token, by_names, decoder,
    legacy, named, names,
};
use super::{form, refuse};
use crate::{Error, Result};

/// The special tokens that transformers knows by name, in the order in which it adds them, and what
/// `DebertaV2TokenizerFast` takes for them where no file says otherwise.
const ATTRIBUTES: [(&str, &str); 7] = [
    ("bos_token", form::CLS),
    ("eos_token", form::SEP),
    ("unk_token", form::UNK),
    ("sep_token", form::SEP),
    ("pad_token", form::PAD),
    ("cls_token", form::CLS),
    ("mask_token", form::MASK),
];
const ADDITIONAL: &str = "additional_special_tokens";
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

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VocabularyKind {
    Json,
    SentencePiece,
}

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

/// The special tokens by what they are; `None` for those that a file sets to `null`.
struct SpecialTokens {
    attributes: Vec<(&'static str, Option<Named>, Origin)>,
    additional: Vec<Named>,
    extra: Vec<Named>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Origin {
    Default,
    File,
}

impl SpecialTokens {
    fn of_config(
        kind: VocabularyKind,
        config: &Map<String, Value>,
        extra: Vec<Named>,
    ) -> Result<Self> {
        let has_defaults = kind == VocabularyKind::SentencePiece || is_deberta(config);
        let attribute = |(name, default): (&'static str, &str)| {
            Ok(match config.get(name) {
                None if has_defaults => {
                    (name, Some(Named::Text(default.to_owned())), Origin::Default)
                }
                None => (name, None, Origin::Default),
                Some(value) => (name, named(CONFIG, name, value)?, Origin::File),
            })
        };
        let additional = names(CONFIG, ADDITIONAL, config.get(ADDITIONAL))?;
        Ok(Self {
            attributes: ATTRIBUTES.into_iter().map(attribute).collect::<Result<_>>()?,
            additional,
            extra,
        })
    }

    /// Gives tokens that are named here the flags that `added_tokens_decoder` has for them.
    fn take_flags_of(&mut self, stated: &[Stated]) {
        for (_, token, _) in &mut self.attributes {
            let Some(named) = token else { continue };
            if let Some(entry) = stated.iter().find(|entry| entry.token.content == named.text()) {
                *named = Named::Token(entry.token.clone());
            }
        }
    }

    fn take_map(&mut self, map: &Map<String, Value>) -> Result<()> {
        for (key, value) in map {
            if key == ADDITIONAL {
                let more = names(SPECIAL_TOKENS_MAP, key, Some(value))?;
                let more: Vec<Named> = more.into_iter().map(Named::made_special).collect();
                let new = more.into_iter().filter(|token| !self.additional.contains(token));
                self.additional.extend(new.collect::<Vec<_>>());
                continue;
            }
            let token = named(SPECIAL_TOKENS_MAP, key, value)?.map(Named::made_special);
            match self.attributes.iter_mut().find(|(name, ..)| name == key) {
                Some(place) => (place.1, place.2) = (token, Origin::File),
                None => {
                    return refuse(format!(
                        "{SPECIAL_TOKENS_MAP}: `{key}` is no special token of DeBERTa's"
                    ));
                }
            }
        }
        let frame = [("cls_token", form::CLS), ("sep_token", form::SEP)];
        for (name, token, _) in &self.attributes {
            let Some((_, only)) = frame.iter().find(|(framing, _)| framing == name) else {
                continue;
            };
            if let Some(token) = token.as_ref().filter(|token| token.text() != *only) {
                let text = token.text();
                return refuse(format!(
                    "{SPECIAL_TOKENS_MAP}: `{name}` is `{text}`; a text is framed by [CLS] and [SEP]"
                ));
            }
        }
        Ok(())
    }

    /// The texts of the tokens that a file names.
    fn given(&self) -> Vec<String> {
        let from_file = self.attributes.iter().filter(|(_, _, origin)| *origin == Origin::File);
        let attributes = from_file.filter_map(|(_, token, _)| token.as_ref());
        attributes.chain(&self.additional).map(|token| token.text().to_owned()).collect()
    }

    fn contains(&self, text: &str) -> bool {
        let attributes = self.attributes.iter().filter_map(|(_, token, _)| token.as_ref());
        attributes.chain(&self.additional).chain(&self.extra).any(|token| token.text() == text)
    }

    /// Each once, as transformers lists them. The slow tokenizer, of which that of a `spm.model` is made, gives the
    /// unknown token its flags.
    fn in_order(self, kind: VocabularyKind) -> Vec<Named> {
        let attributes = self.attributes.into_iter().filter_map(|(name, token, _)| match token? {
            Named::Text(text) if name == "unk_token" && kind == VocabularyKind::SentencePiece => {
                Some(Named::Token(AddedToken::from(text, true).normalized(true)))
            }
            other => Some(other),
        });
        let mut listed: Vec<Named> = Vec::new();
        let groups = attributes.map(|token| vec![token]).chain([self.additional]);
        for group in groups.chain(self.extra.into_iter().map(|token| vec![token])) {
            let is_new = |token: &Named| {
                !token.text().is_empty() && !listed.iter().any(|seen| seen.text() == token.text())
            };
            let new: Vec<Named> = group.into_iter().filter(is_new).collect();
            listed.extend(new);
        }
        listed
    }
}

/// Notes the tokens of a map that transformers does not read, as there is an `added_tokens_decoder`.
fn note_what_the_map_adds(
    map: &Map<String, Value>,
    special: &SpecialTokens,
    stated: &[Stated],
    notes: &mut Vec<String>,
) -> Result<()> {
    for (key, value) in map {
        let tokens = match key == ADDITIONAL {
            true => names(SPECIAL_TOKENS_MAP, key, Some(value))?,
            false => named(SPECIAL_TOKENS_MAP, key, value)?.into_iter().collect(),
        };
        for token in tokens {
            let text = token.text();
            if !special.contains(text) && !stated.iter().any(|entry| entry.token.content == text) {
                notes.push(format!(
                    "the token `{text}` of {SPECIAL_TOKENS_MAP} is not added: {CONFIG} has `added_tokens_decoder`, beside \
                     which transformers does not read that file"
                ));
            }
        }
    }
    Ok(())
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

fn is_deberta(config: &Map<String, Value>) -> bool {
    let class = config.get("tokenizer_class").and_then(Value::as_str);
    class.is_none_or(|class| class.starts_with("DebertaV2Tokenizer"))
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
