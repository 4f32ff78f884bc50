//! The hub client against a hub of our own on this machine: real sockets, made-up repository.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::sync::{Arc, Mutex};

use indicatif::HumanBytes;
use safetensors::Dtype;
use tempfile::TempDir;

use super::*;
use crate::pretrained::test_files::{
    CONFIG, LABELS, backbone, fixture, write_index, write_safetensors,
};
use crate::pretrained::{Pretrained, resolve};

const ID: &str = "owner/tiny";
const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";
const TOKEN: &str = "hf_secret";

/// The files of the made-up hub and its behaviour.
#[derive(Clone, Default)]
struct Shelf {
    files: BTreeMap<String, Vec<u8>>,
    /// Demanded of every request.
    token: Option<&'static str>,
    /// This file's first download breaks off in the middle.
    cut: Option<&'static str>,
    /// Answers everything with a page, as a wrong address would.
    is_no_hub: bool,
}

struct FakeHub {
    endpoint: String,
    log: Arc<Mutex<Vec<String>>>,
}

impl Shelf {
    /// Like microsoft/deberta-v3-base: no safetensors, no tokenizer.json.
    fn torch() -> Self {
        Self::default()
            .with("config.json", CONFIG.as_bytes())
            .with("spm.model", b"pieces")
            .with("pytorch_model.bin", &fs::read(fixture("zip.bin")).unwrap())
    }

    fn with(mut self, name: &str, bytes: &[u8]) -> Self {
        self.files.insert(name.to_owned(), bytes.to_vec());
        self
    }

    fn serve(self) -> FakeHub {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let log = Arc::new(Mutex::new(Vec::new()));
        let hub = FakeHub { endpoint: endpoint.clone(), log: log.clone() };
        std::thread::spawn(move || {
            let mut shelf = self;
            for stream in listener.incoming() {
                // A client may hang up: what it then reports is the test's business.
                drop(shelf.answer(stream.unwrap(), &endpoint, &log));
            }
        });
        hub
    }

    fn answer(
        &mut self,
        stream: TcpStream,
        endpoint: &str,
        log: &Mutex<Vec<String>>,
    ) -> std::io::Result<()> {
        let request = Request::read(&stream)?;
        log.lock().unwrap().push(request.line());
        let mut stream = stream;
        if self.is_no_hub {
            return write!(
                stream,
                "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi"
            );
        }
        if self.token.is_some_and(|token| request.token.as_deref() != Some(token)) {
            return refuse(&mut stream, "401 Unauthorized");
        }
        let resolve = [format!("/{ID}/resolve/main/"), format!("/{ID}/resolve/{COMMIT}/")];
        let name = resolve.iter().find_map(|prefix| request.path.strip_prefix(prefix.as_str()));
        let content = request.path.strip_prefix("/content/");
        match (name, content) {
            // Large files lie elsewhere, and their address must come from a redirection.
            (Some(name), _) if self.files.contains_key(name) && name.ends_with(".bin") => write!(
                stream,
                "HTTP/1.1 302 Found\r\nLocation: {endpoint}/content/{name}\r\nX-Repo-Commit: {COMMIT}\r\n\
                 X-Linked-Etag: \"{}\"\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
                etag(name)
            ),
            (Some(name), _) | (_, Some(name)) => match self.files.get(name).cloned() {
                Some(bytes) => self.send(&mut stream, name, &bytes, &request),
                None => refuse(&mut stream, "404 Not Found"),
            },
            _ => refuse(&mut stream, "404 Not Found"),
        }
    }

    fn send(
        &mut self,
        stream: &mut TcpStream,
        name: &str,
        bytes: &[u8],
        request: &Request,
    ) -> std::io::Result<()> {
        let (first, last) = request.range.expect("every request of the client has a range");
        if first >= bytes.len() {
            return refuse(stream, "416 Range Not Satisfiable");
        }
        let last = last.unwrap_or(bytes.len() - 1);
        let part = &bytes[first..=last];
        write!(
            stream,
            "HTTP/1.1 206 Partial Content\r\nETag: \"{}\"\r\nX-Repo-Commit: {COMMIT}\r\n\
             Content-Range: bytes {first}-{last}/{}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
            etag(name),
            bytes.len(),
            part.len()
        )?;
        if self.cut.is_some_and(|file| file == name) && part.len() > 1 {
            self.cut = None;
            return stream.write_all(&part[..part.len() / 2]);
        }
        stream.write_all(part)
    }
}

