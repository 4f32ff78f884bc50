use std::fs;
use std::path::{Path, PathBuf};

use safetensors::{Dtype, SafeTensors};
use tempfile::TempDir;

use super::*;
use crate::pretrained::test_files::{
    LABELS, Tensors, backbone, classifier, config, fixture, numbers, write_index, write_safetensors,
};

mod checkpoints;

const SAFETENSORS: &str = "model.safetensors";
const PICKLE: &str = "pytorch_model.bin";

fn wanted(config: &DebertaConfig) -> Wanted<'_> {
    Wanted { config, new_rows: 0, num_labels: LABELS }
}

fn load_folder(folder: &Path) -> Result<Loaded> {
    load(wanted(&config()), Some(&WeightFiles::open(folder)?), 42)
}

fn folder_of(tensors: &Tensors, dtype: Dtype) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    write_safetensors(&folder.path().join(SAFETENSORS), tensors, dtype);
    folder
}

fn folder_with(fixture_name: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::copy(fixture(fixture_name), folder.path().join(PICKLE)).unwrap();
    folder
}

fn loaded(tensors: &Tensors) -> Loaded {
    load_folder(folder_of(tensors, Dtype::F32).path()).unwrap()
}

/// The message of an error that the user can mend.
fn refused(result: Result<Loaded>) -> String {
    let error = result.expect_err("refused");
    error.downcast_ref::<UserError>().expect("the user can mend it").to_string()
}

fn refused_tensors(tensors: &Tensors) -> String {
    refused(load_folder(folder_of(tensors, Dtype::F32).path()))
}

fn values(tensor: &Tensor) -> Vec<f32> {
    tensor.flatten_all().unwrap().to_vec1().unwrap()
}

fn assert_holds(loaded: &Loaded, expected: &Tensors) {
    for (name, (shape, numbers)) in expected {
        let tensor = &loaded.tensors[name];
        assert_eq!((tensor.dims(), &values(tensor)), (shape.as_slice(), numbers), "{name}");
    }
}

#[test]
fn a_finished_classifier_loads_whole_from_every_encoding() {
    let stored = classifier(LABELS);
    for dtype in [Dtype::F32, Dtype::F16, Dtype::BF16] {
        let loaded = load_folder(folder_of(&stored, dtype).path()).unwrap();
        assert_holds(&loaded, &stored);
        assert_eq!(loaded.tensors.len(), stored.len());
        assert!(loaded.report.is_complete() && loaded.report.unexpected.is_empty());
        let report = format!("{} tensors loaded from model.safetensors", stored.len());
        assert_eq!(loaded.report.to_string(), report);
    }
}

#[test]
fn a_backbone_gets_a_head_made_from_the_seed() {
    let loaded = loaded(&backbone());
    assert_holds(&loaded, &backbone());
    let head = ["classifier.bias", "classifier.weight", "pooler.dense.bias", "pooler.dense.weight"];
    assert_eq!(loaded.report.initialised, head);
    assert_eq!(values(&loaded.tensors["classifier.bias"]), [0.0; LABELS]);
    let made = init::values("classifier.weight", &[LABELS, 4], &config(), 42);
    assert_eq!(values(&loaded.tensors["classifier.weight"]), made);
}

#[test]
fn mini_is_made_whole_from_the_seed() {
    let config = DebertaConfig::mini(100);
    let once = load(wanted(&config), None, 7).unwrap();
    assert_eq!(once.report.initialised.len(), config.tensor_shapes(LABELS).len());
    assert_eq!(once.report.to_string(), "42 tensors initialised, none loaded");
    let again = load(wanted(&config), None, 7).unwrap();
    let other = load(wanted(&config), None, 8).unwrap();
    for (name, tensor) in &once.tensors {
        assert_eq!(values(tensor), values(&again.tensors[name]), "{name}");
        let is_constant = name.ends_with("bias") || name.ends_with("LayerNorm.weight");
        assert_eq!(values(tensor) == values(&other.tensors[name]), is_constant, "{name}");
    }
}

#[test]
fn other_checkpoints_names_are_understood() {
    let mut stored = Tensors::new();
    for (name, tensor) in backbone() {
        let bare = name.strip_prefix("deberta.").unwrap();
        let legacy = match bare.strip_suffix("LayerNorm.weight") {
            Some(module) => format!("{module}LayerNorm.gamma"),
            None => bare.replace("LayerNorm.bias", "LayerNorm.beta"),
        };
        stored.insert(legacy, tensor);
    }
    assert!(stored.contains_key("embeddings.LayerNorm.gamma"));
    let loaded = loaded(&stored);
    assert_holds(&loaded, &backbone());
    assert_eq!(loaded.report.unexpected, Vec::<String>::new());
}

