//! Bundles with cold rows: most texts are answered before the cold rows are loaded, and as well as after.

use safetensors::SafeTensors;
use serde_json::{Value, json};

use super::super::TextAnswer;
use super::*;

const NAMES: [&str; 6] = ["int16", "int8", "int4", "int8+2/2", "int8+1", "int4+4/1"];

fn with_hot_rows(name: &str, hot_rows: Option<usize>) -> Bundle {
    let config = config(40);
    let near = relatives(&config, 0.05);
    let folds = if encoding(name).has_deltas() { near } else { tensors(&config) };
    let contents = Contents { hot_rows, ..contents(encoding(name), config, FOLDS) };
    bundle_from(Base::Ancestor, contents, &folds)
}

impl Bundle {
    fn hot(&self, fold: usize, beside: Option<&FoldModel>) -> FoldModel {
        let mut loader = match beside {
            Some(loaded) => FoldLoader::beside(&self.manifest, fold, loaded),
            None => FoldLoader::new(&self.manifest, fold),
        };
        for index in self.manifest.hot_shards_of(fold) {
            loader.take(index, &self.open(index)).unwrap();
        }
        loader.finish().unwrap()
    }

    fn add_cold_rows(&self, fold: usize, model: &mut FoldModel, beside: Option<&FoldModel>) {
        let mut loader = match beside {
            Some(loaded) => ColdLoader::beside(&self.manifest, fold, loaded),
            None => ColdLoader::new(&self.manifest, fold),
        };
        for index in self.manifest.cold_shards_of(fold) {
            loader.take(index, &self.open(index)).unwrap();
        }
        loader.finish(model).unwrap();
    }

    fn open(&self, index: usize) -> super::super::OpenShard {
        self.manifest.shards()[index].open(self.shards[index].clone()).unwrap()
    }
}

/// How many of the first rows each text needs.
fn needed() -> Vec<usize> {
    let needed =
        |text| tokenizer().encode(text, 16).input_ids.into_iter().max().unwrap() as usize + 1;
    TEXTS.into_iter().map(needed).collect()
}

/// As many rows as the text of words that needs the fewest; but for the empty one, others need more.
fn hot() -> usize {
    let needed = needed();
    let empty = needed.iter().copied().min().unwrap();
    needed.into_iter().filter(|&rows| rows > empty).min().unwrap()
}

/// Of other texts beside it, whose sums may be taken in another order.
fn assert_same(found: Option<&TextAnswer>, expected: Option<&TextAnswer>, name: &str) {
    let numbers = |answer: Option<&TextAnswer>| answer.map(|it| it.probabilities.clone());
    let (found, expected) = (numbers(found), numbers(expected));
    assert_eq!(found.is_some(), expected.is_some(), "{name}");
    for (found, expected) in found.iter().flatten().zip(expected.iter().flatten()) {
        assert!((found - expected).abs() < 1e-6, "{name}: {found} and {expected}");
    }
}

#[test]
fn hot_texts_are_answered_before_the_cold_rows_are_there_and_all_alike_after() {
    let are_hot: Vec<bool> = needed().into_iter().map(|rows| rows <= hot()).collect();
    assert!(are_hot.contains(&false), "{:?}", needed());
    for name in NAMES {
        let (whole, parted) = (with_hot_rows(name, None), with_hot_rows(name, Some(hot())));
        for fold in 0..FOLDS {
            let expected = whole.load(fold).unwrap().classify(&TEXTS).unwrap();
            let mut model = parted.hot(fold, None);
            assert!(!model.has_all_words());
            let first = model.classify(&TEXTS).unwrap();
            for ((first, expected), is_hot) in first.iter().zip(&expected).zip(&are_hot) {
                assert_same(first.as_ref(), expected.as_ref().filter(|_| *is_hot), name);
            }
            parted.add_cold_rows(fold, &mut model, None);
            assert!(model.has_all_words());
            assert_eq!(model.classify(&TEXTS).unwrap(), expected, "{name}");
            // Readers that know nothing of it take all shards as one fold's; ours does in two steps.
            assert_eq!(parted.load(fold).unwrap().classify(&TEXTS).unwrap(), expected);
        }
    }
}

