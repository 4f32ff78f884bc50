//! What can go wrong with a download: broken lines, wrong bytes, a full disk, others at the same time, refusals.

use super::cache::{Links, RepositoryCache};
use super::server::etag;
use super::*;

const LARGE: &str = "pytorch_model.bin";

#[test]
fn a_broken_download_is_taken_up_again() {
    let home = tempfile::tempdir().unwrap();
    let hub = Shelf { cut: Some((LARGE, 2)), ..Shelf::torch() }.serve();
    let folder = client(&hub.endpoint, &home).fetch(ID, "main").unwrap();
    assert_eq!(fs::read(folder.join(LARGE)).unwrap(), weights());
    let half = weights().len() / 2;
    let parts: Vec<String> =
        hub.requests().into_iter().filter(|line| line.contains("/content/")).collect();
    let expected = [
        format!("GET /content/{LARGE}"),
        format!("GET /content/{LARGE} {half}-"),
        format!("GET /content/{LARGE} {}-", half + (weights().len() - half) / 2),
    ];
    assert_eq!(parts, expected);
}

/// As Python's tools of some versions, and an earlier process, leave it.
#[test]
fn the_partial_file_of_an_earlier_process_is_continued() {
    let home = tempfile::tempdir().unwrap();
    let hub = Shelf::torch().serve();
    let blobs_folder = repository(&home).join("blobs");
    fs::create_dir_all(&blobs_folder).unwrap();
    let partial = blobs_folder.join(format!("{}.incomplete", sha256(&weights())));
    fs::write(&partial, &weights()[..1000]).unwrap();
    let folder = client(&hub.endpoint, &home).fetch(ID, "main").unwrap();
    assert_eq!(fs::read(folder.join(LARGE)).unwrap(), weights());
    assert!(hub.requests().contains(&format!("GET /content/{LARGE} 1000-")));
    assert!(!partial.exists());
}

#[test]
fn a_partial_file_that_does_not_fit_is_thrown_away() {
    let whole = weights();
    let mut changed = whole.clone();
    changed[10] ^= 1;
    for left in [changed[..1000].to_vec(), changed, [&whole[..], b"more"].concat()] {
        let home = tempfile::tempdir().unwrap();
        let hub = Shelf::torch().serve();
        let blobs_folder = repository(&home).join("blobs");
        fs::create_dir_all(&blobs_folder).unwrap();
        fs::write(blobs_folder.join(format!("{}.incomplete", sha256(&whole))), left).unwrap();
        let folder = client(&hub.endpoint, &home).fetch(ID, "main").unwrap();
        assert_eq!(fs::read(folder.join(LARGE)).unwrap(), whole);
    }
}

/// Killed between the last byte and the renaming.
#[test]
fn a_partial_file_that_is_complete_is_not_asked_for_again() {
    let home = tempfile::tempdir().unwrap();
    let hub = Shelf::torch().serve();
    let blobs_folder = repository(&home).join("blobs");
    fs::create_dir_all(&blobs_folder).unwrap();
    let partial = blobs_folder.join(format!("{}.incomplete", sha256(&weights())));
    fs::write(partial, weights()).unwrap();
    client(&hub.endpoint, &home).fetch(ID, "main").unwrap();
    assert_eq!(hub.downloads_of(LARGE), 0);
}

#[test]
fn a_host_without_ranges_sends_the_file_again() {
    let home = tempfile::tempdir().unwrap();
    let hub = Shelf { cut: Some((LARGE, 1)), whole: true, ..Shelf::torch() }.serve();
    let folder = client(&hub.endpoint, &home).fetch(ID, "main").unwrap();
    assert_eq!(fs::read(folder.join(LARGE)).unwrap(), weights());
    assert_eq!(hub.downloads_of(LARGE), 2);
}

#[test]
fn a_host_that_compresses_is_understood() {
    let home = tempfile::tempdir().unwrap();
    let hub = Shelf { compresses: true, ..Shelf::torch() }.serve();
    let folder = client(&hub.endpoint, &home).fetch(ID, "main").unwrap();
    assert_eq!(fs::read_to_string(folder.join("config.json")).unwrap(), CONFIG);
    assert_eq!(fs::read(folder.join("spm.model")).unwrap(), b"pieces");
    assert!(blobs(&home).contains(&etag("config.json")), "{:?}", blobs(&home));
}

