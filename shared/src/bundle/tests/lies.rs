//! Manifests and shards that were tampered with: each is refused with a message, without a panic or a large allocation.

use proptest::prelude::*;
use safetensors::tensor::{TensorView, serialize};
use safetensors::{Dtype, SafeTensors};
use serde_json::{Value, json};

use super::super::shard::OpenShard;
use super::*;
use crate::Error;

fn json_of(manifest: &Manifest) -> Value {
    serde_json::from_str(&manifest.to_json()).unwrap()
}

fn read(json: &Value) -> Result<Manifest> {
    Manifest::from_json(json.to_string().as_bytes())
}

/// What is said of the manifest with the value at `pointer` replaced.
fn said(pointer: &str, value: Value) -> String {
    static SOUND: OnceLock<Value> = OnceLock::new();
    let mut json = SOUND.get_or_init(|| json_of(&bundle(Format::Int8).manifest)).clone();
    *json.pointer_mut(pointer).unwrap_or_else(|| panic!("{pointer} is there")) = value;
    match read(&json) {
        Err(error) => error.to_string(),
        Ok(_) => panic!("{pointer}: was taken"),
    }
}

#[test]
fn every_kind_of_lie_in_a_manifest_is_refused() {
    let huge = json!(2_147_483_647);
    for (pointer, value, expected) in [
        ("/format", json!("other"), "the manifest's `format` is not `quintet-bundle`"),
        ("/version", json!(2), "the manifest has version 2, but this program reads version 1"),
        ("/title", json!("x".repeat(2001)), "`title` or `license` is longer"),
        ("/license", json!("x".repeat(2001)), "`title` or `license` is longer"),
        ("/labels", json!([]), "label names must be distinct"),
        ("/labels", json!(["joy", "joy"]), "label names must be distinct"),
        ("/labels", json!(["fear", "joy"]), "`labels` and the labels in `config` differ"),
        ("/labels/0", json!("x".repeat(201)), "one is longer than 200 bytes"),
        ("/thresholds", json!([0.5]), "there must be 2 thresholds"),
        ("/thresholds/0", json!(1.5), "thresholds from 0 to 1"),
        ("/thresholds/0", json!("high"), "the manifest: invalid type"),
        ("/max_len", json!(1), "`max_len` is 1, it must be 2 to 32"),
        ("/max_len", json!(33), "`max_len` is 33, it must be 2 to 32 for this model"),
        ("/max_len", json!(-1), "the manifest: "),
        ("/encoding", json!("int3"), "the manifest: bundle: unknown encoding `int3`"),
        ("/encoding", json!("int8+3"), "the manifest: bundle: unknown encoding `int8+3`"),
        ("/encoding", json!({"int8": 2}), "the manifest: invalid type"),
        ("/folds", json!([]), "`folds` must be 1 to 64 different numbers"),
        ("/folds", json!([1, 2, 1]), "`folds` must be 1 to 64 different numbers"),
        ("/folds", json!((0..65).collect::<Vec<_>>()), "`folds` must be 1 to 64 different numbers"),
        ("/folds", json!([1, 2, 3, 4]), "the shards of fold 3 have 0 bytes"),
        ("/folds", json!([1, 2]), "must be ascending indices of the bundle's 2 folds"),
        ("/config/model_type", json!("bert"), "config field `model_type`"),
        ("/config/num_hidden_layers", huge.clone(), "the model has more than 128 layers"),
        ("/config/vocab_size", huge.clone(), "bytes of memory, a browser's tab has"),
        ("/config/intermediate_size", huge.clone(), "bytes of memory"),
        ("/config/position_buckets", huge.clone(), "bytes of memory"),
        ("/config/vocab_size", json!(0), "config field `vocab_size` = 0"),
        (
            "/config/id2label",
            json!({"0": "a", "1": "b"}),
            "`labels` and the labels in `config` differ",
        ),
        ("/shards", json!([]), "the shards of fold 0 have 0 bytes"),
        (
            "/shards/0/sha256",
            json!("../../../etc/passwd"),
            "is not 64 lower-case hexadecimal digits",
        ),
        ("/shards/0/sha256", json!("A".repeat(64)), "is not 64 lower-case hexadecimal digits"),
        ("/shards/0/sha256", json!("a".repeat(63)), "is not 64 lower-case hexadecimal digits"),
        ("/shards/0/sha256", json!("é".repeat(32)), "is not 64 lower-case hexadecimal digits"),
        ("/shards/0/bytes", json!(16_777_217), "at most 16777216 are allowed"),
        ("/shards/0/bytes", json!(u64::MAX), "at most 16777216 are allowed"),
        ("/shards/0/bytes", json!(-1), "the manifest: "),
        ("/shards/0/folds", json!([]), "must be ascending indices of the bundle's 3 folds"),
        ("/shards/0/folds", json!([1, 0]), "must be ascending indices of the bundle's 3 folds"),
        ("/shards/0/folds", json!([0, 0]), "must be ascending indices of the bundle's 3 folds"),
        ("/shards/0/folds", json!([0, 9]), "must be ascending indices of the bundle's 3 folds"),
        ("/scores/per_label", json!([]), "`scores` must list every label once"),
        ("/scores/macro_f1_tuned", json!(1.01), "a score in `scores` is outside of 0 to 1"),
        ("/scores/per_label/0/f1_at_half", json!(-0.1), "a score in `scores` is outside"),
        ("/scores/macro_f1_interval/high", json!(0.4), "an interval in `scores` is not"),
        ("/scores/per_label/1/interval/low", json!(-0.1), "an interval in `scores` is not"),
        ("/scores/per_label/0/reliability/0/below", json!(1.0), "a `reliability` in `scores` must"),
        ("/scores/per_label/0/reliability/0/below", json!(0.0), "a `reliability` in `scores` must"),
        ("/scores/per_label/0/reliability/1/below", json!(0.9), "a `reliability` in `scores` must"),
        ("/scores/per_label/1/reliability/1/texts", json!(5), "a `reliability` in `scores` must"),
        ("/scores/per_label/1/reliability/1/texts", json!(-1), "the manifest: "),
    ] {
        let message = said(pointer, value);
        assert!(message.contains(expected), "{pointer}: {message}");
    }
}

