//! The readers of bytes from elsewhere. Each takes any bytes: it reads or refuses them, and never panics. What it has read is used, and
//! where two ways lead to the same values, both are gone and compared.

use std::fs;
use std::path::Path;
use std::sync::{LazyLock, OnceLock};

use native_train::config::TrainConfig;
use native_train::data::{Dataset, FileOptions, LabelChoice, TextStream, Texts};
use native_train::evaluation::report::Summary;
use native_train::pretrained::{Listing, Pretrained};
use native_train::run::files::read_json;
use native_train::run::tables::{FoldTable, ThresholdTable, read_decisions, read_probabilities};
use sha2::{Digest, Sha256};
use shared::bundle::{FoldLoader, Manifest};
use shared::csv::{Fault, Reader};
use shared::model::DebertaConfig;
use shared::tokenizer::{CompactTokenizer, Tokenizer};
use shared::{LabelSet, Thresholds};

/// A reader of any bytes.
pub type Read = fn(&[u8]);

/// The readers and their names, which are those of their corpora.
pub const READERS: [(&str, Read); 14] = [
    ("csv", csv),
    ("data_file", data_file),
    ("json_lines", json_lines),
    ("spm_model", spm_model),
    ("tokenizer_json", tokenizer_json),
    ("config_json", config_json),
    ("safetensors", safetensors),
    ("pickle", pickle),
    ("manifest", manifest),
    ("shard", shard),
    ("compact_tokenizer", compact_tokenizer),
    ("thresholds", thresholds),
    ("run_folder", run_folder),
    ("fragment", fragment),
];

/// A text with what tokenizers stumble over.
const TEXT: &str =
    " Oh NO, [MASK] it's \u{a0}Grüße 12,5 \u{1F600}\u{200D} ﬁ e\u{301}<s> [SEP]x\t中文 ";

/// Tables: as a whole and in blocks, they are the same.
pub fn csv(input: &[u8]) {
    let Some((&size, content)) = input.split_first() else { return };
    let read = |size: usize| -> Result<Vec<(usize, Vec<String>)>, Fault> {
        let mut reader = Reader::new(None);
        let mut rows = Vec::new();
        for block in content.chunks(size).map(Some).chain([None]) {
            match block {
                Some(block) => reader.push(block),
                None => reader.end(),
            }
            while let Some(record) = reader.next()? {
                rows.push((record.line, record.values().map(str::to_owned).collect()));
            }
        }
        Ok(rows)
    };
    let whole = read(content.len().max(1));
    assert_eq!(whole, read(usize::from(size) + 1));
    if let Err(fault) = whole {
        assert!(!fault.what().is_empty() && !fault.remedy().is_empty());
    }
}

/// Files of texts and labels, by the readers of `train`, `evaluate` and `predict`.
pub fn data_file(input: &[u8]) {
    with_file("data.csv", input, |path| table(path, &FileOptions::default()));
}

/// The same in JSON Lines, with labels in columns and in lists.
pub fn json_lines(input: &[u8]) {
    with_file("data.jsonl", input, |path| {
        table(path, &FileOptions::default());
        let label_list_column = Some("labels".to_owned());
        table(path, &FileOptions { label_list_column, ..FileOptions::default() });
    });
}

fn table(path: &Path, options: &FileOptions) {
    let labelled = Dataset::read(path, options, LabelChoice::Find);
    let texts = TextStream::open(path, options).and_then(Texts::collect);
    if let (Ok(labelled), Ok((texts, _))) = (labelled, texts) {
        assert_eq!(labelled.dataset.texts, texts.texts);
    }
}

/// SentencePiece models.
pub fn spm_model(input: &[u8]) {
    use_tokenizer(Tokenizer::from_sentencepiece(input));
}

/// Tokenizers of Hugging Face.
pub fn tokenizer_json(input: &[u8]) {
    use_tokenizer(Tokenizer::from_json(input));
}

/// Both tokenizers give the same ids, where the compact one can be made.
fn use_tokenizer(tokenizer: shared::Result<Tokenizer>) {
    let Ok(tokenizer) = tokenizer else { return };
    let ids = tokenizer.encode(TEXT, 64);
    if let Ok(compact) = tokenizer.compact() {
        assert_eq!(ids, compact.encode(TEXT, 64));
    }
}

/// Configurations: what is read is written and read again.
pub fn config_json(input: &[u8]) {
    let Ok(config) = DebertaConfig::from_json(input) else { return };
    let labels = LabelSet::new(vec!["joy".to_owned(), "fear".to_owned()]).expect("two names");
    let written = config.to_json(&labels);
    let again = DebertaConfig::from_json(written.as_bytes()).expect("we wrote it");
    assert_eq!(again.to_json(&labels), written);
}

/// Weights in a `.safetensors` file.
pub fn safetensors(input: &[u8]) {
    weights("model.safetensors", input);
}

/// Weights in a `pytorch_model.bin`.
pub fn pickle(input: &[u8]) {
    weights("pytorch_model.bin", input);
}

/// The config of a model of a few numbers.
const TINY: &str = r#"{"model_type": "deberta-v2", "hidden_size": 4, "num_hidden_layers": 1, "num_attention_heads": 1,
    "intermediate_size": 4, "vocab_size": 6, "position_buckets": 2, "max_position_embeddings": 8, "relative_attention": true,
    "share_att_key": true, "pos_att_type": "p2c|c2p", "norm_rel_ebd": "layer_norm", "type_vocab_size": 0,
    "position_biased_input": false, "hidden_act": "gelu", "pad_token_id": 0}"#;

