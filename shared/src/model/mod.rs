//! DeBERTa-v3 for sequence classification (He et al., arXiv 2006.03654 and 2111.09543).
//!
//! The model is Hugging Face's `DebertaV2ForSequenceClassification`, whose tensor names it uses. Each file links the
//! lines that it mirrors of
//! <https://github.com/huggingface/transformers/blob/v4.57.1/src/transformers/models/deberta_v2/modeling_deberta_v2.py>.
//!
//! ```text
//! deberta.embeddings.word_embeddings, [position_embeddings, token_type_embeddings, embed_proj,] LayerNorm
//! deberta.encoder.rel_embeddings, LayerNorm
//! deberta.encoder.layer.N.attention.self.{query,key,value}_proj, [pos_key_proj, pos_query_proj]
//! deberta.encoder.layer.N.attention.output.{dense,LayerNorm}
//! deberta.encoder.layer.N.intermediate.dense, output.{dense,LayerNorm}
//! pooler.dense, classifier
//! ```
//!
//! Three things differ, with the same result: texts are packed instead of padded, only relative
//! positions within reach are projected, and the last layer computes only the `[CLS]` rows that the
//! classifier reads.

mod attention;
mod backbone;
mod classifier;
pub mod config;
mod embeddings;
mod encoder;
mod relative_position;

pub use attention::{ContentProjections, STACKED};
pub use backbone::Backbone;
pub use classifier::{Classifier, FrozenClassifier};
pub use config::{DebertaConfig, WORD_EMBEDDINGS};
