//! A worker's session without a worker: a small bundle is written and loaded shard by shard. The answers must be
//! bit-identical to those of its models.

#![cfg(not(target_arch = "wasm32"))]
#![expect(clippy::unwrap_used, reason = "a test")]

use std::collections::BTreeMap;
use std::ops::Range;

use shared::bundle::{
    About, Base, Contents, Encoding, FoldModel, LabelScores, Manifest, Provenance, Scores, Shard,
    TextAnswer, Whose, write,
};
use shared::model::DebertaConfig;
use shared::quant::Format;
use shared::tokenizer::Tokenizer;
use shared::{Error, LabelSet, Thresholds};
use web::api::Answer;
use web::failure::Failure;
use web::models::Models;
use web::worker::session::Session;

const CONFIG: &str = r#"{
    "model_type": "deberta-v2", "vocab_size": 60, "hidden_size": 16, "num_hidden_layers": 2,
    "num_attention_heads": 2, "intermediate_size": 24, "hidden_act": "gelu",
    "hidden_dropout_prob": 0.1, "attention_probs_dropout_prob": 0.1, "pooler_dropout": 0,
    "pooler_hidden_act": "gelu", "pooler_hidden_size": 16, "max_position_embeddings": 48,
    "type_vocab_size": 0, "layer_norm_eps": 1e-07, "pad_token_id": 0,
    "position_biased_input": false, "relative_attention": true, "pos_att_type": "p2c|c2p",
    "share_att_key": true, "position_buckets": 4, "max_relative_positions": -1,
    "norm_rel_ebd": "layer_norm",
    "id2label": {"0": "joy", "1": "fear"}, "label2id": {"joy": 0, "fear": 1}
}"#;

const FOLDS: usize = 2;
const MAX_LEN: usize = 40;

/// A bundle with its files by name.
struct Sample {
    manifest: Manifest,
    files: BTreeMap<String, Vec<u8>>,
}

impl Sample {
    fn new(encoding: Encoding) -> Self {
        Self::with_hot_rows(encoding, None)
    }

    fn with_hot_rows(encoding: Encoding, hot_rows: Option<usize>) -> Self {
        let labels = LabelSet::new(vec!["joy".to_owned(), "fear".to_owned()]).unwrap();
        let learnt = ["what a lovely day", "who is there", "a day like any other"];
        let tokenizer = Tokenizer::learn(learnt.iter(), 60).unwrap().compact().unwrap();
        let contents = Contents {
            about: about(&labels),
            config: DebertaConfig::from_json(CONFIG.as_bytes()).unwrap(),
            thresholds: Thresholds::uniform(0.5, labels.len()).unwrap(),
            labels,
            max_len: MAX_LEN,
            encoding,
            hot_rows,
            folds: (0..FOLDS).collect(),
            final_model: false,
        };
        let mut files = BTreeMap::new();
        let shapes: BTreeMap<_, _> = contents.config.tensor_shapes(2).into_iter().collect();
        let read = |whose, name: &str, rows: Range<usize>| -> Result<Option<Vec<f32>>, Error> {
            // The first fold serves as the ancestor.
            let fold = if let Whose::Fold(fold) = whose { fold } else { 0 };
            let width: usize = shapes[name][1..].iter().product();
            let values = if encoding.has_deltas() { near_values } else { values };
            let all = values(fold, name, shapes[name].iter().product());
            Ok(Some(all[rows.start * width..rows.end * width].to_vec()))
        };
        let emit = |shard: &Shard, bytes| -> Result<(), Error> {
            files.insert(shard.file_name(), bytes);
            Ok(())
        };
        let manifest =
            write(contents, &[tokenizer.clone(), tokenizer], Base::Ancestor, read, emit).unwrap();
        Self { manifest, files }
    }

    fn bytes(&self, shard: &Shard) -> Vec<u8> {
        self.files[&shard.file_name()].clone()
    }

    /// The fold's answers without a session.
    fn answers(&self, fold: usize, texts: &[String]) -> Vec<Option<TextAnswer>> {
        let read = |_, shard: &Shard| shard.open(self.bytes(shard));
        FoldModel::load(&self.manifest, fold, read).unwrap().classify(texts).unwrap()
    }

