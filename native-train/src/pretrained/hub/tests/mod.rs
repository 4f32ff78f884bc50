//! The hub client against a hub of our own on this machine.

mod environment;
mod network;
mod server;
mod trouble;

use std::fs;
use std::process::{Command, Output};

use indicatif::HumanBytes;
use safetensors::Dtype;
use tempfile::TempDir;

use super::*;
use crate::error::UserError;
use crate::pretrained::test_files::{
    CONFIG, LABELS, backbone, fixture, write_index, write_safetensors,
};
use crate::pretrained::{Pretrained, resolve};
use server::{COMMIT, ID, Shelf, TOKEN, nobody, sha256, weights};

fn client(endpoint: &str, home: &TempDir) -> Hub {
    let home = home.path().to_str().unwrap();
    let variables = [("HF_HOME", home), ("HF_ENDPOINT", endpoint), ("NO_PROXY", "*")];
    impatient(Environment::of(home, variables))
}

fn impatient(environment: Environment) -> Hub {
    let mut hub = Hub::new(environment, Downloads::Hidden);
    hub.pause = Duration::from_millis(1);
    hub
}

/// Message and hint of an error that the user can mend.
fn refused(result: Result<PathBuf>) -> (String, String) {
    let error = result.expect_err("refused");
    let user = error.downcast_ref::<UserError>().expect("the user can mend it");
    (user.to_string(), user.remedy().unwrap_or_default().to_owned())
}

fn repository(home: &TempDir) -> PathBuf {
    home.path().join("hub/models--owner--tiny")
}

/// The names of the files in `blobs`, in order.
fn blobs(home: &TempDir) -> Vec<String> {
    let name =
        |entry: std::io::Result<fs::DirEntry>| entry.unwrap().file_name().into_string().unwrap();
    let entries = fs::read_dir(repository(home).join("blobs"));
    let mut names: Vec<String> = entries.into_iter().flatten().map(name).collect();
    names.sort();
    names
}

#[test]
fn a_torch_repository_is_fetched_once_and_then_works_offline() {
    let home = tempfile::tempdir().unwrap();
    let hub = Shelf::torch().serve();
    let folder = client(&hub.endpoint, &home).fetch(ID, "main").unwrap();
    for file in ["tokenizer.json", "model.safetensors", "model.safetensors.index.json"] {
        assert!(hub.asked_for(file) && !folder.join(file).exists(), "{file}");
    }
    // The branch may move meanwhile: all but the first file are asked for by commit.
    let by_branch = |line: &String| line.contains("/resolve/main/");
    assert!(
        hub.requests().iter().filter(|line| by_branch(line)).all(|l| l.contains("config.json"))
    );
    assert_eq!(fs::read(folder.join("pytorch_model.bin")).unwrap(), weights());

    let count = hub.requests().len();
    assert_eq!(client(&hub.endpoint, &home).fetch(ID, "main").unwrap(), folder);
    assert_eq!(hub.requests().len(), count);
    assert_eq!(client(&nobody(), &home).fetch(ID, "main").unwrap(), folder);

    let pretrained = Pretrained::from_folder(&folder).unwrap();
    let loaded = pretrained.load(LABELS, 42).unwrap();
    assert_eq!(loaded.report.files, ["pytorch_model.bin"]);
    assert_eq!(loaded.report.found.len(), backbone().len());
}

/// The layout that huggingface_hub reads and writes, file by file.
#[test]
fn what_is_downloaded_lies_where_python_looks_for_it() {
    let home = tempfile::tempdir().unwrap();
    let hub = Shelf::torch().serve();
    client(&hub.endpoint, &home).fetch(ID, "main").unwrap();
    let repository = repository(&home);
    assert_eq!(fs::read_to_string(repository.join("refs/main")).unwrap(), COMMIT);
    let link = repository.join("snapshots").join(COMMIT).join("pytorch_model.bin");
    let target = format!("../../blobs/{}", sha256(&weights()));
    assert_eq!(fs::read_link(link).unwrap(), PathBuf::from(target));
    assert_eq!(blobs(&home).len(), 3);
    let locks = fs::read_dir(home.path().join("hub/.locks/models--owner--tiny")).unwrap();
    let is_lock = |path: PathBuf| path.extension().is_some_and(|extension| extension == "lock");
    assert!(locks.into_iter().all(|entry| is_lock(entry.unwrap().path())));
}

/// They may change how texts are split, so a model from the hub has them as a folder would.
#[test]
fn settings_of_the_tokenizer_are_fetched_where_there_are_any() {
    let home = tempfile::tempdir().unwrap();
    let settings = br#"{"do_lower_case": true}"#;
    let hub = Shelf::torch().with("tokenizer_config.json", settings).serve();
    let folder = client(&hub.endpoint, &home).fetch(ID, "main").unwrap();
    assert_eq!(fs::read(folder.join("tokenizer_config.json")).unwrap(), settings);
    // As Python's tools note it.
    let absent = repository(&home).join(".no_exist").join(COMMIT).join("added_tokens.json");
    assert!(absent.exists() && !folder.join("added_tokens.json").exists());
    let count = hub.requests().len();
    client(&hub.endpoint, &home).fetch(ID, "main").unwrap();
    assert_eq!(hub.requests().len(), count);
}

#[test]
fn without_symbolic_links_the_snapshot_holds_the_bytes() {
    let home = tempfile::tempdir().unwrap();
    let hub = Shelf::torch().serve();
    let mut hub = client(&hub.endpoint, &home);
    hub.environment.set("HF_HUB_DISABLE_SYMLINKS", "1");
    let folder = hub.fetch(ID, "main").unwrap();
    assert!(!folder.join("config.json").is_symlink());
    assert_eq!(fs::read(folder.join("pytorch_model.bin")).unwrap(), weights());
}

