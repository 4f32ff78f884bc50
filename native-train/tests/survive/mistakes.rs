//! Mistakes and divergence: words, the right exit code, and nothing of an earlier run damaged.

use std::fs;

use crate::place::{Place, csv, demo_lines, end, traces};

/// A header and rows that make up a training file.
struct Data(String, Vec<String>);

fn demo(rows: usize) -> Data {
    let lines = demo_lines();
    Data(lines[0].clone(), lines[1..=rows].to_vec())
}

#[test]
fn mistakes_in_data_are_named_and_leave_an_earlier_run_alone() {
    let place = Place::with_a_finished_run();
    let before = traces(&place.path("run"));
    let mut no_text = demo(20);
    no_text.0 = no_text.0.replace("text", "tweet");
    let mut not_binary = demo(20);
    not_binary.1[6] = "7,\"what, again\",0,2,0,0,0".to_owned();
    let mut one_class = demo(20);
    one_class.1 = (0..20).map(|id| format!("{id},text {id},1,0,0,0,0")).collect();

    for (data, flags, words) in [
        (demo(2), "", &["2 rows cannot fill 3 folds", "hint: "][..]),
        (one_class, "", &["all 20 rows have the same labels", "hint: "]),
        (demo(20), "--labels anger,glee", &["`glee`", "hint: "]),
        (no_text, "", &["`text` not found in `other.csv`", "`tweet`", "hint: "]),
        (not_binary, "", &["`other.csv`, line 8, column `fear`: `2` is not 0 or 1", "hint: "]),
        (demo(0), "", &["`other.csv`"]),
    ] {
        place.write("other.csv", &csv(&data.0, &data.1));
        for folder in ["run", "new"] {
            let settings = "--model mini --train-csv other.csv --folds 3 --threads 1";
            let train = format!("train --output {folder} {settings} {flags}");
            end(place.program(&train)).must_say(2, words);
        }
        assert!(!place.has("new"), "a mistake leaves no run behind");
    }
    assert!(before == traces(&place.path("run")), "the earlier run is as it was");
}

#[test]
fn repeated_ids_are_a_warning() {
    let place = Place::new();
    let Data(header, mut rows) = demo(40);
    rows[9] = rows[9].replacen("10,", "1,", 1);
    place.write("train.csv", &csv(&header, &rows));
    end(place.train("--dry-run"))
        .must_say(0, &["`train.csv`: 1 row with the id of an earlier row (the first is `1`)"]);
}

#[test]
fn a_folder_in_use_is_refused_and_left_as_it_was() {
    let place = Place::with_a_finished_run();
    fs::create_dir(place.path("thesis")).unwrap();
    place.write("thesis/chapter-1.tex", "mine");
    let before = (traces(&place.path("run")), traces(&place.path("thesis")));
    end(place.train("")).must_say(2, &["`run` already holds a run", "hint: pass `--resume`"]);
    for more in ["--output thesis", "--output thesis --resume"] {
        let settings = "train --model mini --train-csv train.csv --threads 1";
        end(place.program(&format!("{settings} {more}")))
            .must_say(2, &["`thesis` holds other files (`chapter-1.tex`) and no run", "hint: "]);
    }
    assert!(before == (traces(&place.path("run")), traces(&place.path("thesis"))));
}

#[test]
fn a_training_that_diverges_keeps_its_checkpoint() {
    let place = Place::with_a_run_killed_when(|place| place.has("run/fold-1/checkpoint"));
    let checkpoint = fs::read(place.path("run/fold-1/checkpoint")).unwrap();
    place.edit("run/config.toml", "lr = 0.0005", "lr = 1e30");
    let words = ["fold 1 diverged at step ", "a lower `--lr`", "the last checkpoint is untouched"];
    end(place.resume()).must_say(1, &words);
    assert!(checkpoint == fs::read(place.path("run/fold-1/checkpoint")).unwrap());
    place.edit("run/config.toml", "lr = 1e30", "lr = 0.0005");
    place.must_end_in_the_same_bits("it diverged and was given its learning rate back");
}

/// The last step diverges, so no later loss shows it.
#[test]
fn a_training_that_diverges_in_an_epochs_last_step_is_not_saved() {
    let place = Place::new();
    let settings = "train --output run --model mini --train-csv train.csv --folds 2 --threads 1";
    let ended = end(place.program(&format!("{settings} --epochs 1 --batch-size 99 --lr 1e30")));
    ended.must_say(1, &["fold 0 diverged at step 1", "a lower `--lr`"]);
    assert!(!place.has("run/fold-0/checkpoint") && !place.has("run/fold-0/model.safetensors"));
}
