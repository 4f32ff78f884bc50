//! Folds as a common base and deltas: what is stored, what is read back, and what is refused.

use std::collections::BTreeMap;

use proptest::prelude::*;
use safetensors::tensor::{TensorView, serialize};
use safetensors::{Dtype, SafeTensors};

use super::format::largest_logit_difference;
use super::*;
use crate::quant::QuantizedRows;

const LAYER: &str = "deberta.encoder.layer.0.intermediate.dense.weight";
const POOLER: &str = "pooler.dense.weight";

/// For each shard that has the tensor: its folds and how many rows.
fn holders<'b>(bundle: &'b Bundle, name: &str) -> Vec<(&'b [usize], usize)> {
    let shards = bundle.manifest.shards().iter().zip(&bundle.shards);
    let rows = shards.filter_map(|(shard, bytes)| {
        let rows = SafeTensors::deserialize(bytes).unwrap().tensor(name).ok()?.shape()[0];
        Some((&shard.folds[..], rows))
    });
    rows.collect()
}

#[test]
fn a_base_is_stored_once_and_a_delta_a_fold() {
    let bundle = delta_bundle("int8+2/2");
    let (all, each) = (&[0, 1, 2][..], [&[0][..], &[1], &[2]]);
    assert_eq!(holders(&bundle, LAYER), [(all, 24)]);
    assert_eq!(holders(&bundle, &format!("{LAYER}.delta")), each.map(|fold| (fold, 24)));
    assert_eq!(holders(&bundle, WORDS), [(all, 40)]);
    // The other thirty are the same in all folds.
    assert_eq!(holders(&bundle, &format!("{WORDS}.delta")), each.map(|fold| (fold, 10)));
    // Heads that have nothing in common are each fold's own.
    assert_eq!(holders(&bundle, POOLER), each.map(|fold| (fold, 16)));
    assert_eq!(holders(&bundle, &format!("{POOLER}.delta")), []);

    let shared = delta_bundle("int8+2");
    assert_eq!(holders(&shared, WORDS), [(all, 40)]);
    assert_eq!(holders(&shared, &format!("{WORDS}.delta")), []);
}

/// Each fold's own part is a twentieth of the weights, of which one, two and four bits leave 60, 34 and 11 hundredths.
#[test]
fn more_bits_say_more_of_a_fold() {
    let folds = relatives(&config(40), 0.05);
    let difference = |name: &str| largest_logit_difference(&delta_bundle(name), &folds);
    let found = ["f32+1/1", "f32+2/2", "f32+4/4"].map(difference);
    assert!(found[0] > 1.3 * found[1] && found[1] > 1.5 * found[2], "{found:?}");
    let rounded = ["int8+4/4", "int4+4/4"].map(difference);
    assert!(rounded[0] < 3.0 * found[2] && rounded[0] < rounded[1], "{rounded:?}, {found:?}");
}

#[test]
fn folds_that_are_the_same_have_no_deltas_and_a_fold_alone_has_none() {
    let config = config(40);
    let one = relatives(&config, 0.05).swap_remove(1);
    for count in [1, FOLDS] {
        let folds = vec![one.clone(); count];
        let bundle = bundle_of(contents(encoding("int8+1/1"), config.clone(), count), &folds);
        assert_eq!(bundle.manifest.shards().len(), 1, "one set of folds");
        assert_eq!(holders(&bundle, &format!("{LAYER}.delta")), []);
        let whole = bundle_of(contents(Format::Int8, config.clone(), count), &folds);
        let probabilities = |bundle: &Bundle| -> Vec<f32> {
            let answers = bundle.load(count - 1).unwrap().classify(&TEXTS).unwrap();
            answers.into_iter().flatten().flat_map(|answer| answer.probabilities).collect()
        };
        // Where there might be deltas, matrices are packed more finely, and activations more coarsely.
        for (found, expected) in probabilities(&bundle).iter().zip(probabilities(&whole)) {
            assert!((found - expected).abs() < 2e-4, "{found}, expected {expected}");
        }
    }
}

#[test]
fn a_fold_beside_another_has_the_word_embeddings_in_common_with_it() {
    for (name, in_common) in
        [("int8+2/2", true), ("int4+1", true), ("int8", false), ("f32+4", false)]
    {
        let bundle = delta_bundle(name);
        let first = bundle.load(0).unwrap();
        let mut loader = FoldLoader::beside(&bundle.manifest, 2, &first);
        for index in bundle.manifest.shards_of(2) {
            let shard = bundle.manifest.shards()[index].open(bundle.shards[index].clone()).unwrap();
            loader.take(index, &shard).unwrap();
        }
        let beside = loader.finish().unwrap();
        let rows = |model: &FoldModel| model.words(false).map(|(rows, _)| rows.clone());
        let are_common = rows(&first)
            .zip(rows(&beside))
            .is_some_and(|(first, beside)| std::sync::Arc::ptr_eq(&first, &beside));
        assert_eq!(are_common, in_common, "{name}");
        let alone = bundle.load(2).unwrap();
        assert_eq!(beside.classify(&TEXTS).unwrap(), alone.classify(&TEXTS).unwrap());
        assert_eq!(bundle.manifest.common_bytes() > 0, in_common, "{name}");
        assert!(bundle.manifest.common_bytes() < bundle.manifest.resident_bytes());
    }
}