#[test]
fn bytes_that_are_not_the_file_are_refused_and_removed() {
    let whole = weights();
    let mut flipped = whole.clone();
    flipped[100] ^= 1;
    for (sent, expected) in [
        (flipped, "and the hub says"),
        ([&whole[..], b"more"].concat(), "it is longer than"),
        (whole[..whole.len() - 1].to_vec(), "it has no bytes after the first"),
        (b"<html>log in</html>".to_vec(), "it has no bytes after the first 19"),
    ] {
        let home = tempfile::tempdir().unwrap();
        let hub = Shelf { sends: Some(sent), ..Shelf::torch() }.serve();
        let (message, hint) = refused(client(&hub.endpoint, &home).fetch(ID, "main"));
        let start = format!("what {} sent for `{LARGE}` of `owner/tiny` is not", hub.endpoint);
        assert!(message.starts_with(&start) && message.contains(expected), "{message}");
        assert!(hint.starts_with("try again"), "{hint}");
        assert_eq!(blobs(&home).len(), 2, "config and tokenizer: {:?}", blobs(&home));
        // The mended hub is believed again.
        let hub = Shelf::torch().serve();
        client(&hub.endpoint, &home).fetch(ID, "main").unwrap();
    }
}

#[test]
fn a_line_that_never_holds_ends_in_words_and_keeps_what_came() {
    let home = tempfile::tempdir().unwrap();
    let hub = Shelf { cut: Some((LARGE, 100)), ..Shelf::torch() }.serve();
    let (message, hint) = refused(client(&hub.endpoint, &home).fetch(ID, "main"));
    assert!(message.contains(&format!("for `{LARGE}` of `owner/tiny`: ")), "{message}");
    assert!(hint.starts_with("check the network"), "{hint}");
    let partial = format!("{}.incomplete", sha256(&weights()));
    let kept = fs::metadata(repository(&home).join("blobs").join(partial)).unwrap().len();
    assert!(kept as usize >= weights().len() - 2, "{kept}");
}

#[test]
fn a_busy_hub_is_asked_again() {
    for status in ["503 Service Unavailable", "429 Too Many Requests"] {
        let home = tempfile::tempdir().unwrap();
        let hub = Shelf { busy: Some((status, 4)), ..Shelf::torch() }.serve();
        client(&hub.endpoint, &home).fetch(ID, "main").unwrap();

        let home = tempfile::tempdir().unwrap();
        let hub = Shelf { busy: Some((status, 100)), ..Shelf::torch() }.serve();
        let (message, hint) = refused(client(&hub.endpoint, &home).fetch(ID, "main"));
        assert!(message.contains(&format!("(HTTP {}", &status[..3])[1..]), "{message}");
        assert!(!hint.is_empty());
        assert_eq!(hub.requests().len(), 6, "the first and five more");
    }
}

#[test]
fn of_two_that_download_at_once_one_waits_for_the_other() {
    let home = tempfile::tempdir().unwrap();
    let hub = Shelf { slow: Duration::from_millis(300), ..Shelf::torch() }.serve();
    let variables = [("HF_HOME", home.path().to_str().unwrap()), ("HF_ENDPOINT", &hub.endpoint)];
    let outcomes: Vec<_> = std::thread::scope(|scope| {
        let processes: Vec<_> =
            (0..3).map(|_| scope.spawn(|| resolved_with(&[], &variables))).collect();
        processes.into_iter().map(|process| process.join().unwrap()).collect()
    });
    assert!(outcomes.iter().all(|(output, ..)| output.status.success()), "{outcomes:?}");
    assert_eq!(hub.downloads_of(LARGE), 1, "{:?}", hub.requests());
    let said = outcomes.iter().filter(|(_, _, stderr)| stderr.contains("waiting for another"));
    assert!(said.count() > 0, "{outcomes:?}");
}

