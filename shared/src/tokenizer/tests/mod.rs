//! The tokenizer against Hugging Face's numbers and on real texts.
//!
//! Literal ids come from `tokenizers` 0.23.3 (Python) with microsoft/deberta-v3-base's tokenizer.json.

mod damaged;
mod settings;

use std::path::PathBuf;
use std::sync::OnceLock;

use proptest::prelude::*;
use serde::Deserialize;

use super::{Encoding, Token, Tokenizer};

/// Files that are not ours to ship: a folder beside the workspace, or the one named by QUINTET_SHARED.
pub fn shared_file(name: &str) -> Option<Vec<u8>> {
    let default = concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared");
    let folder =
        std::env::var_os("QUINTET_SHARED").map_or_else(|| PathBuf::from(default), PathBuf::from);
    let file = folder.join(name);
    let bytes = std::fs::read(&file).ok();
    if bytes.is_none() {
        eprintln!("skipped: {} is not there", file.display());
    }
    bytes
}

/// DeBERTa-v3's own tokenizer from both of its files, read once (each takes most of a second).
pub fn deberta() -> Option<&'static [Tokenizer; 2]> {
    static BOTH: OnceLock<Option<[Tokenizer; 2]>> = OnceLock::new();
    let both = || {
        let json = Tokenizer::from_json(&shared_file("tokenizer/tokenizer.json")?).unwrap();
        let sentencepiece =
            Tokenizer::from_sentencepiece(&shared_file("tokenizer/spm.model")?).unwrap();
        Some([json, sentencepiece])
    };
    BOTH.get_or_init(both).as_ref()
}

/// Every text of the data folders, or none where they are absent.
pub fn real_texts() -> Vec<String> {
    let csv = ["kaggle-2025-sep-dl-genai/train.csv", "kaggle-2025-sep-dl-genai/test.csv"]
        .into_iter()
        .chain(["brighter-eng/train.csv", "brighter-eng/dev.csv"]);
    let tsv = ["goemotions/train.tsv", "goemotions/dev.tsv", "goemotions/test.tsv"];
    let read = |name: &str| {
        let bytes = shared_file(&format!("data/{name}")).unwrap_or_default();
        String::from_utf8(bytes).unwrap()
    };
    let csv = csv.flat_map(|name| second_column(&read(name)));
    let tsv = tsv.into_iter().flat_map(|name| {
        let first_column = |line: &str| line.split('\t').next().unwrap().to_owned();
        read(name).lines().map(first_column).collect::<Vec<_>>()
    });
    csv.chain(tsv).collect()
}

/// The `text` column of a CSV file (id, text, ...) without its header; quoted fields may hold anything.
fn second_column(csv: &str) -> Vec<String> {
    let mut fields = vec![String::new()];
    let mut rows = Vec::new();
    let mut quoted = false;
    let mut characters = csv.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '"' if quoted && characters.peek() == Some(&'"') => {
                fields.last_mut().unwrap().extend(characters.next());
            }
            '"' => quoted = !quoted,
            ',' if !quoted => fields.push(String::new()),
            '\n' if !quoted => {
                rows.push(std::mem::replace(&mut fields, vec![String::new()]).swap_remove(1));
            }
            _ => fields.last_mut().unwrap().push(character),
        }
    }
    rows.split_off(1)
}

#[derive(Deserialize)]
struct Case {
    text: String,
    ids: Vec<u32>,
    tokens: Vec<String>,
    offsets: Vec<(usize, usize)>,
}

fn reference_cases() -> Option<Vec<Case>> {
    #[derive(Deserialize)]
    struct File {
        cases: Vec<Case>,
    }
    let file = shared_file("fixtures/tokenizer_deberta_v3_cases.json")?;
    let file: File = serde_json::from_slice(&file).unwrap();
    Some(file.cases)
}

pub fn reference_texts() -> Option<Vec<String>> {
    Some(reference_cases()?.into_iter().map(|case| case.text).collect())
}