fn etag(name: &str) -> String {
    name.bytes().map(|byte| format!("{byte:02x}")).collect()
}

fn refuse(stream: &mut TcpStream, status: &str) -> std::io::Result<()> {
    write!(stream, "HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
}

struct Request {
    path: String,
    range: Option<(usize, Option<usize>)>,
    token: Option<String>,
}

impl Request {
    fn read(stream: &TcpStream) -> std::io::Result<Self> {
        let mut lines = BufReader::new(stream).lines();
        let first = lines.next().transpose()?.unwrap_or_default();
        let path = first.split(' ').nth(1).unwrap_or_default().to_owned();
        let mut request = Self { path, range: None, token: None };
        for line in lines {
            let line = line?;
            let Some((header, value)) = line.split_once(": ") else { break };
            match header.to_ascii_lowercase().as_str() {
                "range" => request.range = range(value),
                "authorization" => {
                    request.token = value.strip_prefix("Bearer ").map(str::to_owned);
                }
                _ => {}
            }
        }
        Ok(request)
    }

    fn line(&self) -> String {
        match self.range {
            Some((first, Some(last))) => format!("{} {first}-{last}", self.path),
            Some((first, None)) => format!("{} {first}-", self.path),
            None => self.path.clone(),
        }
    }
}

fn range(value: &str) -> Option<(usize, Option<usize>)> {
    let (first, last) = value.strip_prefix("bytes=")?.split_once('-')?;
    Some((first.parse().ok()?, last.parse().ok()))
}

impl FakeHub {
    fn requests(&self) -> Vec<String> {
        self.log.lock().unwrap().clone()
    }

    fn asked_for(&self, file: &str) -> bool {
        self.requests().iter().any(|line| line.contains(&format!("/{file} ")))
    }
}

/// A hub that nobody answers for: the port was free a moment ago.
fn nobody() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    format!("http://{}", listener.local_addr().unwrap())
}

fn client(endpoint: &str, home: &TempDir) -> Hub {
    let cache = Cache::new(home.path().join("hub"));
    let token = cache.token();
    Hub::new(endpoint, cache, token, Downloads::Hidden).unwrap()
}

/// Message and hint of an error that the user can mend.
fn refused(result: Result<PathBuf>) -> (String, String) {
    let error = result.expect_err("refused");
    let user = error.downcast_ref::<UserError>().expect("the user can mend it");
    (user.to_string(), user.remedy().unwrap_or_default().to_owned())
}

#[test]
fn a_torch_repository_is_fetched_once_and_then_works_offline() {
    let home = tempfile::tempdir().unwrap();
    let hub = Shelf::torch().serve();
    let folder = client(&hub.endpoint, &home).fetch(ID, "main").unwrap();
    for file in ["tokenizer.json", "model.safetensors", "model.safetensors.index.json"] {
        assert!(hub.asked_for(file) && !folder.join(file).exists(), "{file}");
    }
    // The branch may move meanwhile: all but the first file are asked for by commit.
    let by_branch = |line: &String| line.contains("/resolve/main/");
    assert!(
        hub.requests().iter().filter(|line| by_branch(line)).all(|l| l.contains("config.json"))
    );
    let stored = fs::read(fixture("zip.bin")).unwrap();
    assert_eq!(fs::read(folder.join("pytorch_model.bin")).unwrap(), stored);

    let count = hub.requests().len();
    assert_eq!(client(&hub.endpoint, &home).fetch(ID, "main").unwrap(), folder);
    assert_eq!(hub.requests().len(), count);
    assert_eq!(client(&nobody(), &home).fetch(ID, "main").unwrap(), folder);

    let pretrained = Pretrained::from_folder(&folder).unwrap();
    let loaded = pretrained.load(LABELS, 42).unwrap();
    assert_eq!(loaded.report.files, ["pytorch_model.bin"]);
    assert_eq!(loaded.report.found.len(), backbone().len());
}