#[test]
fn foreign_tensors_are_listed_and_position_buffers_are_not() {
    let mut stored = backbone();
    let foreign = [
        "cls.predictions.bias",
        "deberta.embeddings.position_embeddings.weight",
        "lm_predictions.lm_head.bias",
        "mask_predictions.dense.weight",
    ];
    for name in foreign.iter().copied().chain(["deberta.embeddings.position_ids"]) {
        stored.insert(name.to_owned(), (vec![2], vec![0.0, 1.0]));
    }
    let report = loaded(&stored).report;
    assert_eq!(report.unexpected, foreign);
    assert!(report.to_string().ends_with(&format!("not used: {}", foreign.join(", "))), "{report}");
}

#[test]
fn a_classifier_for_other_labels_is_made_anew() {
    let loaded = loaded(&classifier(2));
    let resized = |name: &str, stored: &[usize], needed: &[usize]| Resized {
        name: name.to_owned(),
        stored: stored.to_vec(),
        needed: needed.to_vec(),
    };
    let expected =
        [resized("classifier.bias", &[2], &[5]), resized("classifier.weight", &[2, 4], &[5, 4])];
    assert_eq!(loaded.report.resized, expected);
    assert!(!loaded.report.is_complete() && loaded.report.initialised.is_empty());
    assert_eq!(values(&loaded.tensors["classifier.bias"]), [0.0; LABELS]);
    let (_, pooler) = &classifier(2)["pooler.dense.weight"];
    assert_eq!(&values(&loaded.tensors["pooler.dense.weight"]), pooler);
    let note = "for another number of labels: classifier.weight is [2, 4], needed [5, 4]";
    assert!(loaded.report.to_string().contains(note), "{}", loaded.report);
}

#[test]
fn all_missing_tensors_are_named() {
    let mut stored = backbone();
    stored.remove("deberta.encoder.LayerNorm.bias");
    stored.remove("deberta.embeddings.word_embeddings.weight");
    assert_eq!(
        refused_tensors(&stored),
        "`model.safetensors` lacks 2 of the model's tensors: \
         deberta.embeddings.word_embeddings.weight, deberta.encoder.LayerNorm.bias"
    );
}

#[test]
fn another_models_weights_are_refused_shortly() {
    let bert: Tensors = ["bert.a", "bert.b", "bert.c", "bert.d"]
        .map(|name| (name.to_owned(), (vec![1], vec![0.0])))
        .into();
    assert_eq!(
        refused_tensors(&bert),
        "`model.safetensors` holds no tensor of this model (it begins with: bert.a, bert.b, bert.c)"
    );
}

#[test]
fn all_misshaped_tensors_are_named() {
    let mut stored = backbone();
    for name in ["deberta.encoder.LayerNorm.bias", "deberta.encoder.rel_embeddings.weight"] {
        stored.insert(name.to_owned(), (vec![3], numbers(0, 3)));
    }
    assert_eq!(
        refused_tensors(&stored),
        "`model.safetensors` does not fit the config: \
         deberta.encoder.LayerNorm.bias is [3], needed [4]; \
         deberta.encoder.rel_embeddings.weight is [3], needed [4, 4]"
    );
}

#[test]
fn numbers_that_are_none_are_refused() {
    let mut stored = backbone();
    stored.get_mut("deberta.encoder.LayerNorm.bias").unwrap().1[2] = f32::NAN;
    let message = refused_tensors(&stored);
    assert!(message.contains("`deberta.encoder.LayerNorm.bias` holds values"), "{message}");

    let whole = refused(load_folder(folder_of(&backbone(), Dtype::I64).path()));
    assert!(whole.contains("is stored as I64"), "{whole}");
}

#[test]
fn shards_make_one_model() {
    let folder = tempfile::tempdir().unwrap();
    let files = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"];
    let stored = classifier(LABELS);
    for (turn, file) in files.iter().enumerate() {
        // What the index gives to the other shard must not be taken from this one.
        let shard: Tensors = stored
            .iter()
            .enumerate()
            .map(|(n, (name, tensor))| match n % 2 == turn {
                true => (name.clone(), tensor.clone()),
                false => (name.clone(), (vec![1], vec![99.0])),
            })
            .collect();
        write_safetensors(&folder.path().join(file), &shard, Dtype::F32);
    }
    let index = folder.path().join("model.safetensors.index.json");
    write_index(&index, stored.keys().cloned(), &files);

    let loaded = load_folder(folder.path()).unwrap();
    assert_holds(&loaded, &stored);
    assert_eq!(loaded.report.files, files);

    fs::remove_file(folder.path().join(files[1])).unwrap();
    let message = refused(load_folder(folder.path()));
    assert!(
        message.contains("index.json` is truncated or damaged: it names `model-00002"),
        "{message}"
    );
}

#[test]
fn an_index_cannot_lead_out_of_its_folder() {
    let folder = tempfile::tempdir().unwrap();
    let index = folder.path().join("model.safetensors.index.json");
    for file in ["../model.safetensors", "/etc/passwd", "", ".."] {
        write_index(&index, ["a".to_owned()].into_iter(), &[file]);
        let message = refused(load_folder(folder.path()));
        assert!(message.contains(&format!("`{file}` is not the name of a file")), "{message}");
    }
}

