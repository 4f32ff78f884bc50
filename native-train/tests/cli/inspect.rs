//! `inspect` on what it knows and on what it does not.

use std::{fs, process::Stdio};

use super::Folder;

#[test]
fn what_is_not_there_or_not_known() {
    let folder = Folder::with(&[("notes.txt", "hello"), ("empty/keep", "")]);
    insta::assert_snapshot!(folder.run("inspect nothing"), @r"
    exit code: 2
    --- stderr
    error: `nothing` does not exist
    hint: check the path; a relative one starts at the current folder
    ");
    insta::assert_snapshot!(folder.run("inspect notes.txt"), @r"
    exit code: 2
    --- stderr
    error: `notes.txt` is not a model, run, bundle, tokenizer or weights file
    hint: pass a folder with config.toml, config.json or manifest.json, or a file tokenizer.json, spm.model, *.safetensors or pytorch_model.bin
    ");
    insta::assert_snapshot!(folder.run("inspect empty"), @r"
    exit code: 2
    --- stderr
    error: `empty` is not a model, run, bundle, tokenizer or weights file
    hint: pass a folder with config.toml, config.json or manifest.json, or a file tokenizer.json, spm.model, *.safetensors or pytorch_model.bin
    ");
    insta::assert_snapshot!(folder.run("inspect empty --text hello"), @r"
    exit code: 2
    --- stderr
    error: there is no tokenizer in `empty`
    hint: pass a folder with tokenizer.json or spm.model, or one of these files
    ");
}

#[test]
fn a_weights_file() {
    let folder = Folder::new();
    let header = r#"{"b":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]}}"#;
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header.as_bytes());
    bytes.extend([0; 24]);
    folder.write("whole.safetensors", &bytes);
    folder.write("cut.safetensors", &bytes[..bytes.len() - 1]);
    insta::assert_snapshot!(folder.run("inspect whole.safetensors"), @r"
    exit code: 0
    --- stdout
    weights `whole.safetensors`: 1 tensor, 6 parameters
      F32  [2, 3] b
    ");
    insta::assert_snapshot!(folder.run("inspect cut.safetensors"), @r"
    exit code: 2
    --- stderr
    error: `cut.safetensors` is truncated or damaged: its header asks for 89 bytes, it has 88
    hint: copy or download the file again
    ");
}

#[test]
fn who_stops_reading_is_no_failure() {
    let folder = Folder::new();
    let tensors: Vec<String> = (0..5000)
        .map(|i| format!(r#""tensor-{i}":{{"dtype":"F32","shape":[0],"data_offsets":[0,0]}}"#))
        .collect();
    let header = format!("{{{}}}", tensors.join(","));
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header.as_bytes());
    fs::write(folder.path().join("many.safetensors"), bytes).unwrap();
    // More than a pipe holds, so that the binary is still writing when the reader is gone.
    let mut child = folder
        .command("inspect many.safetensors")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(super::told(&output), "exit code: 0\n");
}
