use std::collections::BTreeSet;
use std::path::PathBuf;

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::*;
use crate::{Error, LabelSet, Result};

/// microsoft/deberta-v3-base's fields, at a size whose shapes are easy to tell apart.
fn small_v3() -> Map<String, Value> {
    let Value::Object(fields) = json!({
        "model_type": "deberta-v2",
        "vocab_size": 50,
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "hidden_act": "gelu",
        "hidden_dropout_prob": 0.1,
        "attention_probs_dropout_prob": 0.1,
        "initializer_range": 0.02,
        "layer_norm_eps": 1e-7,
        "max_position_embeddings": 512,
        "max_relative_positions": -1,
        "norm_rel_ebd": "layer_norm",
        "pos_att_type": "p2c|c2p",
        "position_biased_input": false,
        "position_buckets": 256,
        "relative_attention": true,
        "share_att_key": true,
        "type_vocab_size": 0
    }) else {
        unreachable!()
    };
    fields
}

fn parse(fields: &Map<String, Value>) -> Result<DebertaConfig> {
    DebertaConfig::from_json(&serde_json::to_vec(fields).unwrap())
}

fn with(changes: Value) -> Result<DebertaConfig> {
    let mut fields = small_v3();
    fields.extend(changes.as_object().unwrap().clone());
    parse(&fields)
}

fn shapes(changes: Value) -> TensorShapes {
    with(changes).unwrap().tensor_shapes(5)
}

fn names(shapes: &TensorShapes) -> BTreeSet<&str> {
    shapes.keys().map(String::as_str).collect()
}

fn labels(names: &[&str]) -> LabelSet {
    LabelSet::new(names.iter().map(ToString::to_string).collect()).unwrap()
}

