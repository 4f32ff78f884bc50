//! The compact tokenizer against Hugging Face's crate: the same ids for every text.

use std::sync::OnceLock;
use std::time::Instant;

use proptest::prelude::*;
use safetensors::Dtype;
use serde_json::json;

use super::{CompactTokenizer, TokenizerTensor};
use crate::Error;
use crate::tokenizer::tests::{deberta, real_texts, reference_texts, shared_file, small};
use crate::tokenizer::{Encoding, Tokenizer};

/// A text that has everything the steps look at.
const AWKWARD: &str =
    "\u{feff} Ａ  ﬁne\tday…\u{200b}▁▁x[SEP]é é [unk] [UNK][MASK]🤷🏽‍♀️ ½㎏ ΣΑΣ İ\0語語 ";

/// DeBERTa-v3's own, by Hugging Face's crate and compact; from both of its files.
fn real() -> Option<&'static [(&'static Tokenizer, CompactTokenizer); 2]> {
    static REAL: OnceLock<Option<[(&Tokenizer, CompactTokenizer); 2]>> = OnceLock::new();
    let compact = |tokenizer: &'static Tokenizer| (tokenizer, tokenizer.compact().unwrap());
    REAL.get_or_init(|| deberta().map(|both| both.each_ref().map(compact))).as_ref()
}

/// Learnt from texts with emoji, accents and special tokens in them.
fn learnt() -> &'static (Tokenizer, CompactTokenizer) {
    static LEARNT: OnceLock<(Tokenizer, CompactTokenizer)> = OnceLock::new();
    LEARNT.get_or_init(|| {
        let texts =
            [AWKWARD, "the cat sat on the mat", "a dog and a cat", "ÉCOLE, école, 猫", "aab"];
        let tokenizer = Tokenizer::learn(texts.iter(), 120).unwrap();
        let compact = tokenizer.compact().unwrap();
        (tokenizer, compact)
    })
}

#[track_caller]
fn assert_same(tokenizer: &Tokenizer, compact: &CompactTokenizer, text: &str) {
    for max_len in [2, 3, 16, 4096] {
        let (expected, found) = (tokenizer.encode(text, max_len), compact.encode(text, max_len));
        assert_eq!(found, expected, "{text:?}, {max_len}");
    }
}

fn again(compact: &CompactTokenizer) -> CompactTokenizer {
    let tensors = compact.to_tensors();
    read(&tensors).unwrap()
}

fn read(tensors: &[TokenizerTensor]) -> crate::Result<CompactTokenizer> {
    CompactTokenizer::from_tensors(|name| {
        let tensor = tensors.iter().find(|tensor| tensor.name == name)?;
        Some((tensor.dtype, &tensor.bytes[..]))
    })
}

#[test]
fn same_ids_for_awkward_texts() {
    let small = small();
    let compact = small.compact().unwrap();
    let (learnt, learnt_compact) = learnt();
    let texts =
        [AWKWARD, "", " ", "\u{a0}", "▁", "▁ ▁", "[SEP]", "a[SEP]", "[SEP", "[[SEP]]", "[UNK"];
    for text in texts {
        assert_same(&small, &compact, text);
        assert_same(learnt, learnt_compact, text);
        for (tokenizer, compact) in real().into_iter().flatten() {
            assert_same(tokenizer, compact, text);
        }
    }
}

#[test]
fn same_ids_for_the_reference_cases() {
    let Some(real) = real() else { return };
    let Some(texts) = reference_texts() else { return };
    assert_eq!(texts.len(), 75);
    for text in &texts {
        for (tokenizer, compact) in real {
            assert_same(tokenizer, compact, text);
        }
        assert_same(&learnt().0, &learnt().1, text);
    }
}

#[test]
fn same_ids_for_every_real_text() {
    let Some([(tokenizer, compact), _]) = real() else { return };
    for text in real_texts() {
        assert_eq!(compact.encode(&text, 512), tokenizer.encode(&text, 512), "{text:?}");
        assert_same(&learnt().0, &learnt().1, &text);
    }
}

#[test]
fn its_tensors_are_the_whole_of_it() {
    let all = [&small().compact().unwrap(), &learnt().1];
    for compact in all.into_iter().chain(real().into_iter().flatten().map(|(_, compact)| compact)) {
        assert!(again(compact) == *compact);
        assert_eq!(again(compact).vocab_size(), compact.vocab_size());
    }
    assert_eq!(learnt().1.vocab_size(), learnt().0.vocab_size());
}

