//! Bundles with a final model beside the folds.

use serde_json::{Value, json};

use super::*;

/// Folds, and a final model that has all but its pooler and the first ten word embeddings in common with fold 2.
fn models(config: &DebertaConfig) -> Vec<Tensors> {
    let mut models = tensors(config);
    let mut last = models[2].clone();
    for (name, values) in &mut last {
        let own = match &name[..] {
            WORDS => 10 * config.embedding_size,
            "pooler.dense.weight" => values.len(),
            _ => 0,
        };
        values[..own].copy_from_slice(&random(own, 7, 70));
    }
    models.push(last);
    models
}

fn with_final(name: &str, hot_rows: Option<usize>) -> (Bundle, Vec<Tensors>) {
    let config = config(40);
    let models = models(&config);
    let contents = contents(encoding(name), config, FOLDS);
    let contents = Contents { final_model: true, hot_rows, ..contents };
    (bundle_from(Base::Ancestor, contents, &models), models)
}

fn answers(bundle: &Bundle, model: usize) -> Vec<Vec<f32>> {
    let answers = bundle.load(model).unwrap().classify(&TEXTS).unwrap();
    answers.into_iter().map(|answer| answer.unwrap().probabilities).collect()
}

fn json_of(manifest: &Manifest) -> Value {
    serde_json::from_str(&manifest.to_json()).unwrap()
}

fn read(json: &Value) -> Result<Manifest> {
    Manifest::from_json(json.to_string().as_bytes())
}

#[test]
fn the_final_model_answers_as_it_does_alone_and_so_do_the_folds() {
    for (name, hot_rows) in [("f32", None), ("int8", None), ("int8", Some(12)), ("int12", Some(12))]
    {
        let (bundle, models) = with_final(name, hot_rows);
        let manifest = &bundle.manifest;
        assert_eq!((manifest.folds(), manifest.models()), (FOLDS, FOLDS + 1));
        assert_eq!(manifest.final_model(), Some(FOLDS));
        for (model, tensors) in models.iter().enumerate() {
            let contents = Contents { hot_rows, ..contents(encoding(name), config(40), 1) };
            let alone = bundle_of(contents, std::slice::from_ref(tensors));
            assert_eq!(answers(&bundle, model), answers(&alone, 0), "{name}, model {model}");
        }
        assert_ne!(answers(&bundle, FOLDS), answers(&bundle, 2), "they are two models");
    }
}

#[test]
fn deltas_of_the_final_model_are_its_own() {
    let config = config(40);
    let mut models = relatives(&config, 0.05);
    let without =
        bundle_from(Base::Ancestor, contents(encoding("int8+4/4"), config.clone(), FOLDS), &models);
    // Fold 1 with another bias, by which its logits rise.
    let mut last = models[1].clone();
    last.get_mut("classifier.bias").unwrap().iter_mut().for_each(|bias| *bias += 0.5);
    models.push(last);
    let contents = Contents { final_model: true, ..contents(encoding("int8+4/4"), config, FOLDS) };
    let bundle = bundle_from(Base::Ancestor, contents, &models);
    let logits =
        |model| answers(&bundle, model).into_iter().flatten().map(|p| (p / (1.0 - p)).ln());
    for (found, without) in logits(FOLDS).zip(logits(1)) {
        assert!((found - without - 0.5).abs() < 1e-4, "{found} and {without}");
    }
    for fold in 0..FOLDS {
        assert_eq!(answers(&bundle, fold), answers(&without, fold), "fold {fold}");
    }
}

#[test]
fn the_mean_that_folds_are_deltas_to_has_nothing_of_the_final_model() {
    let config = config(40);
    let mut models = relatives(&config, 0.05);
    let contents = |final_model| Contents {
        final_model,
        ..contents(encoding("int8+4/4"), config.clone(), FOLDS)
    };
    let without = bundle_of(contents(false), &models);
    models.push(tensors(&config).swap_remove(0));
    let with = bundle_of(contents(true), &models);
    for fold in 0..FOLDS {
        let largest = answers(&with, fold)
            .into_iter()
            .flatten()
            .zip(answers(&without, fold).into_iter().flatten())
            .map(|(a, b)| (a - b).abs())
            .fold(0.0, f32::max);
        // Which rows are far from the base may differ, but not the base.
        assert!(largest < 1e-3, "fold {fold}: {largest}");
    }
}

#[test]
fn what_the_final_model_has_in_common_with_folds_is_stored_once() {
    let (Bundle { manifest, .. }, _) = with_final("int8", None);
    let json = json_of(&manifest);
    let shared = json["final_model"]["shared_shards"].as_array().unwrap();
    assert!(shared.len() >= 2, "with all folds, and with fold 2: {shared:?}");
    let own = json["final_model"]["shards"].as_array().unwrap();
    assert_eq!(own.len(), 1);
    assert!(own[0].get("folds").is_none(), "{own:?}");
    assert_eq!(manifest.shards_of(FOLDS).len(), shared.len() + 1);
    let bytes = |model: usize| -> u64 {
        manifest.shards_of(model).iter().map(|&shard| manifest.shards()[shard].bytes).sum()
    };
    assert_eq!(manifest.final_bytes(), Some(bytes(FOLDS)));
    assert_eq!(manifest.first_answer_bytes(), bytes(FOLDS));
    assert!(manifest.download_bytes() < (0..=FOLDS).map(bytes).sum());
}

