//! The tensors of a model's weights as a list to print. No values are loaded.

use std::path::Path;

use anyhow::Result;

use super::stored::NumberFormat;
use super::weights::WeightFiles;

/// The tensors of a checkpoint, in order of name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listing(pub Vec<ListedTensor>);

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedTensor {
    pub name: String,
    /// `F32`, `F64`, `F16`, `BF16`, or another format's name in its file.
    pub format: String,
    pub shape: Vec<usize>,
}

impl Listing {
    /// Lists a weights file, the files that an index names, or the weights of a folder.
    ///
    /// # Errors
    /// If there are none, or a file is damaged.
    pub fn read(path: &Path) -> Result<Self> {
        let weights = match path.is_dir() {
            true => WeightFiles::open(path)?,
            false => WeightFiles::of(path.to_owned())?,
        };
        let tensor = |name: &str| ListedTensor {
            name: name.to_owned(),
            format: format(weights.format(name)),
            shape: weights.shape(name).to_vec(),
        };
        Ok(Self(weights.names().map(tensor).collect()))
    }

    /// The number of parameters in all tensors together.
    pub fn parameters(&self) -> usize {
        self.0.iter().map(|tensor| tensor.shape.iter().product::<usize>()).sum()
    }
}

fn format(format: &NumberFormat) -> String {
    match format {
        NumberFormat::F32 => "F32".to_owned(),
        NumberFormat::F64 => "F64".to_owned(),
        NumberFormat::F16 => "F16".to_owned(),
        NumberFormat::Bf16 => "BF16".to_owned(),
        NumberFormat::Unusable(name) => name.clone(),
    }
}

#[cfg(test)]
mod tests {
    use safetensors::Dtype;

    use super::super::test_files::{Tensors, write_safetensors};
    use super::*;

    #[test]
    fn a_file_and_its_folder_list_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("model.safetensors");
        let tensors = Tensors::from([
            ("b.weight".to_owned(), (vec![2, 3], vec![0.0; 6])),
            ("a.bias".to_owned(), (vec![4], vec![0.0; 4])),
        ]);
        write_safetensors(&file, &tensors, Dtype::BF16);
        let listing = Listing::read(&file).unwrap();
        let names: Vec<&str> = listing.0.iter().map(|tensor| tensor.name.as_str()).collect();
        assert_eq!(names, ["a.bias", "b.weight"]);
        assert_eq!((listing.0[1].format.as_str(), &listing.0[1].shape[..]), ("BF16", &[2, 3][..]));
        assert_eq!(listing.parameters(), 10);
        assert_eq!(Listing::read(folder.path()).unwrap(), listing);
    }
}
