//! The fields of a `config.json`, taken out one by one. Each error names the field, its value and what it must be.
//!
//! An absent field and `null` both mean the default, except where a method says otherwise.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use crate::{Error, Result};

/// The largest size: larger ones are a broken file, and products of two of them would overflow.
const LARGEST_SIZE: u64 = i32::MAX as u64;

/// Fields that are written anew with every model, so that an old value must not survive beside the new one.
const REPLACED: [&str; 5] = ["architectures", "dtype", "label2id", "problem_type", "torch_dtype"];

pub(super) struct Fields {
    map: Map<String, Value>,
    taken: BTreeSet<&'static str>,
}

impl Fields {
    pub fn new(map: Map<String, Value>) -> Self {
        Self { map, taken: BTreeSet::new() }
    }

    /// Returns the fields that were not taken.
    pub fn into_extra(mut self) -> Map<String, Value> {
        self.map.retain(|name, _| {
            !self.taken.contains(name.as_str()) && !REPLACED.contains(&name.as_str())
        });
        self.map
    }

    /// Returns the error that the field's value cannot be used.
    pub fn refused(&self, field: &'static str, reason: &'static str) -> Error {
        refused(field, self.map.get(field).unwrap_or(&Value::Null), reason)
    }

    /// Takes a size, an integer of at least 1.
    pub fn size(&mut self, field: &'static str, default: usize) -> Result<usize> {
        match self.count(field, default)? {
            0 => Err(self.refused(field, "it must be at least 1")),
            size => Ok(size),
        }
    }

    /// Takes an integer of at least 0.
    pub fn count(&mut self, field: &'static str, default: usize) -> Result<usize> {
        let Some(value) = self.take(field) else { return Ok(default) };
        value
            .as_u64()
            .filter(|&count| count <= LARGEST_SIZE)
            .and_then(|count| usize::try_from(count).ok())
            .ok_or_else(|| self.refused(field, "it must be an integer from 0 to 2^31 - 1"))
    }

    /// Takes an integer for which `null` means `None`; only an absent field gets the default.
    pub fn optional_count(
        &mut self,
        field: &'static str,
        default: Option<usize>,
    ) -> Result<Option<usize>> {
        match self.map.get(field) {
            None => Ok(default),
            Some(Value::Null) => {
                self.taken.insert(field);
                Ok(None)
            }
            Some(_) => self.count(field, 0).map(Some),
        }
    }

    /// Takes a size for which anything below 1 means "not set".
    pub fn size_or_unset(&mut self, field: &'static str) -> Result<Option<usize>> {
        match self.take(field).and_then(Value::as_i64) {
            Some(..1) => Ok(None),
            _ => Ok(Some(self.count(field, 0)?).filter(|&size| size > 0)),
        }
    }

    pub fn positive(&mut self, field: &'static str, default: f64) -> Result<f64> {
        let number = self.at_least_zero(field, default)?;
        if number > 0.0 { Ok(number) } else { Err(self.refused(field, "it must be above 0")) }
    }

    pub fn at_least_zero(&mut self, field: &'static str, default: f64) -> Result<f64> {
        let Some(value) = self.take(field) else { return Ok(default) };
        value
            .as_f64()
            .filter(|&number| number >= 0.0)
            .ok_or_else(|| self.refused(field, "it must be a number of at least 0"))
    }

    /// Takes a dropout probability, below 1: with all values dropped nothing could be learnt.
    pub fn dropout(&mut self, field: &'static str) -> Result<Option<f64>> {
        let Some(value) = self.take(field) else { return Ok(None) };
        match value.as_f64() {
            Some(share) if (0.0..1.0).contains(&share) => Ok(Some(share)),
            _ => Err(self.refused(field, "it must be a number of at least 0 and below 1")),
        }
    }

    pub fn flag(&mut self, field: &'static str, default: bool) -> Result<bool> {
        let Some(value) = self.take(field) else { return Ok(default) };
        value.as_bool().ok_or_else(|| self.refused(field, "it must be true or false"))
    }

    pub fn require(&mut self, field: &'static str, only: &str, reason: &'static str) -> Result<()> {
        match self.take(field) {
            Some(value) if value == only => Ok(()),
            _ => Err(self.refused(field, reason)),
        }
    }

    pub fn same_or_absent(
        &mut self,
        field: &'static str,
        only: &str,
        reason: &'static str,
    ) -> Result<()> {
        match self.take(field) {
            None => Ok(()),
            Some(_) => self.require(field, only, reason),
        }
    }

    pub fn empty_or_absent(&mut self, field: &'static str, reason: &'static str) -> Result<()> {
        match self.take(field) {
            None => Ok(()),
            Some(Value::Object(entries)) if entries.is_empty() => Ok(()),
            Some(_) => Err(self.refused(field, reason)),
        }
    }

    /// Takes names written as `["a", "b"]` or as `"a|b"`.
    pub fn list_or_piped(&mut self, field: &'static str) -> Result<Vec<String>> {
        let Some(Value::Array(items)) = self.take(field) else { return self.piped(field) };
        items
            .iter()
            .map(|item| item.as_str().map(str::to_owned))
            .collect::<Option<_>>()
            .ok_or_else(|| self.refused(field, "it must be a list of names"))
    }

    /// Takes names written as `"A | b"`: split, trimmed and in lower case.
    pub fn piped(&mut self, field: &'static str) -> Result<Vec<String>> {
        match self.take(field) {
            None => Ok(Vec::new()),
            Some(Value::String(text)) => {
                Ok(text.to_lowercase().split('|').map(|name| name.trim().to_owned()).collect())
            }
            Some(_) => Err(self.refused(field, "it must be names with `|` between them")),
        }
    }

    /// Takes names written as `{"0": "a", "1": "b"}`, in the order of the numbers.
    pub fn numbered_names(&mut self, field: &'static str) -> Result<Option<Vec<String>>> {
        let Some(value) = self.take(field) else { return Ok(None) };
        numbered_names(value)
            .map(Some)
            .ok_or_else(|| self.refused(field, "it must map 0, 1, 2, ... to names"))
    }

    /// Takes the value, unless it is absent or `null`; either way it is no longer extra.
    fn take(&mut self, field: &'static str) -> Option<&Value> {
        self.taken.insert(field);
        self.map.get(field).filter(|value| !value.is_null())
    }
}

fn numbered_names(value: &Value) -> Option<Vec<String>> {
    let names: BTreeMap<usize, String> = value
        .as_object()?
        .iter()
        .map(|(id, name)| Some((id.parse().ok()?, name.as_str()?.to_owned())))
        .collect::<Option<_>>()?;
    let in_order = names.keys().copied().eq(0..names.len());
    in_order.then(|| names.into_values().collect())
}

/// Returns the error that `value` cannot be used.
pub(super) fn refused(field: &'static str, value: impl ToString, reason: &'static str) -> Error {
    Error::UnsupportedConfig { field, value: value.to_string(), reason }
}
