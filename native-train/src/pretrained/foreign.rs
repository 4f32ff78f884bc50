//! Files that hold a model in another form than this program reads, told by their first bytes or names: what each is,
//! and what to do with it.

use std::fs::{self, File};
use std::io::Read;
use std::path::Path;

use crate::error::UserError;

const FROM_TENSORFLOW: &str = "convert it with a transformers 4 that has TensorFlow: \
     `AutoModel.from_pretrained(FOLDER, from_tf=True).save_pretrained(FOLDER)`";
const FROM_FLAX: &str = "convert it with a transformers 4 that has Flax: \
     `AutoModel.from_pretrained(FOLDER, from_flax=True).save_pretrained(FOLDER)`";
const FROM_SOURCE: &str =
    "it is made for inference; pass the PyTorch or safetensors weights that it was made from";
const STATE_DICT: &str = "load it in PyTorch and save its tensors: \
     `torch.save(model.state_dict(), \"pytorch_model.bin\")`";

/// The first bytes of a file, what it is, and what to do.
const STARTS: [(&[u8], &str, &str); 9] = [
    (b"\x89HDF\r\n\x1a\n", "a Keras or TensorFlow file (HDF5)", FROM_TENSORFLOW),
    (b"GGUF", "a GGUF file", FROM_SOURCE),
    (b"\x93NUMPY", "a NumPy array", "pass the model's weights"),
    (b"\x1f\x8b", "compressed by gzip", "unpack it with `gunzip`"),
    (b"\x28\xb5\x2f\xfd", "compressed by zstd", "unpack it with `unzstd`"),
    (b"7z\xbc\xaf", "a 7z archive", "unpack it"),
    (
        b"<!DOCTYPE",
        "a web page",
        "download the file itself: the page's address is not that of the file",
    ),
    (
        b"<html",
        "a web page",
        "download the file itself: the page's address is not that of the file",
    ),
    (b"<?xml", "an XML text", "download the file itself"),
];

/// The ends of names of weights in other forms, what they are, and what to do.
const NAMES: [(&str, &str, &str); 15] = [
    ("tf_model.h5", "TensorFlow weights", FROM_TENSORFLOW),
    (".keras", "a Keras model", FROM_TENSORFLOW),
    (".h5", "Keras or TensorFlow weights", FROM_TENSORFLOW),
    ("saved_model.pb", "a TensorFlow SavedModel", FROM_TENSORFLOW),
    (".ckpt.index", "a TensorFlow checkpoint", FROM_TENSORFLOW),
    (".msgpack", "Flax weights", FROM_FLAX),
    (".onnx", "an ONNX model", FROM_SOURCE),
    (".gguf", "a GGUF file", FROM_SOURCE),
    (".tflite", "a TensorFlow Lite model", FROM_SOURCE),
    ("rust_model.ot", "weights of the crate rust-bert", FROM_SOURCE),
    (".mlmodel", "a Core ML model", FROM_SOURCE),
    (
        "adapter_model.safetensors",
        "an adapter (LoRA) without its model",
        "merge it in peft: `model.merge_and_unload().save_pretrained(FOLDER)`",
    ),
    (
        "adapter_model.bin",
        "an adapter (LoRA) without its model",
        "merge it in peft: `model.merge_and_unload().save_pretrained(FOLDER)`",
    ),
    (".distcp", "a distributed checkpoint", "gather it with `torch.distributed.checkpoint`"),
    (
        ".npz",
        "NumPy arrays",
        "save the tensors by their names in Hugging Face's DeBERTa-v2 as model.safetensors",
    ),
];

/// The error for a file whose first bytes tell that it is another kind of file; `None` if they do not.
pub fn by_content(path: &Path) -> Option<UserError> {
    let mut start = Vec::new();
    File::open(path).ok()?.take(1 << 12).read_to_end(&mut start).ok()?;
    let trimmed = start.trim_ascii_start();
    let is = |bytes: &&(&[u8], &str, &str)| {
        trimmed.get(..bytes.0.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(bytes.0))
    };
    if let Some((_, what, hint)) = STARTS.iter().find(is) {
        return Some(is_no_weights(path, what, hint));
    }
    if start.get(257..262) == Some(b"ustar") {
        return Some(is_no_weights(
            path,
            "a tar archive",
            "unpack it, and pass the model's folder",
        ));
    }
    if start.is_empty() {
        return None;
    }
    // An ONNX model begins with its version and the name of its producer.
    if start[0] == 0x08 && start.get(2) == Some(&0x12) {
        return Some(is_no_weights(path, "an ONNX model", FROM_SOURCE));
    }
    let name = path.to_string_lossy();
    NAMES
        .iter()
        .find(|(end, ..)| name.ends_with(end) && !end.starts_with("adapter"))
        .map(|(_, what, hint)| is_no_weights(path, what, hint))
}

/// The error for a folder without weights that holds weights in another form; `None` if it does not.
pub fn in_folder(folder: &Path) -> Option<UserError> {
    let entries = fs::read_dir(folder).ok()?.flatten();
    let mut names: Vec<String> =
        entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    NAMES.iter().find_map(|(end, what, hint)| {
        let name = names.iter().find(|name| name.ends_with(end))?;
        Some(is_no_weights(&folder.join(name), what, hint))
    })
}

/// The error for a zip archive of another program, by the names of its entries; `None` for any other.
pub fn by_entries(path: &Path, entries: &[String]) -> Option<UserError> {
    let has = |end: &str| entries.iter().any(|name| name.ends_with(end));
    if has("model.weights.h5") {
        Some(is_no_weights(path, "a Keras model", FROM_TENSORFLOW))
    } else if has(".npy") {
        Some(is_no_weights(
            path,
            "an archive of NumPy arrays (.npz)",
            "save the tensors as model.safetensors",
        ))
    } else if has(".safetensors") || has("pytorch_model.bin") {
        Some(is_no_weights(
            path,
            "an archive of a model's folder",
            "unpack it, and pass the folder",
        ))
    } else {
        None
    }
}

/// The error for a whole module in a pickle.
pub fn whole_module(path: &Path, class: &str) -> UserError {
    is_no_weights(path, &format!("a whole module ({class}), not its tensors"), STATE_DICT)
}

/// The error for a TorchScript archive.
pub fn torch_script(path: &Path) -> UserError {
    is_no_weights(
        path,
        "a TorchScript archive",
        "pass the weights it was made from, or save its tensors: \
         `torch.save(torch.jit.load(FILE).state_dict(), \"pytorch_model.bin\")`",
    )
}

/// The error for a file whose name is that of the other of the two formats.
pub fn other_format(path: &Path, what: &str, name: &str) -> UserError {
    is_no_weights(path, what, &format!("rename it to {name}"))
}

fn is_no_weights(path: &Path, what: &str, hint: &str) -> UserError {
    UserError::new(format!("`{}` is {what}, which cannot be read", path.display())).hint(hint)
}
