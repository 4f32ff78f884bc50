//! As much of HTTP/1.1 as a browser needs of a file server: one request a connection.

use std::io::{self, BufRead, BufReader, Write};
use std::net::TcpStream;
use std::ops::Range;
use std::thread;
use std::time::Duration;

/// How often a second a throttled answer goes on.
const PULSES: usize = 20;

pub struct Request {
    pub method: String,
    pub target: String,
    pub range: Option<String>,
}

impl Request {
    /// None where the other side hung up without asking anything.
    pub fn read(stream: &TcpStream) -> io::Result<Option<Self>> {
        let mut lines = BufReader::new(stream).lines();
        let Some(line) = lines.next().transpose()? else { return Ok(None) };
        let mut words = line.split(' ');
        let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or("/"));
        let mut request = Self { method: method.into(), target: target.into(), range: None };
        // Read the headers to their end: closing on unread bytes would reset the connection.
        for line in lines {
            let line = line?;
            let Some((name, value)) = line.split_once(':') else { break };
            if name.eq_ignore_ascii_case("range") {
                request.range = Some(value.trim().to_owned());
            }
        }
        Ok(Some(request))
    }

    /// The target without its query.
    pub fn path(&self) -> &str {
        self.target.split(['?', '#']).next().unwrap_or(&self.target)
    }
}

pub struct Response {
    pub status: u16,
    headers: String,
    pub body: Vec<u8>,
    /// The answer to HEAD: the headers that GET would get.
    pub without_body: bool,
}

impl Response {
    pub fn empty(status: u16) -> Self {
        Self::new(status, "Content-Type: text/plain\r\n".into(), Vec::new())
    }

    pub fn whole(kind: &str, body: Vec<u8>) -> Self {
        Self::new(200, format!("Content-Type: {kind}\r\nAccept-Ranges: bytes\r\n"), body)
    }

    pub fn partial(kind: &str, bytes: &[u8], range: Range<usize>) -> Self {
        let (first, last, length) = (range.start, range.end - 1, bytes.len());
        let headers = format!(
            "Content-Type: {kind}\r\nAccept-Ranges: bytes\r\nContent-Range: bytes {first}-{last}/{length}\r\n"
        );
        Self::new(206, headers, bytes[range].to_vec())
    }

    pub fn beyond(length: usize) -> Self {
        Self::new(416, format!("Content-Range: bytes */{length}\r\n"), Vec::new())
    }

    pub fn redirect(to: &str) -> Self {
        Self::new(302, format!("Location: {to}\r\n"), Vec::new())
    }

    /// Lets pages of other sites read the answer, but not its header Content-Range: few hosts think of that.
    pub fn allow_all_sites(&mut self) {
        self.headers += "Access-Control-Allow-Origin: *\r\n";
    }

    fn new(status: u16, headers: String, body: Vec<u8>) -> Self {
        Self { status, headers, body, without_body: false }
    }

    pub fn send(self, stream: &TcpStream) -> io::Result<()> {
        let length = self.body.len();
        self.send_part(stream, length)
    }

    /// The headers of the whole, then at most `bytes` of the body.
    pub fn send_part(self, mut stream: &TcpStream, bytes: usize) -> io::Result<()> {
        self.send_head(stream)?;
        if self.without_body {
            return Ok(());
        }
        stream.write_all(&self.body[..bytes.min(self.body.len())])
    }

    /// At `pace` bytes a second for as long as it gives a number, then the rest at once.
    pub fn send_paced(
        self,
        mut stream: &TcpStream,
        pace: impl Fn() -> Option<usize>,
    ) -> io::Result<()> {
        self.send_head(stream)?;
        let mut rest = if self.without_body { &[] } else { &self.body[..] };
        while let Some(bytes) = pace().filter(|_| !rest.is_empty()) {
            let (now, later) = rest.split_at((bytes / PULSES).clamp(1, rest.len()));
            stream.write_all(now)?;
            thread::sleep(Duration::from_secs(1) / PULSES as u32);
            rest = later;
        }
        stream.write_all(rest)
    }

    fn send_head(&self, mut stream: &TcpStream) -> io::Result<()> {
        let Self { status, headers, body, .. } = self;
        let (reason, length) = (reason(*status), body.len());
        // In one piece, so that a body of a few bytes does not wait for an acknowledgement.
        let head = format!(
            "HTTP/1.1 {status} {reason}\r\n{headers}Content-Length: {length}\r\n\
             Cache-Control: no-cache\r\nConnection: close\r\n\r\n"
        );
        stream.write_all(head.as_bytes())
    }
}

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        206 => "Partial Content",
        302 => "Found",
        404 => "Not Found",
        405 => "Method Not Allowed",
        416 => "Range Not Satisfiable",
        500 => "Internal Server Error",
        503 => "Service Unavailable",
        _ => "",
    }
}
