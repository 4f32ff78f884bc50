//! `--resume` goes on with what the run was begun with and nothing else.

use std::fs;

use crate::place::{Place, assert_same, contents, copy_folder, end, traces, undisturbed};

#[track_caller]
fn refused(place: &Place, more: &str, words: &[&str]) {
    let before = traces(&place.path("run"));
    end(place.train(&format!("--resume {more}"))).must_say(2, words);
    assert!(before == traces(&place.path("run")), "nothing changed");
}

#[test]
fn changed_settings_are_refused_by_name() {
    let place = Place::with_a_finished_run();
    fs::remove_file(place.path("run/summary.json")).unwrap();
    let before = traces(&place.path("run"));
    let flags =
        "train --resume --output run --epochs 9 --lr 0.5 --dropout 0.25 --seed 7 --threads 2";
    end(place.program(flags)).must_say(
        2,
        &[
            "`run` was begun with other settings:",
            "epochs: was 2, now 9",
            "lr: was 0.0005, now 0.5",
            "dropout: was not set, now 0.25",
            "seed: was 42, now 7",
            "threads: was 1, now 2",
            "hint: ",
        ],
    );
    assert!(before == traces(&place.path("run")), "nothing changed");
    place.must_end_in_the_same_bits("refused");
}

#[test]
fn changed_texts_and_labels_are_refused() {
    let place = Place::with_a_run_killed_when(|place| place.has("run/fold-0/checkpoint"));
    let train = fs::read_to_string(place.path("train.csv")).unwrap();
    let words = [
        "the ids, texts or labels of `train.csv` changed since the training of `run` began",
        "hint: ",
    ];

    place.edit("train.csv", "neighbour", "neighbor");
    refused(&place, "", &words);
    place.write("train.csv", &train.replacen(",1,0,0,0,0", ",0,1,0,0,0", 1));
    refused(&place, "", &words);
    let shorter: Vec<&str> = train.lines().take(60).collect();
    place.write("train.csv", &(shorter.join("\n") + "\n"));
    refused(&place, "", &words);

    place.write("train.csv", &train);
    let test = fs::read_to_string(place.path("test.csv")).unwrap();
    place.write("test.csv", &test.replacen("the", "a", 1));
    refused(
        &place,
        "",
        &["the ids or texts of `test.csv` changed since the training of `run` began"],
    );

    place.write("test.csv", &test);
    place.must_end_in_the_same_bits("its files were given back");
}

#[test]
fn changed_weights_are_refused() {
    let place = Place::new();
    copy_folder(&undisturbed().path("run/fold-0"), &place.path("model"));
    let settings = "train --output run --model model --train-csv train.csv --folds 2 --epochs 2 \
                    --max-len 16 --threads 1";
    end(place.program(settings)).must_say(0, &[]);
    let straight = contents(&place.path("run"));
    fs::remove_dir_all(place.path("run")).unwrap();
    let is_time = |place: &Place| place.has("run/fold-0/checkpoint");
    assert!(place.kill_when(place.program(settings), is_time));

    let weights = place.path("model/model.safetensors");
    let whole = fs::read(&weights).unwrap();
    let mut other = whole.clone();
    *other.last_mut().unwrap() ^= 1;
    fs::write(&weights, other).unwrap();
    let words =
        "config, tokenizer or weights of model `model` changed since the training of `run` began";
    end(place.resume()).must_say(2, &[words, "hint: "]);

    fs::write(&weights, whole).unwrap();
    end(place.resume()).must_say(0, &[]);
    assert_same(&straight, &contents(&place.path("run")), "its weights were given back");
}
