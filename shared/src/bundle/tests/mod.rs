//! Bundles made here and read again: whole, and with every kind of lie.

mod format;
mod lies;

use std::collections::BTreeMap;
use std::sync::OnceLock;

use candle_core::{Device, Tensor};

use super::{
    About, Contents, Encoding, FoldLoader, FoldModel, LabelScores, Manifest, Provenance, Scores,
    Shard, write,
};
use crate::kernels::random::RandomKey;
use crate::model::DebertaConfig;
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
        let mut loader = FoldLoader::new(&self.manifest, fold);
        for index in self.manifest.shards_of(fold) {
            let shard = self.manifest.shards()[index].open(self.shards[index].clone())?;
            loader.take(index, &shard)?;
        }
        loader.finish()
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

fn contents(encoding: Encoding, config: DebertaConfig, folds: usize) -> Contents {
    let label = |name: &String| LabelScores {
        label: name.clone(),
        support: 7,
        f1_at_half: 0.5,
        f1_tuned: 0.75,
        f1_cross_fitted: None,
    };
    Contents {
        about: About {
            title: "Moods".into(),
            licence: Some("MIT".into()),
            provenance: Provenance {
                model: "mini".into(),
                seed: u64::MAX,
                run_folds: 5,
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
                per_label: labels().names().iter().map(label).collect(),
            },
        },
        config,
        labels: labels(),
        thresholds: Thresholds::new(vec![0.35, 0.5], 2).unwrap(),
        max_len: 16,
        encoding,
        folds: (0..folds).map(|fold| fold + 1).collect(),
    }
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

/// Within -1/2..1/2.
fn random(count: usize, seed: u64, site: u32) -> Vec<f32> {
    let key = RandomKey::new(seed, site);
    (0..count).map(|i| key.bits(i as u32) as f32 / 2f32.powi(32) - 0.5).collect()
}

fn bundle_of(contents: Contents, folds: &[Tensors]) -> Bundle {
    let mut written: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    let tokenizers = vec![tokenizer().clone(); folds.len()];
    let manifest = write(
        contents,
        &tokenizers,
        |fold, name| Ok::<_, crate::Error>(folds[fold][name].clone()),
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

fn bundle(encoding: Encoding) -> Bundle {
    let config = config(40);
    let folds = tensors(&config);
    bundle_of(contents(encoding, config, FOLDS), &folds)
}

/// As candle wants them.
fn dense(tensors: &Tensors, config: &DebertaConfig) -> BTreeMap<String, Tensor> {
    let shapes = config.tensor_shapes(2);
    let dense = |(name, values): (&String, &Vec<f32>)| {
        let tensor = Tensor::from_vec(values.clone(), &shapes[name][..], &Device::Cpu).unwrap();
        (name.clone(), tensor)
    };
    tensors.iter().map(dense).collect()
}
