//! The tarball of a package as npm lays it out: `package/NAME`, in ustar and gzip. The same files give the same bytes.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use flate2::Compression;
use flate2::write::GzEncoder;
use fs_err as fs;
use tar::{Builder, Header};

/// The time of every file in npm's own tarballs, in seconds since 1970: 1985-10-26, 8:15.
const TIME: u64 = 499_162_500;

/// Packs files, in the order in which they are given.
///
/// # Errors
/// If one cannot be read, or has no name.
pub fn pack(files: &[PathBuf]) -> Result<Vec<u8>> {
    let mut packed = Builder::new(GzEncoder::new(Vec::new(), Compression::best()));
    for file in files {
        let content = fs::read(file)?;
        let name = file.file_name().with_context(|| format!("{} has no name", file.display()))?;
        let mut header = Header::new_ustar();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        header.set_mtime(TIME);
        packed.append_data(&mut header, Path::new("package").join(name), &content[..])?;
    }
    Ok(packed.into_inner()?.finish()?)
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use flate2::read::GzDecoder;
    use tar::Archive;

    use super::*;

    #[test]
    fn the_same_files_give_the_same_bytes_whenever_they_were_written() {
        let folder = tempfile::tempdir().expect("a folder");
        let write = |name: &str, content: &[u8]| {
            let file = folder.path().join(name);
            fs::write(&file, content).expect("it is written");
            file
        };
        let files = [write("a.js", &[b'x'; 700]), write("b.txt", b"")];
        let packed = pack(&files).expect("it is packed");
        write("a.js", &[b'x'; 700]);
        assert_eq!(packed, pack(&files).expect("it is packed"));

        let mut archive = Archive::new(GzDecoder::new(&packed[..]));
        let entries = archive.entries().expect("a tarball").map(|entry| {
            let mut entry = entry.expect("an entry");
            let mut content = Vec::new();
            entry.read_to_end(&mut content).expect("its content");
            let path = entry.path().expect("its path").display().to_string();
            (path, entry.header().mtime().expect("its time"), content)
        });
        assert_eq!(
            entries.collect::<Vec<_>>(),
            [
                ("package/a.js".to_owned(), TIME, vec![b'x'; 700]),
                ("package/b.txt".to_owned(), TIME, Vec::new()),
            ]
        );
    }
}
