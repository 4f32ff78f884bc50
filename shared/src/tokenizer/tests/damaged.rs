//! Files that are unfit or damaged: refused in words, never a panic.

use proptest::prelude::*;

use super::{Tokenizer, assert_framed, shared_file, small, small_sentencepiece};
use crate::Error;

fn message(outcome: crate::Result<Tokenizer>) -> String {
    match outcome {
        Err(Error::Tokenizer(message)) => message,
        other => panic!("expected a tokenizer error, got {other:?}"),
    }
}

#[test]
fn unfit_files_are_refused_in_words() {
    let json = small().to_json();
    let changed = |from: &str, to: &str| {
        assert!(json.contains(from), "{from} is not in the file");
        message(Tokenizer::from_json(json.replacen(from, to, 1).as_bytes()))
    };
    assert_eq!(changed("Unigram", "BPE"), "its model is BPE, but DeBERTa-v3's is Unigram");
    assert_eq!(
        changed(r#""unk_id":3"#, r#""unk_id":null"#),
        "its model has no unknown piece (`unk_id`)"
    );
    let frame = "its post-processor does not frame a text as [CLS] text [SEP]";
    assert_eq!(changed(r#"{"SpecialToken":{"id":"[CLS]","type_id":0}},"#, ""), frame);
    let metaspace =
        r#"{"type":"Metaspace","replacement":"▁","prepend_scheme":"always","split":true}"#;
    let split = r#"{"type":"Split","pattern":{"String":" "},"behavior":"Isolated","invert":false}"#;
    assert_eq!(changed(metaspace, split), "its pre-tokenizer is neither Metaspace nor Punctuation");
    let (start, end) = json.split_once(r#""precompiled_charsmap":""#).unwrap();
    let charsmap = |text: &str| {
        message(Tokenizer::from_json(
            format!(r#"{start}"precompiled_charsmap":"{text}{end}"#).as_bytes(),
        ))
    };
    assert_eq!(charsmap("?"), "its precompiled charsmap is not base64");
    assert_eq!(charsmap("AAAA"), "its precompiled charsmap is damaged");
    assert_eq!(
        changed(r#""precompiled_charsmap""#, r#""other""#),
        "its precompiled charsmap is not base64"
    );
    assert!(
        message(Tokenizer::from_json(b"{")).starts_with("not a tokenizer.json: EOF while parsing")
    );

    let sentencepiece = |bytes: &[u8]| message(Tokenizer::from_sentencepiece(bytes));
    assert!(sentencepiece(json.as_bytes()).starts_with("not a SentencePiece model: "));
    assert_eq!(sentencepiece(b""), "the SentencePiece model's unknown piece is not [UNK]");
    let whole = small_sentencepiece();
    assert!(sentencepiece(&whole[..whole.len() - 1]).starts_with("not a SentencePiece model: "));
}

#[test]
fn a_decoder_that_is_no_text_is_refused() {
    let json = small().to_json();
    let (before, decoder) = json.split_at(json.find("decoder").unwrap());
    let with = |space: &[u8]| {
        let (start, end) = decoder.split_once('▁').unwrap();
        message(Tokenizer::from_json(
            &[before.as_bytes(), start.as_bytes(), space, end.as_bytes()].concat(),
        ))
    };
    assert!(with(&[0xFF]).starts_with("not a tokenizer.json: invalid unicode code point"));
    assert!(with(br"\ud800").starts_with("not a tokenizer.json: "));
}

/// Real files, damaged: every refusal is an error, and whatever is accepted still encodes.
#[test]
fn a_damaged_real_sentencepiece_model_never_panics() {
    let Some(whole) = shared_file("tokenizer/spm.model") else { return };
    for length in [0, 1, 1000, whole.len() / 2, whole.len() - 1] {
        if let Ok(tokenizer) = Tokenizer::from_sentencepiece(&whole[..length]) {
            assert_framed(&tokenizer, "a text", 16);
        }
    }
    // The size of the trie comes first, then its root.
    let head = [0x00, 0xB4, 0x02, 0x00, 0x00, 0x84, 0x00, 0x00];
    let charsmap = whole.windows(head.len()).position(|bytes| bytes == head).unwrap();
    let refused = |place: usize| {
        let mut damaged = whole.clone();
        damaged[place] ^= 0xFF;
        match Tokenizer::from_sentencepiece(&damaged) {
            Ok(tokenizer) => assert_framed(&tokenizer, "Ａ text ㎏ ½", 16),
            Err(error) => {
                return error.to_string() == "tokenizer: its precompiled charsmap is damaged";
            }
        }
        false
    };
    assert!(refused(charsmap + 3) && refused(charsmap + 7));
    for place in [charsmap, charsmap + 6, charsmap + 100_000, charsmap + 200_000] {
        refused(place);
    }
}

proptest! {
    #[test]
    fn a_damaged_sentencepiece_model_never_panics(
        place in any::<prop::sample::Index>(),
        byte in any::<u8>(),
        text in "[aAbB \\[SEP\\]é]{0,8}",
    ) {
        let mut bytes = small_sentencepiece();
        *place.get_mut(&mut bytes) = byte;
        if let Ok(tokenizer) = Tokenizer::from_sentencepiece(&bytes) {
            assert_framed(&tokenizer, &text, 8);
        }
    }

    #[test]
    fn a_damaged_tokenizer_json_never_panics(
        place in any::<prop::sample::Index>(),
        byte in b' '..0x7F,
        text in "[aAbB \\[SEP\\]é]{0,8}",
    ) {
        let mut bytes = small().to_json().into_bytes();
        *place.get_mut(&mut bytes) = byte;
        if let Ok(tokenizer) = Tokenizer::from_json(&bytes) {
            assert_framed(&tokenizer, &text, 8);
        }
    }
}
