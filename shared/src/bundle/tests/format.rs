//! What is written reads back.

use std::collections::BTreeSet;

use proptest::prelude::*;
use safetensors::SafeTensors;

use super::super::encoding::Residency;
use super::super::sink::{Filled, Sink};
use super::super::{
    EnsembleScores, Evidence, FoldScores, LARGEST_SHARD, Verification, resident_classifier,
};
use super::*;
use crate::batch::Batch;
use crate::nn::QuantizedEmbedding;
use crate::quant::QuantizedMatrix;

fn logit_difference(encoding: Format) -> f32 {
    let config = config(40);
    largest_logit_difference(&bundle(encoding), &tensors(&config))
}

/// The largest difference of a logit between the bundle's folds and the tensors it was made of.
pub(super) fn largest_logit_difference(bundle: &Bundle, folds: &[Tensors]) -> f32 {
    let config = bundle.manifest.config();
    let mut largest = 0.0_f32;
    for (fold, tensors) in folds.iter().enumerate() {
        let model = bundle.load(fold).unwrap();
        let ids = TEXTS.map(|text| model.tokenizer().encode(text, 16).input_ids);
        let batch = Batch::pack(ids.iter().map(Vec::as_slice));
        let logits = |classifier: &crate::model::FrozenClassifier| {
            classifier.logits(&batch).unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap()
        };
        let dense = dense(tensors, config);
        let expected = resident_classifier(config, 2, dense, Format::F32.into()).unwrap();
        for (found, expected) in logits(model.classifier()).iter().zip(logits(&expected)) {
            largest = largest.max((found - expected).abs());
        }
    }
    largest
}

/// Weights are within 1/2 and matrices some 20 wide, so logits are some tenths: the error of a stored number is
/// 2^-12 of it at most in f16, 1/254 of its row's largest in int8, and sums over a few layers.
#[test]
fn a_fold_says_what_its_tensors_say() {
    assert_eq!(logit_difference(Format::F32), 0.0);
    let f16 = logit_difference(Format::F16);
    assert!(0.0 < f16 && f16 < 2e-3, "{f16}");
    let int16 = logit_difference(Format::Int16);
    assert!(0.0 < int16 && int16 < f16 / 3.0, "{int16}");
    let int12 = logit_difference(Format::Int12);
    let int8 = logit_difference(Format::Int8);
    assert!(int16 < int12 && int12 < int8 / 8.0, "{int12}");
    assert!(f16 < int8 && int8 < 5e-2, "{int8}");
    // Sixteen levels instead of 255.
    let int4 = logit_difference(Format::Int4);
    assert!(int8 < int4 && int4 < 30.0 * int8, "{int4}");
}

/// A model of tensors in memory is the fold of their bundle, to the bit, in every format that has no deltas.
#[test]
fn a_resident_classifier_is_the_fold_of_a_bundle() {
    let config = config(40);
    let batch = Batch::pack([&[1, 5, 9, 2][..], &[1, 30, 2]]);
    for (name, format) in Format::NAMED {
        let loaded = bundle(format).load(0).unwrap();
        let dense = dense(&tensors(&config)[0], &config);
        let resident = resident_classifier(&config, 2, dense, format.into()).unwrap();
        let found = resident.probabilities(&batch).unwrap();
        assert_eq!(found, loaded.classifier().probabilities(&batch).unwrap(), "{name}");
    }
}

/// One large number a row takes seven bits of eight from the others.
#[test]
fn a_matrix_with_outliers_has_four_more_bits() {
    const OUTPUT: &str = "deberta.encoder.layer.0.output.dense.weight";
    let mut config = config(40);
    config.intermediate_size = 64;
    let mut folds = tensors(&config);
    let written = |folds: &[Tensors], encoding: &str| {
        let encoding: Encoding = encoding.parse().unwrap();
        let bundle = bundle_of(contents(encoding, config.clone(), FOLDS), folds);
        let mut types = BTreeSet::new();
        for shard in &bundle.shards {
            if let Ok(view) = SafeTensors::deserialize(shard).unwrap().tensor(OUTPUT) {
                types.insert(format!("{:?}", view.dtype()));
            }
        }
        (largest_logit_difference(&bundle, folds), types.into_iter().collect::<Vec<_>>())
    };
    let (_, types) = written(&folds, "int8");
    assert_eq!(types, ["I8"]);
    // In one fold only; all folds have the same format.
    for row in folds[1].get_mut(OUTPUT).unwrap().chunks_exact_mut(64) {
        row[7] = 20.0;
    }
    let (difference, types) = written(&folds, "int8");
    assert_eq!(types, ["U8"]);
    let (of_int12, _) = written(&folds, "int12");
    assert!(difference < 40.0 * of_int12, "{difference}, {of_int12} in int12");
    // Deltas make up for the rounding of their base.
    let (_, types) = written(&folds, "int8+4/4");
    assert!(types.contains(&"I8".to_owned()), "{types:?}");
}