#[test]
fn cold_shards_come_last_and_have_cold_rows_alone() {
    for name in NAMES {
        let bundle = with_hot_rows(name, Some(hot()));
        let shards = bundle.manifest.shards();
        assert!(shards.is_sorted_by_key(|shard| shard.cold));
        for (shard, bytes) in shards.iter().zip(&bundle.shards) {
            let tensors = SafeTensors::deserialize(bytes).unwrap();
            for (tensor, view) in tensors.iter().filter(|(tensor, _)| tensor.ends_with(".rows")) {
                let (numbers, _) = view.data().as_chunks();
                let starts = numbers.iter().step_by(2).map(|&bytes| u32::from_le_bytes(bytes));
                if tensor.starts_with(WORDS) {
                    assert!(starts.clone().all(|row| (row as usize >= hot()) == shard.cold));
                }
            }
            if shard.cold {
                assert!(tensors.names().iter().all(|tensor| tensor.starts_with(WORDS)));
            }
        }
        for fold in 0..FOLDS {
            let (all, mut hot) =
                (bundle.manifest.shards_of(fold), bundle.manifest.hot_shards_of(fold));
            hot.extend(bundle.manifest.cold_shards_of(fold));
            assert_eq!(all, hot, "that is the order to load them in");
        }
    }
}

#[test]
fn deltas_of_cold_rows_are_cold() {
    // Of the ten that have moved, four are cold.
    let parted = with_hot_rows("int8+2/2", Some(6));
    let whole = with_hot_rows("int8+2/2", None);
    let delta = format!("{WORDS}.delta");
    let rows = |cold: bool| {
        let shards = parted.manifest.shards().iter().zip(&parted.shards);
        let of_first = shards.filter(|(shard, _)| shard.cold == cold && shard.folds.contains(&0));
        let rows = of_first.filter_map(|(_, bytes)| {
            Some(SafeTensors::deserialize(bytes).unwrap().tensor(&delta).ok()?.shape()[0])
        });
        rows.sum::<usize>()
    };
    assert_eq!((rows(false), rows(true)), (6, 4));
    for fold in 0..FOLDS {
        let expected = whole.load(fold).unwrap().classify(&TEXTS).unwrap();
        assert_eq!(parted.load(fold).unwrap().classify(&TEXTS).unwrap(), expected);
    }
}

#[test]
fn folds_beside_each_other_have_both_parts_in_common() {
    for (name, in_common) in [("int8+2/2", true), ("int8+1", true), ("int8", false)] {
        let bundle = with_hot_rows(name, Some(hot()));
        let mut first = bundle.hot(0, None);
        let mut second = bundle.hot(1, Some(&first));
        bundle.add_cold_rows(0, &mut first, None);
        bundle.add_cold_rows(1, &mut second, Some(&first));
        let rows = |model: &FoldModel, cold| std::sync::Arc::as_ptr(model.words(cold).unwrap().0);
        assert_eq!(rows(&first, false) == rows(&second, false), in_common, "{name}");
        // What no text of the run has, all folds have in common.
        assert_eq!(rows(&first, true), rows(&second, true), "{name}");
        let expected = bundle.load(1).unwrap().classify(&TEXTS).unwrap();
        assert_eq!(second.classify(&TEXTS).unwrap(), expected);
    }
}

fn json_of(bundle: &Bundle) -> Value {
    serde_json::from_str(&bundle.manifest.to_json()).unwrap()
}

#[test]
fn a_bundle_without_parts_says_nothing_of_them() {
    let json = with_hot_rows("int8", None).manifest.to_json();
    assert!(!json.contains("hot_rows") && !json.contains("cold"));
    let parted = with_hot_rows("int8", Some(hot())).manifest;
    assert_eq!(Manifest::from_json(parted.to_json().as_bytes()).unwrap(), parted);
    assert!(parted.first_answer_bytes() < parted.download_bytes());
}