#[test]
fn equals_the_reference_cases_in_ids_tokens_and_offsets() {
    let Some(both) = deberta() else { return };
    let Some(cases) = reference_cases() else { return };
    assert_eq!(cases.len(), 75);
    for (case, tokenizer) in
        cases.iter().flat_map(|case| both.iter().map(move |tokenizer| (case, tokenizer)))
    {
        let encoding = tokenizer.encode(&case.text, 512);
        assert_eq!(
            encoding,
            Encoding { input_ids: case.ids.clone(), truncated: false },
            "{:?}",
            case.text
        );
        let parts = case.ids.iter().zip(&case.tokens).zip(&case.offsets);
        let tokens: Vec<Token> = parts
            .map(|((&id, text), &offsets)| Token { id, text: text.clone(), offsets })
            .collect();
        assert_eq!(tokenizer.tokens(&case.text), tokens, "{:?}", case.text);
    }
}

#[test]
fn both_files_give_the_same_tokenizer() {
    let Some([json, sentencepiece]) = deberta() else { return };
    let (json_vocab, json_rest) = vocab_and_rest(json);
    let (sentencepiece_vocab, sentencepiece_rest) = vocab_and_rest(sentencepiece);
    assert!(json_rest == sentencepiece_rest);
    assert_eq!(json_vocab.len(), sentencepiece_vocab.len());
    for ((piece, score), (same_piece, same_score)) in json_vocab.iter().zip(&sentencepiece_vocab) {
        assert_eq!(piece, same_piece);
        // The file's decimals have lost a last bit to the parser that wrote them.
        assert!(
            (score - same_score).abs() <= 2.0 * f64::EPSILON * score.abs(),
            "{piece}: {score}, {same_score}"
        );
    }
    for tokenizer in [json, sentencepiece] {
        assert_eq!((tokenizer.pad_id(), tokenizer.cls_id(), tokenizer.sep_id()), (0, 1, 2));
        assert_eq!(tokenizer.vocab_size(), 128_001);
    }
}

fn vocab_and_rest(tokenizer: &Tokenizer) -> (Vec<(String, f64)>, serde_json::Value) {
    let mut file: serde_json::Value = serde_json::from_str(&tokenizer.to_json()).unwrap();
    let vocab = serde_json::from_value(file["model"]["vocab"].take()).unwrap();
    (vocab, file)
}

#[test]
fn both_files_give_the_same_ids_on_every_real_text() {
    let Some([json, sentencepiece]) = deberta() else { return };
    let texts = real_texts();
    for text in &texts {
        assert_eq!(json.encode(text, 128), sentencepiece.encode(text, 128), "{text:?}");
    }
    eprintln!("{} texts alike", texts.len());
}

#[test]
fn truncates_as_hugging_face_does() {
    let Some([tokenizer, _]) = deberta() else { return };
    let text = "I nodded my head excitedly.";
    let whole = [1, 273, 11989, 312, 761, 42252, 260, 2];
    for (max_len, ids) in
        [(2, vec![1, 2]), (3, vec![1, 273, 2]), (7, vec![1, 273, 11989, 312, 761, 42252, 2])]
    {
        assert_eq!(tokenizer.encode(text, max_len), Encoding { input_ids: ids, truncated: true });
    }
    for max_len in [8, 9, 128] {
        assert_eq!(
            tokenizer.encode(text, max_len),
            Encoding { input_ids: whole.to_vec(), truncated: false }
        );
    }
}

#[test]
fn special_tokens_written_in_a_text_are_special_tokens() {
    let Some([tokenizer, _]) = deberta() else { return };
    let text = "a [SEP] b[CLS]c [sep] [UNK] d [MASK]";
    let ids = [1, 266, 2, 2165, 1, 2285, 647, 63851, 592, 507, 3, 1931, 128_000, 2];
    assert_eq!(tokenizer.encode(text, 64).input_ids, ids);
    assert_eq!(
        tokenizer.encode(text, 4),
        Encoding { input_ids: vec![1, 266, 2, 2], truncated: true }
    );

    let tokens = tokenizer.tokens("日本 [SEP]é");
    let spans: Vec<_> = tokens.iter().map(|token| (token.text.as_str(), token.offsets)).collect();
    let expected =
        [("[CLS]", (0, 0)), ("▁", (0, 1)), ("日本", (0, 2)), ("[SEP]", (3, 8)), ("▁é", (8, 9))];
    assert_eq!(spans[..5], expected);
}

