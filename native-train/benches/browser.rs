//! The bundles of `cargo xtask bench browser`: a model folder as one fold or as several.
//!
//! All folds have the folder's word embeddings, as training hardly changes them. The other matrices of all folds but
//! the first are changed a little, so that nothing else is shared and download, memory and loading time are an
//! ensemble's.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Parser;
use native_train::export::BundleFolder;
use shared::bundle::{
    About, Base, Contents, Encoding, LabelScores, Provenance, Scores, Whose, write,
};
use shared::model::DebertaConfig;
use shared::tokenizer::Tokenizer;
use shared::{LabelSet, Thresholds};

const LABELS: [&str; 5] = ["anger", "fear", "joy", "sadness", "surprise"];

#[derive(Parser)]
struct Arguments {
    /// A folder with config.json, model.safetensors and tokenizer.json.
    #[arg(long)]
    model: PathBuf,
    #[arg(long)]
    output: PathBuf,
    /// An encoding without deltas.
    #[arg(long)]
    encoding: Encoding,
    #[arg(long, default_value_t = 1)]
    folds: usize,
    /// The flag that `cargo bench` adds.
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let read = |name: &str| {
        let path = arguments.model.join(name);
        fs::read(&path).with_context(|| format!("cannot read {}", path.display()))
    };
    let config = DebertaConfig::from_json(&read("config.json")?)?;
    let tokenizer = Tokenizer::from_json(&read("tokenizer.json")?)?.compact()?;
    let tensors = candle_core::safetensors::load(
        arguments.model.join("model.safetensors"),
        &candle_core::Device::Cpu,
    )?;
    let labels = LabelSet::new(LABELS.map(str::to_owned).to_vec())?;
    let contents = Contents {
        about: about(&labels, arguments.folds),
        config,
        thresholds: Thresholds::uniform(0.5, labels.len())?,
        labels,
        max_len: 128,
        encoding: arguments.encoding,
        hot_rows: None,
        folds: (0..arguments.folds).collect(),
        final_model: false,
    };
    let mut folder = BundleFolder::open(&arguments.output)?;
    let manifest = write(
        contents,
        &vec![tokenizer; arguments.folds],
        Base::Mean,
        |whose, name, rows| -> Result<Option<Vec<f32>>> {
            let Whose::Fold(fold) = whose else { unreachable!("no encoding here has a base") };
            let tensor = tensors.get(name).with_context(|| format!("no tensor `{name}`"))?;
            let tensor = tensor.narrow(0, rows.start, rows.len())?;
            let mut values = tensor.flatten_all()?.to_vec1::<f32>()?;
            if fold > 0 && !name.contains("word_embeddings") {
                for (i, value) in values.iter_mut().enumerate() {
                    *value *= 1.0 + 0.01 * ((i + fold) % 7) as f32;
                }
            }
            Ok(Some(values))
        },
        |shard, bytes| folder.add(shard, &bytes),
    )?;
    folder.publish(&manifest)
}

/// The description of a run that never took place.
fn about(labels: &LabelSet, folds: usize) -> About {
    let of_label = |label: &String| LabelScores {
        label: label.clone(),
        support: 0,
        f1_at_half: 0.0,
        f1_tuned: 0.0,
        f1_cross_fitted: None,
        interval: None,
        reliability: Vec::new(),
    };
    About {
        title: "a bench".to_owned(),
        license: None,
        provenance: Provenance {
            model: "random".to_owned(),
            seed: 0,
            run_folds: folds,
            averaged_folds: None,
            final_model: false,
            rows: 0,
            versions: BTreeMap::new(),
        },
        scores: Scores {
            rows: 0,
            split: "grouped".to_owned(),
            repeated_rows: 0,
            macro_f1_at_half: 0.0,
            macro_f1_tuned: 0.0,
            macro_f1_cross_fitted: None,
            macro_f1_interval: None,
            per_label: labels.names().iter().map(of_label).collect(),
        },
    }
}
