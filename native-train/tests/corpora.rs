//! What the fuzzer was given and what it found, read again by an ordinary compiler.

#[path = "../../fuzz/src/readers.rs"]
mod readers;

use std::fs;
use std::panic::catch_unwind;
use std::path::Path;

#[test]
fn every_input_that_is_kept_is_read_or_refused() {
    let fuzz = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz");
    let mut failed = Vec::new();
    for (name, read) in readers::READERS {
        let mut inputs = 0;
        for folder in ["corpus", "crashes"] {
            let folder = fuzz.join(folder).join(name);
            if !folder.is_dir() {
                continue;
            }
            for file in fs::read_dir(folder).unwrap() {
                let path = file.unwrap().path();
                let input = fs::read(&path).unwrap();
                inputs += 1;
                if catch_unwind(|| read(&input)).is_err() {
                    failed.push(path);
                }
            }
        }
        assert!(inputs > 0, "`fuzz/corpus/{name}` is empty");
    }
    assert!(failed.is_empty(), "these inputs make a reader panic: {failed:?}");
}
