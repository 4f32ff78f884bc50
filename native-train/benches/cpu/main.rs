//! Our side of `cargo xtask bench cpu`: the xsmall geometry, by the protocol of bench/README.md.
//! Tokens are random, and so are the weights of a training; those of inference are the rivals'.

mod limit;

use std::collections::BTreeMap;
use std::io::{BufRead, Write};
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result, bail};
use candle_core::{Device, Tensor};
use clap::Parser;
use native_train::data::{FileOptions, Texts};
use native_train::threads;
use native_train::training::lr_scheduler::LinearSchedule;
use native_train::training::optimizer::Optimizer;
use native_train::training::step_results::StepResults;
use native_train::training::vocabulary::CompactVocabulary;
use native_train::training::{Compute, Precision};
use rayon::prelude::*;
use serde::Deserialize;
use shared::autograd::Tape;
use shared::batch::Batch;
use shared::bundle::{Encoding, resident_classifier};
use shared::kernels::cross_entropy::bce_with_logits_backward;
use shared::kernels::grad_scaler::GradScaler;
use shared::kernels::random::RandomKey;
use shared::model::{Classifier, DebertaConfig, FrozenClassifier};
use shared::tokenizer::Tokenizer;

use limit::Operations;

const LABELS: usize = 5;
const WARM_UP: usize = 3;

/// The vocabulary of random tokens with `--compact`: as many ids as occur in the competition's 6,827 training texts.
const OCCURRING: usize = 8351;

const CONFIG: &str = r#"{
    "model_type": "deberta-v2", "vocab_size": 128100, "hidden_size": 384, "num_hidden_layers": 12,
    "num_attention_heads": 6, "intermediate_size": 1536, "max_position_embeddings": 512,
    "relative_attention": true, "position_buckets": 256, "norm_rel_ebd": "layer_norm",
    "share_att_key": true, "pos_att_type": "p2c|c2p", "position_biased_input": false,
    "type_vocab_size": 0
}"#;

