//! The files beside a vocabulary, against transformers: `tests/tokenizers` has the ids of our texts in each setting.

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{shared_file, small_sentencepiece};
use crate::tokenizer::{CompactTokenizer, Tokenizer, TokenizerFiles, Vocabulary};

const SMALL: &[u8] = include_bytes!("../../../tests/tokenizers/small.model");

#[derive(Deserialize)]
struct Reference {
    texts: Vec<String>,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    vocabulary: String,
    setting: String,
    files: BTreeMap<String, String>,
    count: usize,
    ids: Ids,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Ids {
    All(Vec<Vec<u32>>),
    /// By the place of a text; the others have the usual ids.
    Unusual(BTreeMap<String, Vec<u32>>),
}

fn reference() -> Reference {
    serde_json::from_str(include_str!("../../../tests/tokenizers/settings.json")).unwrap()
}

impl Reference {
    /// The ids that a case gives each text.
    fn ids(&self, case: &Case) -> Vec<Vec<u32>> {
        let usual = if case.vocabulary == "json" { "spm" } else { &case.vocabulary };
        let usual = self.cases.iter().find(|other| other.vocabulary == usual).unwrap();
        match (&case.ids, &usual.ids) {
            (Ids::All(ids), _) => ids.clone(),
            (Ids::Unusual(unusual), Ids::All(usual)) => {
                let ids = usual.iter().enumerate();
                ids.map(|(place, ids)| unusual.get(&place.to_string()).unwrap_or(ids).clone())
                    .collect()
            }
            (Ids::Unusual(_), Ids::Unusual(_)) => {
                panic!("the first case of a vocabulary has all ids")
            }
        }
    }
}

fn files(vocabulary: Vocabulary, beside: &BTreeMap<String, Value>) -> TokenizerFiles {
    let texts = beside.iter().map(|(name, value)| (name.clone(), value.to_string()));
    files_of_texts(vocabulary, &texts.collect())
}

fn files_of_texts(vocabulary: Vocabulary, beside: &BTreeMap<String, String>) -> TokenizerFiles {
    let file = |name: &str| beside.get(name).map(|text| text.clone().into_bytes());
    TokenizerFiles {
        vocabulary,
        tokenizer_config: file("tokenizer_config.json"),
        added_tokens: file("added_tokens.json"),
        special_tokens_map: file("special_tokens_map.json"),
    }
}

fn vocabulary(name: &str) -> Option<Vocabulary> {
    match name {
        "small" => Some(Vocabulary::SentencePiece(SMALL.to_vec())),
        "spm" => shared_file("tokenizer/spm.model").map(Vocabulary::SentencePiece),
        "json" => shared_file("tokenizer/tokenizer.json").map(Vocabulary::Json),
        other => panic!("no vocabulary {other}"),
    }
}

/// The other forms of a tokenizer.
#[derive(PartialEq)]
enum Forms {
    /// The `tokenizer.json` that a run keeps, and the compact tokenizer that a browser loads.
    All,
    Compact,
    None,
}

/// The same ids by the tokenizer and by its other forms.
fn assert_reference(name: &str, forms: Forms) {
    let reference = reference();
    assert!(reference.texts.len() >= 40);
    let Some(vocabulary) = vocabulary(name) else { return };
    let cases = reference.cases.iter().filter(|case| case.vocabulary == name);
    let mut tried = 0;
    for case in cases {
        let setting = &case.setting;
        let (tokenizer, _) = files_of_texts(vocabulary.clone(), &case.files).tokenizer().unwrap();
        assert_eq!(tokenizer.vocab_size(), case.count, "{setting}");
        let kept = (forms == Forms::All)
            .then(|| Tokenizer::from_json(tokenizer.to_json().as_bytes()).unwrap());
        let compact = (forms != Forms::None).then(|| loaded(&tokenizer.compact().unwrap()));
        for (text, ids) in reference.texts.iter().zip(reference.ids(case)) {
            assert_eq!(tokenizer.encode(text, 512).input_ids, ids, "{setting}: {text:?}");
            if let Some(kept) = &kept {
                assert_eq!(kept.encode(text, 512).input_ids, ids, "{setting}, kept: {text:?}");
            }
            if let Some(compact) = &compact {
                let found = compact.encode(text, 512).input_ids;
                assert_eq!(found, ids, "{setting}, compact: {text:?}");
                assert_eq!(compact.vocab_size(), case.count, "{setting}");
            }
        }
        tried += 1;
    }
    assert!(tried >= 30, "{tried} settings");
}

/// A compact tokenizer as a browser loads it, equal to the one that was written.
fn loaded(compact: &CompactTokenizer) -> CompactTokenizer {
    let tensors = compact.to_tensors();
    let loaded = CompactTokenizer::from_tensors(|name| {
        let tensor = tensors.iter().find(|tensor| tensor.name == name)?;
        Some((tensor.dtype, &tensor.bytes[..]))
    });
    let loaded = loaded.unwrap();
    assert!(loaded == *compact);
    loaded
}

#[test]
fn a_small_vocabulary_gives_the_ids_of_transformers_in_every_setting() {
    assert_reference("small", Forms::All);
}

#[test]
fn the_hubs_sentencepiece_model_gives_the_ids_of_transformers_in_every_setting() {
    assert_reference("spm", Forms::Compact);
}

#[test]
fn the_hubs_tokenizer_json_gives_the_ids_of_transformers_in_every_setting() {
    assert_reference("json", Forms::None);
}

#[test]
fn do_lower_case_and_added_tokens_of_the_public_reports() {
    let Some(vocabulary) = vocabulary("spm") else { return };
    let ids = |beside: Value| {
        let Value::Object(beside) = beside else { panic!("files by name") };
        let (tokenizer, _) =
            files(vocabulary.clone(), &beside.into_iter().collect()).tokenizer().unwrap();
        (tokenizer.encode("Oh NO, [USER] is leaving: WHY?!", 64).input_ids, tokenizer.vocab_size())
    };
    let (lower, count) = ids(json!({"tokenizer_config.json": {"do_lower_case": true}}));
    assert_eq!(lower, [1, 6359, 363, 261, 647, 11576, 592, 269, 2042, 294, 579, 302, 300, 2]);
    assert_eq!(count, 128_001);
    let added = json!({"added_tokens.json": {"[MASK]": 128_000, "[USER]": 128_001}});
    let (added, count) = ids(added);
    assert_eq!(added, [1, 2289, 4674, 261, 507, 128_001, 269, 2042, 294, 19090, 302, 300, 2]);
    assert_eq!(count, 128_002);
}

/// The answer for a config beside a vocabulary of nine pieces.
fn config(vocabulary: Vocabulary, config: Value) -> Result<Vec<String>, String> {
    let files = files(vocabulary, &BTreeMap::from([("tokenizer_config.json".to_owned(), config)]));
    let answer = files.tokenizer().map(|(_, notes)| notes);
    answer.map_err(|error| error.to_string())
}

fn sentencepiece() -> Vocabulary {
    Vocabulary::SentencePiece(small_sentencepiece())
}

fn tokenizer_json() -> Vocabulary {
    Vocabulary::Json(super::small().to_json().into_bytes())
}

#[test]
fn what_would_change_ids_and_is_not_done_is_refused_by_name() {
    for (field, value) in [
        ("do_lower_case", json!("yes")),
        ("split_by_punct", json!(1)),
        ("vocab_type", json!("gpt2")),
        ("add_prefix_space", json!(false)),
        ("split_special_tokens", json!(true)),
        ("truncation_side", json!("left")),
        ("add_bos_token", json!(true)),
        ("add_eos_token", json!(true)),
        ("from_slow", json!(true)),
        ("cls_token", json!("<s>")),
        ("sep_token", json!({"__type": "AddedToken", "content": "</s>", "special": true})),
        ("tokenizer_class", json!("BertTokenizer")),
        ("tokenizer_class", json!(7)),
        ("mask_token", json!(["[MASK]"])),
        ("additional_special_tokens", json!("[USER]")),
        ("extra_special_tokens", json!({"user_token": 7})),
        ("added_tokens_decoder", json!([])),
        ("added_tokens_decoder", json!({"nine": {"content": "x"}})),
        ("added_tokens_decoder", json!({"9": "x"})),
        ("added_tokens_decoder", json!({"9": {"content": "x", "lstrip": "no"}})),
    ] {
        for vocabulary in [sentencepiece(), tokenizer_json()] {
            let told = config(vocabulary, json!({field: value})).unwrap_err();
            let named = if value.to_string().contains("lstrip") { "lstrip" } else { field };
            assert!(told.starts_with("tokenizer: tokenizer_config.json"), "{field}: {told}");
            assert!(told.contains(&format!("`{named}`")), "{field}: {told}");
        }
    }
    for (field, value) in [
        ("sp_model_kwargs", json!({"enable_sampling": true, "nbest_size": -1})),
        ("tokenizer_class", json!("PreTrainedTokenizerFast")),
    ] {
        let told = config(sentencepiece(), json!({field: value})).unwrap_err();
        assert!(told.contains(&format!("`{field}`")), "{told}");
        assert!(config(tokenizer_json(), json!({field: value})).is_ok());
    }
}

#[test]
fn defaults_and_fields_without_effect_on_ids_need_no_word() {
    let fields = json!({
        "add_prefix_space": true, "added_tokens_decoder": {}, "additional_special_tokens": null,
        "clean_up_tokenization_spaces": true, "cls_token": "[CLS]", "do_lower_case": false,
        "extra_special_tokens": {}, "model_max_length": 1_000_000_000_000_000_000_000_000_000_000.0, "padding_side": "left",
        "sep_token": {"__type": "AddedToken", "content": "[SEP]", "special": true}, "sp_model_kwargs": {},
        "split_by_punct": null, "tokenizer_class": "DebertaV2TokenizerFast", "truncation_side": "right",
        "vocab_type": "spm",
    });
    for vocabulary in [sentencepiece(), tokenizer_json()] {
        assert_eq!(config(vocabulary, fields.clone()), Ok(Vec::new()));
    }
}

#[test]
fn what_is_without_effect_is_said() {
    let note = |vocabulary, fields: Value| {
        let notes = config(vocabulary, fields).unwrap();
        assert_eq!(notes.len(), 1, "{notes:?}");
        notes.into_iter().next().unwrap()
    };
    for (field, value) in [("do_lower_case", json!(true)), ("split_by_punct", json!(true))] {
        let told = note(tokenizer_json(), json!({field: value}));
        assert!(told.contains(field) && told.contains("transformers 5 would do it"), "{told}");
    }
    let told = note(sentencepiece(), json!({"strip_accents": true}));
    assert!(
        told.starts_with("`strip_accents` of tokenizer_config.json is without effect"),
        "{told}"
    );
    let told = note(tokenizer_json(), json!({"sp_model_kwargs": {"alpha": 0.1}}));
    assert!(told.contains("sp_model_kwargs"), "{told}");
    let told = note(sentencepiece(), json!({"auto_map": {"AutoTokenizer": ["a.B", null]}}));
    assert!(told.contains("auto_map"), "{told}");
    // The id of a token is that of the next free one.
    let decoder = json!({"9": {"content": "[MASK]"}, "12": {"content": "[USER]"}});
    let told = note(sentencepiece(), json!({"added_tokens_decoder": decoder}));
    assert!(
        told.contains("`[USER]` has the id 10, although tokenizer_config.json says 12"),
        "{told}"
    );
}

#[test]
fn a_lower_casing_tokenizer_json_agrees_with_its_config() {
    let beside = |config: Value| BTreeMap::from([("tokenizer_config.json".to_owned(), config)]);
    let config = json!({"do_lower_case": true, "split_by_punct": true});
    let (tokenizer, _) = files(sentencepiece(), &beside(config.clone())).tokenizer().unwrap();
    let again = files(Vocabulary::Json(tokenizer.to_json().into_bytes()), &beside(config));
    let (again, notes) = again.tokenizer().unwrap();
    assert_eq!(notes, Vec::<String>::new());
    assert!(again.to_json() == tokenizer.to_json());
}

#[test]
fn added_tokens_json_counts_beside_a_decoder_that_lacks_its_tokens() {
    let decoder = json!({"9": {"content": "[MASK]", "special": true}});
    let mut beside = Map::new();
    beside.insert("tokenizer_config.json".into(), json!({"added_tokens_decoder": decoder}));
    beside.insert("added_tokens.json".into(), json!({"[MASK]": 9, "[USER]": 10}));
    beside.insert("special_tokens_map.json".into(), json!({"additional_special_tokens": ["<x>"]}));
    for vocabulary in [sentencepiece(), tokenizer_json()] {
        let files = files(vocabulary, &beside.clone().into_iter().collect());
        let (tokenizer, notes) = files.tokenizer().unwrap();
        assert_eq!(tokenizer.added_tokens(), ["[MASK]", "[USER]"]);
        assert_eq!(tokenizer.encode("[USER]", 8).input_ids, [1, 10, 2]);
        let told = notes.join("\n");
        assert!(told.contains("`[USER]` of added_tokens.json is added"), "{told}");
        assert!(told.contains("`<x>` of special_tokens_map.json is not added"), "{told}");
    }
}

#[test]
fn tokens_that_normalisation_makes_equal_or_empty_are_refused_by_name() {
    let decoder = |tokens: [&str; 2]| {
        let token = |text: &str| json!({"content": text, "normalized": true});
        json!({"added_tokens_decoder": {"9": token(tokens[0]), "10": token(tokens[1])},
            "do_lower_case": true})
    };
    let told = config(sentencepiece(), decoder(["Day", "day"])).unwrap_err();
    assert!(told.contains("`Day` and `day` are the same"), "{told}");
    let told = config(sentencepiece(), decoder(["day", "  "])).unwrap_err();
    assert!(told.contains("nothing is left of the added token `  `"), "{told}");
}

#[test]
fn damaged_files_are_named() {
    for file in ["tokenizer_config.json", "added_tokens.json", "special_tokens_map.json"] {
        let mut files = files(sentencepiece(), &BTreeMap::new());
        let place = match file {
            "tokenizer_config.json" => &mut files.tokenizer_config,
            "added_tokens.json" => &mut files.added_tokens,
            _ => &mut files.special_tokens_map,
        };
        *place = Some(b"[1".to_vec());
        let told = files.tokenizer().unwrap_err().to_string();
        assert!(told.starts_with(&format!("tokenizer: {file} is not a JSON object")), "{told}");
    }
    let beside =
        |file: &str, value| files(sentencepiece(), &BTreeMap::from([(file.to_owned(), value)]));
    let told = |files: TokenizerFiles| files.tokenizer().unwrap_err().to_string();
    let id = told(beside("added_tokens.json", json!({"[USER]": "9"})));
    assert!(id.contains("added_tokens.json: the id of `[USER]`"), "{id}");
    let frame = told(beside("special_tokens_map.json", json!({"cls_token": "<s>"})));
    assert!(frame.contains("special_tokens_map.json: `cls_token` is `<s>`"), "{frame}");
    let unknown = told(beside("special_tokens_map.json", json!({"user_token": "[USER]"})));
    assert!(unknown.contains("special_tokens_map.json: `user_token`"), "{unknown}");
}

/// Parts of texts that added tokens are made of or stand beside.
const PARTS: [&str; 26] = [
    "a", "b", "ab", "A", " ", "  ", "\t", "\n", "\u{a0}", "_", ".", "!", "[USER]", "[user]", "[",
    "]", "é", "e\u{301}", "ΣΑΣ", "İ", "½", "１", "Ａ", "😀", "\u{200d}", "the day",
];

proptest! {
    #[test]
    fn the_compact_tokenizer_gives_the_same_ids_for_any_settings(
        tokens in prop::collection::btree_map(
            prop::collection::vec(prop::sample::select(PARTS.to_vec()), 1..4).prop_map(|parts| parts.concat()),
            any::<[bool; 5]>(),
            0..6,
        ),
        lower_case in any::<bool>(),
        split_by_punct in any::<bool>(),
        text in prop::collection::vec(prop::sample::select(PARTS.to_vec()), 0..16),
    ) {
        // A token that is nothing but white space, and takes more of it, is more than the library can do.
        let tokens = tokens.into_iter().filter(|(content, _)| !content.trim().is_empty());
        let first = 235_usize;
        let decoder: Map<String, Value> = tokens.enumerate().map(|(place, (content, flags))| {
            let [lstrip, rstrip, single_word, normalized, special] = flags;
            let token = json!({"content": content, "lstrip": lstrip, "rstrip": rstrip,
                "single_word": single_word, "normalized": normalized, "special": special});
            ((first + place).to_string(), token)
        }).collect();
        let config = json!({"do_lower_case": lower_case, "split_by_punct": split_by_punct,
            "added_tokens_decoder": decoder});
        let beside = BTreeMap::from([("tokenizer_config.json".to_owned(), config)]);
        let small = Vocabulary::SentencePiece(SMALL.to_vec());
        // Tokens that normalisation makes equal or empty are refused.
        let Ok((tokenizer, _)) = files(small, &beside).tokenizer() else { return Ok(()) };
        let compact = loaded(&tokenizer.compact().unwrap());
        let text = text.concat();
        for max_len in [3, 512] {
            prop_assert_eq!(compact.encode(&text, max_len), tokenizer.encode(&text, max_len), "{:?}", &beside);
        }
    }
}
