//! Model folders as people have them: added tokens, odd labels, checkpoints of training programs.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use candle_core::{Device, Tensor};
use serde_json::{Value, json};
use shared::model::DebertaConfig;
use shared::tokenizer::Tokenizer;

use super::{Folder, sentences, without_host};

const TRAIN: &str =
    "train --model base --folds 2 --epochs 1 --threads 2 --train-csv train.csv --output run";

fn config(vocab_size: usize) -> Value {
    json!({
        "model_type": "deberta-v2", "vocab_size": vocab_size, "hidden_size": 8, "intermediate_size": 8,
        "num_hidden_layers": 1, "num_attention_heads": 2, "relative_attention": true, "position_buckets": 4,
        "norm_rel_ebd": "layer_norm", "share_att_key": true, "pos_att_type": "p2c|c2p",
        "position_biased_input": false, "max_position_embeddings": 128,
    })
}

/// Texts of people who are called `[USER]`, in some of whom the case and the punctuation matter.
fn tweets() -> String {
    sentences(60).replace("a lovely", "[USER] Lovely!").replace("a dark", "dark,[USER]")
}

/// A folder `base` with the small SentencePiece model of the tokenizer's tests, 234 pieces, and weights for `rows` ids.
fn base(rows: usize, config: &Value) -> Folder {
    let folder =
        Folder::with(&[("train.csv", &tweets()), ("base/config.json", &config.to_string())]);
    let model =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/tests/tokenizers/small.model");
    folder.write("base/spm.model", fs::read(model).unwrap());
    let config = DebertaConfig::of_base_model(config.to_string().as_bytes()).unwrap().0;
    let mut tensors = BTreeMap::new();
    for (name, mut shape) in config.tensor_shapes(2) {
        if name.contains("word_embeddings") {
            shape[0] = rows;
        }
        let count: usize = shape.iter().product();
        let values: Vec<f32> =
            (0..count).map(|i| ((i * 7 + name.len()) % 23) as f32 / 23.0 - 0.5).collect();
        if name.starts_with("deberta.") {
            tensors.insert(name, Tensor::from_vec(values, shape, &Device::Cpu).unwrap());
        }
    }
    let file = folder.path().join("base/model.safetensors");
    candle_core::safetensors::save(&tensors.into_iter().collect(), file).unwrap();
    folder
}

fn succeeded(said: &str) {
    assert!(said.starts_with("exit code: 0\n"), "{said}");
}

#[test]
fn a_tokenizer_with_settings_goes_from_the_folder_to_the_bundle() {
    let folder = base(235, &config(235));
    folder.write(
        "base/tokenizer_config.json",
        json!({"tokenizer_class": "DebertaV2Tokenizer", "do_lower_case": true, "split_by_punct": true,
            "strip_accents": true})
        .to_string(),
    );
    folder.write("base/added_tokens.json", json!({"[MASK]": 234, "[USER]": 235}).to_string());
    let said = folder.run(TRAIN);
    succeeded(&said);
    let warned = "warning: model `base` gets 1 new word embedding at the mean of its 235, for the added tokens `[USER]`\n";
    assert!(said.contains(warned), "{said}");
    assert!(
        said.contains("warning: model `base`: `strip_accents` of tokenizer_config.json"),
        "{said}"
    );

    let config: Value = serde_json::from_str(&folder.read("run/fold-0/config.json")).unwrap();
    assert_eq!(config["vocab_size"], 236);
    // The run needs none of the files beside the vocabulary.
    let text = |path: &str| {
        let mut command = folder.command(&format!("inspect {path} --text"));
        super::told(&command.arg("HEY,[USER] How?").output().unwrap())
    };
    let of_base = text("base");
    succeeded(&of_base);
    assert!(
        of_base.contains(" 235 ") && of_base.contains("▁h") && !of_base.contains('H'),
        "{of_base}"
    );
    assert_eq!(text("run/fold-1"), of_base);
    let described = folder.run("inspect base");
    assert!(
        described.contains("236 ids") && described.contains("added tokens: [MASK] [USER]"),
        "{described}"
    );
    assert!(described.contains("note: `strip_accents` of tokenizer_config.json"), "{described}");

    // Export compares the bundle's answers with the run's, on the same texts.
    let said = folder.run("export --run run --output bundle --encoding f32 --quiet");
    succeeded(&said);
    assert!(said.contains("probabilities differ from the run's by at most 0.0e0"), "{said}");
    succeeded(&folder.run("predict --run run --input train.csv --output labelled.csv --quiet"));
}

#[test]
fn flags_of_added_tokens_go_from_the_folder_to_the_bundle() {
    let folder = base(240, &config(240));
    let token = |text: &str, flag: &str| json!({"content": text, flag: true});
    folder.write(
        "base/tokenizer_config.json",
        json!({"added_tokens_decoder": {
            "234": {"content": "[MASK]", "lstrip": true, "special": true},
            "235": token("[USER]", "single_word"), "236": token("smile", "rstrip"), "237": token("Cake", "normalized"),
        }, "extra_special_tokens": {"party_token": "party"}})
        .to_string(),
    );
    succeeded(&folder.run(TRAIN));
    let said = folder.run("export --run run --output bundle --encoding f32 --quiet");
    succeeded(&said);
    assert!(said.contains("probabilities differ from the run's by at most 0.0e0"), "{said}");
}