/// A cache as HF's own tools leave it: only the branch refers to the commit.
#[test]
fn a_cache_filled_by_others_is_used() {
    let home = tempfile::tempdir().unwrap();
    let repo = repository(&home);
    let snapshot = repo.join("snapshots").join(COMMIT);
    fs::create_dir_all(&snapshot).unwrap();
    fs::create_dir_all(repo.join("refs")).unwrap();
    fs::write(repo.join("refs/main"), COMMIT).unwrap();
    for (file, bytes) in Shelf::torch().files {
        fs::write(snapshot.join(file), bytes).unwrap();
    }
    assert_eq!(client(&nobody(), &home).fetch(ID, "main").unwrap(), snapshot);
    assert_eq!(client(&nobody(), &home).fetch(ID, COMMIT).unwrap(), snapshot);
}

#[test]
fn a_link_whose_bytes_are_gone_is_fetched_anew() {
    let home = tempfile::tempdir().unwrap();
    let hub = Shelf::torch().serve();
    let folder = client(&hub.endpoint, &home).fetch(ID, "main").unwrap();
    fs::remove_file(fs::canonicalize(folder.join("pytorch_model.bin")).unwrap()).unwrap();
    client(&hub.endpoint, &home).fetch(ID, "main").unwrap();
    assert_eq!(fs::read(folder.join("pytorch_model.bin")).unwrap(), weights());
    assert_eq!(hub.downloads_of("pytorch_model.bin"), 2);
}

#[test]
fn a_revision_is_asked_for_by_its_name() {
    let home = tempfile::tempdir().unwrap();
    let hub = Shelf::torch().serve();
    let folder = client(&hub.endpoint, &home).fetch(ID, COMMIT).unwrap();
    assert!(folder.ends_with(COMMIT));
    assert!(!hub.requests().iter().any(|line| line.contains("/main/")));
    let (message, _) = refused(client(&hub.endpoint, &home).fetch(ID, "refs/pr/7"));
    assert_eq!(message, format!("`owner/tiny@refs/pr/7` at {} has no config.json", hub.endpoint));
    assert!(hub.requests().last().unwrap().contains("/resolve/refs%2Fpr%2F7/config.json"));
}

#[test]
fn shards_are_fetched_with_their_index() {
    let files = tempfile::tempdir().unwrap();
    let (index, shard) = ("model.safetensors.index.json", "model-00001-of-00001.safetensors");
    write_index(&files.path().join(index), backbone().into_keys(), &[shard]);
    write_safetensors(&files.path().join(shard), &backbone(), Dtype::F16);
    let read = |file: &str| fs::read(files.path().join(file)).unwrap();
    let shelf = Shelf::default()
        .with("config.json", CONFIG.as_bytes())
        .with("tokenizer.json", b"{}")
        .with(index, &read(index));

    let home = tempfile::tempdir().unwrap();
    let hub = shelf.clone().serve();
    let (message, _) = refused(client(&hub.endpoint, &home).fetch(ID, "main"));
    assert!(message.ends_with(&format!("has no {shard}")), "{message}");

    let hub = shelf.with(shard, &read(shard)).serve();
    let folder = client(&hub.endpoint, &home).fetch(ID, "main").unwrap();
    assert!(folder.join(shard).exists() && !hub.asked_for("config.json"));
}

/// Run in a process of its own by [`resolved_with`], which sets its environment.
#[test]
#[ignore = "needs a hub in its environment"]
fn resolves_in_a_process_of_its_own() {
    let pretrained = match resolve(ID, Downloads::Shown) {
        Ok(pretrained) => pretrained,
        Err(error) => {
            let hint = error.downcast_ref::<UserError>().and_then(UserError::remedy);
            panic!("refused: {error} / {}", hint.unwrap_or("no hint"));
        }
    };
    println!("report: {}", pretrained.report(LABELS).unwrap());
}

/// Stdout and stderr of a process that resolves the model with these variables, run by `before` where that is
/// not empty.
fn resolved_with(before: &[&str], variables: &[(&str, &str)]) -> (Output, String, String) {
    let this = std::env::current_exe().unwrap();
    let mut words = before.iter().map(std::ffi::OsStr::new).chain([this.as_os_str()]);
    let output = Command::new(words.next().unwrap())
        .args(words)
        .args(["pretrained::hub::tests::resolves_in_a_process_of_its_own", "--exact"])
        .args(["--ignored", "--nocapture"])
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .envs(variables.iter().copied())
        .output()
        .unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
    (output, stdout, stderr)
}

#[test]
fn the_environment_of_the_process_names_hub_cache_and_token() {
    let home = tempfile::tempdir().unwrap();
    let hub = Shelf { token: Some(TOKEN), ..Shelf::torch() }.serve();
    let (output, stdout, stderr) = resolved_with(
        &[],
        &[
            ("HOME", home.path().to_str().unwrap()),
            ("HF_HOME", "~"),
            ("HF_ENDPOINT", &format!("{}/", hub.endpoint)),
            ("HF_TOKEN", TOKEN),
        ],
    );
    assert!(output.status.success(), "{stdout}\n{stderr}");
    assert!(stdout.contains("tensors loaded from pytorch_model.bin"), "{stdout}");
    assert!(repository(&home).join("refs/main").exists());
    // Not a terminal: a line for each file, no bar.
    let lines: Vec<&str> = stderr.lines().filter(|line| line.starts_with("downloading ")).collect();
    let size = HumanBytes(fs::metadata(fixture("zip.bin")).unwrap().len());
    assert_eq!(lines.len(), 3, "{stderr}");
    assert_eq!(lines[2], format!("downloading pytorch_model.bin ({size})"));
}
