//! The server, asked over a real socket.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use super::*;

fn served() -> Server {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (source, server) = (package.join("src"), package.join("src/server"));
    Server::start(0, &[("/", &source), ("/other/", &server)]).expect("a free port")
}

fn ask(server: &Server, method: &str, target: &str, headers: &str) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", server.port)).expect("it listens");
    write!(stream, "{method} {target} HTTP/1.1\r\nHost: here\r\n{headers}\r\n").expect("it reads");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).expect("it answers");
    String::from_utf8_lossy(&answer).into_owned()
}

fn get(server: &Server, target: &str) -> String {
    ask(server, "GET", target, "")
}

fn body(answer: &str) -> &str {
    answer.split_once("\r\n\r\n").expect("headers end").1
}

const MAIN: &str = include_str!("../main.rs");

#[test]
fn serves_its_folders_and_nothing_else() {
    let server = served();
    let found = get(&server, "/main.rs?x=1");
    assert!(found.starts_with("HTTP/1.1 200 OK\r\n"), "{found}");
    assert_eq!(body(&found), MAIN);
    assert_eq!(body(&get(&server, "/other/fault.rs")), include_str!("fault.rs"));
    for outside in ["/../Cargo.toml", "//etc/hostname", "/other/../main.rs", "/no-such-file", "/"] {
        assert!(get(&server, outside).starts_with("HTTP/1.1 404"), "{outside}");
    }
    assert!(ask(&server, "POST", "/main.rs", "").starts_with("HTTP/1.1 405"));
}

#[test]
fn answers_head_and_ranges() {
    let server = served();
    let head = ask(&server, "HEAD", "/main.rs", "");
    assert!(head.contains(&format!("Content-Length: {}\r\n", MAIN.len())), "{head}");
    assert_eq!(body(&head), "");

    let part = ask(&server, "GET", "/main.rs", "Range: bytes=4-9\r\n");
    assert!(part.starts_with("HTTP/1.1 206"), "{part}");
    assert!(part.contains(&format!("Content-Range: bytes 4-9/{}\r\n", MAIN.len())), "{part}");
    assert_eq!(body(&part), &MAIN[4..10]);
    let beyond = ask(&server, "GET", "/main.rs", "range: bytes=9999999-\r\n");
    assert!(beyond.starts_with("HTTP/1.1 416"), "{beyond}");

    let ranges: Vec<_> = server.log().into_iter().map(|asked| asked.range).collect();
    assert_eq!(ranges[1].as_deref(), Some("bytes=4-9"));
}

#[test]
fn a_fault_holds_for_its_path_until_it_is_cleared() {
    let server = served();
    server.set_fault("/", Fault::Status(500));
    server.set_fault("/other/", Fault::Status(404));
    assert!(get(&server, "/main.rs").starts_with("HTTP/1.1 500"));
    assert!(get(&server, "/other/fault.rs").starts_with("HTTP/1.1 404"));
    server.clear_fault("/");
    assert_eq!(body(&get(&server, "/main.rs")), MAIN);

    server.set_fault("/main.rs", Fault::FlippedByte);
    let flipped = get(&server, "/main.rs");
    let differing = body(&flipped).bytes().zip(MAIN.bytes()).filter(|(is, was)| is != was).count();
    assert_eq!(differing, 1);

    server.set_fault("/main.rs", Fault::CutOnce(7));
    assert_eq!(body(&get(&server, "/main.rs")), &MAIN[..7]);
    assert_eq!(body(&get(&server, "/main.rs")), MAIN);

    server.set_fault("/main.rs", Fault::HangUp);
    assert_eq!(get(&server, "/main.rs"), "");
    assert_eq!(server.log().last().expect("it was asked").status, 0);
}

#[test]
fn a_slow_or_silent_answer_goes_on_when_the_fault_is_cleared() {
    let server = served();
    for (fault, expected) in
        [(Fault::Throttle { bytes_per_second: 20 }, MAIN), (Fault::Silence, "")]
    {
        server.set_fault("/main.rs", fault);
        let start = Instant::now();
        let answer = thread::scope(|scope| {
            let asking = scope.spawn(|| get(&server, "/main.rs"));
            thread::sleep(Duration::from_millis(300));
            assert!(!asking.is_finished(), "{fault:?}");
            server.clear_fault("/main.rs");
            asking.join().expect("it gets an answer")
        });
        assert_eq!(answer.split_once("\r\n\r\n").map_or("", |(_, body)| body), expected);
        assert!(start.elapsed() < Duration::from_secs(20), "{fault:?}");
    }
}