#[test]
fn answers_are_a_text_each_and_say_what_was_cut() {
    let model = bundle(Format::Int8).load(0).unwrap();
    let long = "dog ".repeat(40);
    let texts: Vec<&str> = TEXTS.into_iter().chain([&*long]).collect();
    let together = model.classify(&texts).unwrap();
    assert_eq!(together.len(), texts.len());
    for (text, answer) in texts.iter().zip(&together) {
        let answer = answer.as_ref().unwrap();
        assert_eq!(answer.truncated, *text == long);
        assert!(answer.probabilities.iter().all(|p| (0.0..=1.0).contains(p)));
        let alone = model.classify(&[text]).unwrap().remove(0).unwrap();
        for (a, b) in alone.probabilities.iter().zip(&answer.probabilities) {
            assert!(
                (a - b).abs() < 1e-6,
                "{text}: sums of a product may be taken in another order"
            );
        }
    }
    assert_eq!(model.classify::<&str>(&[]).unwrap(), []);
}

#[test]
fn the_manifest_reads_back() {
    let manifest = bundle(Format::Int8).manifest;
    let verification = Verification {
        rows: 20,
        logit_difference: 0.01,
        fold_probability_difference: 0.002,
        probability_difference: 0.001,
        mean_fold_probability_difference: 0.0002,
        mean_probability_difference: 0.0001,
        tolerance: 0.05,
        macro_f1_run: 0.7,
        macro_f1_bundle: 0.7,
        folds: vec![FoldScores { macro_f1_run: 0.75, macro_f1_bundle: 0.625 }; FOLDS],
        ensemble: EnsembleScores {
            rows: 9,
            seen_in_training: true,
            agreement: 0.96875,
            macro_f1_run: Some(0.875),
            macro_f1_bundle: None,
        },
    };
    for manifest in [manifest.clone(), manifest.verified(verification, None)] {
        assert_eq!(Manifest::from_json(manifest.to_json().as_bytes()).unwrap(), manifest);
    }
}

#[test]
fn a_probability_finds_the_texts_that_were_given_one_like_it() {
    let manifest = bundle(Format::Int8).manifest;
    let label = &manifest.scores().per_label[0];
    let found = |probability| {
        let Evidence { from, to, texts, with_label } = label.evidence(probability).unwrap();
        (from, to, texts, with_label)
    };
    let (low, high) = ((0.0, 0.25, 12, 1), (0.25, 1.0, 8, 6));
    assert_eq!([0.0, 0.2499].map(found), [low; 2]);
    assert_eq!([0.25, 0.9, 1.0].map(found), [high; 3]);

    // A manifest of an earlier version has neither table nor intervals.
    let mut json: serde_json::Value = serde_json::from_str(&manifest.to_json()).unwrap();
    let scores = json["scores"].as_object_mut().unwrap();
    scores.remove("macro_f1_interval").unwrap();
    for label in scores["per_label"].as_array_mut().unwrap() {
        let label = label.as_object_mut().unwrap();
        label.remove("reliability").unwrap();
        label.remove("interval").unwrap();
    }
    let earlier = Manifest::from_json(json.to_string().as_bytes()).unwrap();
    assert_eq!(earlier.scores().macro_f1_interval, None);
    assert_eq!(earlier.scores().per_label[0].evidence(0.5), None);
    assert_eq!(serde_json::from_str::<serde_json::Value>(&earlier.to_json()).unwrap(), json);
}

#[test]
fn the_same_run_gives_the_same_bytes() {
    let (first, second) = (bundle(Format::Int8), bundle(Format::Int8));
    assert_eq!(first.manifest.to_json(), second.manifest.to_json());
    assert!(first.shards == second.shards);
}

