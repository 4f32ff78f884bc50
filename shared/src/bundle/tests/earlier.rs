//! Bundles of an earlier program: they load and answer as before, and today's writer makes the same bytes.
//!
//! `tests/bundles` was written by commit 0fff568, before matrices were of one type and when manifests said `licence`. It has two
//! bundles in full. Of the others it has the sha256 of the manifest, which lists that of each shard, and the answers.

use std::fs;
use std::path::PathBuf;

use serde::Deserialize;
use sha2::{Digest, Sha256};

use super::*;
use crate::kernels::isa::Isa;

/// The bundles in full, each with ids from 12 on cold.
const IN_FULL: [&str; 2] = ["int12", "int8/int4+1/2"];

/// The largest difference of a probability. The answers were computed without fused products, which only the portable kernels
/// do without today; elsewhere a sum that is rounded otherwise may move an activation of integers by a step.
fn tolerance() -> f32 {
    if Isa::best() == Isa::Portable { 1e-6 } else { 2e-5 }
}

#[derive(Deserialize)]
struct Earlier {
    encoding: Encoding,
    hot_rows: Option<usize>,
    base: String,
    /// The sha256 of `manifest.json`.
    manifest: String,
    /// [folds, texts, labels]
    probabilities: Vec<Vec<Vec<f32>>>,
}

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/bundles")
}

fn all() -> Vec<Earlier> {
    serde_json::from_slice(&fs::read(folder().join("bundles.json")).unwrap()).unwrap()
}

fn read(name: &str) -> Bundle {
    let folder = folder().join(name.replace('/', "-"));
    let manifest = Manifest::from_json(&fs::read(folder.join("manifest.json")).unwrap()).unwrap();
    let read = |shard: &Shard| fs::read(folder.join(shard.file_name())).unwrap();
    let shards = manifest.shards().iter().map(read).collect();
    Bundle { manifest, shards }
}

#[track_caller]
fn assert_answers(bundle: &Bundle, earlier: &Earlier) {
    for (fold, expected) in earlier.probabilities.iter().enumerate() {
        let answers = bundle.load(fold).unwrap().classify(&TEXTS).unwrap();
        let found = answers.into_iter().flat_map(|answer| answer.unwrap().probabilities);
        let name = earlier.encoding;
        for (found, expected) in found.zip(expected.iter().flatten()) {
            assert!((found - expected).abs() < tolerance(), "{name}: {found}, was {expected}");
        }
    }
}

#[test]
fn an_earlier_bundle_loads_and_answers_as_before() {
    for name in IN_FULL {
        let bundle = read(name);
        assert_eq!(bundle.manifest.license(), Some("MIT"), "then called `licence`");
        let is_this =
            |earlier: &Earlier| earlier.encoding == encoding(name) && earlier.hot_rows == Some(12);
        assert_answers(&bundle, &all().into_iter().find(is_this).unwrap());
    }
}

#[test]
fn the_writer_makes_the_bytes_that_it_made_before() {
    // The tokenizer of then: what the library learns today is not what is tested.
    let tokenizer = read("int12").load(0).unwrap().tokenizer().clone();
    let all = all();
    assert_eq!(all.len(), 37);
    for earlier in all {
        let config = config(40);
        let has_deltas = earlier.encoding.has_deltas();
        let folds = if has_deltas { relatives(&config, 0.05) } else { tensors(&config) };
        let contents =
            Contents { hot_rows: earlier.hot_rows, ..contents(earlier.encoding, config, FOLDS) };
        let base = if earlier.base == "mean" { Base::Mean } else { Base::Ancestor };
        let bundle = bundle_with(&tokenizer, base, contents, &folds);

        let manifest = bundle.manifest.to_json().replacen("\"license\"", "\"licence\"", 1);
        let hash: String =
            Sha256::digest(manifest).iter().map(|byte| format!("{byte:02x}")).collect();
        let Earlier { encoding, hot_rows, base, manifest, .. } = &earlier;
        assert_eq!(hash, *manifest, "{encoding}, {hot_rows:?} hot rows, {base}");
        assert_answers(&bundle, &earlier);
    }
}