    fn session(&self) -> Session {
        Session::new(&self.manifest.to_json()).unwrap()
    }

    fn load(&self, session: &mut Session, fold: usize) {
        session.begin(fold);
        self.load_begun(session);
    }

    fn load_cold(&self, session: &mut Session, fold: usize) {
        session.begin_cold(fold);
        self.load_begun(session);
    }

    fn load_begun(&self, session: &mut Session) {
        while let Some((index, shard)) = session.next_shard() {
            session.take(index, &shard.open(self.bytes(&shard)).unwrap()).unwrap();
        }
        session.finish().unwrap();
    }
}

fn about(labels: &LabelSet) -> About {
    let of_label = |label: &String| LabelScores {
        label: label.clone(),
        support: 1,
        f1_at_half: 0.5,
        f1_tuned: 0.5,
        f1_cross_fitted: None,
        interval: None,
        reliability: Vec::new(),
    };
    About {
        title: "a sample".to_owned(),
        license: None,
        provenance: Provenance {
            model: "random".to_owned(),
            seed: 0,
            run_folds: FOLDS,
            averaged_folds: None,
            final_model: false,
            rows: 3,
            versions: BTreeMap::new(),
        },
        scores: Scores {
            rows: 3,
            split: "grouped".to_owned(),
            repeated_rows: 0,
            macro_f1_at_half: 0.5,
            macro_f1_tuned: 0.5,
            macro_f1_cross_fitted: None,
            macro_f1_interval: None,
            per_label: labels.names().iter().map(of_label).collect(),
        },
    }
}

/// Values of magnitude up to 0.6 that differ from tensor to tensor and from fold to fold.
fn values(fold: usize, name: &str, count: usize) -> Vec<f32> {
    let seed: usize = name.bytes().map(usize::from).sum::<usize>() + 31 * fold;
    (0..count).map(|i| (((seed + i) as f32) * 12.9898).sin() * 0.6).collect()
}

/// Values of folds that are close to each other.
fn near_values(fold: usize, name: &str, count: usize) -> Vec<f32> {
    let own = values(fold, name, count).into_iter().map(|own| own * 0.05);
    values(0, name, count).into_iter().zip(own).map(|(first, own)| first + own).collect()
}

fn texts() -> Vec<String> {
    let long = "a day like any other ".repeat(9);
    ["what a lovely day", "", "who is there <b>\u{1f600}", &long].map(str::to_owned).to_vec()
}

#[test]
fn a_session_says_what_its_models_say() {
    let names =
        ["f32", "f16", "int16", "int12", "int8", "int4", "int8+1", "int8/int4+2/2", "int4+4/1"];
    for encoding in names.map(|name| name.parse::<Encoding>().unwrap()) {
        let sample = Sample::new(encoding);
        let mut session = sample.session();
        for fold in 0..FOLDS {
            sample.load(&mut session, fold);
        }
        let mut said = Vec::new();
        for fold in 0..FOLDS {
            let answers = session.classify(fold, &texts()).unwrap();
            assert_eq!(answers, sample.answers(fold, &texts()), "fold {fold} as {encoding:?}");
            let truncated: Vec<bool> =
                answers.iter().flatten().map(|answer| answer.truncated).collect();
            assert_eq!(truncated, [false, false, false, true]);
            said.push(answers);
        }
        assert_ne!(said[0], said[1], "the folds are different models");
    }
}

#[test]
fn texts_without_cold_rows_are_answered_first() {
    for encoding in ["int16", "int8", "int8+2/1"].map(|name| name.parse::<Encoding>().unwrap()) {
        let sample = Sample::with_hot_rows(encoding, Some(20));
        let mut session = sample.session();
        for fold in 0..FOLDS {
            sample.load(&mut session, fold);
        }
        for fold in 0..FOLDS {
            let expected = sample.answers(fold, &texts());
            let answered = session.classify(fold, &texts()).unwrap();
            assert_eq!(answered[1], expected[1], "the empty text has no words");
            assert!(answered.contains(&None), "{encoding}: the others do");
            sample.load_cold(&mut session, fold);
            assert_eq!(session.classify(fold, &texts()).unwrap(), expected, "{encoding}");
        }
        // A fold's cold rows are unloaded with it.
        session.unload(0);
        sample.load(&mut session, 0);
        assert!(session.classify(0, &texts()).unwrap().contains(&None));
        sample.load_cold(&mut session, 0);
        assert_eq!(session.classify(0, &texts()).unwrap(), sample.answers(0, &texts()));
    }
}