#[test]
fn a_reader_that_does_not_know_the_final_model_finds_the_folds() {
    let (Bundle { manifest, shards }, _) = with_final("int8", Some(12));
    assert_eq!(read(&json_of(&manifest)).unwrap(), manifest);
    let mut json = json_of(&manifest);
    json.as_object_mut().unwrap().remove("final_model");
    let earlier = read(&json).unwrap();
    assert_eq!((earlier.models(), earlier.final_model()), (FOLDS, None));
    // The folds' shards come first, under the same indices.
    let of_folds = shards[..earlier.shards().len()].to_vec();
    let earlier = Bundle { manifest: earlier, shards: of_folds };
    let bundle = Bundle { manifest, shards };
    for fold in 0..FOLDS {
        assert_eq!(answers(&earlier, fold), answers(&bundle, fold));
    }
}

#[test]
fn every_kind_of_lie_about_the_final_model_is_refused() {
    let (bundle, _) = with_final("int8", Some(8));
    let sound = json_of(&bundle.manifest);
    let fold_shards = sound["shards"].as_array().unwrap().len();
    let (a_fold_shard, own) = (&sound["shards"][0], &sound["final_model"]["shards"]);
    let mut of_a_fold = own[0].clone();
    of_a_fold["folds"] = json!([0]);
    let mut outside = own[0].clone();
    outside["sha256"] = json!("../x");
    let mut bare = a_fold_shard.clone();
    bare.as_object_mut().unwrap().remove("folds");
    let not_ascending = "must be ascending indices of the bundle's";
    for (pointer, value, expected) in [
        ("/final_model/shared_shards", json!([1, 0]), not_ascending),
        ("/final_model/shared_shards", json!([0, 0]), not_ascending),
        ("/final_model/shared_shards", json!([fold_shards]), not_ascending),
        ("/final_model/shared_shards", json!([-1]), "the manifest: "),
        ("/final_model/shards", json!([of_a_fold]), "it belongs into `shards`"),
        ("/final_model/shards", json!([outside]), "is not 64 lower-case hexadecimal digits"),
        ("/final_model/shards", json!([bare]), "a shard is listed twice"),
        ("/final_model/shards", json!([own[1], own[0]]), "cold shards must be listed after"),
        (
            "/final_model",
            json!({"shards": [own[0]], "shared_shards": []}),
            "the cold shards of the final model have 0 bytes",
        ),
        (
            "/final_model",
            json!({"shards": [], "shared_shards": []}),
            "the shards of the final model have 0 bytes",
        ),
        ("/final_model", json!(true), "the manifest: "),
        (
            "/provenance/final_model",
            json!(true),
            "`final_model` in `provenance` is for a bundle of one",
        ),
        (
            "/provenance/averaged_folds",
            json!([0, 1]),
            "`averaged_folds` is for a bundle of one model",
        ),
    ] {
        let mut json = sound.clone();
        match json.pointer_mut(pointer) {
            Some(place) => *place = value,
            None => json["provenance"][pointer.rsplit('/').next().unwrap()] = value,
        }
        let message = read(&json).unwrap_err().to_string();
        assert!(message.contains(expected), "{pointer}: {message}");
    }
    let mut many = sound.clone();
    many["folds"] = json!((0..64).collect::<Vec<_>>());
    let message = read(&many).unwrap_err().to_string();
    assert!(message.contains("more than 64 models, the final model counted"), "{message}");
}

#[test]
fn the_first_folds_and_the_final_model_answer_as_they_do_among_all() {
    for (name, hot_rows) in [("int8", None), ("int8", Some(12)), ("f32", None)] {
        let (bundle, _) = with_final(name, hot_rows);
        let expected: Vec<_> = (0..=FOLDS).map(|model| answers(&bundle, model)).collect();
        for count in 1..=FOLDS {
            let manifest = bundle.manifest.first_folds(count).unwrap();
            assert_eq!((manifest.folds(), manifest.final_model()), (count, Some(count)));
            assert_eq!(Manifest::from_json(manifest.to_json().as_bytes()).unwrap(), manifest);
            let needs_all = manifest.download_bytes() == bundle.manifest.download_bytes();
            assert_eq!(needs_all, count == FOLDS, "{name}, {count} folds");
            let all = bundle.manifest.shards().iter().zip(&bundle.shards);
            let bytes = |shard: &Shard| {
                all.clone().find(|(of_all, _)| of_all.sha256 == shard.sha256).unwrap().1.clone()
            };
            let shards = manifest.shards().iter().map(bytes).collect();
            let few = Bundle { manifest, shards };
            for (model, expected) in expected[..count].iter().enumerate() {
                assert_eq!(answers(&few, model), *expected, "{name}, fold {model} of {count}");
            }
            assert_eq!(answers(&few, count), expected[FOLDS], "{name}, {count} folds");
        }
        assert_eq!(bundle.manifest.first_folds(FOLDS).unwrap(), bundle.manifest);
        for count in [0, FOLDS + 1] {
            let error = bundle.manifest.first_folds(count).unwrap_err().to_string();
            assert!(error.contains(&format!("it has {FOLDS} folds")), "{error}");
        }
    }
}
