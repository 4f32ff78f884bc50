//! Bundles that are written, read again, and tampered with.

mod deltas;
mod earlier;
mod final_model;
mod format;
mod hot;
mod lies;
mod size;

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::OnceLock;

use candle_core::{Device, Tensor};

use super::{
    About, Base, ColdLoader, Contents, Encoding, FoldLoader, FoldModel, Interval, LabelScores,
    Manifest, Provenance, ReliabilityBin, Scores, Shard, Whose, write,
};
use crate::kernels::random::RandomKey;
use crate::model::DebertaConfig;
use crate::quant::Format;
use crate::tokenizer::{CompactTokenizer, Tokenizer};
use crate::{LabelSet, Result, Thresholds};

const TEXTS: [&str; 5] =
    ["the cat sat", "a dog and a cat", "the mat", "", "and the dog, the dog, the dog"];
const FOLDS: usize = 3;
const WORDS: &str = "deberta.embeddings.word_embeddings.weight";

type Tensors = BTreeMap<String, Vec<f32>>;

/// A manifest and the bytes of its shards, in its order.
struct Bundle {
    manifest: Manifest,
    shards: Vec<Vec<u8>>,
}

impl Bundle {
    fn load(&self, fold: usize) -> Result<FoldModel> {
        FoldModel::load(&self.manifest, fold, |index, shard| shard.open(self.shards[index].clone()))
    }
}

fn tokenizer() -> &'static CompactTokenizer {
    static TOKENIZER: OnceLock<CompactTokenizer> = OnceLock::new();
    TOKENIZER.get_or_init(|| Tokenizer::learn(TEXTS.iter(), 40).unwrap().compact().unwrap())
}

fn labels() -> LabelSet {
    LabelSet::new(vec!["joy".into(), "fear".into()]).unwrap()
}

fn config(vocab_size: usize) -> DebertaConfig {
    let mut config = DebertaConfig::mini(vocab_size);
    (config.hidden_size, config.embedding_size) = (16, 16);
    (config.num_attention_heads, config.intermediate_size) = (2, 24);
    (config.max_position_embeddings, config.max_relative_positions) = (32, 32);
    config.position_buckets = Some(8);
    config.labels = Some(labels());
    config
}

fn contents(encoding: impl Into<Encoding>, config: DebertaConfig, folds: usize) -> Contents {
    let label = |name: &String| LabelScores {
        label: name.clone(),
        support: 7,
        f1_at_half: 0.5,
        f1_tuned: 0.75,
        f1_cross_fitted: None,
        interval: None,
        reliability: Vec::new(),
    };
    Contents {
        about: About {
            title: "Moods".into(),
            license: Some("MIT".into()),
            provenance: Provenance {
                model: "mini".into(),
                seed: u64::MAX,
                run_folds: 5,
                averaged_folds: None,
                final_model: false,
                rows: 20,
                versions: [("native-train".into(), "0.1.0".into())].into(),
            },
            scores: Scores {
                rows: 20,
                split: "grouped".into(),
                repeated_rows: 0,
                macro_f1_at_half: 0.5,
                macro_f1_tuned: 0.75,
                macro_f1_cross_fitted: Some(0.625),
                macro_f1_interval: None,
                per_label: labels().names().iter().map(label).collect(),
            },
        },
        config,
        labels: labels(),
        thresholds: Thresholds::new(vec![0.35, 0.5], 2).unwrap(),
        max_len: 16,
        encoding: encoding.into(),
        hot_rows: None,
        folds: (0..folds).map(|fold| fold + 1).collect(),
        final_model: false,
    }
}

/// These contents with intervals and reliability tables.
fn known(mut contents: Contents) -> Contents {
    let scores = &mut contents.about.scores;
    scores.macro_f1_interval = Some(Interval { low: 0.5, high: 0.6875 });
    for label in &mut scores.per_label {
        label.interval = Some(Interval { low: 0.25, high: 0.75 });
        label.reliability = vec![
            ReliabilityBin { below: 0.25, texts: 12, with_label: 1 },
            ReliabilityBin { below: 1.0, texts: 8, with_label: 6 },
        ];
    }
    contents
}

/// Folds that have LayerNorms and all but the first ten word embeddings in common; fold 0 and 1 their pooler as well.
fn tensors(config: &DebertaConfig) -> Vec<Tensors> {
    let fold = |fold: u32| {
        let named =
            config.tensor_shapes(2).into_iter().zip(0..).map(move |((name, shape), place)| {
                let common = name.contains("LayerNorm") || (name.starts_with("pooler") && fold < 2);
                let values = random(shape.iter().product(), place, if common { 0 } else { fold });
                (name, values)
            });
        named.collect::<Tensors>()
    };
    let mut folds: Vec<Tensors> = (0..FOLDS as u32).map(fold).collect();
    let (first, others) = folds.split_first_mut().unwrap();
    let own = 10 * config.embedding_size;
    for other in others {
        other.get_mut(WORDS).unwrap()[own..].copy_from_slice(&first[WORDS][own..]);
    }
    folds
}

