//! `inspect`: describes a model folder, run, bundle, tokenizer or weights file.

pub mod bundle;
mod tokenizer;

use std::{fmt::Write, fs, path::Path};

use anyhow::{Context, Result};
use serde_json::Value;
use shared::words::{counted, joined, thousands};

use super::stdout::print;
use crate::{
    cli::InspectArgs,
    config::TrainConfig,
    error::UserError,
    evaluation::report::Summary,
    export::folder::MANIFEST,
    pretrained::{
        Listing, foreign_file as foreign, layout::WEIGHT_FILES, read_config, tokenizer_file,
    },
    run::{Run, files::read_json, tables::ThresholdTable},
};

/// Prints the description.
///
/// # Errors
/// If PATH is none of these, or is damaged.
pub fn run(args: &InspectArgs) -> Result<()> {
    let path = &args.path;
    let answer = match &args.text {
        Some(text) => tokenizer::tokens(&tokenizer::find(path)?, text),
        None if !path.exists() => return Err(missing(path).into()),
        None if path.is_dir() => folder(path)?,
        None => file(path)?,
    };
    print(&answer)
}

fn folder(path: &Path) -> Result<String> {
    if path.join("config.toml").is_file() {
        return run_folder(path);
    }
    if path.join(MANIFEST).is_file() {
        return bundle::describe(path);
    }
    let (config, tokenizer) = (path.join("config.json"), tokenizer_file(path));
    let has_weights = WEIGHT_FILES.iter().any(|name| path.join(name).is_file());
    if !config.is_file() && !has_weights && tokenizer.is_none() {
        return Err(unknown(path).into());
    }
    let mut answer = format!("model folder `{}`\n", path.display());
    if config.is_file() {
        answer += &indented(&model_config(&config)?);
    }
    if let Some(path) = tokenizer {
        answer += &indented(&tokenizer::describe(&path)?);
    }
    if has_weights {
        let listing = Listing::read(path)?;
        writeln!(answer, "  weights: {}\n{}", size(&listing), table(&listing))?;
    }
    Ok(answer)
}

fn run_folder(path: &Path) -> Result<String> {
    let run = Run::open(path)?;
    let config = TrainConfig::load(&run.config_toml())?;
    let (trained, _) = run.split_trained(0..config.folds);
    let mut answer = format!("run `{}`\n", path.display());
    writeln!(answer, "  trained from {}, seed {}", config.model, config.seed)?;
    let numbers = if trained.is_empty() { "none".to_owned() } else { joined(&trained) };
    writeln!(answer, "  {} folds ({}), trained: {numbers}", config.folds, config.split)?;
    if run.thresholds_json().is_file() {
        let table = ThresholdTable::read(&run.thresholds_json())?;
        let pairs = table.labels.names().iter().zip(table.thresholds.values());
        let pairs: Vec<String> = pairs.map(|(label, t)| format!("{label} {t:.2}")).collect();
        writeln!(answer, "  thresholds: {}", pairs.join(", "))?;
    }
    if run.final_model().has_model() {
        writeln!(answer, "  beside them a final model of all rows, which `export` takes along")?;
    }
    if run.summary_json().is_file() {
        let summary = read_json::<Summary>(&run.summary_json())?;
        if let Some(distillation) = summary.distillation {
            let (teacher, scores) = (distillation.teacher, distillation.teacher_scores);
            writeln!(
                answer,
                "  learned from `{teacher}`, whose macro-F1 at 0.5 is {:.4}",
                scores.macro_f1_at_half
            )?;
        }
        let scores = summary.cross_validation;
        writeln!(answer, "  cross-validated macro-F1 at 0.5: {:.4}", scores.macro_f1_at_half)?;
        if let Some(honest) = scores.macro_f1_cross_fitted {
            writeln!(
                answer,
                "  cross-validated macro-F1 with cross-fitted thresholds: {honest:.4}"
            )?;
        }
    }
    if let Some(&fold) = trained.first() {
        writeln!(answer, "  fold-{fold}:")?;
        let fold = run.fold(fold);
        let size = size(&Listing::read(&fold.model_safetensors())?);
        let parts = [model_config(&fold.config_json())?, format!("weights: {size}\n")];
        answer += &indented(&indented(&parts.concat()));
        answer += &indented(&indented(&tokenizer::describe(&fold.tokenizer_json())?));
    }
    Ok(answer)
}

fn file(path: &Path) -> Result<String> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let is_index = name.ends_with(".index.json");
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("safetensors" | "bin" | "pt" | "pth") => weights(path),
        Some("json") if is_index => weights(path),
        Some("json") if json(path)?.get("model_type").is_some() => {
            Ok(format!("model config `{}`\n{}", path.display(), indented(&model_config(path)?)))
        }
        Some("json" | "model") => tokenizer::describe(path),
        _ => Err(foreign(path).unwrap_or_else(|| unknown(path)).into()),
    }
}

fn weights(path: &Path) -> Result<String> {
    let listing = Listing::read(path)?;
    Ok(format!("weights `{}`: {}\n{}", path.display(), size(&listing), table(&listing)))
}

fn size(listing: &Listing) -> String {
    format!(
        "{}, {}",
        counted(listing.0.len(), "tensor"),
        counted(listing.parameters(), "parameter")
    )
}

/// A line for each tensor: format, shape, name.
fn table(listing: &Listing) -> String {
    let shapes: Vec<String> =
        listing.0.iter().map(|tensor| format!("{:?}", tensor.shape)).collect();
    let width = shapes.iter().map(String::len).max().unwrap_or(0);
    let lines = listing.0.iter().zip(&shapes);
    lines.map(|(t, shape)| format!("  {:<4} {shape:<width$} {}\n", t.format, t.name)).collect()
}

fn model_config(path: &Path) -> Result<String> {
    let (config, odd_labels) = read_config(path)?;
    let mut answer = format!(
        "config: {} layers x {}, {} heads, feed-forward {}, {} embeddings, {} positions\n",
        config.num_hidden_layers,
        config.hidden_size,
        config.num_attention_heads,
        config.intermediate_size,
        thousands(config.vocab_size),
        config.max_position_embeddings,
    );
    if let Some(labels) = &config.labels {
        writeln!(answer, "labels: {}", labels.names().join(", "))?;
    }
    for odd in odd_labels {
        writeln!(answer, "note: {odd}; a training does without")?;
    }
    Ok(answer)
}

fn json(path: &Path) -> Result<Value> {
    let bytes = fs::read(path).with_context(|| format!("cannot read `{}`", path.display()))?;
    serde_json::from_slice(&bytes)
        .map_err(|error| UserError::new(format!("`{}`: {error}", path.display())).into())
}

fn indented(text: &str) -> String {
    text.lines().map(|line| format!("  {line}\n")).collect()
}

fn missing(path: &Path) -> UserError {
    UserError::new(format!("`{}` does not exist", path.display()))
        .hint("check the path; a relative one starts at the current folder")
}

fn unknown(path: &Path) -> UserError {
    UserError::new(format!(
        "`{}` is not a model, run, bundle, tokenizer or weights file",
        path.display()
    ))
    .hint(
        "pass a folder with config.toml, config.json or manifest.json, or a file tokenizer.json, spm.model, \
         *.safetensors or pytorch_model.bin",
    )
}