#[test]
fn what_folds_have_in_common_is_stored_once() {
    let Bundle { manifest, shards } = bundle(Format::Int8);
    let holders = |name: &str| -> Vec<(&[usize], usize)> {
        let rows = manifest.shards().iter().zip(&shards).filter_map(|(shard, bytes)| {
            let tensors = SafeTensors::deserialize(bytes).unwrap();
            let rows = tensors.tensor(name).ok()?.shape()[0];
            Some((&shard.folds[..], rows))
        });
        rows.collect()
    };
    let (all, pair, alone) = (&[0, 1, 2][..], &[0, 1][..], &[2][..]);
    assert_eq!(holders(WORDS), [(all, 30), (&[0][..], 10), (&[1][..], 10), (alone, 10)]);
    assert_eq!(holders("deberta.embeddings.LayerNorm.weight"), [(all, 16)]);
    assert_eq!(holders("pooler.dense.weight"), [(pair, 16), (alone, 16)]);
    assert_eq!(holders("tokenizer.form").len(), 1);
    let needed = |fold| manifest.shards_of(fold).len();
    assert_eq!((manifest.shards().len(), needed(0), needed(1), needed(2)), (5, 3, 3, 2));
    let bytes: usize = shards.iter().map(Vec::len).sum();
    assert_eq!(manifest.download_bytes(), bytes as u64);
}

/// What weight decay does to the words that a fold's texts have not, when its best epoch is an earlier one.
#[test]
fn rows_that_differ_by_less_than_half_a_step_are_stored_once() {
    let config = config(40);
    let mut folds = tensors(&config);
    let own = 10 * config.embedding_size;
    folds[1].get_mut(WORDS).unwrap()[own..].iter_mut().for_each(|weight| *weight *= 0.9995);
    let shared_rows = |encoding| {
        let bundle = bundle_of(contents(encoding, config.clone(), FOLDS), &folds);
        let in_all = bundle.manifest.shards().iter().position(|s| s.folds.len() == FOLDS).unwrap();
        let tensors = SafeTensors::deserialize(&bundle.shards[in_all]).unwrap();
        tensors.tensor(WORDS).map_or(0, |rows| rows.shape()[0])
    };
    assert!(
        shared_rows(Format::Int8) >= 25,
        "but for numbers that fall on the other side of a half"
    );
    for encoding in [Format::Int16, Format::F16, Format::F32] {
        assert_eq!(shared_rows(encoding), 0);
    }
}

#[test]
fn one_fold_may_stand_alone() {
    let config = config(40);
    let folds = tensors(&config);
    let one = bundle_of(contents(Format::F16, config, 1), &folds[1..2]);
    assert_eq!((one.manifest.folds(), one.manifest.shards().len()), (1, 1));
    assert_eq!(one.manifest.fold_numbers(), [1]);
    assert_eq!(one.load(0).unwrap().classify(&["a cat"]).unwrap().len(), 1);
}

#[test]
fn a_large_table_is_cut_where_a_shard_is_full() {
    let config = config(300_000);
    let folds: Vec<Tensors> = tensors(&config).into_iter().take(1).collect();
    let bundle = bundle_of(contents(Format::F32, config, 1), &folds);
    assert_eq!(bundle.shards.len(), 2);
    let full = bundle.shards[0].len() as u64;
    assert!(full <= LARGEST_SHARD && full > LARGEST_SHARD - 4096, "{full}");
    bundle.load(0).unwrap();
}

#[test]
fn weights_that_are_no_numbers_are_refused_by_name() {
    let config = config(40);
    let refused = |value: f32, encoding| {
        let mut folds = tensors(&config);
        folds[0].get_mut("deberta.encoder.layer.0.output.dense.weight").unwrap()[3] = value;
        let outcome = write(
            contents(encoding, config.clone(), FOLDS),
            &vec![tokenizer().clone(); FOLDS],
            Base::Mean,
            |whose, name, rows| Ok::<_, crate::Error>(rows_of(&folds, whose, name, rows, &config)),
            |_, _| Ok(()),
        );
        outcome.unwrap_err().to_string()
    };
    let told = refused(f32::NAN, Format::F32);
    assert_eq!(
        told,
        "bundle: tensor `deberta.encoder.layer.0.output.dense.weight`: a weight is not a finite number"
    );
    assert!(refused(1e5, Format::F16).contains("too large for f16"));
}

#[test]
fn int8_keeps_a_row_within_half_a_step() {
    let rows = [0.3, -1.27, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1e-42, -2e-42, 0.0, 0.0];
    let matrix = QuantizedMatrix::encode(Format::Int8, &rows, 4).unwrap();
    let mut decoded = [0.0; 4];
    for ((row, expected), scale) in rows.chunks(4).enumerate().zip(matrix.scales()) {
        matrix.row_into(row, &mut decoded);
        for (found, expected) in decoded.iter().zip(expected) {
            let error = (found - expected).abs();
            assert!(error <= 0.51 * scale.max(1e-41), "{expected}: {error}");
        }
    }
    assert_eq!(matrix.into_data()[..8], [30, -127_i8 as u8, 0, 100, 0, 0, 0, 0]);
}