/// A cache as HF's own tools leave it: only the branch refers to the commit.
#[test]
fn a_cache_filled_by_others_is_used() {
    let home = tempfile::tempdir().unwrap();
    let repo = home.path().join("hub/models--owner--tiny");
    let snapshot = repo.join("snapshots").join(COMMIT);
    fs::create_dir_all(&snapshot).unwrap();
    fs::create_dir_all(repo.join("refs")).unwrap();
    fs::write(repo.join("refs/main"), COMMIT).unwrap();
    for (file, bytes) in Shelf::torch().files {
        fs::write(snapshot.join(file), bytes).unwrap();
    }
    assert_eq!(client(&nobody(), &home).fetch(ID, "main").unwrap(), snapshot);
}

#[test]
fn a_revision_is_asked_for_by_its_name() {
    let home = tempfile::tempdir().unwrap();
    let hub = Shelf::torch().serve();
    let folder = client(&hub.endpoint, &home).fetch(ID, COMMIT).unwrap();
    assert!(folder.ends_with(COMMIT));
    assert!(!hub.requests().iter().any(|line| line.contains("/main/")));
    let (message, _) = refused(client(&hub.endpoint, &home).fetch(ID, "v2"));
    assert_eq!(message, format!("`owner/tiny@v2` at {} has no config.json", hub.endpoint));
}

#[test]
fn shards_are_fetched_with_their_index() {
    let files = tempfile::tempdir().unwrap();
    let (index, shard) = ("model.safetensors.index.json", "model-00001-of-00001.safetensors");
    write_index(&files.path().join(index), backbone().into_keys(), &[shard]);
    write_safetensors(&files.path().join(shard), &backbone(), Dtype::F16);
    let read = |file: &str| fs::read(files.path().join(file)).unwrap();
    let shelf = Shelf::default()
        .with("config.json", CONFIG.as_bytes())
        .with("tokenizer.json", b"{}")
        .with(index, &read(index));

    let home = tempfile::tempdir().unwrap();
    let hub = shelf.clone().serve();
    let (message, _) = refused(client(&hub.endpoint, &home).fetch(ID, "main"));
    assert!(message.ends_with(&format!("has no {shard}")), "{message}");

    let hub = shelf.with(shard, &read(shard)).serve();
    let folder = client(&hub.endpoint, &home).fetch(ID, "main").unwrap();
    assert!(folder.join(shard).exists() && !hub.asked_for("config.json"));
}

#[test]
fn a_broken_download_is_taken_up_again() {
    let home = tempfile::tempdir().unwrap();
    let hub = Shelf { cut: Some("pytorch_model.bin"), ..Shelf::torch() }.serve();
    let folder = client(&hub.endpoint, &home).fetch(ID, "main").unwrap();
    let stored = fs::read(fixture("zip.bin")).unwrap();
    assert_eq!(fs::read(folder.join("pytorch_model.bin")).unwrap(), stored);
    let resumed = format!("/content/pytorch_model.bin {}-", stored.len() / 2);
    assert!(hub.requests().contains(&resumed), "{:?}", hub.requests());
}

/// Killed between the last byte and the renaming.
#[test]
fn a_left_over_download_says_what_to_delete() {
    let home = tempfile::tempdir().unwrap();
    let blobs = home.path().join("hub/models--owner--tiny/blobs");
    fs::create_dir_all(&blobs).unwrap();
    let part = blobs.join(etag("config.json")).with_extension("part");
    let hub = Shelf::torch().serve();
    for left in [CONFIG.to_owned(), CONFIG.repeat(2)] {
        fs::write(&part, left).unwrap();
        let (message, hint) = refused(client(&hub.endpoint, &home).fetch(ID, "main"));
        assert!(message.starts_with("the earlier download of `config.json`"), "{message}");
        assert_eq!(hint, format!("delete the `.part` files in `{}`", blobs.display()));
    }
    fs::remove_file(part).unwrap();
    client(&hub.endpoint, &home).fetch(ID, "main").unwrap();
}