#[test]
fn averaged_weights_are_of_one_model() {
    let mut json = json_of(&bundle(Format::Int8).manifest);
    json["provenance"]["averaged_folds"] = json!([0, 1]);
    let message = read(&json).unwrap_err().to_string();
    assert!(message.contains("`averaged_folds` is for a bundle of one model"), "{message}");
}

#[test]
fn a_manifest_that_is_none_is_refused() {
    for bytes in [&b""[..], b"{", b"[]", b"null", b"{}", &[0xFF; 9], &[b'['; 200_000]] {
        assert!(matches!(Manifest::from_json(bytes), Err(Error::Bundle(_))));
    }
    let message = Manifest::from_json(&vec![b' '; 3 << 20]).unwrap_err().to_string();
    assert_eq!(message, "bundle: the manifest is larger than 2097152 bytes");
}

#[test]
fn shards_named_twice_or_in_excess_are_refused() {
    let sound = json_of(&bundle(Format::Int8).manifest);
    let shard = sound["shards"][0].clone();
    let with = |shards: Vec<Value>| {
        let mut json = sound.clone();
        json["shards"] = shards.into();
        read(&json).unwrap_err().to_string()
    };
    assert_eq!(with(vec![shard.clone(); 2]), "bundle: a shard is listed twice");
    assert_eq!(with(vec![shard.clone(); 8193]), "bundle: there are more than 8192 shards");
    let many = (0..100).map(|number| {
        let mut shard = shard.clone();
        shard["sha256"] = format!("{number:064x}").into();
        shard["bytes"] = json!(16 << 20);
        shard
    });
    assert!(with(many.collect()).contains("its model needs 1 to"));
}