/// `make.py`'s rule, for the backbone's part of what it stored.
fn fixture_tensors() -> Tensors {
    let mut names: Vec<String> = backbone().into_keys().collect();
    names.push("lm_predictions.lm_head.bias".to_owned());
    let shapes = config().tensor_shapes(LABELS);
    let tensor = |(n, name): (usize, &String)| {
        let shape = shapes.get(name)?;
        Some((name.clone(), (shape.clone(), numbers(n, shape.iter().product()))))
    };
    names.iter().enumerate().filter_map(tensor).collect()
}

#[test]
fn both_forms_of_torch_files_load() {
    for form in ["zip.bin", "old.bin"] {
        let loaded = load_folder(folder_with(form).path()).unwrap();
        assert_holds(&loaded, &fixture_tensors());
        assert_eq!(
            loaded.report.unexpected,
            ["lm_predictions.lm_head.bias", "transposed"],
            "{form}"
        );
        assert_eq!(loaded.report.initialised.len(), 4, "{form}");
    }
}

#[test]
fn torch_shards_make_one_model() {
    let folder = tempfile::tempdir().unwrap();
    let files = ["pytorch_model-00001-of-00002.bin", "pytorch_model-00002-of-00002.bin"];
    fs::copy(fixture("zip.bin"), folder.path().join(files[0])).unwrap();
    fs::copy(fixture("old.bin"), folder.path().join(files[1])).unwrap();
    let index = folder.path().join("pytorch_model.bin.index.json");
    write_index(&index, backbone().into_keys(), &files);
    let loaded = load_folder(folder.path()).unwrap();
    assert_holds(&loaded, &fixture_tensors());
    assert_eq!(loaded.report.files, files);
}

#[test]
fn truncated_files_are_named() {
    let safetensors = folder_of(&backbone(), Dtype::F32);
    for (folder, file) in [
        (safetensors, SAFETENSORS),
        (folder_with("zip.bin"), PICKLE),
        (folder_with("old.bin"), PICKLE),
    ] {
        let path = folder.path().join(file);
        let whole = fs::read(&path).unwrap();
        // Each quarter, and the cases at the ends: empty, within the first field, one byte short.
        let quarters = (1..4).map(|quarter| whole.len() * quarter / 4);
        for length in [0, 5, 20, whole.len() - 1].into_iter().chain(quarters) {
            fs::write(&path, &whole[..length]).unwrap();
            let message = refused(load_folder(folder.path()));
            let named = format!("{file}` is truncated or damaged");
            assert!(message.contains(&named), "{length} bytes of {file}: {message}");
        }
        let longer = [whole.as_slice(), b"more"].concat();
        if file == SAFETENSORS {
            fs::write(&path, longer).unwrap();
            assert!(refused(load_folder(folder.path())).contains("its header asks for"));
        }
    }
}

/// The zip form has checksums: no flipped bit of a tensor or of the pickle gets through.
#[test]
fn flipped_bytes_of_a_zip_are_noticed() {
    let folder = folder_with("zip.bin");
    let path = folder.path().join(PICKLE);
    let whole = fs::read(&path).unwrap();
    let mut flipped = 0;
    for at in (0..whole.len()).step_by(23) {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x10;
        fs::write(&path, &bytes).unwrap();
        match load_folder(folder.path()) {
            // Padding, dates and tensors that the model does not use may be anything.
            Ok(loaded) => assert_holds(&loaded, &fixture_tensors()),
            Err(error) => {
                flipped += 1;
                assert!(error.to_string().contains(PICKLE), "byte {at}: {error:#}");
            }
        }
    }
    assert!(flipped > 150, "only {flipped} flips were noticed");
}

#[test]
fn a_pointer_left_by_git_lfs_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 735348840\n";
    fs::write(folder.path().join(SAFETENSORS), pointer).unwrap();
    let message = refused(load_folder(folder.path()));
    assert!(message.ends_with("is a Git LFS pointer, not the file itself"), "{message}");
}

/// The reference model's file, read here and by the format's own library.
#[test]
fn the_reference_model_loads_whole() {
    let default = concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared");
    let shared = std::env::var_os("QUINTET_SHARED").map_or_else(|| default.into(), PathBuf::from);
    let folder = shared.join("fixtures/tiny-deberta-v3");
    let Ok(config) = fs::read(folder.join("config.json")) else {
        eprintln!("skipped: no {}", folder.display());
        return;
    };
    let config = DebertaConfig::from_json(&config).unwrap();
    let loaded = load(wanted(&config), Some(&WeightFiles::open(&folder).unwrap()), 42).unwrap();
    assert!(loaded.report.is_complete() && loaded.report.unexpected.is_empty());

    let bytes = fs::read(folder.join(SAFETENSORS)).unwrap();
    let stored = SafeTensors::deserialize(&bytes).unwrap();
    assert_eq!(loaded.tensors.len(), stored.len());
    for (name, view) in stored.iter() {
        let (numbers, _) = view.data().as_chunks::<4>();
        let numbers: Vec<f32> = numbers.iter().map(|&number| f32::from_le_bytes(number)).collect();
        assert_eq!(values(&loaded.tensors[name]), numbers, "{name}");
    }
}
