//! The help pages, whole: they are how the program teaches itself.

use super::Folder;

fn page(line: &str) -> String {
    Folder::new().run(line)
}

#[test]
fn help_pages() {
    insta::assert_snapshot!("help", page("--help"));
    insta::assert_snapshot!("help_train", page("train --help"));
    insta::assert_snapshot!("help_distil", page("distil --help"));
    insta::assert_snapshot!("help_shrink", page("shrink --help"));
    insta::assert_snapshot!("help_predict", page("predict --help"));
    insta::assert_snapshot!("help_evaluate", page("evaluate --help"));
    insta::assert_snapshot!("help_report", page("report --help"));
    insta::assert_snapshot!("help_audit", page("audit --help"));
    insta::assert_snapshot!("help_compare", page("compare --help"));
    insta::assert_snapshot!("help_export", page("export --help"));
    insta::assert_snapshot!("help_inspect", page("inspect --help"));
    insta::assert_snapshot!("help_doctor", page("doctor --help"));
}

#[test]
fn a_misspelt_flag_is_clap_s_to_correct() {
    insta::assert_snapshot!(page("train --epoch 3"), @r"
    exit code: 2
    --- stderr
    error: unexpected argument '--epoch' found

      tip: a similar argument exists: '--epochs'

    Usage: native-train train --epochs <N>

    For more information, try '--help'.
    ");
    insta::assert_snapshot!(page("train --device gpu"), @r"
    exit code: 2
    --- stderr
    error: invalid value 'gpu' for '--device <DEVICE>': `gpu` is not a device: use auto, cpu, cuda, cuda:N, cuda:0,cuda:1 or all

    For more information, try '--help'.
    ");
    insta::assert_snapshot!(page("train --seed -1"), @r"
    exit code: 2
    --- stderr
    error: unexpected argument '-1' found

    Usage: native-train train [OPTIONS]

    For more information, try '--help'.
    ");
}