/// Folds as fine-tuning makes them of `tensors`' first: matrices differ by about `apart` of their numbers, word embeddings in the
/// first ten rows only, and each has a pooler of its own.
fn relatives(config: &DebertaConfig, apart: f32) -> Vec<Tensors> {
    let ancestor = tensors(config).swap_remove(0);
    let shapes = config.tensor_shapes(2);
    let fold = |fold: u32| {
        let moved = ancestor.iter().zip(100..).map(|((name, values), site)| {
            let width: usize = shapes[name][1..].iter().product();
            let own = random(values.len(), site, fold);
            let moved =
                values.iter().zip(own).enumerate().map(|(place, (value, own))| match &**name {
                    WORDS if place >= 10 * width => *value,
                    "pooler.dense.weight" => own,
                    _ => value + own * apart,
                });
            (name.clone(), moved.collect())
        });
        moved.collect::<Tensors>()
    };
    (0..FOLDS as u32).map(fold).collect()
}

/// Within -1/2..1/2.
fn random(count: usize, seed: u64, site: u32) -> Vec<f32> {
    let key = RandomKey::new(seed, site);
    (0..count).map(|i| key.bits(i as u32) as f32 / 2f32.powi(32) - 0.5).collect()
}

/// Rows of a fold or of the ancestor, which has no pooler, as other pretrained models.
fn rows_of(
    folds: &[Tensors],
    whose: Whose,
    name: &str,
    rows: Range<usize>,
    config: &DebertaConfig,
) -> Option<Vec<f32>> {
    let width: usize = config.tensor_shapes(2)[name][1..].iter().product();
    let range = rows.start * width..rows.end * width;
    match whose {
        Whose::Fold(fold) => Some(folds[fold][name][range].to_vec()),
        Whose::Final => Some(folds.last().unwrap()[name][range].to_vec()),
        Whose::Base if name.starts_with("pooler") => None,
        Whose::Base => Some(tensors(config)[0][name][range].to_vec()),
    }
}

fn bundle_of(contents: Contents, folds: &[Tensors]) -> Bundle {
    bundle_from(Base::Mean, contents, folds)
}

fn bundle_from(base: Base, contents: Contents, folds: &[Tensors]) -> Bundle {
    bundle_with(tokenizer(), base, contents, folds)
}

fn bundle_with(
    tokenizer: &CompactTokenizer,
    base: Base,
    contents: Contents,
    folds: &[Tensors],
) -> Bundle {
    let mut written: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    let tokenizers = vec![tokenizer.clone(); folds.len()];
    let config = contents.config.clone();
    let manifest = write(
        contents,
        &tokenizers,
        base,
        |whose, name, rows| Ok::<_, crate::Error>(rows_of(folds, whose, name, rows, &config)),
        |shard: &Shard, bytes| {
            written.insert(shard.sha256.clone(), bytes);
            Ok(())
        },
    );
    let manifest = manifest.unwrap();
    let shards = manifest.shards().iter().map(|shard| written.remove(&shard.sha256).unwrap());
    let shards = shards.collect();
    assert!(written.is_empty(), "what was written is in the manifest");
    Bundle { manifest, shards }
}

fn encoding(name: &str) -> Encoding {
    name.parse().unwrap()
}

/// A bundle of relatives and their ancestor.
fn delta_bundle(name: &str) -> Bundle {
    let config = config(40);
    let folds = relatives(&config, 0.05);
    bundle_from(Base::Ancestor, contents(encoding(name), config, FOLDS), &folds)
}

fn bundle(encoding: impl Into<Encoding>) -> Bundle {
    let config = config(40);
    let folds = tensors(&config);
    bundle_of(known(contents(encoding, config, FOLDS)), &folds)
}

/// The same as tensors of candle.
fn dense(tensors: &Tensors, config: &DebertaConfig) -> BTreeMap<String, Tensor> {
    let shapes = config.tensor_shapes(2);
    let dense = |(name, values): (&String, &Vec<f32>)| {
        let tensor = Tensor::from_vec(values.clone(), &shapes[name][..], &Device::Cpu).unwrap();
        (name.clone(), tensor)
    };
    tensors.iter().map(dense).collect()
}