#[test]
fn absent_fields_take_the_reference_defaults() {
    let config = DebertaConfig::from_json(br#"{"model_type": "deberta-v2"}"#).unwrap();
    assert_eq!(
        (config.vocab_size, config.hidden_size, config.embedding_size),
        (128_100, 1536, 1536)
    );
    assert_eq!((config.num_hidden_layers, config.num_attention_heads), (24, 24));
    assert_eq!((config.intermediate_size, config.max_position_embeddings), (6144, 512));
    assert_eq!((config.type_vocab_size, config.pad_token_id), (0, Some(0)));
    assert_eq!((config.layer_norm_eps, config.initializer_range), (1e-7, 0.02));
    assert_eq!((config.hidden_dropout_prob, config.attention_probs_dropout_prob), (0.1, 0.1));
    assert_eq!((config.pooler_dropout, config.classifier_dropout()), (0.0, 0.1));
    assert!(config.position_biased_input && !config.relative_attention && !config.share_att_key);
    assert_eq!(config.pos_att_type, PosAttType { c2p: false, p2c: false });
    assert_eq!((config.position_buckets, config.max_relative_positions), (None, 512));
    assert_eq!((config.norm_rel_ebd, config.labels), (NormRelEbd::None, None));
}

#[test]
fn derived_values_follow_the_fields() {
    let v3 = parse(&small_v3()).unwrap();
    assert_eq!((v3.head_dim(), v3.attention_span(), v3.relative_rows()), (8, 256, 512));
    assert!(v3.has_c2p() && v3.has_p2c());
    assert_eq!(v3.score_terms(), 3);

    let plain = with(json!({"position_buckets": -1, "max_relative_positions": 20})).unwrap();
    assert_eq!((plain.attention_span(), plain.relative_rows()), (20, 40));
    let unset = with(json!({"position_buckets": 0, "max_relative_positions": 0})).unwrap();
    assert_eq!(unset.attention_span(), 512);

    let absolute = with(json!({"relative_attention": false})).unwrap();
    assert!(!absolute.has_c2p() && !absolute.has_p2c());
    assert_eq!(absolute.score_terms(), 3);

    let dropout = with(json!({"cls_dropout": 0.3, "hidden_dropout_prob": 0})).unwrap();
    assert_eq!(dropout.classifier_dropout(), 0.3);
}

#[test]
fn position_terms_come_as_a_list_or_a_string() {
    let terms = |value: Value| with(json!({"pos_att_type": value})).unwrap().pos_att_type;
    assert_eq!(terms(json!(["p2c"])), PosAttType { c2p: false, p2c: true });
    assert_eq!(terms(json!(" C2P |p2c")), PosAttType { c2p: true, p2c: true });
    assert_eq!(terms(json!(null)), PosAttType { c2p: false, p2c: false });
    assert_eq!(terms(json!([])), PosAttType { c2p: false, p2c: false });
}

#[test]
fn relative_norm_may_be_one_of_several_words() {
    let norm = |value: Value| with(json!({"norm_rel_ebd": value})).unwrap().norm_rel_ebd;
    assert_eq!(norm(json!("none")), NormRelEbd::None);
    assert_eq!(norm(json!("None | Layer_Norm")), NormRelEbd::LayerNorm);
}

#[test]
fn labels_are_named_or_counted() {
    let read = |changes: Value| with(changes).unwrap().labels;
    let eleven: Map<_, _> = (0..11).map(|id| (id.to_string(), json!(format!("l{id}")))).collect();
    let names = read(json!({"id2label": eleven})).unwrap();
    assert_eq!(names.names()[10], "l10");
    assert_eq!(read(json!({"num_labels": 2})), Some(labels(&["LABEL_0", "LABEL_1"])));
    assert_eq!(read(json!({"id2label": {"0": "a"}, "num_labels": 2})), Some(labels(&["a"])));
    assert_eq!(read(json!({})), None);
}

#[test]
fn odd_labels_of_a_base_model_are_told_and_not_used() {
    for (changes, told) in [
        (json!({"id2label": {"0": 7, "1": 8}}), "`id2label` has 7 for 0, which is not a name"),
        (
            json!({"id2label": {"0": true, "1": "b"}}),
            "`id2label` has true for 0, which is not a name",
        ),
        (
            json!({"id2label": {"0": null, "1": "b"}}),
            "`id2label` has null for 0, which is not a name",
        ),
        (
            json!({"id2label": {"0": ["a"], "1": "b"}}),
            "`id2label` has a list for 0, which is not a name",
        ),
        (json!({"id2label": {"0": "a", "1": ""}}), "`id2label` has a blank name for 1"),
        (json!({"id2label": {"0": "a", "1": "a"}}), "`id2label` has the name `a` for 0 and for 1"),
        (
            json!({"id2label": {"0": "a", "2": "b"}}),
            "`id2label` has the numbers 0, 2, not 0, 1, 2 and so on",
        ),
        (
            json!({"id2label": {"1": "a", "2": "b"}}),
            "`id2label` has the numbers 1, 2, not 0, 1, 2 and so on",
        ),
        (json!({"id2label": {"a": 0}}), "`id2label` has the key `a`, which is not a number"),
        (json!({"id2label": {}}), "`id2label` is empty"),
        (json!({"id2label": ["a", "b"]}), "`id2label` is a list, not names by their numbers"),
        (json!({"id2label": "a"}), "`id2label` is the text \"a\", not names by their numbers"),
        (json!({"num_labels": -2}), "`num_labels` is -2, not a number of labels"),
        (json!({"num_labels": "five"}), "`num_labels` is \"five\", not a number of labels"),
        (json!({"num_labels": 0}), "`num_labels` is 0, not a number of labels"),
    ] {
        let mut fields = small_v3();
        fields.extend(changes.as_object().unwrap().clone());
        let bytes = serde_json::to_vec(&fields).unwrap();
        let (config, odd) = DebertaConfig::of_base_model(&bytes).unwrap();
        assert_eq!(odd, [told], "{changes}");
        assert!(parse(&fields).is_err(), "{changes}");
        let plain = with(json!({})).unwrap();
        let made = labels(&["joy", "fear"]);
        assert_eq!(config.to_json(&made), plain.to_json(&made), "{changes}");
        assert_eq!(config.labels, None, "{changes}");
    }
}

#[test]
fn an_odd_label2id_is_told_and_matters_to_nobody() {
    for (ids, told) in [
        (json!({"a": "0", "b": 1}), "`label2id` has the text \"0\" for `a`, which is not a number"),
        (json!({"a": true, "b": 1}), "`label2id` has true for `a`, which is not a number"),
        (json!(["a", "b"]), "`label2id` is a list, not numbers by their names"),
        (json!({"a": 0}), "`label2id` is not `id2label` turned round"),
        (json!({"a": 1, "b": 0}), "`label2id` is not `id2label` turned round"),
    ] {
        let mut fields = small_v3();
        fields.insert("id2label".into(), json!({"0": "a", "1": "b"}));
        fields.insert("label2id".into(), ids);
        let bytes = serde_json::to_vec(&fields).unwrap();
        let (config, odd) = DebertaConfig::of_base_model(&bytes).unwrap();
        assert_eq!(odd, [told]);
        assert_eq!(config, parse(&fields).unwrap());
        assert_eq!(config.labels, Some(labels(&["a", "b"])));
    }
    for usual in [json!({}), json!({"id2label": null, "label2id": null, "num_labels": null})] {
        let mut fields = small_v3();
        fields.extend(usual.as_object().unwrap().clone());
        let bytes = serde_json::to_vec(&fields).unwrap();
        let (config, odd) = DebertaConfig::of_base_model(&bytes).unwrap();
        assert_eq!(odd, Vec::<String>::new());
        assert_eq!(config, parse(&fields).unwrap());
    }
}

#[test]
fn what_the_model_does_not_do_is_refused_by_name() {
    let cases = [
        ("model_type", json!("bert")),
        ("model_type", json!(null)),
        ("hidden_act", json!("gelu_new")),
        ("pooler_hidden_act", json!("tanh")),
        ("conv_kernel_size", json!(3)),
        ("quantization_config", json!({"load_in_8bit": true})),
        ("pruned_heads", json!({"0": [1]})),
        ("per_layer_config", json!({"0": {"hidden_act": "relu"}})),
        ("attention_head_size", json!(16)),
        ("pooler_hidden_size", json!(64)),
        ("pos_att_type", json!("p2c|p2p")),
        ("pos_att_type", json!(["C2P"])),
        ("norm_rel_ebd", json!("batch_norm")),
        ("position_buckets", json!(1)),
    ];
    for (field, value) in cases {
        assert_refused(field, value);
    }
}

#[test]
fn impossible_values_are_refused_by_name() {
    let cases = [
        ("hidden_size", json!(0)),
        ("hidden_size", json!("768")),
        ("num_hidden_layers", json!(-1)),
        ("num_attention_heads", json!(5)),
        ("vocab_size", json!(1.5)),
        ("vocab_size", json!(1_u64 << 40)),
        ("type_vocab_size", json!(-1)),
        ("pad_token_id", json!(50)),
        ("pad_token_id", json!(-1)),
        ("layer_norm_eps", json!(0)),
        ("initializer_range", json!(-0.02)),
        ("hidden_dropout_prob", json!(1)),
        ("attention_probs_dropout_prob", json!(-0.1)),
        ("cls_dropout", json!("none")),
        ("position_biased_input", json!(0)),
        ("max_relative_positions", json!("all")),
        ("pos_att_type", json!([1])),
        ("norm_rel_ebd", json!(["layer_norm"])),
        ("id2label", json!({"0": "a", "2": "b"})),
        ("num_labels", json!(-2)),
    ];
    for (field, value) in cases {
        assert_refused(field, value);
    }
    assert!(matches!(with(json!({"id2label": {"0": "a", "1": "a"}})), Err(Error::Labels { .. })));
    assert!(matches!(DebertaConfig::from_json(b"[]"), Err(Error::Json(_))));
}

fn assert_refused(name: &str, value: Value) {
    let shown = value.to_string();
    match with(json!({name: value})) {
        Err(Error::UnsupportedConfig { field, value, .. }) => {
            assert_eq!((field, value), (name, shown));
        }
        other => panic!("{name} = {shown}: {other:?}"),
    }
}

#[test]
fn harmless_forms_of_refused_fields_pass() {
    let plain = parse(&small_v3()).unwrap();
    let spelt_out = json!({
        "conv_kernel_size": 0, "attention_head_size": 8, "pooler_hidden_size": 32,
        "pooler_hidden_act": "gelu", "pruned_heads": {}, "quantization_config": null,
        "initializer_range": 0
    });
    assert_eq!(with(spelt_out).unwrap(), plain);
}

#[test]
fn v3_tensors_have_these_shapes() {
    let shapes = shapes(json!({}));
    // Three for the embeddings, three for the relative table, 16 a layer, two linears for the head.
    assert_eq!(shapes.len(), 3 + 3 + 2 * 16 + 4);
    for (name, shape) in [
        ("deberta.embeddings.word_embeddings.weight", &[50, 32][..]),
        ("deberta.embeddings.LayerNorm.bias", &[32]),
        ("deberta.encoder.rel_embeddings.weight", &[512, 32]),
        ("deberta.encoder.LayerNorm.weight", &[32]),
        ("deberta.encoder.layer.1.attention.self.value_proj.bias", &[32]),
        ("deberta.encoder.layer.0.intermediate.dense.weight", &[64, 32]),
        ("deberta.encoder.layer.0.output.dense.weight", &[32, 64]),
        ("pooler.dense.weight", &[32, 32]),
        ("classifier.weight", &[5, 32]),
        ("classifier.bias", &[5]),
    ] {
        assert_eq!(shapes[name], shape, "{name}");
    }
}

#[test]
fn each_choice_adds_and_removes_its_own_tensors() {
    let v3 = shapes(json!({}));
    let added = |changes: Value| {
        let other = shapes(changes);
        let added = names(&other).difference(&names(&v3)).map(ToString::to_string).collect();
        let removed = names(&v3).difference(&names(&other)).map(ToString::to_string).collect();
        (added, removed)
    };
    let none = Vec::<String>::new;

    let (more, fewer): (Vec<_>, Vec<_>) = added(json!({"embedding_size": 16}));
    assert_eq!((more, fewer), (vec!["deberta.embeddings.embed_proj.weight".to_owned()], none()));
    let narrow = shapes(json!({"embedding_size": 16}));
    assert_eq!(narrow["deberta.embeddings.embed_proj.weight"], [32, 16]);
    assert_eq!(narrow["deberta.embeddings.word_embeddings.weight"], [50, 16]);
    assert_eq!(narrow["deberta.embeddings.LayerNorm.weight"], [32]);

    let (more, fewer) = added(json!({"position_biased_input": true}));
    assert_eq!(
        (more, fewer),
        (vec!["deberta.embeddings.position_embeddings.weight".into()], none())
    );

    let (more, fewer) = added(json!({"type_vocab_size": 2}));
    assert_eq!(
        (more, fewer),
        (vec!["deberta.embeddings.token_type_embeddings.weight".into()], none())
    );

    let own_keys = |types: Value| added(json!({"share_att_key": false, "pos_att_type": types}));
    let projections = |kinds: &[&str]| -> Vec<String> {
        (0..2)
            .flat_map(|layer| kinds.iter().map(move |kind| (layer, kind)))
            .flat_map(|(layer, kind)| ["bias", "weight"].map(|part| (layer, kind, part)))
            .map(|(layer, kind, part)| {
                format!("deberta.encoder.layer.{layer}.attention.self.pos_{kind}_proj.{part}")
            })
            .collect()
    };
    assert_eq!(own_keys(json!("c2p|p2c")), (projections(&["key", "query"]), none()));
    assert_eq!(own_keys(json!("c2p")), (projections(&["key"]), none()));
    assert_eq!(own_keys(json!("p2c")), (projections(&["query"]), none()));

    let norm = ["bias", "weight"].map(|part| format!("deberta.encoder.LayerNorm.{part}"));
    assert_eq!(added(json!({"norm_rel_ebd": "none"})), (none(), norm.to_vec()));
    let table = vec!["deberta.encoder.rel_embeddings.weight".into()];
    assert_eq!(
        added(json!({"relative_attention": false, "share_att_key": false})),
        (none(), table)
    );
}

/// The reference model's own file lists the reference's own parameters.
#[test]
fn tensors_are_those_of_the_reference_model() {
    let default = concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared");
    let shared = std::env::var_os("QUINTET_SHARED").map_or_else(|| default.into(), PathBuf::from);
    let folder = shared.join("fixtures/tiny-deberta-v3");
    let Ok(bytes) = std::fs::read(folder.join("config.json")) else {
        eprintln!("skipped: no {}", folder.display());
        return;
    };
    let config = DebertaConfig::from_json(&bytes).unwrap();
    let weights = std::fs::read(folder.join("model.safetensors")).unwrap();
    let stored = safetensors::SafeTensors::deserialize(&weights).unwrap();
    let stored: TensorShapes =
        stored.iter().map(|(name, view)| (name.to_owned(), view.shape().to_vec())).collect();
    assert_eq!(config.tensor_shapes(5), stored);
}

#[test]
fn mini_has_the_size_it_promises() {
    let shapes = DebertaConfig::mini(8000).tensor_shapes(5);
    let parameters: usize = shapes.values().map(|shape| shape.iter().product::<usize>()).sum();
    assert!((3_300_000..3_400_000).contains(&parameters), "{parameters}");
}

#[test]
fn written_configs_read_back_with_the_new_labels() {
    let emotions = labels(&["anger", "joy"]);
    let mini = DebertaConfig::mini(8000);
    let back = DebertaConfig::from_json(mini.to_json(&emotions).as_bytes()).unwrap();
    assert_eq!(back, DebertaConfig { labels: Some(emotions), ..mini });
}

#[test]
fn writing_keeps_what_is_foreign_and_replaces_what_is_stale() {
    let config = with(json!({
        "architectures": ["DebertaV2ForMaskedLM"], "torch_dtype": "float16", "num_labels": 3,
        "problem_type": "regression", "label2id": {"x": 0}, "legacy": false, "house": {"doors": [1]}
    }))
    .unwrap();
    let text = config.to_json(&labels(&["anger", "joy"]));
    let file: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(file["architectures"], json!(["DebertaV2ForSequenceClassification"]));
    assert_eq!(file["problem_type"], "multi_label_classification");
    assert_eq!(file["id2label"], json!({"0": "anger", "1": "joy"}));
    assert_eq!(file["label2id"], json!({"anger": 0, "joy": 1}));
    assert_eq!(file["dtype"], "float32");
    assert_eq!((&file["legacy"], &file["house"]), (&json!(false), &json!({"doors": [1]})));
    assert!(file.get("torch_dtype").is_none() && file.get("num_labels").is_none());
}

proptest! {
    /// Whatever a file asks for, writing and reading it back asks for the same.
    #[test]
    fn any_accepted_config_survives_a_round_trip(
        (heads, head_dim, embedding) in (1_usize..5, 1_usize..9, 1_usize..40),
        (buckets, max_relative, types) in (-1_i64..300, -1_i64..600, 0_usize..3),
        (relative, share, biased) in any::<(bool, bool, bool)>(),
        terms in proptest::sample::subsequence(vec!["c2p", "p2c"], 0..=2),
        norm in proptest::sample::select(vec!["none", "layer_norm", "none|layer_norm"]),
        (hidden_dropout, cls_dropout) in (0.0..0.99_f64, proptest::option::of(0.0..0.99_f64)),
        pad in proptest::option::of(0_usize..50),
    ) {
        prop_assume!(buckets != 1);
        let config = with(json!({
            "hidden_size": heads * head_dim, "num_attention_heads": heads, "embedding_size": embedding,
            "position_buckets": buckets, "max_relative_positions": max_relative,
            "type_vocab_size": types, "relative_attention": relative, "share_att_key": share,
            "position_biased_input": biased, "pos_att_type": terms, "norm_rel_ebd": norm,
            "hidden_dropout_prob": hidden_dropout, "cls_dropout": cls_dropout, "pad_token_id": pad,
        })).unwrap();
        let labels = labels(&["a", "b", "c"]);
        let back = DebertaConfig::from_json(config.to_json(&labels).as_bytes()).unwrap();
        prop_assert_eq!(back, DebertaConfig { labels: Some(labels), ..config });
    }
}