/// Who has waited for another's download makes the link again, while the other already reads.
#[test]
fn a_file_is_there_while_its_link_is_made_again() {
    for links in [Links::Symbolic, Links::Copies] {
        let home = tempfile::tempdir().unwrap();
        let cache = RepositoryCache::new(home.path(), ID, links);
        fs::create_dir_all(cache.folder().join("blobs")).unwrap();
        fs::write(cache.folder().join("blobs").join("etag"), "bytes").unwrap();
        let link = || cache.link(COMMIT, LARGE, "etag").unwrap();
        let path = link();
        std::thread::scope(|scope| {
            let links = scope.spawn(|| (0..300).for_each(|_| drop(link())));
            while !links.is_finished() {
                assert_eq!(fs::read_to_string(&path).unwrap(), "bytes");
            }
        });
        let snapshot = fs::read_dir(path.parent().unwrap()).unwrap();
        assert_eq!(snapshot.count(), 1, "something is left beside the file");
    }
}

/// Python's filelock takes the same lock, of the same file.
#[test]
fn a_lock_that_another_program_holds_is_waited_for() {
    let home = tempfile::tempdir().unwrap();
    let hub = Shelf::torch().serve();
    let locks = home.path().join("hub/.locks/models--owner--tiny");
    fs::create_dir_all(&locks).unwrap();
    let path = locks.join(format!("{}.lock", etag("config.json")));
    let ready = home.path().join("ready");
    let script = "flock -x \"$1\" sh -c 'touch \"$1\"; sleep 1' - \"$2\"";
    let mut other = Command::new("sh");
    other.args(["-c", script, "-"]).arg(&path).arg(&ready);
    let Ok(mut other) = other.spawn() else {
        eprintln!("skipped: there is no program `flock`");
        return;
    };
    for _ in 0..200 {
        if ready.exists() {
            break;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    if !ready.exists() {
        eprintln!("skipped: there is no program `flock`");
        return;
    }
    let began = std::time::Instant::now();
    client(&hub.endpoint, &home).fetch(ID, "main").unwrap();
    assert!(began.elapsed() > Duration::from_millis(500), "{:?}", began.elapsed());
    other.wait().unwrap();
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_named_and_leaves_no_broken_entry() {
    let place = tempfile::tempdir().unwrap();
    let hub = Shelf::torch().with(LARGE, &vec![7; 1 << 20]).serve();
    let script = "mount -t tmpfs -o size=300k none \"$HF_HOME\" && \"$@\"; code=$?; \
                  find \"$HF_HOME\" -type f -size +100k | sed 's/^/left: /'; exit $code";
    let before = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script, "-"];
    let may_mount = Command::new("unshare")
        .args(["--user", "--map-root-user", "--mount", "mount", "-t", "tmpfs", "none", "/tmp"])
        .status();
    if !may_mount.is_ok_and(|status| status.success()) {
        eprintln!("skipped: this system lets us mount no file system to fill");
        return;
    }
    let home = place.path().to_str().unwrap();
    let (output, stdout, stderr) =
        resolved_with(&before, &[("HF_HOME", home), ("HF_ENDPOINT", &hub.endpoint)]);
    assert!(!output.status.success(), "{stdout}\n{stderr}");
    let expected =
        format!("refused: the disk of `{home}/hub/models--owner--tiny/blobs` is full: `{LARGE}`");
    assert!(stderr.contains(&expected), "{stdout}\n{stderr}");
    assert!(stderr.contains("HF_HUB_CACHE"), "{stderr}");
    assert!(!stdout.contains("left:"), "{stdout}");
}

#[test]
fn a_cache_that_may_not_be_written_is_named() {
    let home = tempfile::tempdir().unwrap();
    let hub = Shelf::torch().serve();
    // A file where the cache should be refuses everyone, the super-user too.
    fs::write(home.path().join("hub"), "").unwrap();
    let error = client(&hub.endpoint, &home).fetch(ID, "main").unwrap_err();
    let said = format!("{error:#}");
    assert!(said.contains("downloading `config.json` of `owner/tiny` into"), "{said}");
    assert!(said.contains(home.path().to_str().unwrap()), "{said}");
}

#[test]
fn an_absent_repository_or_file_is_named() {
    let home = tempfile::tempdir().unwrap();
    let hub = Shelf::torch().serve();
    let (message, hint) = refused(client(&hub.endpoint, &home).fetch("owner/typo", "main"));
    assert_eq!(message, format!("`owner/typo` at {} has no config.json", hub.endpoint));
    assert!(hint.starts_with("check the name"), "{hint}");

    let mut shelf = Shelf::torch();
    shelf.files.remove(LARGE);
    let hub = shelf.serve();
    let (message, _) = refused(client(&hub.endpoint, &home).fetch(ID, "main"));
    let files = WEIGHT_FILES.join(", ");
    assert_eq!(message, format!("`owner/tiny` at {} has no {files}", hub.endpoint));
}

#[test]
fn a_private_repository_needs_the_token() {
    let home = tempfile::tempdir().unwrap();
    let hub = Shelf { token: Some(TOKEN), ..Shelf::torch() }.serve();
    let (message, hint) = refused(client(&hub.endpoint, &home).fetch(ID, "main"));
    assert!(message.contains("refuses `owner/tiny` (HTTP 401)"), "{message}");
    assert!(hint.contains("set HF_TOKEN"), "{hint}");

    fs::write(home.path().join("token"), format!("{TOKEN}\n")).unwrap();
    client(&hub.endpoint, &home).fetch(ID, "main").unwrap();

    fs::write(home.path().join("token"), "hf_expired").unwrap();
    let (message, hint) = refused(client(&hub.endpoint, &home).fetch(ID, "v2"));
    let token = home.path().join("token");
    let expected =
        format!("{} does not accept the token in `{}` (HTTP 401)", hub.endpoint, token.display());
    assert_eq!(message, expected);
    assert!(hint.contains("unset it"), "{hint}");
}

/// What huggingface.co answers, and the words that people need to tell one from another.
#[test]
fn refusals_are_told_apart() {
    let gated = "Access to model owner/tiny is restricted.";
    for (refusal, token, message, hint) in [
        (
            ("401 Unauthorized", "GatedRepo", gated),
            None,
            "is gated (HTTP 401): its owner",
            "then set HF_TOKEN",
        ),
        (
            ("403 Forbidden", "GatedRepo", gated),
            Some(TOKEN),
            "the token in HF_TOKEN has no access",
            "that account",
        ),
        (
            ("401 Unauthorized", "RepoNotFound", "Repository not found"),
            None,
            "does not exist, or it is private",
            "check the name",
        ),
        (
            ("404 Not Found", "RepoNotFound", "Repository not found"),
            Some(TOKEN),
            "may not read it",
            "check the name",
        ),
        (
            ("404 Not Found", "RevisionNotFound", "Invalid rev id: v2"),
            None,
            "has no revision `v2`",
            "/owner/tiny/commits/main",
        ),
        (
            ("403 Forbidden", "", "Access to this resource is disabled."),
            None,
            "forbids access",
            "HF_TOKEN",
        ),
        (("451 Unavailable", "", ""), None, "answers HTTP 451 for `config.json`", "pass that"),
    ] {
        let home = tempfile::tempdir().unwrap();
        let hub = Shelf { refusal: Some(refusal), ..Shelf::torch() }.serve();
        let mut client = client(&hub.endpoint, &home);
        if let Some(token) = token {
            client.environment.set("HF_TOKEN", token);
        }
        let (said, remedy) = refused(client.fetch(ID, "v2"));
        assert!(said.contains(message) && said.contains(refusal.2), "{said}");
        assert!(remedy.contains(hint), "{remedy}");
        assert!(!said.contains(TOKEN) && !remedy.contains(TOKEN));
    }
}

#[test]
fn an_unreachable_hub_is_told_from_a_wrong_address() {
    let home = tempfile::tempdir().unwrap();
    let endpoint = nobody();
    let (message, hint) = refused(client(&endpoint, &home).fetch(ID, "main"));
    let start = format!("cannot reach {endpoint} for `config.json` of `owner/tiny`: ");
    assert!(message.starts_with(&start), "{message}");
    assert!(hint.contains("HF_ENDPOINT"), "{hint}");

    let page = Shelf { is_no_hub: true, ..Shelf::default() }.serve();
    let (message, hint) = refused(client(&page.endpoint, &home).fetch(ID, "main"));
    assert!(message.contains("does not answer like a Hugging Face hub"), "{message}");
    assert!(hint.starts_with("check HF_ENDPOINT"), "{hint}");
}
