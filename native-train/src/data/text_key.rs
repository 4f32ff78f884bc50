//! The key by which two texts count as equal: Unicode NFKC, case folding, collapsed whitespace.

use std::collections::HashSet;

use unicode_normalization::UnicodeNormalization;

/// The key, which is the same for equal texts.
pub fn text_key(text: &str) -> String {
    // ASCII is in NFKC already, and lower case is all its folding.
    let folded = if text.is_ascii() { text.to_ascii_lowercase() } else { folded(text) };
    folded.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// NFKC and case folding.
fn folded(text: &str) -> String {
    let mut folded = String::with_capacity(text.len());
    text.nfkc().for_each(|c| fold_case(c, &mut folded));
    // Folding can leave characters that NFKC composes.
    folded.nfkc().collect()
}

/// The texts that are neither empty nor equal to an earlier one.
pub fn distinct(texts: Vec<String>) -> Vec<String> {
    let mut seen = HashSet::from([String::new()]);
    texts.into_iter().filter(|text| seen.insert(text_key(text))).collect()
}

/// Full case folding by way of upper case, which unites letters that lower case alone does not (`ß`
/// and `ss`, `ς` and `σ`).
fn fold_case(c: char, folded: &mut String) {
    // The dotless i shares its upper case with the dotted one, but is another letter.
    if c == 'ı' {
        return folded.push(c);
    }
    for lower in c.to_lowercase() {
        for upper in lower.to_uppercase() {
            folded.extend(upper.to_lowercase());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn joins_what_differs_in_form_case_or_space() {
        for (one, other) in [
            ("I'm  so\tHAPPY\n", "i'm so happy"),
            ("\u{a0}caf\u{e9}", "CAFE\u{301}"),
            ("ﬁne", "FINE"),
            ("Straße", "STRASSE"),
            ("STRAẞE", "strasse"),
            ("ΟΔΟΣ", "οδος"),
            ("οδοσ", "οδος"),
            ("Ⅳ", "iv"),
            ("ＡＢ", "ab"),
            ("ſ", "S"),
            ("İ", "i\u{307}"),
        ] {
            assert_eq!(text_key(one), text_key(other), "{one:?} {other:?}");
        }
    }

    #[test]
    fn ascii_is_folded_as_every_text_is() {
        let ascii: String = (0..128u8).map(char::from).collect();
        assert_eq!(folded(&ascii), ascii.to_ascii_lowercase());
    }

    #[test]
    fn keeps_different_texts_apart() {
        for (one, other) in [("résumé", "resume"), ("ılık", "ilik"), ("ab", "a b"), ("no!", "no")]
        {
            assert_ne!(text_key(one), text_key(other));
        }
    }
}