type Stored = (Dtype, Vec<usize>, Vec<u8>);

/// Loads fold 0 of a bundle in which the tensors of the last shard of this fold, its own one, were changed.
fn loaded_with(
    name: &str,
    change: impl FnOnce(&mut BTreeMap<String, Stored>),
) -> Result<FoldModel> {
    let Bundle { manifest, mut shards } = delta_bundle(name);
    let own = *manifest.shards_of(0).last().unwrap();
    let mut tensors: BTreeMap<String, Stored> = SafeTensors::deserialize(&shards[own])
        .unwrap()
        .iter()
        .map(|(name, view)| {
            (name.to_owned(), (view.dtype(), view.shape().to_vec(), view.data().to_vec()))
        })
        .collect();
    change(&mut tensors);
    let views = tensors.iter().map(|(name, (dtype, shape, data))| {
        (name, TensorView::new(*dtype, shape.clone(), data).unwrap())
    });
    shards[own] = serialize(views, None).unwrap();
    let changed = Shard::of(&shards[own], manifest.shards()[own].folds.clone());
    let mut json: serde_json::Value = serde_json::from_str(&manifest.to_json()).unwrap();
    json["shards"][own] = serde_json::to_value(&changed).unwrap();
    let manifest = Manifest::from_json(json.to_string().as_bytes())?;
    Bundle { manifest, shards }.load(0)
}

#[test]
fn every_kind_of_lie_about_a_delta_is_refused() {
    let numbers =
        |numbers: &[u32]| numbers.iter().flat_map(|n| n.to_le_bytes()).collect::<Vec<u8>>();
    let packed = |rows: usize, bytes: usize| (Dtype::U8, vec![rows, bytes], vec![0; rows * bytes]);
    let scales = |shape: &[usize]| {
        (Dtype::F32, shape.to_vec(), vec![0; 4 * shape.iter().product::<usize>()])
    };
    let (delta, words) = (format!("{LAYER}.delta"), format!("{WORDS}.delta"));
    let beyond = "has rows that are repeated, outside of the model's tensor, not as many as listed, or not in one format";
    // A layer's rows are 16 numbers of two bits.
    for (name, stored, expected) in [
        (delta.clone(), Some(packed(23, 4)), "needs its `.scales` as F32 [23]"),
        (delta.clone(), Some(packed(24, 3)), "is U8 [24, 3], expected U8 [24, 4]"),
        (delta.clone(), Some(packed(24, 16)), "is U8 [24, 16]"),
        (delta.clone(), Some((Dtype::I8, vec![24, 4], vec![0; 96])), "is I8 [24, 4]"),
        (delta.clone(), Some((Dtype::U8, vec![96], vec![0; 96])), "is U8 [96]"),
        (format!("{delta}.scales"), None, "needs its `.scales` as F32 [24]"),
        (format!("{delta}.scales"), Some(scales(&[24, 1])), "needs its `.scales` as F32 [24]"),
        (format!("{delta}.rows"), Some((Dtype::U32, vec![1, 2], numbers(&[1, 24]))), beyond),
        (format!("{words}.rows"), Some((Dtype::U32, vec![1, 2], numbers(&[31, 10]))), beyond),
        (format!("{words}.rows"), Some((Dtype::U32, vec![2, 2], numbers(&[0, 9, 8, 1]))), beyond),
        (format!("{words}.rows"), Some((Dtype::U32, vec![1, 2], numbers(&[0, 9]))), beyond),
        (format!("{words}.rows"), None, beyond),
        ("pooler.dense.bias.delta".into(), Some(packed(16, 1)), "is not a tensor of this model"),
        ("classifier.weight.delta".into(), Some(packed(2, 4)), "is not a tensor of this model"),
        ("other.delta".into(), Some(packed(2, 4)), "is not a tensor of this model"),
        (format!("{delta}.delta"), Some(packed(24, 4)), "is not a tensor of this model"),
        (
            "pooler.dense.bias.delta.rows".into(),
            Some(packed(1, 2)),
            "describes no tensor of the shard",
        ),
    ] {
        let outcome = loaded_with("int8+2/2", |tensors| match stored {
            Some(stored) => drop(tensors.insert(name.clone(), stored)),
            None => drop(tensors.remove(&name).expect("is there")),
        });
        let message = outcome.err().expect(&name).to_string();
        assert!(message.contains(expected), "{name}: {message}, expected {expected}");
    }
}

#[test]
fn deltas_where_the_encoding_has_none_are_refused() {
    let Bundle { manifest, shards } = delta_bundle("int8+2/2");
    let said = |encoding: &str| {
        let mut json: serde_json::Value = serde_json::from_str(&manifest.to_json()).unwrap();
        json["encoding"] = encoding.into();
        let manifest = Manifest::from_json(json.to_string().as_bytes()).unwrap();
        Bundle { manifest, shards: shards.clone() }.load(0).err().unwrap().to_string()
    };
    for encoding in ["int8", "int8+2"] {
        assert!(said(encoding).contains(".delta` is not a tensor of this model"));
    }
    for encoding in ["int8+1/1", "int8+2/4", "int8/int4+2/2"] {
        assert!(said(encoding).contains(", expected U8 ["), "{encoding}");
    }
}

