//! Reads a SentencePiece `spm.model` (protobuf) and converts it as Hugging Face's `DebertaV2Converter` does.
//!
//! Byte pieces (`<0x41>`) stay in the vocabulary but there is no byte fallback: an unknown character is
//! `[UNK]`, although the file asks for bytes. Control symbols and user-defined symbols are found in a text as they stand.
//! Schema:
//! <https://github.com/google/sentencepiece/blob/v0.2.0/src/sentencepiece_model.proto>

use prost::Message;
use tokenizers::models::unigram::Unigram;
use tokenizers::normalizers::{Lowercase, Precompiled, Strip};
use tokenizers::{AddedToken, NormalizerWrapper, Tokenizer};

use super::settings::Words;
use super::{charsmap, form, refuse};
use crate::{Error, Result};

/// Value of `TrainerSpec.model_type`, also its default.
const UNIGRAM: i32 = 1;

/// Values of `SentencePiece.type`.
const CONTROL: i32 = 3;
const USER_DEFINED: i32 = 4;

#[derive(Clone, PartialEq, Message)]
struct ModelProto {
    #[prost(message, repeated, tag = "1")]
    pieces: Vec<SentencePiece>,
    #[prost(message, optional, tag = "2")]
    trainer_spec: Option<TrainerSpec>,
    #[prost(message, optional, tag = "3")]
    normalizer_spec: Option<NormalizerSpec>,
}

#[derive(Clone, PartialEq, Message)]
struct SentencePiece {
    #[prost(string, tag = "1")]
    piece: String,
    #[prost(float, tag = "2")]
    score: f32,
    #[prost(int32, optional, tag = "3", default = "1")]
    kind: Option<i32>,
}

#[derive(Clone, PartialEq, Message)]
struct TrainerSpec {
    #[prost(int32, optional, tag = "3", default = "1")]
    model_type: Option<i32>,
    #[prost(int32, tag = "40")]
    unk_id: i32,
}

#[derive(Clone, PartialEq, Message)]
struct NormalizerSpec {
    #[prost(bytes = "vec", tag = "2")]
    precompiled_charsmap: Vec<u8>,
}

/// Reads a model. It lacks the tokens that other files add, `[MASK]` among them.
pub fn read(bytes: &[u8], words: Words) -> Result<Tokenizer> {
    let proto = ModelProto::decode(bytes)
        .map_err(|error| Error::Tokenizer(format!("not a SentencePiece model: {error}")))?;
    let trainer_spec = proto.trainer_spec.unwrap_or_default();
    if trainer_spec.model_type() != UNIGRAM {
        return refuse("the SentencePiece model is not of type Unigram");
    }
    let charsmap = proto.normalizer_spec.unwrap_or_default().precompiled_charsmap;
    let symbols = symbols(&proto.pieces);
    let split = match words.split_by_punct {
        true => form::Split::PunctuationAndSpaces,
        false => form::Split::Spaces,
    };
    let unigram = unigram(proto.pieces, trainer_spec.unk_id)?;
    form::assemble(unigram, normalizers(&charsmap, words)?, split, symbols)
}

fn symbols(pieces: &[SentencePiece]) -> Vec<AddedToken> {
    let symbols = pieces.iter().filter(|p| matches!(p.kind(), CONTROL | USER_DEFINED));
    let token =
        |p: &SentencePiece| AddedToken::from(&p.piece, p.kind() == CONTROL).normalized(false);
    symbols.map(token).collect()
}

fn unigram(pieces: Vec<SentencePiece>, unk_id: i32) -> Result<Unigram> {
    let unk_id = usize::try_from(unk_id)
        .ok()
        .filter(|&id| pieces.get(id).is_some_and(|p| p.piece == form::UNK));
    let Some(unk_id) = unk_id else {
        return refuse("the SentencePiece model's unknown piece is not [UNK]");
    };
    if let Some(piece) = pieces.iter().find(|p| !p.score.is_finite()) {
        return refuse(format!(
            "piece `{}` of the SentencePiece model has the score {}",
            piece.piece, piece.score
        ));
    }
    let vocab = pieces.into_iter().map(|p| (p.piece, f64::from(p.score))).collect();
    Unigram::from(vocab, Some(unk_id), false).map_err(form::words)
}

fn normalizers(charsmap: &[u8], words: Words) -> Result<Vec<NormalizerWrapper>> {
    let mut normalizers = vec![Strip::new(true, true).into()];
    if words.lower_case {
        normalizers.insert(0, Lowercase.into());
    }
    if !charsmap.is_empty() {
        charsmap::check(charsmap)?;
        let precompiled =
            Precompiled::from(charsmap).map_err(|error| Error::Tokenizer(error.to_string()))?;
        normalizers.push(precompiled.into());
    }
    normalizers.push(form::single_spaces());
    Ok(normalizers)
}

/// A model of nine pieces, for tests.
#[cfg(test)]
pub fn sample(charsmap: &[u8]) -> Vec<u8> {
    let pieces = [form::PAD, form::CLS, form::SEP, form::UNK, "▁", "a", "b", "▁a", "ab"]
        .into_iter()
        .enumerate();
    ModelProto {
        pieces: pieces
            .map(|(id, piece)| SentencePiece {
                piece: piece.to_owned(),
                score: if id < 4 { 0.0 } else { -2.0 },
                kind: None,
            })
            .collect(),
        trainer_spec: Some(TrainerSpec { model_type: None, unk_id: 3 }),
        normalizer_spec: Some(NormalizerSpec { precompiled_charsmap: charsmap.to_vec() }),
    }
    .encode_to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(proto: &ModelProto) -> String {
        read(&proto.encode_to_vec(), Words::default()).unwrap_err().to_string()
    }

    #[test]
    fn refuses_what_is_no_deberta_v3_model() {
        let sound = ModelProto::decode(&sample(&[])[..]).unwrap();
        assert!(read(&sound.encode_to_vec(), Words::default()).is_ok());

        let mut bpe = sound.clone();
        bpe.trainer_spec.as_mut().unwrap().model_type = Some(2);
        assert_eq!(message(&bpe), "tokenizer: the SentencePiece model is not of type Unigram");

        for unk_id in [0, -1, 9] {
            let mut other_unk = sound.clone();
            other_unk.trainer_spec.as_mut().unwrap().unk_id = unk_id;
            assert_eq!(
                message(&other_unk),
                "tokenizer: the SentencePiece model's unknown piece is not [UNK]"
            );
        }

        let mut no_cls = sound.clone();
        no_cls.pieces[1].piece = "<s>".into();
        assert_eq!(message(&no_cls), "tokenizer: it has no [CLS] piece");

        let mut no_number = sound.clone();
        no_number.pieces[5].score = f32::NAN;
        assert_eq!(
            message(&no_number),
            "tokenizer: piece `a` of the SentencePiece model has the score NaN"
        );

        let mut damaged = sound;
        damaged.normalizer_spec = Some(NormalizerSpec { precompiled_charsmap: vec![0xFF; 9] });
        assert_eq!(message(&damaged), "tokenizer: its precompiled charsmap is damaged");
    }
}