fn decoded(filled: Filled, rows: usize) -> Vec<f32> {
    let tensor = match filled {
        Filled::Dense(tensor) => tensor,
        Filled::Packed(_) => unreachable!("compared as it is"),
        Filled::Rows(segment) => {
            let all: Vec<u32> = (0..rows as u32).collect();
            QuantizedEmbedding::new(segment, rows).gather(&all).unwrap()
        }
    };
    tensor.flatten_all().unwrap().to_vec1().unwrap()
}

proptest! {
    /// Rows come in any order and in blocks of any size; decoded at once or kept, they are the same.
    #[test]
    fn rows_find_their_place_whatever_the_blocks(
        order in Just((0..17_usize).collect::<Vec<_>>()).prop_shuffle(),
        cuts in prop::collection::btree_set(1..17_usize, 0..6),
        (_, format) in prop::sample::select(Format::NAMED.to_vec()),
    ) {
        const WIDTH: usize = 3;
        let encoded = QuantizedMatrix::encode(format, &random(17 * WIDTH, 1, 1), WIDTH).unwrap();
        let packed_as = Residency::Packed(format.operand());
        let ends: Vec<usize> = cuts.into_iter().chain([17]).collect();
        let mut results = Vec::new();
        let mut packed = Vec::new();
        for residency in [Residency::Dense, Residency::Rows, packed_as] {
            let mut sink = Sink::new(vec![17, WIDTH], format, residency, None);
            let mut start = 0;
            for &end in &ends {
                let arrived = encoded.select_rows(&order[start..end]);
                let runs = order[start..end].iter().map(|&row| (row, 1));
                prop_assert!(!sink.is_full());
                prop_assert!(sink.take(runs.clone(), arrived.as_rows()));
                prop_assert!(!sink.take(runs, arrived.as_rows()), "the same rows again");
                start = end;
            }
            prop_assert!(sink.is_full());
            match sink.finish().unwrap() {
                Filled::Packed(weight) => packed.push(weight),
                other => results.push(decoded(other, 17)),
            }
        }
        for residency in [Residency::Dense, packed_as] {
            let mut sink = Sink::new(vec![17, WIDTH], format, residency, None);
            prop_assert!(sink.take([(0, 17)].into_iter(), encoded.as_rows()));
            match sink.finish().unwrap() {
                Filled::Packed(weight) => packed.push(weight),
                other => results.push(decoded(other, 17)),
            }
        }
        prop_assert_eq!((results.len(), packed.len()), (3, 2));
        prop_assert!(results.iter().all(|result| *result == results[0]));
        prop_assert!(packed[0] == packed[1], "packed of the same numbers");
        prop_assert!(*packed[0] == encoded.pack());
    }

    /// Whatever folds have in common, every fold gets its own numbers back.
    #[test]
    fn shared_rows_are_every_folds_own(choices in prop::collection::vec(0_u32..3, FOLDS * 40)) {
        let config = config(40);
        let mut folds = tensors(&config);
        let versions: Vec<Vec<f32>> = (0..3).map(|version| random(40 * 16, 9, version)).collect();
        for (fold, choices) in folds.iter_mut().zip(choices.chunks(40)) {
            let rows = choices.iter().enumerate().flat_map(|(row, &version)| {
                versions[version as usize][row * 16..][..16].iter().copied()
            });
            let table = rows.collect();
            fold.insert(WORDS.to_owned(), table);
        }
        let bundle = bundle_of(contents(Format::F32, config.clone(), FOLDS), &folds);
        let sets: BTreeSet<&Vec<usize>> = bundle.manifest.shards().iter().map(|s| &s.folds).collect();
        prop_assert_eq!(sets.len(), bundle.manifest.shards().len(), "one small shard a set");
        let all: Vec<u32> = (0..40).collect();
        let texts: Vec<&[u32]> = all.chunks(10).collect();
        let batch = Batch::pack(texts);
        for (place, tensors) in folds.iter().enumerate() {
            let dense = dense(tensors, &config);
            let expected = resident_classifier(&config, 2, dense, Format::F32.into()).unwrap();
            let found = bundle.load(place).unwrap().classifier().probabilities(&batch).unwrap();
            prop_assert_eq!(found, expected.probabilities(&batch).unwrap());
        }
    }
}