proptest! {
    /// With a manifest that names it, any safetensors file may come: whatever loads also answers.
    #[test]
    fn a_damaged_shard_of_deltas_never_panics(
        of_fold in any::<bool>(),
        place in any::<prop::sample::Index>(),
        byte in any::<u8>(),
    ) {
        static SOUND: OnceLock<Bundle> = OnceLock::new();
        let sound = SOUND.get_or_init(|| delta_bundle("int4+1/2"));
        let needed = sound.manifest.shards_of(0);
        let index = needed[if of_fold { needed.len() - 1 } else { 0 }];
        let mut shards = sound.shards.clone();
        *place.get_mut(&mut shards[index]) = byte;
        // As it is named, it is refused if it is another.
        let opened = sound.manifest.shards()[index].open(shards[index].clone());
        prop_assert_eq!(opened.is_ok(), shards[index] == sound.shards[index]);
        let mut json: serde_json::Value = serde_json::from_str(&sound.manifest.to_json()).unwrap();
        let folds = sound.manifest.shards()[index].folds.clone();
        json["shards"][index] = serde_json::to_value(Shard::of(&shards[index], folds)).unwrap();
        let manifest = Manifest::from_json(json.to_string().as_bytes()).unwrap();
        if let Ok(model) = (Bundle { manifest, shards }).load(0) {
            model.classify(&TEXTS).unwrap();
        }
    }

    /// Each fold is the base and its delta, whatever the rows that moved.
    #[test]
    fn a_fold_is_nearer_to_its_own_numbers_than_the_base_is(
        apart in 0.01_f32..0.15,
        base in prop::sample::select(vec![Base::Ancestor, Base::Mean]),
        name in prop::sample::select(vec!["f32+1/1", "int16+2/1", "int12+2/2", "int8+2/2", "int8/int4+4/4", "f16+1/4"]),
    ) {
        let config = config(40);
        let folds = relatives(&config, apart);
        let with = bundle_from(base, contents(encoding(name), config.clone(), FOLDS), &folds);
        for (place, fold) in folds.iter().enumerate() {
            let read = Reader { bundle: &with, fold: place };
            for tensor in [LAYER, WORDS, POOLER] {
                let found = read.tensor(tensor);
                let energy: f32 = fold[tensor].iter().map(|x| x * x).sum();
                let error: f32 = found.iter().zip(&fold[tensor]).map(|(a, b)| (a - b).powi(2)).sum();
                // What one bit leaves of the differences, and int4 of the numbers.
                let most = if name.contains("int4") { 0.012 } else { 1e-4 } + 0.4 * apart * apart;
                prop_assert!(error <= energy * most, "{tensor}: {error} of {energy}");
            }
        }
    }
}

/// A fold's numbers as a loaded fold has them, read without a model.
struct Reader<'b> {
    bundle: &'b Bundle,
    fold: usize,
}

impl Reader<'_> {
    fn tensor(&self, name: &str) -> Vec<f32> {
        let manifest = &self.bundle.manifest;
        let (encoding, shapes) = (manifest.encoding(), manifest.config().tensor_shapes(2));
        let shape = &shapes[name];
        let width: usize = shape[1..].iter().product();
        let mut values = vec![0.0; shape.iter().product()];
        for index in manifest.shards_of(self.fold) {
            let tensors = SafeTensors::deserialize(&self.bundle.shards[index]).unwrap();
            let bits = encoding.delta_bits(name, shape);
            let delta = bits.map(|bits| (".delta", Format::Delta(bits)));
            for (ending, format) in
                [Some(("", encoding.format_of(name, shape))), delta].into_iter().flatten()
            {
                let Ok(view) = tensors.tensor(&format!("{name}{ending}")) else { continue };
                let part = |part: &str| tensors.tensor(&format!("{name}{ending}.{part}")).ok();
                let scales: Vec<f32> = part("scales").map_or(Vec::new(), |view| {
                    let (numbers, _) = view.data().as_chunks();
                    numbers.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect()
                });
                let runs = part("rows").map_or(vec![0, shape[0] as u32], |view| {
                    let (numbers, _) = view.data().as_chunks();
                    numbers.iter().map(|&bytes| u32::from_le_bytes(bytes)).collect()
                });
                let rows = runs.chunks(2).flat_map(|run| run[0]..run[0] + run[1]);
                for (place, row) in rows.enumerate() {
                    let (bytes, count) = (format.row_bytes(width), format.row_scales(width));
                    let data = &view.data()[place * bytes..][..bytes];
                    let scales = &scales[place * count..][..count];
                    let sums = &mut values[row as usize * width..][..width];
                    QuantizedRows::new(format, width, data, scales).add_to(sums);
                }
            }
        }
        values
    }
}
