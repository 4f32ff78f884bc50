//! `manifest.json`: read once, checked whole, then trusted. What it may not say is in [`super::limits`].

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::account::{Provenance, Scores, Verification};
use super::{Encoding, Shard, limits, refuse};
use crate::model::DebertaConfig;
use crate::{Error, LabelSet, Result, Thresholds};

/// The first words of every manifest.
const FORMAT: &str = "quintet-bundle";

/// The version of the format that this program writes, and the only one that it reads.
pub const VERSION: u32 = 1;

/// What a bundle holds and what is known about it.
#[derive(Debug, Clone, PartialEq)]
pub struct Manifest {
    about: About,
    config: DebertaConfig,
    labels: LabelSet,
    thresholds: Thresholds,
    max_len: usize,
    encoding: Encoding,
    hot_rows: Option<usize>,
    folds: Vec<usize>,
    shards: Vec<Shard>,
    verification: Option<Verification>,
}

/// What a bundle says of itself to people.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct About {
    pub title: String,
    /// Of the weights, in the words of who exported them.
    pub licence: Option<String>,
    pub provenance: Provenance,
    pub scores: Scores,
}

/// What a new bundle is about: everything but its shards.
#[derive(Debug, Clone, PartialEq)]
pub struct Contents {
    pub about: About,
    pub config: DebertaConfig,
    pub labels: LabelSet,
    pub thresholds: Thresholds,
    pub max_len: usize,
    pub encoding: Encoding,
    /// Word embeddings that are needed before a fold answers; `None`: all.
    pub hot_rows: Option<usize>,
    /// The numbers that the folds have in their run.
    pub folds: Vec<usize>,
}

/// The file as it stands.
#[derive(Serialize, Deserialize)]
struct Document {
    format: String,
    version: u32,
    #[serde(flatten)]
    about: About,
    labels: LabelSet,
    thresholds: Vec<f64>,
    max_len: usize,
    encoding: Encoding,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    hot_rows: Option<usize>,
    folds: Vec<usize>,
    config: Value,
    verification: Option<Verification>,
    shards: Vec<Shard>,
}

/// Read before the rest, which another version may have changed.
#[derive(Deserialize)]
struct Kind {
    format: String,
    version: u32,
}

impl Manifest {
    /// Reads a `manifest.json` from anywhere.
    ///
    /// # Errors
    /// If it is none, is of another version, or asks for what no sound bundle would.
    pub fn from_json(json: &[u8]) -> Result<Self> {
        if json.len() > limits::MANIFEST_BYTES {
            return refuse(format!("the manifest is larger than {} bytes", limits::MANIFEST_BYTES));
        }
        let unreadable = |error: serde_json::Error| Error::Bundle(format!("the manifest: {error}"));
        let kind: Kind = serde_json::from_slice(json).map_err(unreadable)?;
        if kind.format != FORMAT {
            return refuse(format!("the manifest's format is not `{FORMAT}`"));
        }
        if kind.version != VERSION {
            return refuse(format!(
                "it is of version {}, this program reads version {VERSION}",
                kind.version
            ));
        }
        let document: Document = serde_json::from_slice(json).map_err(unreadable)?;
        let config = DebertaConfig::from_json(document.config.to_string().as_bytes())?;
        let thresholds = Thresholds::new(document.thresholds, document.labels.len())?;
        let contents = Contents {
            about: document.about,
            config,
            labels: document.labels,
            thresholds,
            max_len: document.max_len,
            encoding: document.encoding,
            hot_rows: document.hot_rows,
            folds: document.folds,
        };
        let mut manifest = Self::new(contents, document.shards)?;
        manifest.verification = document.verification;
        Ok(manifest)
    }

    /// # Errors
    /// If the parts do not make a sound bundle.
    pub(super) fn new(contents: Contents, shards: Vec<Shard>) -> Result<Self> {
        limits::check_contents(&contents)?;
        limits::check_shards(&contents, &shards)?;
        let Contents { about, config, labels, thresholds, max_len, encoding, hot_rows, folds } =
            contents;
        Ok(Self {
            about,
            config,
            labels,
            thresholds,
            max_len,
            encoding,
            hot_rows,
            folds,
            shards,
            verification: None,
        })
    }