#[test]
fn lies_about_the_parts_are_refused() {
    let sound = json_of(&with_hot_rows("int8", Some(hot())));
    let last = sound["shards"].as_array().unwrap().len() - 1;
    let last = format!("/shards/{last}");
    let said = |pointer: &str, value: Value| {
        let mut json = sound.clone();
        *json.pointer_mut(pointer).unwrap() = value;
        match Manifest::from_json(json.to_string().as_bytes()) {
            Err(error) => error.to_string(),
            Ok(_) => panic!("{pointer}: was taken"),
        }
    };
    for (pointer, value, expected) in [
        (
            "/hot_rows",
            json!(0),
            "`hot_rows` is 0, it must be 1 or more and less than the vocabulary of 40",
        ),
        ("/hot_rows", json!(40), "`hot_rows` is 40, it must be 1 or more"),
        ("/hot_rows", json!(u64::MAX), "less than the vocabulary of 40"),
        ("/hot_rows", json!(-1), "the manifest: "),
        ("/hot_rows", json!("most"), "the manifest: "),
        ("/hot_rows", Value::Null, "the cold shards of fold 0 have"),
        ("/encoding", json!("f32"), "`hot_rows` is not for word embeddings in f32"),
        ("/encoding", json!("int8/f32"), "`hot_rows` is not for word embeddings in f32"),
        ("/shards/0/cold", json!(true), "cold shards must be listed after all others"),
        (&format!("{last}/cold"), json!(false), "the cold shards of fold 0 have 0 bytes"),
        (&format!("{last}/cold"), json!("yes"), "the manifest: "),
        (&format!("{last}/folds"), json!([0, 1]), "the cold shards of fold 2 have 0 bytes"),
    ] {
        let mut sound = sound.clone();
        let is_there = sound.pointer(pointer).is_some();
        let message = if is_there {
            said(pointer, value)
        } else {
            sound["shards"][0]["cold"] = value;
            Manifest::from_json(sound.to_string().as_bytes()).unwrap_err().to_string()
        };
        assert!(message.contains(expected), "{pointer}: {message}");
    }
    // No fold has hot shards of so many bytes, nor cold ones.
    for place in [0, sound["shards"].as_array().unwrap().len() - 1] {
        let mut json = sound.clone();
        let shards = json["shards"].as_array_mut().unwrap();
        for number in 0..5 {
            let mut shard = shards[place].clone();
            shard["sha256"] = format!("{number:064x}").into();
            shard["bytes"] = (16 << 20).into();
            shards.insert(place, shard);
        }
        let message = Manifest::from_json(json.to_string().as_bytes()).unwrap_err().to_string();
        assert!(message.contains("its model needs 1 to"), "{message}");
    }
}

#[test]
fn rows_in_a_shard_of_the_other_part_are_refused() {
    let bundle = with_hot_rows("int8", Some(hot()));
    // The rows are parted elsewhere, so that some are in a shard where they may not be.
    for (moved, expected) in [
        (hot() - 1, "has rows that are repeated, outside of the model's tensor"),
        (hot() + 1, "word_embeddings.weight` is missing"),
    ] {
        let mut json = json_of(&bundle);
        json["hot_rows"] = moved.into();
        let manifest = Manifest::from_json(json.to_string().as_bytes()).unwrap();
        let moved = Bundle { manifest, shards: bundle.shards.clone() };
        let message = moved.load(0).err().unwrap().to_string();
        assert!(message.contains(expected), "{message}");
    }
    // A cold shard that has something else.
    let manifest = &bundle.manifest;
    let (hot, cold) = (manifest.hot_shards_of(0), manifest.cold_shards_of(0));
    let mut json = json_of(&bundle);
    let stray = json["shards"][hot[0]].clone();
    json["shards"][cold[0]] = stray;
    json["shards"][cold[0]]["cold"] = true.into();
    json["shards"].as_array_mut().unwrap().remove(hot[0]);
    let manifest = Manifest::from_json(json.to_string().as_bytes()).unwrap();
    let stray = manifest.cold_shards_of(0)[0];
    let mut loader = ColdLoader::new(&manifest, 0);
    let shard = manifest.shards()[stray].open(bundle.shards[hot[0]].clone()).unwrap();
    let message = loader.take(stray, &shard).unwrap_err().to_string();
    assert!(message.contains("is not a tensor of this model"), "{message}");
}

#[test]
fn a_model_takes_its_cold_rows_once() {
    let bundle = with_hot_rows("int8", Some(hot()));
    let mut model = bundle.load(0).unwrap();
    let mut loader = ColdLoader::new(&bundle.manifest, 0);
    let message = |error: crate::Error| error.to_string();
    let early = ColdLoader::new(&bundle.manifest, 0).finish(&mut model);
    assert!(message(early.unwrap_err()).contains("of the fold's shards are missing"));
    for index in bundle.manifest.cold_shards_of(0) {
        loader.take(index, &bundle.open(index)).unwrap();
    }
    let twice = message(loader.finish(&mut model).unwrap_err());
    assert_eq!(twice, "bundle: the fold has its cold word embeddings already");
}
