//! Checkpoints that PyTorch wrote (`tests/fixtures/pretrained/checkpoints.py`), each through the plan that `--dry-run` prints,
//! the check that follows it, and the loading of a training: they never disagree.

use super::*;
use crate::pretrained::test_files::fixture;

/// The report of a checkpoint, whose tensors are checked against what was saved; or what it is refused with.
fn checkpoint(name: &str, expected: &Tensors) -> Result<String, (String, String)> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(PICKLE);
    fs::copy(fixture(&format!("checkpoints/{name}.bin")), &path).unwrap();
    let told = |error: anyhow::Error| {
        let error = error.downcast::<UserError>().expect("the user can mend it");
        let folder = format!("{}/", folder.path().display());
        let message = error.to_string().replace(&folder, "");
        (message, error.remedy().expect("a hint").to_owned())
    };
    let config = config();
    let weights = WeightFiles::open(folder.path());
    let dry = weights.as_ref().map_err(ToString::to_string).and_then(|weights| {
        let plan = report(wanted(&config), Some(weights)).map_err(|error| error.to_string())?;
        check(wanted(&config), Some(weights)).map_err(|error| error.to_string())?;
        Ok(plan.to_string())
    });
    let trained = weights.and_then(|weights| load(wanted(&config), Some(&weights), 42));
    match trained {
        Ok(loaded) => {
            assert_eq!(dry, Ok(loaded.report.to_string()), "{name}");
            assert_holds(&loaded, expected);
            Ok(loaded.report.to_string())
        }
        Err(error) => {
            assert_eq!(dry, Err(error.to_string()), "{name}");
            Err(told(error))
        }
    }
}

#[test]
fn pickles_of_every_protocol_load() {
    for name in ["protocol-2", "protocol-3", "protocol-4", "protocol-5", "old-protocol-4"] {
        let report = checkpoint(name, &backbone()).unwrap();
        let loaded = format!("{} tensors loaded from pytorch_model.bin\n", backbone().len());
        assert!(report.starts_with(&loaded), "{name}: {report}");
        assert!(!report.contains("not used") && !report.contains("without"), "{name}: {report}");
    }
}

#[test]
fn prefixes_are_removed_and_said() {
    for (name, removed) in [
        ("compiled", "`_orig_mod.` and `module.model.`"),
        ("bare", "`_orig_mod.` and `module.backbone.`"),
        ("moving-average", "`model.`"),
    ] {
        let report = checkpoint(name, &backbone()).unwrap();
        let said = format!("the tensors' names were read without {removed}\n");
        assert!(report.contains(&said), "{name}: {report}");
        assert_eq!(report.contains("not used: ema_model."), name == "moving-average", "{report}");
    }
    let (message, hint) = checkpoint("two-models", &backbone()).unwrap_err();
    assert_eq!(
        message,
        "`pytorch_model.bin` holds several models, whose names begin with `passage.`, `query.`"
    );
    assert!(hint.contains("save the tensors of the one to use"), "{hint}");
}

#[test]
fn the_tensors_of_a_checkpoints_entry_are_found_and_it_is_said() {
    let report = checkpoint("entry", &backbone()).unwrap();
    let said = "the tensors of `pytorch_model.bin` come from its entry `model_state_dict`\n";
    assert!(report.contains(said) && report.contains("without `module.`"), "{report}");
    let report = checkpoint("deep-entry", &backbone()).unwrap();
    assert!(report.contains("its entry `state`, there `best`, there `weights`\n"), "{report}");
    let (message, hint) = checkpoint("two-entries", &backbone()).unwrap_err();
    assert_eq!(message, "`pytorch_model.bin` holds several models: `first`, `second`");
    assert!(hint.contains("checkpoint[NAME]"), "{hint}");
}

#[test]
fn f64_and_views_load_as_pytorch_reads_them() {
    let mut expected = backbone();
    expected.get_mut("deberta.encoder.LayerNorm.weight").unwrap().1 = vec![1.5; 4];
    for name in ["views", "old-views"] {
        checkpoint(name, &expected).unwrap();
    }
    let weights = WeightFiles::of(fixture("checkpoints/views.bin")).unwrap();
    for (name, (shape, numbers)) in &expected {
        let width: usize = shape.iter().skip(1).product();
        for row in 0..shape[0] {
            let read = weights.read_rows(name, row..row + 1).unwrap();
            assert_eq!(read, numbers[row * width..][..width], "row {row} of {name}");
        }
    }
}

#[test]
fn safetensors_in_f64_load() {
    let folder = folder_of(&backbone(), Dtype::F64);
    assert_holds(&load_folder(folder.path()).unwrap(), &backbone());
}

