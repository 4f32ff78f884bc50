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
        "the ids, texts or labels of `train.csv` are not those that the training of `run` began with",
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
        &["the ids or texts of `test.csv` are not those that the training of `run` began with"],
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
    let words = "config, tokenizer or weights of model `model` are not those that the training of `run` began with";
    end(place.resume()).must_say(2, &[words, "hint: "]);

    fs::write(&weights, whole).unwrap();
    end(place.resume()).must_say(0, &[]);
    assert_same(&straight, &contents(&place.path("run")), "its weights were given back");
}

/// The same content is recognised wherever it lies, and other content is refused wherever it lies.
#[test]
fn inputs_that_moved_are_given_anew_or_found() {
    let place = Place::with_a_run_killed_when(|place| place.has("run/fold-0/checkpoint"));
    fs::create_dir(place.path("data")).unwrap();
    fs::rename(place.path("train.csv"), place.path("data/rows.csv")).unwrap();
    let gone = "`train.csv`, with which the training of `run` began, is not there";
    end(place.resume()).must_say(2, &[gone, "hint: pass its path as `--train-csv`"]);

    let other = fs::read_to_string(place.path("data/rows.csv")).unwrap();
    place.write("data/other.csv", &other.replacen("neighbour", "neighbor", 1));
    end(place.program("train --output run --resume --train-csv data/other.csv")).must_say(
        2,
        &[
            "of `data/other.csv` are not those that the training of `run` began with",
            "hint: pass the same content as `--train-csv`, or train into another `--output`",
        ],
    );

    let moved = "train --output run --resume --train-csv data/rows.csv";
    assert!(place.kill_when(place.program(moved), |place| place.has("run/fold-1/checkpoint")));
    // Where it lies now was noted.
    end(place.resume()).must_say(0, &[]);
    let (mut straight, mut found) =
        (contents(&undisturbed().path("run")), contents(&place.path("run")));
    for contents in [&mut straight, &mut found] {
        contents.remove("inputs.json").unwrap();
    }
    assert_same(&straight, &found, "its training file moved");
}

/// Relative paths are those of the folder in which the training began, although another file of the same name
/// lies here.
#[test]
fn a_run_is_continued_from_another_working_folder() {
    let place = Place::with_a_run_killed_when(|place| place.has("run/fold-0/checkpoint"));
    fs::create_dir(place.path("elsewhere")).unwrap();
    place.write("elsewhere/train.csv", "id,text,anger\n1,another file,1\n");
    let mut command = place.program("train --output ../run --resume");
    command.current_dir(place.path("elsewhere"));
    end(command).must_say(0, &[]);
    let (straight, found) = (contents(&undisturbed().path("run")), contents(&place.path("run")));
    assert_same(&straight, &found, "another working folder");
}

/// The folder of a pretrained model, a config file and the test file, all given by relative paths.
#[test]
fn a_model_folder_and_a_config_file_are_found_from_another_working_folder() {
    let place = Place::new();
    copy_folder(&undisturbed().path("run/fold-0"), &place.path("models/base"));
    place.write(
        "ours.toml",
        "train-csv = \"train.csv\"\ntest-csv = \"test.csv\"\nmodel = \"models/base\"\nfolds = 2\n\
         epochs = 2\nmax-len = 16\nthreads = 1\n",
    );
    fs::create_dir(place.path("elsewhere")).unwrap();
    let from_elsewhere = |arguments: &str| {
        let mut command = place.program(arguments);
        command.current_dir(place.path("elsewhere"));
        command
    };
    let begin = from_elsewhere("train --config ../ours.toml --output ../run");
    assert!(place.kill_when(begin, |place| place.has("run/fold-0/checkpoint")));
    // The model's name could be a hub's, so a folder that is gone must not be asked for there.
    fs::rename(place.path("models"), place.path("kept")).unwrap();
    end(place.resume()).must_say(2, &["is not there", "hint: pass its path as `--model`"]);
    end(place.program("train --output run --resume --model kept/base")).must_say(0, &[]);
    end(from_elsewhere("train --output ../run --resume")).must_say(0, &["this run is finished"]);
    end(place.program("train --config run/config.toml --output again --dry-run")).must_say(0, &[]);
}
