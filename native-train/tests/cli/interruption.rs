//! Trainings that are killed, at any moment, and go on as if nothing had happened.

#![cfg(unix)]

use std::{
    collections::BTreeMap,
    fs,
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

use super::{Folder, sentences, told};

const TRAIN: &str = "train --model mini --folds 2 --epochs 3 --threads 2 --output run \
                     --train-csv train.csv --test-csv train.csv --quiet";

fn start(folder: &Folder, line: &str) -> Child {
    folder.command(line).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// Every file of a run by its path, but for the summary, which holds times.
fn files(folder: &Folder) -> BTreeMap<String, Vec<u8>> {
    fn collect(root: &Path, folder: &Path, files: &mut BTreeMap<String, Vec<u8>>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                collect(root, &path, files);
            } else if !path.ends_with("summary.json") {
                let name = path.strip_prefix(root).unwrap().display().to_string();
                files.insert(name, fs::read(&path).unwrap());
            }
        }
    }
    let mut found = BTreeMap::new();
    let run = folder.path().join("run");
    collect(&run, &run, &mut found);
    found
}

#[test]
fn a_training_killed_again_and_again_ends_as_an_undisturbed_one() {
    let data = sentences(60);
    let undisturbed = Folder::with(&[("train.csv", &data)]);
    let output = undisturbed.run(TRAIN);
    assert!(output.starts_with("exit code: 0\n"), "{output}");

    let folder = Folder::with(&[("train.csv", &data)]);
    let mut kills = 0;
    let finished = loop {
        let mut child = start(&folder, &format!("{TRAIN} --resume"));
        // Longer each time, so that an epoch is reached on however slow a machine.
        thread::sleep(Duration::from_millis(40 + 35 * kills));
        if child.try_wait().unwrap().is_some() {
            break child.wait_with_output().unwrap();
        }
        child.kill().unwrap();
        child.wait().unwrap();
        kills += 1;
    };
    assert_eq!(finished.status.code(), Some(0), "{}", told(&finished));
    assert!(kills > 2, "a run that is over before it can be killed proves nothing");

    let (expected, found) = (files(&undisturbed), files(&folder));
    assert_eq!(expected.keys().collect::<Vec<_>>(), found.keys().collect::<Vec<_>>());
    for (name, bytes) in &expected {
        assert!(found[name] == *bytes, "{name} differs after {kills} kills");
    }
}

#[test]
fn ctrl_c_says_how_to_go_on() {
    let folder = Folder::with(&[("train.csv", &sentences(400))]);
    let mut child = start(&folder, &TRAIN.replace("--epochs 3", "--epochs 50"));
    let log = folder.path().join("run/fold-0/metrics.jsonl");
    while !log.exists() {
        assert!(
            child.try_wait().unwrap().is_none(),
            "{}",
            told(&child.wait_with_output().unwrap())
        );
        thread::sleep(Duration::from_millis(20));
    }
    let id = child.id().to_string();
    assert!(Command::new("kill").args(["-INT", &id]).status().unwrap().success());
    let output = child.wait_with_output().unwrap();
    insta::assert_snapshot!(told(&output), @r"
    exit code: 130
    --- stderr

    interrupted; `native-train train --resume --output run` goes on
    ");
}
