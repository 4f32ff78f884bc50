//! From a request to the bytes of a file, whole or in part.

use std::fs;
use std::ops::Range;
use std::path::{Component, Path, PathBuf};

use super::http::{Request, Response};

/// A folder and the path it is served under; of several that fit, the longest path wins.
pub struct Mount {
    pub path: String,
    pub folder: PathBuf,
}

pub fn respond(folders: &[Mount], request: &Request) -> Response {
    if !["GET", "HEAD"].contains(&request.method.as_str()) {
        return Response::empty(405);
    }
    let Some((file, bytes)) = find(folders, request.path())
        .and_then(|file| fs::read(&file).ok().map(|bytes| (file, bytes)))
    else {
        return Response::empty(404);
    };
    let kind = content_type(&file);
    let mut response = match request.range.as_deref().map(|range| part(range, bytes.len())) {
        Some(Part::Bytes(range)) => Response::partial(kind, &bytes, range),
        Some(Part::Beyond) => Response::beyond(bytes.len()),
        Some(Part::Whole) | None => Response::whole(kind, bytes),
    };
    response.without_body = request.method == "HEAD";
    response
}

/// The file that `path` names, inside the folder served under the longest path that fits.
fn find(folders: &[Mount], path: &str) -> Option<PathBuf> {
    let mount = folders
        .iter()
        .filter(|mount| path.starts_with(&mount.path))
        .max_by_key(|mount| mount.path.len())?;
    let inside = Path::new(&path[mount.path.len()..]);
    // No `..`, no root, no drive: nothing outside the folder.
    if !inside.components().all(|part| matches!(part, Component::Normal(_))) {
        return None;
    }
    let file = mount.folder.join(inside);
    Some(if file.is_dir() { file.join("index.html") } else { file })
}

/// What a `Range` header asks for of a file.
#[derive(Debug, PartialEq)]
enum Part {
    Bytes(Range<usize>),
    /// A form that the server does not know: the standard allows it to send everything.
    Whole,
    /// Nothing of the file lies there.
    Beyond,
}

fn part(header: &str, length: usize) -> Part {
    let Some((first, last)) = header.strip_prefix("bytes=").and_then(|range| range.split_once('-'))
    else {
        return Part::Whole;
    };
    let range = match (first.parse::<usize>(), last.parse::<usize>()) {
        (Ok(first), Ok(last)) if first <= last => first..length.min(last.saturating_add(1)),
        (Ok(first), Err(_)) if last.is_empty() => first..length,
        (Err(_), Ok(last)) if first.is_empty() => length.saturating_sub(last)..length,
        _ => return Part::Whole,
    };
    if range.is_empty() { Part::Beyond } else { Part::Bytes(range) }
}

fn content_type(file: &Path) -> &'static str {
    match file.extension().and_then(|extension| extension.to_str()) {
        Some("html") => "text/html; charset=utf-8",
        Some("js" | "mjs") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("wasm") => "application/wasm",
        Some("svg") => "image/svg+xml",
        Some("png") => "image/png",
        Some("ico") => "image/x-icon",
        Some("json") => "application/json",
        Some("webmanifest") => "application/manifest+json",
        Some("txt" | "md" | "ts") => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_read_as_the_standard_says() {
        let cases = [
            ("bytes=0-", Part::Bytes(0..10)),
            ("bytes=4-", Part::Bytes(4..10)),
            ("bytes=4-5", Part::Bytes(4..6)),
            ("bytes=4-99", Part::Bytes(4..10)),
            ("bytes=-3", Part::Bytes(7..10)),
            ("bytes=-30", Part::Bytes(0..10)),
            ("bytes=10-", Part::Beyond),
            ("bytes=-0", Part::Beyond),
            ("bytes=5-4", Part::Whole),
            ("bytes=0-1,4-5", Part::Whole),
            ("lines=0-1", Part::Whole),
            ("bytes=-", Part::Whole),
        ];
        for (header, expected) in cases {
            assert_eq!(part(header, 10), expected, "{header}");
        }
    }
}