/// Reads weights: those that the report accepts can be loaded, and no others.
fn weights(name: &str, input: &[u8]) {
    with_file(name, input, |path| {
        let _ = Listing::read(path);
        let folder = path.parent().expect("in a folder");
        fs::write(folder.join("config.json"), TINY).expect("a file can be written");
        let Ok(pretrained) = Pretrained::from_folder(folder) else { return };
        let report = pretrained.report(2);
        let loaded = pretrained.load(2, 1);
        assert_eq!(report.is_ok(), loaded.is_ok(), "{:?}", loaded.err());
    });
}

/// Manifests: what is read is written and read again.
pub fn manifest(input: &[u8]) {
    let Ok(manifest) = Manifest::from_json(input) else { return };
    let again = Manifest::from_json(manifest.to_json().as_bytes()).expect("we wrote it");
    assert_eq!(again.to_json(), manifest.to_json());
    for fold in 0..manifest.folds() {
        let _ =
            (manifest.shards_of(fold), manifest.first_answer_bytes(), manifest.resident_bytes());
    }
}

/// Shards whose sha256 is that of the manifest, as a wrong exporter could write them.
pub fn shard(input: &[u8]) {
    static BUNDLE: OnceLock<(String, Vec<Vec<u8>>)> = OnceLock::new();
    let (manifest, shards) = BUNDLE.get_or_init(small_bundle);
    let Some((&place, content)) = input.split_first() else { return };
    let place = usize::from(place) % shards.len();
    let known = Manifest::from_json(manifest.as_bytes()).expect("ours");
    let old = &known.shards()[place];
    let hash: [u8; 32] = Sha256::digest(content).into();
    let name: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
    let mut changed: serde_json::Value = serde_json::from_str(manifest).expect("ours");
    for shard in changed["shards"].as_array_mut().expect("a list") {
        if shard["sha256"] == old.sha256 {
            shard["sha256"] = name.clone().into();
            shard["bytes"] = content.len().into();
        }
    }
    let Ok(changed) = Manifest::from_json(changed.to_string().as_bytes()) else { return };
    let mut loader = FoldLoader::new(&changed, 0);
    for index in changed.shards_of(0) {
        let bytes = if index == place { content } else { &shards[index] };
        let hash = Sha256::digest(bytes).into();
        let Ok(shard) = changed.shards()[index].open_hashed(bytes.to_vec(), hash) else { return };
        if loader.take(index, &shard).is_err() {
            return;
        }
    }
    if let Ok(model) = loader.finish() {
        let _ = model.classify(&[TEXT]);
    }
}

/// A bundle of an earlier program, which is also in the tests of `shared`.
fn small_bundle() -> (String, Vec<Vec<u8>>) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/tests/bundles/int12");
    let text = fs::read_to_string(folder.join("manifest.json")).expect("a file of this repository");
    let manifest = Manifest::from_json(text.as_bytes()).expect("ours");
    let read = |name: String| fs::read(folder.join(name)).expect("a file of this repository");
    let shards = manifest.shards().iter().map(|shard| read(shard.file_name())).collect();
    (text, shards)
}

/// The tables of a compact tokenizer, as the tensors of a safetensors file.
pub fn compact_tokenizer(input: &[u8]) {
    let Ok(tensors) = safetensors::SafeTensors::deserialize(input) else { return };
    let table = |name: &str| {
        let tensor = tensors.tensor(name).ok()?;
        Some((tensor.dtype(), tensor.data()))
    };
    if let Ok(tokenizer) = CompactTokenizer::from_tensors(table) {
        let _ = tokenizer.encode(TEXT, 64);
        let _ = tokenizer.to_tensors();
    }
}

/// `thresholds.json`: what is read is written and read again.
pub fn thresholds(input: &[u8]) {
    with_file("thresholds.json", input, |path| {
        let Ok(table) = ThresholdTable::read(path) else { return };
        let again = Thresholds::new(table.thresholds.values().to_vec(), table.labels.len());
        assert_eq!(again.expect("they were read"), table.thresholds);
    });
}

/// The other files of a run.
pub fn run_folder(input: &[u8]) {
    let Some((&kind, content)) = input.split_first() else { return };
    static LABELS: LazyLock<LabelSet> = LazyLock::new(|| {
        LabelSet::new(vec!["joy".to_owned(), "fear".to_owned()]).expect("two names")
    });
    with_file("file", content, |path| match kind % 5 {
        0 => drop(TrainConfig::load(path)),
        1 => drop(FoldTable::read(path)),
        2 => drop(read_probabilities(path, &LABELS)),
        3 => drop(read_decisions(path, &LABELS)),
        _ => drop(read_json::<Summary>(path)),
    });
}

#[path = "../../web/src/fragment.rs"]
mod address;

/// The text in the page's address: what is read is written and read again.
pub fn fragment(input: &[u8]) {
    let Ok(fragment) = std::str::from_utf8(input) else { return };
    if let Some(text) = address::text_in(fragment) {
        assert_eq!(address::text_in(&address::with_text(&text)), Some(text));
    }
}

/// Calls `read` with a file of this content, in memory where that is possible.
fn with_file(name: &str, content: &[u8], read: impl FnOnce(&Path)) {
    thread_local! {
        static FOLDER: tempfile::TempDir = {
            let memory = Path::new("/dev/shm");
            let folder = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
            folder.expect("a folder can be made")
        };
    }
    FOLDER.with(|folder| {
        let path = folder.path().join(name);
        fs::write(&path, content).expect("a file can be written");
        read(&path);
        let _ = fs::remove_file(&path);
    });
}