type Stored = (Dtype, Vec<usize>, Vec<u8>);

/// Loads fold 0 of a bundle in which the tensors of its first shard were changed, with a manifest that names the
/// changed shard.
fn loaded_with(change: impl FnOnce(&mut BTreeMap<String, Stored>)) -> String {
    let Bundle { manifest, mut shards } = bundle(Format::Int8);
    let mut tensors: BTreeMap<String, Stored> = SafeTensors::deserialize(&shards[0])
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
    shards[0] = serialize(views, None).unwrap();
    let changed = Shard::of(&shards[0], manifest.shards()[0].folds.clone());
    let mut json = json_of(&manifest);
    json["shards"][0] = serde_json::to_value(&changed).unwrap();
    match (Bundle { manifest: read(&json).unwrap(), shards }).load(0) {
        Err(error) => error.to_string(),
        Ok(_) => panic!("was taken"),
    }
}

#[test]
fn every_kind_of_lie_in_a_shard_is_refused() {
    const NORM: &str = "deberta.embeddings.LayerNorm.weight";
    let numbers =
        |numbers: &[u32]| numbers.iter().flat_map(|n| n.to_le_bytes()).collect::<Vec<u8>>();
    let rows = |runs: &[u32]| (Dtype::U32, vec![runs.len() / 2, 2], numbers(runs));
    let f32s = |shape: &[usize]| {
        (Dtype::F32, shape.to_vec(), vec![0; 4 * shape.iter().product::<usize>()])
    };
    let said = |name: &str, stored: Option<Stored>| {
        loaded_with(|tensors| match stored {
            Some(stored) => drop(tensors.insert(name.to_owned(), stored)),
            None => drop(tensors.remove(name).expect("is there")),
        })
    };
    let words_rows = format!("{WORDS}.rows");
    let beyond = "has rows that are repeated, outside of the model's tensor, not as many as listed, or not in one format";
    for (name, stored, expected) in [
        (NORM, None, format!("tensor `{NORM}` is missing")),
        (NORM, Some(f32s(&[15])), format!("tensor `{NORM}` {beyond}")),
        (NORM, Some(f32s(&[17])), format!("tensor `{NORM}` {beyond}")),
        (NORM, Some(f32s(&[16, 1])), "is F32 [16, 1], expected F32 [16]".to_owned()),
        (NORM, Some(f32s(&[])), "is F32 [], expected F32 [0]".to_owned()),
        (NORM, Some((Dtype::F16, vec![16], vec![0; 32])), "is F16 [16]".to_owned()),
        ("other.weight", Some(f32s(&[2])), "is not a tensor of this model".to_owned()),
        ("other.rows", Some(rows(&[0, 1])), "describes no tensor of the shard".to_owned()),
        ("tokenizer.form.rows", Some(rows(&[0, 1])), "describes no tensor of the shard".to_owned()),
        (WORDS, Some(f32s(&[30, 16])), "is F32 [30, 16]".to_owned()),
        (WORDS, Some((Dtype::I8, vec![30, 15], vec![0; 450])), "is I8 [30, 15]".to_owned()),
        (
            WORDS,
            Some((Dtype::I8, vec![29, 16], vec![0; 464])),
            "needs its `.scales` as F32 [29]".to_owned(),
        ),
        (&words_rows, None, beyond.to_owned()),
        (&words_rows, Some(rows(&[9, 30])), beyond.to_owned()),
        (&words_rows, Some(rows(&[11, 30])), beyond.to_owned()),
        (&words_rows, Some(rows(&[u32::MAX, u32::MAX])), beyond.to_owned()),
        (&words_rows, Some(rows(&[10, 20, 10, 10])), beyond.to_owned()),
        (&words_rows, Some(rows(&[10, 29])), beyond.to_owned()),
        (&words_rows, Some(rows(&[])), beyond.to_owned()),
        (
            &words_rows,
            Some((Dtype::U32, vec![2], numbers(&[10, 30]))),
            "needs its `.rows` as U32 [runs, 2]".to_owned(),
        ),
        (&format!("{WORDS}.scales"), None, "needs its `.scales` as F32 [30]".to_owned()),
        (
            &format!("{NORM}.scales"),
            Some(f32s(&[16])),
            "has `.scales`, which f32 does not use".to_owned(),
        ),
        ("tokenizer.pieces", None, "`tokenizer.pieces` is missing".to_owned()),
    ] {
        let message = said(name, stored);
        assert!(message.contains(&expected), "{name}: {message}, expected {expected}");
    }
}

