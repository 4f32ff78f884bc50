//! Says what is odd about the labels of a `config.json`. transformers loads most such files, as it makes a new head.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

/// Returns a sentence for each of `id2label`, `label2id` and `num_labels` that is odd.
pub(super) fn odd_labels(config: &Map<String, Value>) -> Vec<String> {
    let reasons = [
        ("id2label", id2label(config)),
        ("label2id", label2id(config)),
        ("num_labels", num_labels(config)),
    ];
    let told = |(field, reason): (&str, Option<String>)| Some(format!("`{field}` {}", reason?));
    reasons.into_iter().filter_map(told).collect()
}

fn id2label(config: &Map<String, Value>) -> Option<String> {
    let names = match config.get("id2label")? {
        Value::Null => return None,
        Value::Object(names) => names,
        other => return Some(format!("is {}, not names by their numbers", kind(other))),
    };
    if names.is_empty() {
        return Some("is empty".to_owned());
    }
    let mut ids = BTreeSet::new();
    for id in names.keys() {
        match id.trim().parse::<u64>() {
            Ok(number) => drop(ids.insert(number)),
            Err(_) => return Some(format!("has the key `{id}`, which is not a number")),
        }
    }
    if !ids.iter().copied().eq(0..names.len() as u64) {
        let ids: Vec<String> = ids.iter().map(ToString::to_string).collect();
        return Some(format!("has the numbers {}, not 0, 1, 2 and so on", ids.join(", ")));
    }
    let mut seen = BTreeMap::new();
    for (id, name) in names {
        let Some(text) = name.as_str() else {
            return Some(format!("has {} for {id}, which is not a name", kind(name)));
        };
        if text.trim().is_empty() {
            return Some(format!("has a blank name for {id}"));
        }
        if let Some(other) = seen.insert(text, id) {
            return Some(format!("has the name `{text}` for {other} and for {id}"));
        }
    }
    None
}

fn label2id(config: &Map<String, Value>) -> Option<String> {
    let ids = match config.get("label2id")? {
        Value::Null => return None,
        Value::Object(ids) => ids,
        other => return Some(format!("is {}, not numbers by their names", kind(other))),
    };
    if let Some((name, id)) = ids.iter().find(|(_, id)| !id.is_u64()) {
        return Some(format!("has {} for `{name}`, which is not a number", kind(id)));
    }
    let names = config.get("id2label").and_then(Value::as_object)?;
    let agrees = ids.len() == names.len()
        && ids.iter().all(|(name, id)| {
            names.get(&id.to_string()).and_then(Value::as_str) == Some(name.as_str())
        });
    (!agrees).then(|| "is not `id2label` turned round".to_owned())
}

fn num_labels(config: &Map<String, Value>) -> Option<String> {
    let count = config.get("num_labels")?;
    match count.as_u64() {
        _ if count.is_null() => None,
        Some(1..) => None,
        _ => Some(format!("is {count}, not a number of labels")),
    }
}

fn kind(value: &Value) -> String {
    match value {
        Value::Array(_) => "a list".to_owned(),
        Value::Object(_) => "an object".to_owned(),
        Value::String(text) => format!("the text \"{text}\""),
        other => other.to_string(),
    }
}
