//! The payload, which a visitor downloads before any model: the page's own files, as a host with brotli sends them.

use std::io::Write;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use fs_err as fs;

/// Wasm, scripts and styles together, compressed.
const LIMIT: usize = 1_200_000;

/// Of `dist`; the models lie there.
const MODELS: &str = "bundle";

const QUALITY: u32 = 11;

struct File {
    name: String,
    bytes: usize,
    compressed: usize,
}

/// Prints a table of the files of `dist` and fails if the application is larger than it may be.
pub fn check(dist: &Path) -> Result<()> {
    let mut files = read(dist)?;
    files.sort_by_key(|file| std::cmp::Reverse(file.compressed));
    println!("\n{:<52} {:>10} {:>10}", "file", "bytes", "brotli");
    for File { name, bytes, compressed } in &files {
        println!("{name:<52} {bytes:>10} {compressed:>10}");
    }
    let counted = files.iter().filter(|file| counts(&file.name));
    let (bytes, compressed) = counted.fold((0, 0), |(bytes, compressed), file| {
        (bytes + file.bytes, compressed + file.compressed)
    });
    println!("{:<52} {bytes:>10} {compressed:>10}", "wasm, js and css together");
    ensure!(
        compressed <= LIMIT,
        "the page's own files come to {compressed} bytes compressed, and {LIMIT} is the limit"
    );
    Ok(())
}

fn counts(name: &str) -> bool {
    [".wasm", ".js", ".css"].iter().any(|ending| name.ends_with(ending))
}

fn read(dist: &Path) -> Result<Vec<File>> {
    let mut names = Vec::new();
    list(dist, "", &mut names)?;
    names
        .into_iter()
        .map(|name| {
            let path = dist.join(&name);
            let content = fs::read(&path)?;
            let compressed = compress(&content)?.len();
            Ok(File { name, bytes: content.len(), compressed })
        })
        .collect()
}

/// Names relative to `dist`, folders below included.
fn list(dist: &Path, below: &str, names: &mut Vec<String>) -> Result<()> {
    let folder = dist.join(below);
    let entries = fs::read_dir(&folder)?;
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let name = if below.is_empty() { name } else { format!("{below}/{name}") };
        if !entry.file_type()?.is_dir() {
            names.push(name);
        } else if name != MODELS {
            list(dist, &name, names)?;
        }
    }
    Ok(())
}

/// At the quality of files that are compressed once and served often.
pub fn compress(content: &[u8]) -> Result<Vec<u8>> {
    const BUFFER: usize = 1 << 16;
    const WINDOW: u32 = 22; // 4 MiB, what hosts use
    let mut writer = brotli::CompressorWriter::new(Vec::new(), BUFFER, QUALITY, WINDOW);
    writer.write_all(content).context("cannot compress")?;
    Ok(writer.into_inner())
}