#[derive(Parser)]
struct Arguments {
    /// `inference` or `train`.
    #[arg(long)]
    case: String,
    /// How inference has its weights.
    #[arg(long, default_value = "f32")]
    encoding: Encoding,
    /// Trains only the word embeddings that occur, as `native-train` does, instead of all.
    #[arg(long)]
    compact: bool,
    /// Tokens in every text.
    #[arg(long)]
    length: usize,
    /// Texts.
    #[arg(long)]
    batch: usize,
    #[arg(long)]
    threads: usize,
    /// Timed repeats to expect, for the schedule.
    #[arg(long)]
    repeats: usize,
    /// The folder that `bench/cpu_model.py` made, whose weights inference has instead of random ones.
    #[arg(long)]
    model: Option<PathBuf>,
    /// A CSV whose texts are taken batch by batch, instead of random tokens.
    #[arg(long, requires = "tokenizer")]
    texts: Option<PathBuf>,
    /// The folder of the texts' spm.model.
    #[arg(long)]
    tokenizer: Option<PathBuf>,
    /// The flag that `cargo bench` adds.
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> Result<()> {
    native_train::memory::keep_freed_pages();
    let arguments = Arguments::parse();
    rayon::ThreadPoolBuilder::new().num_threads(arguments.threads).build_global()?;
    let mut config = DebertaConfig::from_json(CONFIG.as_bytes())?;
    let (mut batches, vocab_size) = batches(&arguments, &config)?;
    config.vocab_size = vocab_size;
    let weights = match &arguments.model {
        Some(folder) => {
            candle_core::safetensors::load(folder.join("model.safetensors"), &Device::Cpu)?
                .into_iter()
                .collect()
        }
        None => random_weights(&config)?,
    };
    let Arguments { batch, length, .. } = arguments;
    // Real texts have other lengths in each batch, and other numbers other limits.
    let has_limit = arguments.texts.is_none() && arguments.encoding.is_exact();
    match arguments.case.as_str() {
        "inference" => {
            let classifier = resident_classifier(&config, LABELS, weights, arguments.encoding)?;
            let error = arguments.model.as_ref().map(|folder| logit_error(&classifier, folder));
            let operations = has_limit.then(|| Operations::of_inference(&config, batch, length));
            serve(operations, error.transpose()?, || {
                Ok(classifier.probabilities(&batches.next()).map(drop)?)
            })
        }
        "train" => {
            let compute = Compute { device: Device::Cpu, precision: Precision::F32 };
            let mut optimizer = Optimizer::new(&weights, &compute, 0.01)?;
            let scaler = GradScaler::disabled(&Device::Cpu)?;
            let mut results = StepResults::new(0, Vec::new(), &Device::Cpu)?;
            let classifier = Classifier::new(&config, LABELS, &optimizer.weights())?;
            drop(weights);
            let schedule = LinearSchedule::new(1.5e-5, 0.1, WARM_UP + arguments.repeats + 1);
            let elements = batch * LABELS;
            let targets = (0..elements).map(|i| f32::from(i % 3 == 0)).collect();
            let targets = Tensor::from_vec(targets, (batch, LABELS), &Device::Cpu)?;
            let operations = has_limit.then(|| Operations::of_training(&config, batch, length));
            serve(operations, None, move || {
                optimizer.zero_grad();
                let tape = Tape::new(results.steps() as u64);
                let logits = classifier.forward(&batches.next(), Some(&tape))?;
                let (z, loss) = (logits.tensor(), results.loss(0)?);
                let gradient = bce_with_logits_backward(z, &targets, elements, &scaler, &loss)?;
                tape.backward(&logits, gradient, optimizer.gradients())?;
                let gradients = optimizer.arena().all_gradients();
                scaler.unscale_and_clip(gradients, 1.0, &results.grad_norm()?)?;
                optimizer.step(schedule.learning_rate(results.steps()), &scaler)?;
                results.end_step();
                let [result] = results.read()?[..] else { bail!("one result a step") };
                anyhow::ensure!(result.loss.is_finite(), "the loss is {}", result.loss);
                Ok(())
            })
        }
        other => bail!("unknown case `{other}`"),
    }
}

/// Warms up, then times one repeat for each line on stdin.
fn serve(
    operations: Option<Operations>,
    logit_error: Option<f32>,
    mut repeat: impl FnMut() -> Result<()> + Send,
) -> Result<()> {
    let mut repeat = || threads::compute_on(&Device::Cpu, &mut repeat);
    for _ in 0..WARM_UP {
        repeat()?;
    }
    let mut stdout = std::io::stdout().lock();
    for line in std::io::stdin().lock().lines() {
        line?;
        let start = Instant::now();
        repeat()?;
        let ms = start.elapsed().as_secs_f64() * 1e3;
        let peak =
            native_train::memory::peak_memory_bytes().context("no peak memory on this system")?;
        let least_ms = operations.and_then(Operations::least_ms);
        let line = serde_json::json!({
            "ms": ms, "peak_mib": peak >> 20, "logit_error": logit_error, "least_ms": least_ms
        });
        writeln!(stdout, "{line}")?;
        stdout.flush()?;
    }
    Ok(())
}

/// Some texts' ids and what PyTorch makes of them.
#[derive(Deserialize)]
struct Probe {
    ids: Vec<Vec<u32>>,
    logits: Vec<Vec<f32>>,
}

/// The largest difference of a logit from PyTorch's.
fn logit_error(classifier: &FrozenClassifier, folder: &Path) -> Result<f32> {
    let probe: Probe = serde_json::from_slice(&std::fs::read(folder.join("probe.json"))?)?;
    let logits = classifier.logits(&Batch::pack(probe.ids.iter().map(Vec::as_slice)))?;
    let logits: Vec<f32> = logits.flatten_all()?.to_vec1()?;
    let pairs = logits.iter().zip(probe.logits.iter().flatten());
    Ok(pairs.map(|(ours, theirs)| (ours - theirs).abs()).fold(0.0, f32::max))
}

fn random_weights(config: &DebertaConfig) -> Result<BTreeMap<String, Tensor>> {
    let mut weights = BTreeMap::new();
    for (site, (name, shape)) in (0..).zip(config.tensor_shapes(LABELS)) {
        let key = RandomKey::new(42, site);
        let values = (0..shape.iter().product()).map(|i: usize| {
            // Uniform, with the standard deviation 0.02 that a fresh model has.
            0.0346 * (key.bits(i as u32) as f32 / 2f32.powi(31) - 1.0)
        });
        let tensor = Tensor::from_vec(values.collect(), shape, &Device::Cpu)?;
        weights.insert(name, tensor);
    }
    Ok(weights)
}

/// The source of batches.
enum Batches {
    Same(Batch),
    /// Texts that are encoded when they are needed, as the rival does.
    Texts {
        texts: Vec<String>,
        tokenizer: Box<Tokenizer>,
        /// Ids that occur, if only their word embeddings are trained.
        vocabulary: Option<CompactVocabulary>,
        batch: usize,
        length: usize,
        next: usize,
    },
}

impl Batches {
    fn next(&mut self) -> Batch {
        match self {
            Self::Same(batch) => batch.clone(),
            Self::Texts { texts, tokenizer, vocabulary, batch, length, next } => {
                let rows = (0..*batch).map(|row| &texts[(*next + row) % texts.len()]);
                let encode = |text: &String| {
                    let mut ids = tokenizer.encode(text, *length).input_ids;
                    if let Some(vocabulary) = vocabulary {
                        ids.iter_mut().for_each(|id| *id = vocabulary.compact(*id));
                    }
                    ids
                };
                let ids: Vec<Vec<u32>> = rows.map(encode).collect();
                *next += *batch;
                Batch::pack(ids.iter().map(Vec::as_slice))
            }
        }
    }
}

/// Returns the batches, and the number of word embeddings for their ids.
fn batches(arguments: &Arguments, config: &DebertaConfig) -> Result<(Batches, usize)> {
    let Arguments { batch, length, .. } = *arguments;
    let (Some(csv), Some(folder)) = (&arguments.texts, &arguments.tokenizer) else {
        let vocab_size = if arguments.compact { OCCURRING } else { config.vocab_size };
        return Ok((Batches::Same(random_batch(arguments, vocab_size)), vocab_size));
    };
    let (Texts { texts, .. }, _) = Texts::read(csv, &FileOptions::default())?;
    let spm = std::fs::read(folder.join("spm.model"))?;
    let tokenizer = Box::new(Tokenizer::from_sentencepiece(&spm)?);
    let vocabulary = arguments.compact.then(|| {
        let ids: Vec<Vec<u32>> =
            texts.par_iter().map(|text| tokenizer.encode(text, length).input_ids).collect();
        CompactVocabulary::new(ids.iter().map(Vec::as_slice), config.pad_token_id)
    });
    let vocab_size = vocabulary.as_ref().map_or(config.vocab_size, CompactVocabulary::len);
    Ok((Batches::Texts { texts, tokenizer, vocabulary, batch, length, next: 0 }, vocab_size))
}

fn random_batch(arguments: &Arguments, vocab_size: usize) -> Batch {
    let key = RandomKey::new(42, u32::MAX);
    // The first ids are special.
    let id = |i| 3 + key.bits(i) % (vocab_size as u32 - 3);
    let ids: Vec<u32> = (0..(arguments.batch * arguments.length) as u32).map(id).collect();
    Batch::pack(ids.chunks(arguments.length))
}