    /// The manifest of a bundle that has been compared with its run.
    #[must_use]
    pub fn verified(self, verification: Verification) -> Self {
        Self { verification: Some(verification), ..self }
    }

    pub fn to_json(&self) -> String {
        let config = serde_json::from_str(&self.config.to_json(&self.labels));
        let document = Document {
            format: FORMAT.to_owned(),
            version: VERSION,
            about: self.about.clone(),
            labels: self.labels.clone(),
            thresholds: self.thresholds.values().to_vec(),
            max_len: self.max_len,
            encoding: self.encoding,
            hot_rows: self.hot_rows,
            folds: self.folds.clone(),
            config: config.expect("a config writes JSON"),
            verification: self.verification.clone(),
            shards: self.shards.clone(),
        };
        let mut json = serde_json::to_string_pretty(&document).expect("string keys and numbers");
        json.push('\n');
        json
    }

    pub fn title(&self) -> &str {
        &self.about.title
    }

    pub fn licence(&self) -> Option<&str> {
        self.about.licence.as_deref()
    }

    pub fn provenance(&self) -> &Provenance {
        &self.about.provenance
    }

    /// The run's measured scores: of the run, not of this encoding of it.
    pub fn scores(&self) -> &Scores {
        &self.about.scores
    }

    /// How the bundle compares with its run; absent only while it is being made.
    pub fn verification(&self) -> Option<&Verification> {
        self.verification.as_ref()
    }

    pub fn labels(&self) -> &LabelSet {
        &self.labels
    }

    pub fn thresholds(&self) -> &Thresholds {
        &self.thresholds
    }

    /// The number of folds; a fold is named by its place, from 0.
    pub fn folds(&self) -> usize {
        self.folds.len()
    }

    /// The numbers that the folds have in their run.
    pub fn fold_numbers(&self) -> &[usize] {
        &self.folds
    }

    /// Tokens of a text that are read, [CLS] and [SEP] among them.
    pub fn max_len(&self) -> usize {
        self.max_len
    }

    pub fn encoding(&self) -> Encoding {
        self.encoding
    }

    /// The first id whose word embedding is cold, which is the number of those that are not; `None`: none is.
    pub fn hot_rows(&self) -> Option<usize> {
        self.hot_rows
    }

    pub fn config(&self) -> &DebertaConfig {
        &self.config
    }

    pub fn shards(&self) -> &[Shard] {
        &self.shards
    }

    /// The shards that a fold is made of, as places in [`shards`](Self::shards), in the order to load them.
    pub fn shards_of(&self, fold: usize) -> Vec<usize> {
        let needed = |&shard: &usize| self.shards[shard].folds.contains(&fold);
        (0..self.shards.len()).filter(needed).collect()
    }

    /// Of [`shards_of`](Self::shards_of), those that make the fold answer.
    pub fn hot_shards_of(&self, fold: usize) -> Vec<usize> {
        let mut shards = self.shards_of(fold);
        shards.retain(|&shard| !self.shards[shard].cold);
        shards
    }

    /// The others: they have the rows of rarer words.
    pub fn cold_shards_of(&self, fold: usize) -> Vec<usize> {
        let mut shards = self.shards_of(fold);
        shards.retain(|&shard| self.shards[shard].cold);
        shards
    }

    /// What makes the first fold answer.
    pub fn first_answer_bytes(&self) -> u64 {
        self.hot_shards_of(0).into_iter().map(|shard| self.shards[shard].bytes).sum()
    }

    /// All shards together.
    pub fn download_bytes(&self) -> u64 {
        self.shards.iter().map(|shard| shard.bytes).sum()
    }

    /// Of [`resident_bytes`](Self::resident_bytes), what folds that are loaded beside each other have in common.
    pub fn common_bytes(&self) -> u64 {
        limits::common_bytes(&self.config, self.labels.len(), self.encoding)
    }

    /// Roughly what one loaded fold takes in memory, the loading of it included.
    pub fn resident_bytes(&self, _fold: usize) -> u64 {
        limits::resident_bytes(&self.config, self.labels.len(), self.encoding)
    }
}
