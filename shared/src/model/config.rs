//! `config.json` of a DeBERTa-v2/v3 model, parsed once into values the model can rely on.
//!
//! The reference is `DebertaV2Config`, with the fields that the modelling code reads beside it:
//! <https://github.com/huggingface/transformers/blob/v4.57.1/src/transformers/models/deberta_v2/configuration_deberta_v2.py#L33>.
//! Each field there is honoured, with the reference's default where it is absent, or refused by name. Fields
//! that a classifier never reads (masked-language head, generation, bookkeeping) are kept and written back.
//!
//! `read` parses, field by field with `fields`; `write` writes; `tensors` lists the parameters that a
//! configuration calls for.

mod fields;
mod odd_labels;
mod read;
mod tensors;
mod types;
mod write;

pub use tensors::{TensorShapes, WORD_EMBEDDINGS};
pub use types::{DebertaConfig, NormRelEbd, PosAttType};

#[cfg(test)]
mod tests;
