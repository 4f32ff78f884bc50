//! The tarball of a package as npm lays it out: `package/NAME`, in ustar and gzip. The same files give the same bytes.

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use flate2::Compression;
use flate2::write::GzEncoder;
use fs_err as fs;

const BLOCK: usize = 512;

/// The time of every file in npm's own tarballs, in seconds since 1970: 1985-10-26, 8:15.
const TIME: u64 = 499_162_500;

/// Packs files, in the order in which they are given.
///
/// # Errors
/// If one cannot be read, or its name or size does not fit into the format.
pub fn pack(files: &[PathBuf]) -> Result<Vec<u8>> {
    let mut packed = GzEncoder::new(Vec::new(), Compression::best());
    for file in files {
        let content = fs::read(file)?;
        packed.write_all(&header(&name(file)?, content.len())?)?;
        packed.write_all(&content)?;
        packed.write_all(&vec![0; content.len().next_multiple_of(BLOCK) - content.len()])?;
    }
    packed.write_all(&[0; 2 * BLOCK])?;
    Ok(packed.finish()?)
}

fn name(file: &Path) -> Result<String> {
    let name = file.file_name().and_then(|name| name.to_str());
    Ok(format!("package/{}", name.with_context(|| format!("{} has no name", file.display()))?))
}

/// The header of a plain file (POSIX.1-1988, "ustar").
fn header(name: &str, bytes: usize) -> Result<[u8; BLOCK]> {
    ensure!(name.len() <= 100 && bytes < 1 << 33, "`{name}` does not fit into a tarball");
    let mut header = [0; BLOCK];
    let mut put = |at: usize, field: &str| {
        header[at..at + field.len()].copy_from_slice(field.as_bytes());
    };
    put(0, name);
    put(100, "0000644");
    put(108, "0000000");
    put(116, "0000000");
    put(124, &format!("{bytes:011o}"));
    put(136, &format!("{TIME:011o}"));
    // The sum is taken with spaces in its own place.
    put(148, "        ");
    put(156, "0");
    put(257, "ustar\0");
    put(263, "00");
    let sum: u32 = header.iter().map(|&byte| u32::from(byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    Ok(header)
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use flate2::read::GzDecoder;

    use super::*;

    #[test]
    fn the_same_files_give_the_same_bytes_with_headers_that_add_up() {
        let folder = tempfile::tempdir().expect("a folder");
        let files = [("a.js", vec![b'x'; 700]), ("b.txt", Vec::new())].map(|(name, content)| {
            let file = folder.path().join(name);
            fs::write(&file, content).expect("it is written");
            file
        });
        let packed = pack(&files).expect("it is packed");
        assert_eq!(packed, pack(&files).expect("it is packed"));
        let mut tar = Vec::new();
        GzDecoder::new(&packed[..]).read_to_end(&mut tar).expect("gzip");
        assert_eq!(tar.len(), BLOCK * (1 + 2 + 1 + 2));
        for (at, name, bytes) in
            [(0, "package/a.js\0", "00000001274\0"), (3, "package/b.txt\0", "00000000000\0")]
        {
            let header = &tar[at * BLOCK..(at + 1) * BLOCK];
            assert!(header.starts_with(name.as_bytes()));
            assert_eq!(&header[124..136], bytes.as_bytes());
            let sum = header.iter().enumerate().map(|(place, &byte)| {
                u32::from(if (148..156).contains(&place) { b' ' } else { byte })
            });
            assert_eq!(&header[148..154], format!("{:06o}", sum.sum::<u32>()).as_bytes());
        }
        assert_eq!(&tar[BLOCK..BLOCK + 700], &[b'x'; 700]);
        assert_eq!(tar[BLOCK + 700], 0);
    }
}
