//! A disk that fills up: words, no half-written file, and with more room the same bits.
#![cfg(target_os = "linux")]

use std::fs;
use std::process::Command;

use crate::place::{Place, assert_same, contents, train_arguments, undisturbed};

/// Trains on a disk of each size in turn; the last is large enough. What happened is left in
/// `said-SIZE` and `left-SIZE` outside, and the run at the end.
const SCRIPT: &str = r#"
set -e
mkdir disk
mount -t tmpfs -o size=1m none disk
cp train.csv test.csv disk
cd disk
for size in $SIZES; do
    mount -o remount,size=$size .
    code=0
    "$PROGRAM" $TRAIN --resume 2> ../said-$size || code=$?
    echo "exit $code" >> ../said-$size
    find run -name '*.tmp' > ../left-$size
done
cp -r run ../run
"#;

const SIZES: [&str; 5] = ["60k", "3m", "10m", "26m", "100m"];

#[test]
fn a_disk_that_fills_up_ends_in_the_same_bits_when_there_is_room() {
    let place = Place::new();
    let may_mount = |script: &str| {
        Command::new("unshare")
            .args(["--user", "--map-root-user", "--mount", "sh", "-c", script])
            .current_dir(place.path(""))
            .env("PROGRAM", env!("CARGO_BIN_EXE_native-train"))
            .env("SIZES", SIZES.join(" "))
            .env("TRAIN", train_arguments())
            .output()
    };
    if !may_mount("mount -t tmpfs none /tmp").is_ok_and(|output| output.status.success()) {
        eprintln!("skipped: this system lets us mount no file system to fill");
        return;
    }
    let output = may_mount(SCRIPT).unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));

    let said = |size: &str| fs::read_to_string(place.path(&format!("said-{size}"))).unwrap();
    for size in &SIZES[..4] {
        let said = said(size);
        assert!(said.contains("exit 1"), "{size}: {said}");
        assert!(said.contains("disk is full") || said.contains("No space left"), "{size}: {said}");
        assert!(said.contains("`run/"), "{size}: it names the file: {said}");
        let left = fs::read_to_string(place.path(&format!("left-{size}"))).unwrap();
        assert_eq!(left, "", "{size}: no temporaries");
    }
    assert!(said("100m").contains("exit 0"), "{}", said("100m"));
    assert_same(&contents(&undisturbed().path("run")), &contents(&place.path("run")), "no room");
}
