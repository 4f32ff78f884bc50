//! Files cut off or with a flipped byte: named, with a remedy that works.

use std::fs;

use crate::place::{Ended, Place, end, traces};

const PREDICT: &str = "predict --run run --input test.csv --output out.csv --threads 1";

impl Place {
    fn cut(&self, name: &str) {
        let bytes = fs::read(self.path(name)).unwrap();
        fs::write(self.path(name), &bytes[..bytes.len() / 2]).unwrap();
    }

    fn flip(&self, name: &str, back_from_end: usize) {
        let mut bytes = fs::read(self.path(name)).unwrap();
        let at = bytes.len() - back_from_end;
        bytes[at] ^= 1;
        fs::write(self.path(name), bytes).unwrap();
    }
}

#[track_caller]
fn names_and_helps(ended: &Ended, file: &str) {
    ended.must_say(2, &[&format!("`run/{file}`"), "damaged", "hint: remove "]);
}

#[test]
fn a_damaged_checkpoint_is_named_and_can_be_removed() {
    let stopped = Place::with_a_run_killed_when(|place| place.has("run/fold-1/checkpoint"));
    let whole = fs::read(stopped.path("run/fold-1/checkpoint")).unwrap();
    let damages: [&dyn Fn(); 3] = [
        &|| stopped.cut("run/fold-1/checkpoint"),
        &|| stopped.flip("run/fold-1/checkpoint", 1000),
        &|| stopped.write("run/fold-1/checkpoint", ""),
    ];
    for damage in damages {
        fs::write(stopped.path("run/fold-1/checkpoint"), &whole).unwrap();
        damage();
        let before = traces(&stopped.path("run"));
        names_and_helps(&end(stopped.resume()), "fold-1/checkpoint");
        assert!(before == traces(&stopped.path("run")), "nothing else is touched");
    }
    fs::remove_file(stopped.path("run/fold-1/checkpoint")).unwrap();
    stopped.must_end_in_the_same_bits("the damaged checkpoint was removed");
}

#[test]
fn a_log_shorter_than_its_checkpoint_is_named() {
    let stopped = Place::with_a_run_killed_when(|place| place.has("run/fold-1/checkpoint"));
    stopped.cut("run/fold-1/metrics.jsonl");
    names_and_helps(&end(stopped.resume()), "fold-1/metrics.jsonl");
    fs::remove_dir_all(stopped.path("run/fold-1")).unwrap();
    stopped.must_end_in_the_same_bits("the fold was removed");
}

#[test]
fn a_damaged_model_is_named_and_its_fold_trained_again() {
    let place = Place::with_a_finished_run();
    let model = "fold-1/model.safetensors";
    let whole = fs::read(place.path("run").join(model)).unwrap();
    let damages: [&dyn Fn(&str); 2] = [&|model| place.cut(model), &|model| place.flip(model, 5001)];
    for damage in damages {
        fs::write(place.path("run").join(model), &whole).unwrap();
        damage("run/fold-1/model.safetensors");
        names_and_helps(&end(place.program(PREDICT)), model);
        assert!(!place.has("out.csv"), "no predictions of a damaged model");
        let summary = fs::read(place.path("run/summary.json")).unwrap();
        fs::remove_file(place.path("run/summary.json")).unwrap();
        names_and_helps(&end(place.resume()), model);
        fs::write(place.path("run/summary.json"), summary).unwrap();
    }
    fs::remove_dir_all(place.path("run/fold-1")).unwrap();
    fs::remove_file(place.path("run/summary.json")).unwrap();
    place.must_end_in_the_same_bits("the damaged fold was removed");
}

/// The commands that read each file, and whether removing it is the remedy.
#[test]
fn every_file_that_is_cut_off_is_named_by_who_reads_it() {
    let place = Place::with_a_finished_run();
    for (file, reader) in [
        ("config.toml", "inspect run"),
        ("config.toml", PREDICT),
        ("inputs.json", "train --resume --output run"),
        ("folds.csv", "train --resume --output run"),
        ("summary.json", "train --resume --output run"),
        ("summary.json", "inspect run"),
        ("thresholds.json", PREDICT),
        ("fold-0/config.json", PREDICT),
        ("fold-1/tokenizer.json", PREDICT),
        ("fold-2/model.safetensors", PREDICT),
    ] {
        let path = place.path("run").join(file);
        let whole = fs::read(&path).unwrap();
        place.cut(&format!("run/{file}"));
        let ended = end(place.program(reader));
        ended.must_say(2, &[&format!("`run/{file}`"), "hint: "]);
        fs::write(&path, whole).unwrap();
    }
    assert!(!place.has("out.csv"));
    end(place.program(PREDICT)).must_say(0, &[]);
}

#[test]
fn results_that_were_removed_are_made_again() {
    for file in ["oof.csv", "thresholds.json", "submission.csv", "summary.json"] {
        let place = Place::with_a_finished_run();
        place.cut(&format!("run/{file}"));
        fs::remove_file(place.path("run").join(file)).unwrap();
        place.must_end_in_the_same_bits(file);
    }
}

#[test]
fn a_flipped_byte_anywhere_never_panics() {
    let place = Place::with_a_finished_run();
    for file in [
        "config.toml",
        "inputs.json",
        "folds.csv",
        "thresholds.json",
        "summary.json",
        "fold-0/config.json",
        "fold-0/tokenizer.json",
        "fold-0/metrics.jsonl",
    ] {
        let path = place.path("run").join(file);
        let whole = fs::read(&path).unwrap();
        for part in 1..3 {
            place.flip(&format!("run/{file}"), whole.len() * part / 3);
            for reader in [PREDICT, "train --resume --output run"] {
                // Another digit may be as good as the first; what is refused is explained.
                let ended = end(place.program(reader));
                match ended.code {
                    Some(0) => {}
                    _ => ended.must_say(2, &["hint: "]),
                }
            }
            fs::write(&path, &whole).unwrap();
        }
    }
}
