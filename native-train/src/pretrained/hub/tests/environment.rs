//! Where the cache and the token are, and when no request is made: as huggingface_hub 2.4's constants.py says.

use super::*;

#[test]
fn the_cache_is_where_python_has_it() {
    for (variables, expected) in [
        (vec![], "/home/ann/.cache/huggingface/hub"),
        (vec![("HF_HOME", "~/hf")], "/home/ann/hf/hub"),
        (vec![("HF_HOME", "$DISK/hf"), ("DISK", "/mnt")], "/mnt/hf/hub"),
        (vec![("XDG_CACHE_HOME", "~/caches")], "/home/ann/caches/huggingface/hub"),
        (vec![("XDG_CACHE_HOME", "/x"), ("HF_HOME", "/h")], "/h/hub"),
        (vec![("HUGGINGFACE_HUB_CACHE", "~/old"), ("HF_HOME", "/h")], "/home/ann/old"),
        (
            vec![("HF_HUB_CACHE", "${DISK}/c"), ("HUGGINGFACE_HUB_CACHE", "/o"), ("DISK", "/d")],
            "/d/c",
        ),
        (vec![("HF_HUB_CACHE", "relative")], "relative"),
        (vec![("HF_HUB_CACHE", ""), ("HF_HOME", "")], "/home/ann/.cache/huggingface/hub"),
    ] {
        let mut environment = Environment::of("/home/ann", []);
        for (name, value) in &variables {
            environment.set(name, value);
        }
        assert_eq!(environment.cache(), PathBuf::from(expected), "{variables:?}");
    }
}

#[test]
fn the_token_is_the_one_that_python_sends() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().to_str().unwrap();
    fs::write(home.path().join("token"), " hf_file\r\n").unwrap();
    fs::write(home.path().join("other"), "hf_other").unwrap();
    let other = home.path().join("other");
    let other = other.to_str().unwrap();
    for (variables, expected) in [
        (vec![], Some("hf_file")),
        (vec![("HF_TOKEN", " hf_new\n")], Some("hf_new")),
        (vec![("HF_TOKEN", ""), ("HUGGING_FACE_HUB_TOKEN", "hf_old")], Some("hf_old")),
        (vec![("HF_TOKEN", "hf_new"), ("HUGGING_FACE_HUB_TOKEN", "hf_old")], Some("hf_new")),
        (vec![("HF_TOKEN_PATH", other)], Some("hf_other")),
        (vec![("HF_TOKEN_PATH", "~/other")], Some("hf_other")),
        (vec![("HF_TOKEN_PATH", "/no/such/file")], None),
        (vec![("HF_TOKEN", "hf_new"), ("HF_HUB_DISABLE_IMPLICIT_TOKEN", "yes")], None),
        (vec![("HF_HUB_DISABLE_IMPLICIT_TOKEN", "0")], Some("hf_file")),
    ] {
        let mut environment = Environment::of(path, [("HF_HOME", path)]);
        for (name, value) in &variables {
            environment.set(name, value);
        }
        let token = environment.token().unwrap().map(|token| token.value);
        assert_eq!(token.as_deref(), expected, "{variables:?}");
    }
    let error = Environment::of(path, [("HF_TOKEN", "hf_a b")]).token().err().unwrap();
    assert!(error.to_string().starts_with("the token in HF_TOKEN has a character"), "{error}");
    assert!(!error.to_string().contains("hf_a"), "a token is never printed");
}

#[test]
fn addresses_and_numbers_that_are_none_are_named() {
    for (name, value, expected) in [
        (
            "HF_ENDPOINT",
            "hf-mirror.com",
            "HF_ENDPOINT is `hf-mirror.com`, which is not a web address",
        ),
        ("HF_ENDPOINT", "https://", "HF_ENDPOINT is `https:`, which names no host"),
        ("HF_ENDPOINT", "http:///x", "HF_ENDPOINT is `http:///x`, which names no host"),
        (
            "HF_HUB_DOWNLOAD_TIMEOUT",
            "10s",
            "HF_HUB_DOWNLOAD_TIMEOUT is `10s`, which is not a number",
        ),
    ] {
        let home = tempfile::tempdir().unwrap();
        let hub = impatient(Environment::of(home.path().to_str().unwrap(), [(name, value)]));
        let (message, hint) = refused(hub.fetch(ID, "main"));
        assert!(message.starts_with(expected), "{message}");
        assert!(!hint.is_empty());
    }
}

#[test]
fn offline_no_request_is_made_and_what_is_missing_is_named() {
    let home = tempfile::tempdir().unwrap();
    let server = Shelf::torch().serve();
    for (name, value) in [
        ("HF_HUB_OFFLINE", "1"),
        ("HF_HUB_OFFLINE", "on"),
        ("HF_HUB_OFFLINE", "Yes"),
        ("TRANSFORMERS_OFFLINE", "TRUE"),
    ] {
        let mut hub = client(&server.endpoint, &home);
        hub.environment.set(name, value);
        let (message, hint) = refused(hub.fetch(ID, "main"));
        let expected = format!(
            "the cache has no config.json of `owner/tiny` (looked in `{}`), and {name}={value} forbids to \
             download it",
            repository(&home).display()
        );
        assert_eq!(message, expected);
        assert!(hint.contains("HF_HUB_CACHE"), "{hint}");
    }
    assert!(server.requests().is_empty());

    // Python lets HF_HUB_OFFLINE=0 overrule the other.
    let mut hub = client(&server.endpoint, &home);
    hub.environment.set("HF_HUB_OFFLINE", "0");
    hub.environment.set("TRANSFORMERS_OFFLINE", "1");
    let folder = hub.fetch(ID, "main").unwrap();

    // What is cached needs no network, and a part that is missing is named.
    let count = server.requests().len();
    let mut hub = client(&server.endpoint, &home);
    hub.environment.set("HF_HUB_OFFLINE", "1");
    assert_eq!(hub.fetch(ID, "main").unwrap(), folder);
    fs::remove_file(folder.join("pytorch_model.bin")).unwrap();
    let (message, _) = refused(hub.fetch(ID, "main"));
    let start =
        "the cache has none of model.safetensors, model.safetensors.index.json, pytorch_model.bin";
    assert!(message.starts_with(start), "{message}");
    assert_eq!(server.requests().len(), count);
}

#[test]
fn an_empty_token_file_is_no_token() {
    let home = tempfile::tempdir().unwrap();
    fs::write(home.path().join("token"), "\n").unwrap();
    let hub = Shelf::torch().serve();
    client(&hub.endpoint, &home).fetch(ID, "main").unwrap();
    assert!(hub.requests().iter().all(|line| !line.contains('(')), "{:?}", hub.requests());
}