#[test]
fn a_tokenizer_with_more_ids_than_embeddings_is_refused() {
    let message = loaded_with(|tensors| {
        let (_, _, ids) = tensors.get_mut("tokenizer.ids").unwrap();
        ids[..4].copy_from_slice(&40_u32.to_le_bytes());
    });
    assert_eq!(message, "bundle: the tokenizer has 41 ids, but the model has 40 word embeddings");
}

#[test]
fn shards_out_of_place_are_refused() {
    let Bundle { manifest, shards } = bundle(Format::Int8);
    let open = |index: usize| manifest.shards()[index].open(shards[index].clone()).unwrap();
    let needed = manifest.shards_of(0);
    let foreign = (0..shards.len()).find(|index| !needed.contains(index)).unwrap();
    let refused = |loader: &mut FoldLoader, index, shard: &OpenShard| {
        loader.take(index, shard).unwrap_err().to_string()
    };
    let mut loader = FoldLoader::new(&manifest, 0);
    let message = refused(&mut loader, foreign, &open(foreign));
    assert!(message.ends_with("is unexpected or repeated"), "{message}");
    refused(&mut loader, needed[0], &open(needed[1]));
    refused(&mut loader, shards.len(), &open(needed[1]));
    loader.take(needed[1], &open(needed[1])).unwrap();
    refused(&mut loader, needed[1], &open(needed[1]));
    let message = loader.finish().err().unwrap().to_string();
    assert_eq!(message, "bundle: 2 of the fold's shards are missing");
}

proptest! {
    #[test]
    fn a_damaged_manifest_never_panics(place in any::<prop::sample::Index>(), byte in any::<u8>()) {
        static SOUND: OnceLock<String> = OnceLock::new();
        let sound = SOUND.get_or_init(|| bundle(Format::F16).manifest.to_json());
        let mut json = sound.clone().into_bytes();
        *place.get_mut(&mut json) = byte;
        if let Ok(manifest) = Manifest::from_json(&json) {
            for fold in 0..manifest.folds() {
                FoldLoader::new(&manifest, fold);
            }
        }
    }

    /// With a manifest that names it, any safetensors file may come: whatever loads also answers.
    #[test]
    fn a_damaged_shard_never_panics(
        shard in 0_usize..3,
        place in any::<prop::sample::Index>(),
        byte in any::<u8>(),
    ) {
        static SOUND: OnceLock<Bundle> = OnceLock::new();
        let sound = SOUND.get_or_init(|| bundle(Format::Int8));
        let index = sound.manifest.shards_of(0)[shard];
        let mut shards = sound.shards.clone();
        *place.get_mut(&mut shards[index]) = byte;
        let mut json = json_of(&sound.manifest);
        let folds = sound.manifest.shards()[index].folds.clone();
        json["shards"][index] = serde_json::to_value(Shard::of(&shards[index], folds)).unwrap();
        if let Ok(model) = (Bundle { manifest: read(&json).unwrap(), shards }).load(0) {
            model.classify(&TEXTS).unwrap();
        }
    }
}