#[test]
fn what_is_no_dictionary_of_tensors_is_refused_by_its_name() {
    for (name, told, remedy) in [
        (
            "whole",
            "is a whole module (torch.nn.modules.container.Sequential), not its tensors",
            "model.state_dict()",
        ),
        (
            "whole-entry",
            "is a whole module (torch.nn.modules.linear.Linear), not its tensors",
            "model.state_dict()",
        ),
        ("script", "is a TorchScript archive", "torch.jit.load"),
        ("list", "is truncated or damaged: it holds no dictionary of tensors", "download"),
        ("sparse", "is stored as a tensor made by `_rebuild_sparse_tensor`", "convert"),
        ("integers", "is stored as LongStorage", "convert"),
    ] {
        let (message, hint) = checkpoint(name, &backbone()).unwrap_err();
        assert!(
            message.contains("`pytorch_model.bin`") && message.contains(told),
            "{name}: {message}"
        );
        assert!(hint.contains(remedy), "{name}: {hint}");
    }
}

#[test]
fn other_kinds_of_files_are_refused_by_their_names() {
    let refused = |name: &str, bytes: &[u8]| {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(name), bytes).unwrap();
        let error = WeightFiles::open(folder.path()).unwrap_err();
        let error = error.downcast::<UserError>().unwrap();
        let folder = format!("{}/", folder.path().display());
        (error.to_string().replace(&folder, ""), error.remedy().unwrap().to_owned())
    };
    for (bytes, told, remedy) in [
        (&b"\x89HDF\r\n\x1a\n0000"[..], "a Keras or TensorFlow file (HDF5)", "from_tf=True"),
        (b"GGUF\x03\0\0\0", "a GGUF file", "PyTorch or safetensors weights"),
        (b"\x08\x07\x12\x07pytorch", "an ONNX model", "PyTorch or safetensors weights"),
        (b"\x93NUMPY\x01\0", "a NumPy array", "the model's weights"),
        (b"\x1f\x8b\x08\0", "compressed by gzip", "gunzip"),
        (b"<!doctype html><html>", "a web page", "download the file itself"),
    ] {
        for name in [PICKLE, SAFETENSORS] {
            let (message, hint) = refused(name, bytes);
            assert_eq!(message, format!("`{name}` is {told}, which cannot be read"));
            assert!(hint.contains(remedy), "{hint}");
        }
    }
    for (name, told) in [
        ("tf_model.h5", "TensorFlow weights"),
        ("flax_model.msgpack", "Flax weights"),
        ("model.onnx", "an ONNX model"),
        ("model-q4.gguf", "a GGUF file"),
        ("model.keras", "a Keras model"),
        ("adapter_model.safetensors", "an adapter (LoRA) without its model"),
    ] {
        let (message, _) = refused(name, b"whatever");
        assert_eq!(message, format!("`{name}` is {told}, which cannot be read"));
    }
    let zip = fs::read(fixture("zip.bin")).unwrap();
    let (message, hint) = refused(SAFETENSORS, &zip);
    assert!(message.contains("is a PyTorch checkpoint in spite of its name"), "{message}");
    assert_eq!(hint, "rename it to pytorch_model.bin");
    let safetensors =
        fs::read(folder_of(&backbone(), Dtype::F32).path().join(SAFETENSORS)).unwrap();
    let (message, hint) = refused(PICKLE, &safetensors);
    assert!(message.contains("is in the format safetensors in spite of its name"), "{message}");
    assert_eq!(hint, "rename it to model.safetensors");
}

#[test]
fn more_ids_than_rows_make_new_rows() {
    let mut config = config();
    config.vocab_size += 2;
    let wanted = Wanted { config: &config, new_rows: 2, num_labels: LABELS };
    let folder = folder_of(&backbone(), Dtype::F32);
    let loaded = load(wanted, Some(&WeightFiles::open(folder.path()).unwrap()), 42).unwrap();
    let table = &loaded.tensors[WORD_EMBEDDINGS];
    assert_eq!(table.dims(), [8, 4]);
    let (values, (_, old)) = (values(table), &backbone()[WORD_EMBEDDINGS]);
    assert_eq!(&values[..24], &old[..]);
    for (place, value) in values[24..].iter().enumerate() {
        let mean = old.iter().skip(place % 4).step_by(4).sum::<f32>() / 6.0;
        assert!((value - mean).abs() < 0.01, "{value}, {mean}");
    }
    let said =
        "2 new word embeddings at the mean of the others, for tokens that the tokenizer adds";
    assert!(loaded.report.to_string().contains(said), "{}", loaded.report);
}

/// No flipped or missing byte makes it panic or hang.
#[test]
fn damaged_checkpoints_are_refused_or_loaded_whole() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(PICKLE);
    let whole = fs::read(fixture("checkpoints/old-protocol-4.bin")).unwrap();
    let mut refused = 0;
    for at in 0..whole.len().min(4000) {
        let mut bytes = whole.clone();
        bytes[at] ^= 1 << (at % 8);
        fs::write(&path, &bytes).unwrap();
        refused += usize::from(load_folder(folder.path()).is_err());
        if at % 40 == 0 {
            fs::write(&path, &whole[..at]).unwrap();
            assert!(load_folder(folder.path()).is_err(), "{at} bytes");
        }
    }
    assert!(refused > 500, "only {refused} were refused");
}