#[test]
fn scores_of_a_sentencepiece_model_fit_f32() {
    let dtype = |compact: &CompactTokenizer| {
        let tensors = compact.to_tensors();
        tensors.iter().find(|tensor| tensor.name == "tokenizer.scores").unwrap().dtype
    };
    assert_eq!(dtype(&small().compact().unwrap()), Dtype::F32);
    assert_eq!(dtype(&learnt().1), Dtype::F64, "decimals of the training");
}

/// The normalisation of a `tokenizer.json` that transformers 5 saves for its own `DebertaV2Tokenizer`, and parts of it.
#[test]
fn same_ids_with_the_normalisation_of_transformers_5() {
    let white_space =
        json!({"type": "Replace", "pattern": {"Regex": r"\s{2,}|[\n\r\t]"}, "content": " "});
    let strip = |left: bool, right: bool| json!({"type": "Strip", "strip_left": left, "strip_right": right});
    let nfc = json!({"type": "NFC"});
    for normalizers in [
        json!([white_space, nfc, strip(false, true)]),
        json!([{"type": "Lowercase"}, white_space, nfc, strip(false, true)]),
        json!([strip(true, false), nfc]),
        json!([strip(false, false), white_space]),
    ] {
        let mut json: serde_json::Value = serde_json::from_str(&learnt().0.to_json()).unwrap();
        json["normalizer"] = json!({"type": "Sequence", "normalizers": normalizers});
        let tokenizer = Tokenizer::from_json(json.to_string().as_bytes()).unwrap();
        let compact = again(&tokenizer.compact().unwrap());
        for text in [
            AWKWARD,
            "",
            " ",
            "\n",
            " a\n b\u{a0}\u{3000}c\r\n",
            "e\u{301} \t",
            "the\u{2003}cat  sat",
        ] {
            assert_same(&tokenizer, &compact, text);
        }
    }
}