#[test]
fn a_setting_that_cannot_be_honoured_is_refused_before_the_run_begins() {
    let folder = base(240, &config(240));
    folder.write("base/tokenizer_config.json", json!({"split_special_tokens": true}).to_string());
    for line in [format!("{TRAIN} --dry-run"), TRAIN.to_owned()] {
        let said = folder.run(&line);
        assert!(said.starts_with("exit code: 2\n"), "{said}");
        assert!(said.contains("error: model `base`: tokenizer: tokenizer_config.json: `split_special_tokens` is true"), "{said}");
        assert!(said.contains("hint: mend that file of the model's folder"), "{said}");
    }
    assert!(!folder.path().join("run/fold-0").exists());
}

#[test]
fn a_base_whose_labels_are_odd_is_trained_and_inspect_tells() {
    let mut config = config(240);
    config["id2label"] = json!({"0": 7, "2": null});
    config["label2id"] = json!({"seven": true});
    let folder = base(240, &config);
    let said = folder.run(TRAIN);
    succeeded(&said);
    let told = "`id2label` has the numbers 0, 2, not 0, 1, 2 and so on";
    assert!(
        said.contains(&format!("the labels in the config of model `base` are not used: {told}")),
        "{said}"
    );
    let trained: Value = serde_json::from_str(&folder.read("run/fold-0/config.json")).unwrap();
    assert_eq!(trained["id2label"], json!({"0": "joy", "1": "fear"}));
    let described = folder.run("inspect base");
    assert!(described.contains(&format!("note: {told}")), "{described}");
    assert!(described.contains("note: `label2id` has true for `seven`"), "{described}");
    // A run stays strict.
    folder.write("run/fold-0/config.json", config.to_string());
    let said = folder.run("predict --run run --input train.csv --output labelled.csv --quiet");
    assert!(said.starts_with("exit code: 2\n") && said.contains("fold-0/config.json"), "{said}");
}

/// The files of `tests/fixtures/pretrained/checkpoints` by name.
fn checkpoints() -> Vec<PathBuf> {
    let folder =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/pretrained/checkpoints");
    let mut files: Vec<PathBuf> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

#[test]
fn a_dry_run_and_a_training_say_the_same_of_every_checkpoint() {
    let tokenizer = Tokenizer::learn(["a"].iter(), 7).unwrap();
    let config = json!({
        "model_type": "deberta-v2", "vocab_size": 6, "hidden_size": 4, "intermediate_size": 4,
        "num_hidden_layers": 1, "num_attention_heads": 2, "relative_attention": true, "position_buckets": 2,
        "norm_rel_ebd": "layer_norm", "share_att_key": true, "pos_att_type": "p2c|c2p",
        "position_biased_input": false,
    });
    let (mut loaded, mut refused) = (0, 0);
    for checkpoint in checkpoints() {
        let folder = Folder::with(&[
            ("train.csv", &sentences(20)),
            ("base/config.json", &config.to_string()),
            ("base/tokenizer.json", &tokenizer.to_json()),
        ]);
        fs::copy(&checkpoint, folder.path().join("base/pytorch_model.bin")).unwrap();
        let lines = |line: &str| -> Vec<String> {
            let said = without_host(&folder.run(line));
            let kept = |line: &&str| {
                ["exit code", "error", "hint", "the tensors"]
                    .iter()
                    .any(|start| line.starts_with(start))
                    || line.contains("tensors loaded")
            };
            said.lines().filter(kept).map(str::to_owned).collect()
        };
        let dry = lines(&format!("{TRAIN} --dry-run"));
        assert_eq!(lines(TRAIN), dry, "{}", checkpoint.display());
        match dry[0].as_str() {
            "exit code: 0" => loaded += 1,
            "exit code: 2" => refused += 1,
            other => panic!("{other}: {dry:?}"),
        }
    }
    assert!(loaded >= 12 && refused >= 7, "{loaded} loaded, {refused} refused");
}

#[test]
fn weights_of_another_program_are_named() {
    let folder = base(240, &config(240));
    fs::remove_file(folder.path().join("base/model.safetensors")).unwrap();
    folder.write("base/model.onnx", b"\x08\x07\x12\x07pytorch");
    insta::assert_snapshot!(folder.run(&format!("{TRAIN} --dry-run --quiet")), @"
    exit code: 2
    --- stderr
    error: `base/model.onnx` is an ONNX model, which cannot be read
    hint: it is made for inference; pass the PyTorch or safetensors weights that it was made from
    ");
    insta::assert_snapshot!(folder.run("inspect base/model.onnx"), @"
    exit code: 2
    --- stderr
    error: `base/model.onnx` is an ONNX model, which cannot be read
    hint: it is made for inference; pass the PyTorch or safetensors weights that it was made from
    ");
}