/// Of two at once on one cache the second waits some seconds, then says what it waits for.
#[test]
#[cfg(unix)]
fn a_second_download_waits_for_the_first_and_says_so_if_it_takes_long() {
    let home = tempfile::tempdir().unwrap();
    let blobs = home.path().join("hub/models--owner--tiny/blobs");
    fs::create_dir_all(&blobs).unwrap();
    let hub = Shelf::torch().serve();
    let first = fs::File::create(blobs.join(etag("config.json")).with_extension("lock")).unwrap();
    first.lock().unwrap();
    let (message, hint) = refused(client(&hub.endpoint, &home).fetch(ID, "main"));
    let expected = "`config.json` of `owner/tiny` is being downloaded by another process";
    assert!(message.starts_with(expected), "{message}");
    assert_eq!(hint, "wait until it is done, then try again");

    std::thread::scope(|scope| {
        let second = scope.spawn(|| client(&hub.endpoint, &home).fetch(ID, "main"));
        thread::sleep(Duration::from_millis(500));
        drop(first);
        let folder = second.join().unwrap().unwrap();
        let stored = fs::read(fixture("zip.bin")).unwrap();
        assert_eq!(fs::read(folder.join("pytorch_model.bin")).unwrap(), stored);
    });
}

#[test]
fn an_absent_repository_or_file_is_named() {
    let home = tempfile::tempdir().unwrap();
    let hub = Shelf::torch().serve();
    let (message, hint) = refused(client(&hub.endpoint, &home).fetch("owner/typo", "main"));
    assert_eq!(message, format!("`owner/typo` at {} has no config.json", hub.endpoint));
    assert!(hint.starts_with("check the name"), "{hint}");

    let mut shelf = Shelf::torch();
    shelf.files.remove("pytorch_model.bin");
    let hub = shelf.serve();
    let (message, _) = refused(client(&hub.endpoint, &home).fetch(ID, "main"));
    let files = WEIGHT_FILES.join(", ");
    assert_eq!(message, format!("`owner/tiny` at {} has no {files}", hub.endpoint));
}

#[test]
fn a_gated_repository_needs_the_token() {
    let home = tempfile::tempdir().unwrap();
    let hub = Shelf { token: Some(TOKEN), ..Shelf::torch() }.serve();
    let (message, hint) = refused(client(&hub.endpoint, &home).fetch(ID, "main"));
    assert!(message.contains("refuses `owner/tiny` (HTTP 401)"), "{message}");
    assert!(hint.contains("set HF_TOKEN"), "{hint}");

    fs::write(home.path().join("token"), format!("{TOKEN}\n")).unwrap();
    client(&hub.endpoint, &home).fetch(ID, "main").unwrap();
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
    assert_eq!(hint, "check HF_ENDPOINT");
}

/// Run in a process of its own by the test below, which sets its environment.
#[test]
#[ignore = "needs a hub in its environment"]
fn resolves_in_a_process_of_its_own() {
    let pretrained = resolve(ID, Downloads::Shown).unwrap();
    println!("report: {}", pretrained.report(LABELS).unwrap());
}

#[test]
fn the_environment_names_hub_cache_and_token() {
    let home = tempfile::tempdir().unwrap();
    let hub = Shelf { token: Some(TOKEN), ..Shelf::torch() }.serve();
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["pretrained::hub::tests::resolves_in_a_process_of_its_own", "--exact"])
        .args(["--ignored", "--nocapture"])
        .env("HF_HOME", home.path())
        .env("HF_ENDPOINT", format!("{}/", hub.endpoint))
        .env("HF_TOKEN", TOKEN)
        .output()
        .unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{stdout}\n{stderr}");
    assert!(stdout.contains("tensors loaded from pytorch_model.bin"), "{stdout}");
    assert!(home.path().join("hub/models--owner--tiny/refs/main").exists());
    // Not a terminal: a line for each file, no bar.
    let lines: Vec<&str> = stderr.lines().filter(|line| line.starts_with("downloading ")).collect();
    let size = HumanBytes(fs::metadata(fixture("zip.bin")).unwrap().len());
    assert_eq!(lines.len(), 3, "{stderr}");
    assert_eq!(lines[2], format!("downloading pytorch_model.bin ({size})"));
}
