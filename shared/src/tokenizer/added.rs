//! Adds tokens to a tokenizer, in the order in which transformers adds them: their ids follow each other.

use std::collections::{BTreeMap, BTreeSet};

use tokenizers::{AddedToken, NormalizedString, Normalizer, Tokenizer};

use super::named::{CONFIG, Named, Stated};
use super::settings::Settings;
use super::{form, refuse};
use crate::{Error, Result};

pub struct AddedTokens {
    tokens: Vec<AddedToken>,
    stated: Vec<Stated>,
}

impl AddedTokens {
    /// Takes the tokens to which a file gives an id, then the special tokens that are not there by then.
    pub fn of(tokenizer: &Tokenizer, settings: Settings) -> Self {
        let Settings { stated, special, .. } = settings;
        let mut tokens: Vec<AddedToken> = stated.iter().map(|entry| entry.token.clone()).collect();
        let there: BTreeSet<String> = {
            let added = tokenizer.get_added_tokens_decoder();
            let added = added.values().map(|token| token.content.clone());
            added.chain(tokens.iter().map(|token| token.content.clone())).collect()
        };
        let missing = special.iter().filter(|token| match token {
            Named::Text(text) => !there.contains(text),
            Named::Token(token) => !tokens.contains(token),
        });
        let missing: Vec<AddedToken> = missing
            .map(|token| match token {
                Named::Text(text) => AddedToken::from(text, true),
                Named::Token(token) => token.clone(),
            })
            .collect();
        tokens.extend(missing);
        let names: BTreeSet<&str> = special.iter().map(Named::text).collect();
        for token in &mut tokens {
            token.special |= names.contains(token.content.as_str());
        }
        Self { tokens, stated }
    }

    pub fn add_to(self, tokenizer: &mut Tokenizer, notes: &mut Vec<String>) -> Result<()> {
        check(tokenizer, &self.tokens)?;
        tokenizer.add_tokens(self.tokens).map_err(form::words)?;
        for Stated { id, file, token, unread } in &self.stated {
            let text = &token.content;
            if *unread {
                notes.push(format!(
                    "the token `{text}` of {file} is added although `added_tokens_decoder` of {CONFIG} lacks it; \
                     transformers 4.34 and later would not add it"
                ));
            }
            match tokenizer.token_to_id(text) {
                Some(given) if u64::from(given) == *id => {}
                Some(given) => notes.push(format!(
                    "the token `{text}` has the id {given}, although {file} says {id}: ids of added tokens follow each \
                     other, as in transformers"
                )),
                None => notes.push(format!("the token `{text}` of {file} is empty, so it is not added")),
            }
        }
        Ok(())
    }
}

/// Refuses tokens that could not be told apart in a normalised text, or would be found everywhere in it.
fn check(tokenizer: &Tokenizer, tokens: &[AddedToken]) -> Result<()> {
    let mut all: BTreeMap<String, AddedToken> = BTreeMap::new();
    let there = tokenizer.get_added_tokens_decoder();
    for token in there.values().chain(tokens).filter(|token| !token.content.is_empty()) {
        all.insert(token.content.clone(), token.clone());
    }
    let mut seen: BTreeMap<String, String> = BTreeMap::new();
    for (content, _) in all.into_iter().filter(|(_, token)| token.normalized) {
        let mut text = NormalizedString::from(content.as_str());
        if let Some(normalizer) = tokenizer.get_normalizer() {
            normalizer.normalize(&mut text).map_err(|error| Error::Tokenizer(error.to_string()))?;
        }
        let text = text.get().to_owned();
        if text.is_empty() {
            return refuse(format!(
                "nothing is left of the added token `{content}` once it is normalised"
            ));
        }
        if let Some(other) = seen.insert(text, content.clone()) {
            return refuse(format!(
                "the added tokens `{other}` and `{content}` are the same once they are normalised"
            ));
        }
    }
    Ok(())
}