#[test]
fn what_it_cannot_do_is_refused_by_name() {
    let json = small().to_json();
    let changed = |from: &str, to: &str| {
        assert!(json.contains(from), "{from} is not in the file");
        let changed = Tokenizer::from_json(json.replacen(from, to, 1).as_bytes()).unwrap();
        match changed.compact() {
            Err(Error::Tokenizer(message)) => message,
            other => panic!("expected a refusal, got {other:?}"),
        }
    };
    let metaspace =
        r#"{"type":"Metaspace","replacement":"▁","prepend_scheme":"always","split":true}"#;
    let punctuation = format!(r#"{metaspace},{{"type":"Punctuation","behavior":"Isolated"}}"#);
    let told = changed(metaspace, &punctuation);
    assert!(told.contains("pre-tokenizer") && told.contains("Punctuation"), "{told}");
    for (from, to) in [
        (r#""prepend_scheme":"always""#, r#""prepend_scheme":"first""#),
        (r#""split":true"#, r#""split":false"#),
    ] {
        assert!(changed(from, to).contains("it is neither DeBERTa-v3's Metaspace"));
    }
    let told =
        changed(r#"{"type":"Strip","strip_left":true,"strip_right":true}"#, r#"{"type":"NFD"}"#);
    assert!(told.contains("normalizer") && told.contains("NFD"), "{told}");
    assert!(changed(" {2,}", " {3,}").contains("no compact form of Replace"));
    assert!(
        changed(r#""byte_fallback":false"#, r#""byte_fallback":true"#).contains("byte_fallback")
    );
    let many = (0..20_000).map(|n| tokenizers::AddedToken::from(format!("<{n:060}>"), true));
    let mut many_tokens = small().inner;
    many_tokens.add_tokens(many).unwrap();
    let told = Tokenizer::new(many_tokens).unwrap().compact().err().unwrap().to_string();
    assert!(told.contains("so many added tokens"), "{told}");
}

#[test]
fn damaged_tensors_are_refused_in_words() {
    let sound = small().compact().unwrap().to_tensors();
    let message = |tensors: &[TokenizerTensor]| match read(tensors) {
        Err(Error::Tokenizer(message)) => message,
        other => panic!("expected a refusal, got {other:?}"),
    };
    for place in 0..sound.len() {
        let mut without = sound.clone();
        let name = without.remove(place).name;
        assert_eq!(message(&without), format!("`{name}` is missing"));

        let mut other_type = sound.clone();
        other_type[place].dtype = Dtype::BF16;
        assert!(message(&other_type).contains(&format!("`{name}` is BF16")));

        let mut cut = sound.clone();
        cut[place].bytes.clear();
        message(&cut);
    }
    let place = |name: &str| sound.iter().position(|tensor| tensor.name == name).unwrap();
    let changed = |name: &str, change: &dyn Fn(&mut Vec<u8>)| {
        let mut changed = sound.clone();
        change(&mut changed[place(name)].bytes);
        message(&changed)
    };
    let swapped = changed("tokenizer.pieces", &|bytes| bytes.reverse());
    assert_eq!(swapped, "its pieces are not sorted texts");
    let nan = changed("tokenizer.scores", &|bytes| bytes[..4].fill(0xFF));
    assert_eq!(nan, "a score is not a finite number");
    let charsmap = changed("tokenizer.charsmap", &|bytes| bytes[7] = 0xFF);
    assert_eq!(charsmap, "its precompiled charsmap is damaged");
}

/// Sizes and times beside those of the JSON: the best of seven.
#[test]
#[ignore = "a measurement, not a test: run it with --nocapture"]
fn sizes_and_times_of_both_forms() {
    let Some(json) = shared_file("tokenizer/tokenizer.json") else { return };
    let Some([(_, from_json), (_, from_sentencepiece)]) = real() else { return };
    let best = |mut work: Box<dyn FnMut() + '_>| {
        let times = (0..7).map(|_| {
            let start = Instant::now();
            work();
            start.elapsed().as_secs_f64() * 1e3
        });
        times.fold(f64::INFINITY, f64::min)
    };
    let whole = best(Box::new(|| drop(Tokenizer::from_json(&json).unwrap())));
    println!("tokenizer.json: {} bytes, {whole:.1} ms to load", json.len());
    for (name, compact) in [("tokenizer.json", from_json), ("spm.model", from_sentencepiece)] {
        let tensors = compact.to_tensors();
        let bytes: usize = tensors.iter().map(|tensor| tensor.bytes.len()).sum();
        let load = best(Box::new(|| drop(read(&tensors).unwrap())));
        println!("compact, of {name}: {bytes} bytes, {load:.1} ms to load");
    }
    let texts = real_texts();
    let Some([(tokenizer, compact), _]) = real() else { return };
    let theirs = best(Box::new(|| texts.iter().for_each(|text| drop(tokenizer.encode(text, 128)))));
    let ours = best(Box::new(|| texts.iter().for_each(|text| drop(compact.encode(text, 128)))));
    println!("{} texts: {theirs:.0} ms by the crate, {ours:.0} ms compact", texts.len());
}

proptest! {
    #[test]
    fn same_ids_for_any_text(text in any::<String>()) {
        assert_same(&learnt().0, &learnt().1, &text);
        for (tokenizer, compact) in real().into_iter().flatten() {
            assert_same(tokenizer, compact, &text);
        }
    }

    #[test]
    fn same_ids_for_texts_of_awkward_parts(
        parts in prop::collection::vec(prop::sample::select(vec![
            "a", "b", "ab", "A", " ", "  ", "\t", "\u{a0}", "\u{200b}", "▁", "[SEP]", "[CLS]", "[UNK]",
            "[unk]", "[MASK]", "[", "SEP]", "é", "e\u{301}", "\u{301}", "ﬁ", "½", "…", "Σ", "İ", "語",
            "한", "\u{1100}\u{1161}", "🤷🏽‍♀️", "👍", "\u{200d}", "\u{0}", "\u{fffd}", "the", "cat", "\r\n",
        ]), 0..24),
    ) {
        let text = parts.concat();
        let small = small();
        assert_same(&small, &small.compact().unwrap(), &text);
        assert_same(&learnt().0, &learnt().1, &text);
        for (tokenizer, compact) in real().into_iter().flatten() {
            assert_same(tokenizer, compact, &text);
        }
    }

    #[test]
    fn a_damaged_table_never_panics(
        table in 0_usize..6,
        place in any::<prop::sample::Index>(),
        byte in any::<u8>(),
        text in "[aAbB \\[SEP\\]é]{0,8}",
    ) {
        let mut tensors = small().compact().unwrap().to_tensors();
        *place.get_mut(&mut tensors[table].bytes) = byte;
        if let Ok(compact) = read(&tensors) {
            let Encoding { input_ids, .. } = compact.encode(&text, 8);
            prop_assert!(input_ids.len() <= 8);
            prop_assert!(input_ids.iter().all(|&id| (id as usize) < compact.vocab_size()));
        }
    }
}
