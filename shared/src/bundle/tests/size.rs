//! The sizes of five folds of DeBERTa-v3-base, with its vocabulary of 128,100. Weights are random, as sizes do not depend on
//! what models have learnt. It takes minutes, so it runs only by name:
//!
//!     cargo test --release --workspace -- --ignored --nocapture five_folds_of_base

use std::ops::Range;
use std::path::PathBuf;

use rayon::prelude::*;

use super::*;

const FIVE: usize = 5;

/// One word in so many is in the training texts, and so is moved by fine-tuning: some 8,500 (6,827 short texts of English have
/// 8,351 different ids).
const MOVED_WORDS: usize = 15;

/// Folds differ from their ancestor by this share of its deviation.
const APART: f32 = 0.02;

fn base(vocab_size: usize) -> DebertaConfig {
    let mut config = DebertaConfig::mini(vocab_size);
    (config.hidden_size, config.embedding_size) = (768, 768);
    (config.num_hidden_layers, config.num_attention_heads) = (12, 12);
    config.intermediate_size = 3072;
    config.labels = Some(labels());
    config
}

/// A number as from a bell of deviation 0.02: four even bytes together.
fn number(key: RandomKey, place: usize) -> f32 {
    let bytes = key.bits(place as u32).to_le_bytes();
    let sum: i32 = bytes.iter().map(|&byte| i32::from(byte)).sum();
    (sum - 510) as f32 * (0.02 / 147.8)
}

/// Rows of a tensor.
fn read(whose: Whose, name: &str, width: usize, rows: Range<usize>) -> Option<Vec<f32>> {
    let site = name.bytes().fold(7_u32, |site, byte| site.wrapping_mul(31) ^ u32::from(byte));
    let is_head = name.starts_with("pooler") || name.starts_with("classifier");
    let ancestor = RandomKey::new(1, site);
    let own = match whose {
        Whose::Base if is_head => return None,
        Whose::Base => None,
        Whose::Final => unreachable!("these bundles have none"),
        Whose::Fold(fold) => Some(RandomKey::new(2 + fold as u64, site)),
    };
    let value = |place: usize| match own {
        None => number(ancestor, place),
        Some(own) if is_head => number(own, place),
        Some(_) if name == WORDS && !(place / width).is_multiple_of(MOVED_WORDS) => {
            number(ancestor, place)
        }
        Some(own) => number(ancestor, place) + APART * number(own, place),
    };
    Some((rows.start * width..rows.end * width).into_par_iter().map(value).collect())
}

/// The manifest of five folds; their shards are not kept.
fn weighed(name: &str, config: &DebertaConfig, tokenizer: &CompactTokenizer) -> Manifest {
    let shapes = config.tensor_shapes(2);
    let manifest = write(
        contents(encoding(name), config.clone(), FIVE),
        &vec![tokenizer.clone(); FIVE],
        Base::Ancestor,
        |whose, name, rows| {
            let width = shapes[name][1..].iter().product();
            Ok::<_, crate::Error>(read(whose, name, width, rows))
        },
        |_, _| Ok(()),
    );
    manifest.unwrap()
}

fn spm() -> Option<Tokenizer> {
    let shared = std::env::var_os("QUINTET_SHARED").map(PathBuf::from);
    let beside = || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared");
    let bytes = std::fs::read(shared.unwrap_or_else(beside).join("tokenizer/spm.model")).ok()?;
    Some(Tokenizer::from_sentencepiece(&bytes).unwrap())
}

#[test]
#[ignore = "minutes; for figures"]
fn five_folds_of_base_are_at_most_250_megabytes() {
    let Some(tokenizer) = spm() else {
        eprintln!("skipped: there is no tokenizer/spm.model in the folder QUINTET_SHARED");
        return;
    };
    let tokenizer = tokenizer.compact().unwrap();
    let mb = |bytes: u64| bytes as f64 / 1e6;
    let whole_vocabulary = base(128_100);
    eprintln!("encoding          download    a fold in memory, of that common to all (MB)");
    let told = |name: &str, config: &DebertaConfig| {
        let manifest = weighed(name, config, &tokenizer);
        let (download, a_fold) = (mb(manifest.download_bytes()), mb(manifest.resident_bytes()));
        let common = mb(manifest.common_bytes());
        eprintln!("{name:<16}  {download:>8.1}  {a_fold:>8.1}  {common:>8.1}");
        download
    };
    for name in ["int8+1", "int8/int4+1/2", "int4+2/2"] {
        assert!(told(name, &whole_vocabulary) <= 250.0);
    }
    for name in [
        "int8",
        "int8/int4",
        "int4",
        "int8+4/4",
        "int8+2/2",
        "int8+1/1",
        "int8/int4+2/2",
        "int4+4/4",
        "int4+1/1",
    ] {
        told(name, &whole_vocabulary);
    }
    eprintln!("with a vocabulary of 32,000:");
    let trimmed = base(32_000);
    for name in ["int8+1/1", "int8/int4+1/2", "int4+2/2"] {
        assert!(told(name, &trimmed) < 200.0);
    }
}
