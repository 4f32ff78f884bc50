//! Tokens as the files beside a vocabulary write them: a text alone, or a text with flags.

use std::fmt;

use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};
use tokenizers::AddedToken;

use super::refuse;
use crate::{Error, Result};

pub const CONFIG: &str = "tokenizer_config.json";
pub const ADDED_TOKENS: &str = "added_tokens.json";
pub const SPECIAL_TOKENS_MAP: &str = "special_tokens_map.json";

/// A token with or without flags.
#[derive(Debug, Clone, PartialEq)]
pub enum Named {
    Text(String),
    Token(AddedToken),
}

/// A token to which a file gives an id.
#[derive(Debug, Clone)]
pub struct Stated {
    pub id: u64,
    pub file: &'static str,
    pub token: AddedToken,
    /// Whether transformers would not read it, as another file has the added tokens.
    pub unread: bool,
}

impl Named {
    pub fn text(&self) -> &str {
        match self {
            Self::Text(text) => text,
            Self::Token(token) => &token.content,
        }
    }

    pub fn made_special(self) -> Self {
        match self {
            Self::Token(token) => Self::Token(token.special(true)),
            text @ Self::Text(_) => text,
        }
    }
}

/// Reads a token; `None` for `null`.
pub fn named(file: &'static str, field: &str, value: &Value) -> Result<Option<Named>> {
    match value {
        Value::Null => Ok(None),
        Value::String(text) => Ok(Some(Named::Text(text.clone()))),
        Value::Object(_) => Ok(Some(Named::Token(added_token(file, field, value)?))),
        other => refuse(format!("{file}: `{field}` is {other}, which is not a token")),
    }
}

/// Reads a list of tokens.
pub fn names(file: &'static str, field: &str, value: Option<&Value>) -> Result<Vec<Named>> {
    match value {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::Array(items)) => all(file, field, items),
        Some(other) => {
            refuse(format!("{file}: `{field}` is {other}, which is not a list of tokens"))
        }
    }
}

/// Reads tokens by names, in the order of the file, which is that of their ids; or a list of tokens.
pub fn by_names(file: &'static str, field: &str, json: &[u8]) -> Result<Vec<Named>> {
    let fields: InOrder = serde_json::from_slice(json)
        .map_err(|error| Error::Tokenizer(format!("{file} is not a JSON object: {error}")))?;
    match fields.0.into_iter().find(|(name, _)| name == field) {
        None => Ok(Vec::new()),
        Some((_, ValueInOrder::Object(items))) => {
            let items: Vec<Value> = items.0.into_iter().map(|(_, item)| item.into()).collect();
            all(file, field, &items)
        }
        Some((_, ValueInOrder::Other(value))) => names(file, field, Some(&value)),
    }
}

fn all(file: &'static str, field: &str, items: &[Value]) -> Result<Vec<Named>> {
    let tokens = items.iter().map(|item| named(file, field, item));
    Ok(tokens.collect::<Result<Vec<_>>>()?.into_iter().flatten().collect())
}

/// A JSON object whose fields have kept their order.
struct InOrder(Vec<(String, ValueInOrder)>);

#[derive(Deserialize)]
#[serde(untagged)]
enum ValueInOrder {
    Object(InOrder),
    Other(Value),
}

impl From<ValueInOrder> for Value {
    fn from(value: ValueInOrder) -> Self {
        match value {
            ValueInOrder::Object(InOrder(fields)) => {
                Self::Object(fields.into_iter().map(|(name, value)| (name, value.into())).collect())
            }
            ValueInOrder::Other(value) => value,
        }
    }
}

impl<'de> Deserialize<'de> for InOrder {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        deserializer.deserialize_map(Fields)
    }
}

struct Fields;

impl<'de> Visitor<'de> for Fields {
    type Value = InOrder;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> std::result::Result<InOrder, M::Error> {
        let mut fields = Vec::new();
        while let Some(field) = map.next_entry()? {
            fields.push(field);
        }
        Ok(InOrder(fields))
    }
}

/// Reads the tokens of `added_tokens_decoder`, in the order of their ids.
pub fn decoder(value: &Value) -> Result<Vec<Stated>> {
    let field = "added_tokens_decoder";
    let entries = match value {
        Value::Null => return Ok(Vec::new()),
        Value::Object(entries) => entries,
        other => return refuse(format!("{CONFIG}: `{field}` is {other}, not tokens by their ids")),
    };
    let mut stated = Vec::new();
    for (id, token) in entries {
        let Ok(id) = id.trim().parse() else {
            return refuse(format!("{CONFIG}: `{field}` has the id `{id}`, which is not a number"));
        };
        let token = added_token(CONFIG, field, token)?;
        stated.push(Stated { id, file: CONFIG, token, unread: false });
    }
    stated.sort_by_key(|entry| entry.id);
    Ok(stated)
}

/// Reads the tokens of `added_tokens.json`. Its tokens have no flags: those that are `special` elsewhere are found as
/// they stand, the others after normalisation.
pub fn legacy(
    entries: &Map<String, Value>,
    special: &[String],
    has_decoder: bool,
) -> Result<Vec<Stated>> {
    let stated = entries.iter().map(|(text, id)| {
        let Some(id) = id.as_u64() else {
            return refuse(format!(
                "{ADDED_TOKENS}: the id of `{text}` is {id}, which is not a number"
            ));
        };
        let token = AddedToken::from(text, special.contains(text));
        Ok(Stated { id, file: ADDED_TOKENS, token, unread: has_decoder })
    });
    stated.collect()
}

/// Reads a token with flags. Those that it lacks have the defaults of transformers' `AddedToken`.
pub fn added_token(file: &'static str, field: &str, value: &Value) -> Result<AddedToken> {
    let Some(content) = value.get("content").and_then(Value::as_str) else {
        return refuse(format!(
            "{file}: `{field}` holds {value}, which is no token with a `content`"
        ));
    };
    let flag = |name: &str, default: bool| match value.get(name) {
        None | Some(Value::Null) => Ok(default),
        Some(Value::Bool(flag)) => Ok(*flag),
        Some(other) => refuse(format!(
            "{file}: `{name}` of the token `{content}` is {other}, which is not true or false"
        )),
    };
    let special = flag("special", false)?;
    Ok(AddedToken::from(content, special)
        .normalized(flag("normalized", !special)?)
        .lstrip(flag("lstrip", false)?)
        .rstrip(flag("rstrip", false)?)
        .single_word(flag("single_word", false)?))
}
