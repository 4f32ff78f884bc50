//! `doctor`: what it says of this machine.

use serde_json::Value;

use super::Folder;

#[test]
fn a_report_names_the_machine_and_times_a_step() {
    let folder = Folder::new();
    let told = folder.run("doctor --device cpu --threads 1 --quiet");
    let mut lines = told.lines();
    assert_eq!((lines.next(), lines.next()), (Some("exit code: 0"), Some("--- stdout")), "{told}");
    let subjects: Vec<&str> =
        lines.clone().filter_map(|line| line.split_whitespace().next()).collect();
    for subject in
        ["program", "processor", "instructions", "threads", "memory", "bandwidth", "speed"]
    {
        assert!(subjects.contains(&subject), "no {subject}: {told}");
    }
    assert!(
        lines.clone().any(|line| line.starts_with("threads       1 from --threads: ")),
        "{told}"
    );
    let speed = lines.find(|line| line.starts_with("speed ")).unwrap();
    assert!(speed.ends_with("training `small`, 16 texts a step, f32 on cpu"), "{speed}");
}

#[test]
fn the_report_as_json_holds_the_same() {
    let folder = Folder::new();
    let output = folder.command("doctor --device cpu --json --quiet").output().unwrap();
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["program"]["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(report["program"]["cuda"], cfg!(feature = "cuda"));
    assert_eq!(report["device"], "cpu");
    assert!(report["check"].is_null(), "there is nothing to check on a CPU");
    assert!(report["processor"]["threads"].as_u64().unwrap() >= 1);
    for path in ["/memory_gb_per_s", "/speed/step_ms", "/speed/samples_per_s", "/speed/last_loss"] {
        assert!(report.pointer(path).and_then(Value::as_f64).unwrap() > 0.0, "{path}: {report:#}");
    }
    // Five labels at random: near ln 2 at first.
    let first = report.pointer("/speed/first_loss").and_then(Value::as_f64).unwrap();
    assert!((0.4..1.2).contains(&first), "{first}");
}

#[test]
fn a_gpu_that_is_not_there_is_refused() {
    let told = Folder::new().run("doctor --device cuda:7 --quiet");
    assert!(
        told.starts_with("exit code: 2\n--- stderr\nerror: device `cuda:7` was asked for"),
        "{told}"
    );
}
