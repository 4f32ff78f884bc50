//! What a host sent instead of a file, in words for the one who has to mend the host.
//!
//! | bytes | words |
//! |---|---|
//! | none | nothing |
//! | HTML, with its title | a web page: a fallback for unknown paths, or a login |
//! | XML | an XML document, as stores of files send for an error |
//! | a Git LFS pointer | a pointer of Git LFS, which was published without the file |
//! | gzip | a compressed file, sent without saying so |
//! | JSON that ends early | the beginning of a JSON file |
//! | other JSON | another JSON file |
//! | other text, other bytes | the text's beginning; bytes that are no text |

use serde_json::Value;
use shared::bundle::FORMAT;
use shared::words::counted;

/// The most of a text that is quoted.
const QUOTED: usize = 40;

/// What the bytes are, if they are no bundle's manifest at all. A manifest of another version, or one that asks for
/// too much, is one.
pub fn of_manifest(bytes: &[u8]) -> Option<String> {
    if let Some(words) = of_any_file(bytes) {
        return Some(words);
    }
    match serde_json::from_slice::<Value>(bytes) {
        Ok(json) if json.get("format").and_then(Value::as_str) == Some(FORMAT) => None,
        Ok(_) => Some("another JSON file".to_owned()),
        Err(error) if error.is_eof() => {
            Some(format!("only the beginning of a JSON file, {}", counted(bytes.len(), "byte")))
        }
        Err(_) => Some(match text(bytes) {
            Some(text) => format!("a text that is no JSON (`{}`)", first_words(text)),
            None => "something that is no JSON".to_owned(),
        }),
    }
}

/// What the bytes are, if they are what a host sends in place of any file. The beginning of the bytes is enough.
pub fn of_any_file(bytes: &[u8]) -> Option<String> {
    if bytes.is_empty() {
        return Some("nothing: an empty answer".to_owned());
    }
    if bytes.starts_with(&[0x1f, 0x8b, 8]) {
        return Some("a gzip file, without the header `Content-Encoding: gzip`".to_owned());
    }
    let text = beginning(bytes);
    let lower = text.to_ascii_lowercase();
    let is_page =
        ["<!doctype html", "<html", "<head", "<body", "<!--", "<script", "<title", "<meta"];
    if is_page.iter().any(|tag| lower.starts_with(tag)) {
        return Some(match title(&text, &lower) {
            Some(title) => format!("a web page (“{title}”)"),
            None => "a web page".to_owned(),
        });
    }
    if lower.starts_with("<?xml") || lower.starts_with("<error>") {
        return Some("an XML document, such as a store of files sends for an error".to_owned());
    }
    if lower.starts_with("version https://git-lfs.github.com/") {
        return Some("a pointer of Git LFS, and not the file that it stands for".to_owned());
    }
    None
}

/// The beginning of the bytes as far as it is text, without a byte order mark and blanks before it.
fn beginning(bytes: &[u8]) -> String {
    const ENOUGH: usize = 4096;
    let text = String::from_utf8_lossy(&bytes[..bytes.len().min(ENOUGH)]);
    text.trim_start_matches('\u{feff}').trim_start().to_owned()
}

fn title(text: &str, lower: &str) -> Option<String> {
    let (_, after) = lower.split_once("<title")?;
    let start = lower.len() - after.len() + after.find('>')? + 1;
    let length = lower[start..].find("</title")?;
    let title = first_words(&text[start..start + length]);
    (!title.is_empty()).then_some(title)
}

fn text(bytes: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(bytes).ok()?;
    (!text.chars().any(|c| c.is_control() && !c.is_whitespace())).then_some(text)
}

/// The beginning of a text on one line.
fn first_words(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(QUOTED) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_came_instead_of_a_manifest_is_named() {
        for (bytes, expected) in [
            (&b""[..], "nothing: an empty answer"),
            (b"<!DOCTYPE html><html><head><title>Sign in</title>", "a web page (“Sign in”)"),
            (
                b"\xef\xbb\xbf\n <HTML lang=en><TITLE>\n My\n site </TITLE>",
                "a web page (“My site”)",
            ),
            (b"<!doctype html><div id=root></div>", "a web page"),
            (b"<!-- built --><html>", "a web page"),
            (b"<html><title></title>", "a web page"),
            (
                b"<?xml version=\"1.0\"?><Error>",
                "an XML document, such as a store of files sends for an error",
            ),
            (
                b"version https://git-lfs.github.com/spec/v1\noid sha256:0",
                "a pointer of Git LFS, and not the file that it stands for",
            ),
            (b"\x1f\x8b\x08\x00", "a gzip file, without the header `Content-Encoding: gzip`"),
            (b"{\"format\": \"quintet-bu", "only the beginning of a JSON file, 22 bytes"),
            (b"{", "only the beginning of a JSON file, 1 byte"),
            (b"{\"name\": \"An app\", \"icons\": []}", "another JSON file"),
            (b"[]", "another JSON file"),
            (b"null", "another JSON file"),
            (b"{\"format\": 1}", "another JSON file"),
            (b"Not  Found\n", "a text that is no JSON (`Not Found`)"),
            (b"\xff\xfe\x00\x01", "something that is no JSON"),
        ] {
            assert_eq!(of_manifest(bytes).as_deref(), Some(expected), "{bytes:?}");
        }
        let long = "word ".repeat(100);
        assert_eq!(
            of_manifest(long.as_bytes()).unwrap(),
            "a text that is no JSON (`word word word word word word word word …`)"
        );
    }

    #[test]
    fn a_manifest_of_any_version_is_one() {
        assert_eq!(of_manifest(br#"{"format": "quintet-bundle", "version": 99}"#), None);
    }

    #[test]
    fn a_shard_is_not_taken_for_a_page() {
        // A shard begins with the length of its header, whose lowest byte may be that of `<`.
        let header = b"{\"weight\":{\"dtype\":\"F32\"";
        for length in [0x3c_u64, 0x213c, header.len() as u64] {
            let bytes = [&length.to_le_bytes()[..], header].concat();
            assert_eq!(of_any_file(&bytes), None);
        }
        assert_eq!(of_any_file(b"<html>").as_deref(), Some("a web page"));
    }
}