#[test]
fn padding_and_truncation_stored_in_the_file_have_no_effect() {
    let plain = small();
    let mut json: serde_json::Value = serde_json::from_str(&plain.to_json()).unwrap();
    json["truncation"] = serde_json::json!(
        { "direction": "Left", "max_length": 3, "strategy": "LongestFirst", "stride": 0 });
    json["padding"] = serde_json::json!({ "strategy": { "Fixed": 9 }, "direction": "Right",
        "pad_to_multiple_of": null, "pad_id": 0, "pad_type_id": 0, "pad_token": "[PAD]" });
    let stored = Tokenizer::from_json(json.to_string().as_bytes()).unwrap();
    assert_eq!(stored.encode("ab a b", 64), plain.encode("ab a b", 64));
    assert_eq!(stored.encode("ab a b", 64).input_ids.len(), 7);
    assert!(stored.to_json() == plain.to_json());
}

#[test]
fn the_config_names_special_tokens_of_the_tokenizer() {
    let config: std::collections::BTreeMap<String, String> =
        serde_json::from_str(super::TOKENIZER_CONFIG).unwrap();
    let tokenizer = small();
    let named: Vec<&String> =
        config.iter().filter(|(key, _)| key.ends_with("_token")).map(|(_, token)| token).collect();
    assert_eq!(named.len(), 7);
    for token in named {
        assert_eq!(tokenizer.tokens(token).len(), 3, "{token} is not one token");
    }
}

#[test]
fn tokenizer_goes_to_many_threads() {
    fn is_shareable<T: Send + Sync>() {}
    is_shareable::<Tokenizer>();
}

/// A SentencePiece model of nine pieces whose charsmap turns `A` into `a`.
fn small_sentencepiece() -> Vec<u8> {
    super::sentencepiece::sample(&super::charsmap::sample(b'A', "a"))
}

pub fn small() -> Tokenizer {
    Tokenizer::from_sentencepiece(&small_sentencepiece()).unwrap()
}

#[test]
fn a_small_sentencepiece_model_is_applied_whole() {
    let tokenizer = small();
    // [PAD] [CLS] [SEP] [UNK] ▁ a b ▁a ab, then [MASK]
    assert_eq!(tokenizer.encode("  aB  Ab ", 64).input_ids, [1, 7, 3, 4, 8, 2]);
    assert_eq!(tokenizer.encode("[MASK]", 64).input_ids, [1, 9, 2]);
    assert_eq!(tokenizer.vocab_size(), 10);
    assert_eq!(
        Tokenizer::from_json(tokenizer.to_json().as_bytes()).unwrap().to_json(),
        tokenizer.to_json()
    );
}

fn assert_framed(tokenizer: &Tokenizer, text: &str, max_len: usize) {
    let Encoding { input_ids, truncated } = tokenizer.encode(text, max_len);
    assert!(input_ids.len() <= max_len, "{text:?}");
    assert_eq!(input_ids.first(), Some(&tokenizer.cls_id()));
    assert_eq!(input_ids.last(), Some(&tokenizer.sep_id()));
    let whole = tokenizer.tokens(text);
    assert_eq!(truncated, whole.len() > max_len, "{text:?}");
    let kept = input_ids.len() - 1;
    assert!(
        whole.iter().map(|token| token.id).take(kept).eq(input_ids[..kept].iter().copied()),
        "{text:?}"
    );
}

proptest! {
    #[test]
    fn an_encoding_is_a_framed_prefix_within_max_len(text in any::<String>(), max_len in 2_usize..40) {
        assert_framed(&small(), &text, max_len);
        if let Some([tokenizer, _]) = deberta() {
            assert_framed(tokenizer, &text, max_len);
        }
    }
}