#[test]
fn loading_goes_on_where_it_broke_off() {
    let sample = Sample::new(Format::F16.into());
    let mut session = sample.session();
    session.begin(1);
    let (first, shard) = session.next_shard().unwrap();
    session.take(first, &shard.open(sample.bytes(&shard)).unwrap()).unwrap();
    let then = session.next_shard().map(|(index, _)| index);
    assert_ne!(then, Some(first));

    session.begin(1);
    assert_eq!(session.next_shard().map(|(index, _)| index), then);
    sample.load(&mut session, 1);
    assert_eq!(session.classify(1, &texts()).unwrap(), sample.answers(1, &texts()));
}

#[test]
fn a_fold_can_be_unloaded_and_loaded_again() {
    let sample = Sample::new(Format::Int8.into());
    let mut session = sample.session();
    sample.load(&mut session, 0);
    session.unload(0);
    sample.load(&mut session, 0);
    assert_eq!(session.classify(0, &texts()).unwrap(), sample.answers(0, &texts()));
}

#[test]
fn a_shard_with_another_index_is_refused_and_loading_can_begin_again() {
    let sample = Sample::new(Format::F32.into());
    let mut session = sample.session();
    session.begin(0);
    let (index, shard) = session.next_shard().unwrap();
    let open = shard.open(sample.bytes(&shard)).unwrap();
    let refused = session.take(index + 1, &open).unwrap_err();
    assert!(matches!(refused, Failure::Bundle { .. }), "{refused:?}");
    sample.load(&mut session, 0);
    assert_eq!(session.classify(0, &texts()).unwrap(), sample.answers(0, &texts()));
}

#[test]
fn a_damaged_shard_is_a_failure_that_names_its_file() {
    let sample = Sample::new(Format::F32.into());
    let shard = &sample.manifest.shards()[0];
    let mut bytes = sample.bytes(shard);
    bytes[9] ^= 1;
    let failure = Failure::from(shard.open(bytes).unwrap_err());
    assert_eq!(failure, Failure::Corrupted { file: shard.file_name() });
}

#[test]
fn an_invalid_manifest_is_a_failure_with_a_message() {
    let failure = Session::new("{}").err().unwrap();
    assert!(matches!(failure, Failure::Bundle { .. }), "{failure:?}");
    assert_ne!(failure.message(), "");
}

#[test]
fn the_package_answers_with_the_mean_the_decision_and_the_spread() {
    let manifest = Sample::new(Format::F32.into()).manifest;
    let said = |joy, fear, truncated| TextAnswer { probabilities: vec![joy, fear], truncated };
    let (first, second) = (said(0.25, 0.5, false), said(0.5, 0.5, true));
    let answer = Answer::new(&manifest, Models::Folds, &[&first, &second]);
    let answer = serde_json::to_string(&answer).unwrap();
    let joy = r#"{"probability":0.375,"threshold":0.5,"on":false,"lowest":0.25,"highest":0.5,"folds":[0.25,0.5]}"#;
    let fear = r#"{"probability":0.5,"threshold":0.5,"on":true,"lowest":0.5,"highest":0.5,"folds":[0.5,0.5]}"#;
    let expected =
        format!(r#"{{"labels":{{"joy":{joy},"fear":{fear}}},"models":"folds","truncated":true}}"#);
    assert_eq!(answer, expected);

    let answer = Answer::new(&manifest, Models::Final, &[&first]);
    let answer: serde_json::Value = serde_json::to_value(&answer).unwrap();
    assert_eq!(answer["models"], "final");
    assert_eq!(answer["labels"]["joy"]["probability"], 0.25);
    assert_eq!(answer["labels"]["joy"]["folds"], serde_json::json!([]), "no fold has answered");
}
