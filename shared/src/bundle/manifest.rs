//! `manifest.json`: checked as a whole when it is read, then trusted. [`super::limits`] says what it may ask for.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::account::{Provenance, Scores, Verification};
use super::contents::{About, Contents};
use super::encoding::Encoding;
use super::limits;
use super::names::refuse;
use super::shard::{FinalShards, Shard};
use crate::model::DebertaConfig;
use crate::{Error, LabelSet, Result, Thresholds};

/// The value of `format` in every manifest.
pub const FORMAT: &str = "quintet-bundle";

/// The only version of the format that this program writes and reads.
pub const VERSION: u32 = 1;

/// The manifest of a bundle: what it holds, and what is known about it.
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
    /// Those of the folds, and then those that only the final model needs.
    shards: Vec<Shard>,
    final_model: Option<FinalModel>,
    verification: Option<Verification>,
}

/// The model that learned from all rows, beside the folds.
#[derive(Debug, Clone, PartialEq)]
struct FinalModel {
    /// Its shards, as indices into those of the manifest.
    shards: Vec<usize>,
    verification: Option<Verification>,
}

/// The fields of the file, in its order.
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
    #[serde(default, skip_serializing_if = "Option::is_none")]
    final_model: Option<FinalDocument>,
}

/// The final model in the file. A reader that does not know it finds the folds as in every other bundle.
#[derive(Serialize, Deserialize)]
struct FinalDocument {
    shared_shards: Vec<usize>,
    shards: Vec<Shard>,
    verification: Option<Verification>,
}

/// The fields that are read before the others, which another version may have changed.
#[derive(Deserialize)]
struct Header {
    format: String,
    version: u32,
}

impl Manifest {
    /// Reads a `manifest.json` from anywhere.
    ///
    /// # Errors
    /// If it is not a manifest, has another version, or asks for more than any sound bundle would.
    pub fn from_json(json: &[u8]) -> Result<Self> {
        if json.len() > limits::MANIFEST_BYTES {
            return refuse(format!("the manifest is larger than {} bytes", limits::MANIFEST_BYTES));
        }
        let unreadable = |error: serde_json::Error| Error::Bundle(format!("the manifest: {error}"));
        let header: Header = serde_json::from_slice(json).map_err(unreadable)?;
        if header.format != FORMAT {
            return refuse(format!("the manifest's `format` is not `{FORMAT}`"));
        }
        if header.version != VERSION {
            return refuse(format!(
                "the manifest has version {}, but this program reads version {VERSION}",
                header.version
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
            final_model: document.final_model.is_some(),
        };
        let (final_shards, final_verification) = match document.final_model {
            Some(FinalDocument { shared_shards: shared, shards: own, verification }) => {
                (FinalShards { shared, own }, verification)
            }
            None => (FinalShards::default(), None),
        };
        let mut manifest = Self::new(contents, document.shards, final_shards)?;
        manifest.verification = document.verification;
        if let Some(final_model) = &mut manifest.final_model {
            final_model.verification = final_verification;
        }
        Ok(manifest)
    }

    /// # Errors
    /// If contents and shards do not make a sound bundle.
    pub(super) fn new(
        contents: Contents,
        mut shards: Vec<Shard>,
        final_shards: FinalShards,
    ) -> Result<Self> {
        limits::check_contents(&contents)?;
        limits::check_shards(&contents, &shards, &final_shards)?;
        let Contents { about, config, labels, thresholds, max_len, encoding, hot_rows, .. } =
            contents;
        let FinalShards { shared, own } = final_shards;
        let own_indices = shards.len()..shards.len() + own.len();
        shards.extend(own);
        let final_model = contents.final_model.then(|| FinalModel {
            shards: shared.into_iter().chain(own_indices).collect(),
            verification: None,
        });
        let folds = contents.folds;
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
            final_model,
            verification: None,
        })
    }

    /// The manifest of a bundle that has been compared with its run: the folds, and the final model if it has one.
    #[must_use]
    pub fn verified(self, folds: Verification, final_model: Option<Verification>) -> Self {
        let verified = |model: FinalModel| FinalModel { verification: final_model, ..model };
        Self { verification: Some(folds), final_model: self.final_model.map(verified), ..self }
    }

    /// The manifest of the first `count` folds alone, and of the final model if there is one. Their shards are the same files.
    ///
    /// # Errors
    /// If there are no such folds.
    pub fn first_folds(&self, count: usize) -> Result<Self> {
        if !(1..=self.folds.len()).contains(&count) {
            let folds = self.folds.len();
            return refuse(format!(
                "it has {folds} folds, of which the first {count} are asked for"
            ));
        }
        let (mut shards, mut final_shards) = (Vec::new(), FinalShards::default());
        for (index, shard) in self.shards.iter().enumerate() {
            let folds = shard.folds.iter().copied().filter(|&fold| fold < count).collect();
            let shard = Shard { folds, ..shard.clone() };
            let is_of_final =
                self.final_model.as_ref().is_some_and(|model| model.shards.contains(&index));
            if !shard.folds.is_empty() {
                final_shards.shared.extend(is_of_final.then_some(shards.len()));
                shards.push(shard);
            } else if is_of_final {
                final_shards.own.push(shard);
            }
        }
        // A cold one that a fold needed came before the final model's own.
        final_shards.own.sort_by_key(|shard| shard.cold);
        let contents = Contents {
            about: self.about.clone(),
            config: self.config.clone(),
            labels: self.labels.clone(),
            thresholds: self.thresholds.clone(),
            max_len: self.max_len,
            encoding: self.encoding,
            hot_rows: self.hot_rows,
            folds: self.folds[..count].to_vec(),
            final_model: self.final_model.is_some(),
        };
        let mut manifest = Self::new(contents, shards, final_shards)?;
        manifest.verification.clone_from(&self.verification);
        if let (Some(new), Some(old)) = (&mut manifest.final_model, &self.final_model) {
            new.verification.clone_from(&old.verification);
        }
        Ok(manifest)
    }

    /// The text of `manifest.json`.
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
            shards: self.fold_shards().cloned().collect(),
            final_model: self.final_model.as_ref().map(|model| FinalDocument {
                shared_shards: self.shared_with_final(model),
                shards: self
                    .shards
                    .iter()
                    .filter(|shard| shard.folds.is_empty())
                    .cloned()
                    .collect(),
                verification: model.verification.clone(),
            }),
        };
        let mut json = serde_json::to_string_pretty(&document).expect("string keys and numbers");
        json.push('\n');
        json
    }

    /// The name of the ensemble.
    pub fn title(&self) -> &str {
        &self.about.title
    }

    /// The license of the weights, in the words of whoever exported them.
    pub fn license(&self) -> Option<&str> {
        self.about.license.as_deref()
    }

    /// The origin of the models.
    pub fn provenance(&self) -> &Provenance {
        &self.about.provenance
    }

    /// The run's cross-validated scores. [`verification`](Self::verification) has those of this encoding.
    pub fn scores(&self) -> &Scores {
        &self.about.scores
    }

    /// The shards that folds need.
    fn fold_shards(&self) -> impl Iterator<Item = &Shard> {
        self.shards.iter().filter(|shard| !shard.folds.is_empty())
    }

    fn shared_with_final(&self, model: &FinalModel) -> Vec<usize> {
        let is_shared = |&index: &usize| !self.shards[index].folds.is_empty();
        model.shards.iter().copied().filter(is_shared).collect()
    }

    /// The comparison of the folds with those of the run; absent only while the bundle is being made.
    pub fn verification(&self) -> Option<&Verification> {
        self.verification.as_ref()
    }

    /// The comparison of the final model with that of the run.
    pub fn final_verification(&self) -> Option<&Verification> {
        self.final_model.as_ref()?.verification.as_ref()
    }

    /// The ordered label names.
    pub fn labels(&self) -> &LabelSet {
        &self.labels
    }

    /// A threshold for each label.
    pub fn thresholds(&self) -> &Thresholds {
        &self.thresholds
    }

    /// The number of folds. A model is named by its index: the folds from 0, and then the final model.
    pub fn folds(&self) -> usize {
        self.folds.len()
    }

    /// The index of the final model, if there is one beside the folds.
    pub fn final_model(&self) -> Option<usize> {
        self.final_model.as_ref().map(|_| self.folds.len())
    }

    /// The number of folds and final model.
    pub fn models(&self) -> usize {
        self.folds.len() + usize::from(self.final_model.is_some())
    }

    /// The numbers that the folds have in their run.
    pub fn fold_numbers(&self) -> &[usize] {
        &self.folds
    }

    /// The most tokens of a text that are read, `[CLS]` and `[SEP]` among them.
    pub fn max_len(&self) -> usize {
        self.max_len
    }

    /// The format of each tensor.
    pub fn encoding(&self) -> Encoding {
        self.encoding
    }

    /// The number of rows of the word embeddings that are hot, which is the first cold id; `None`: all rows are hot.
    pub fn hot_rows(&self) -> Option<usize> {
        self.hot_rows
    }

    /// The architecture that all models share.
    pub fn config(&self) -> &DebertaConfig {
        &self.config
    }

    /// All shards: those of the folds, of which cold ones are last, and then likewise those of the final model alone.
    pub fn shards(&self) -> &[Shard] {
        &self.shards
    }

    /// The shards of a model: indices into [`shards`](Self::shards), in the order to load them.
    pub fn shards_of(&self, model: usize) -> Vec<usize> {
        match &self.final_model {
            Some(final_model) if model == self.folds.len() => final_model.shards.clone(),
            _ => {
                let needed = |&shard: &usize| self.shards[shard].folds.contains(&model);
                (0..self.shards.len()).filter(needed).collect()
            }
        }
    }

    /// The shards of [`shards_of`](Self::shards_of) that a model needs before it answers.
    pub fn hot_shards_of(&self, model: usize) -> Vec<usize> {
        let mut shards = self.shards_of(model);
        shards.retain(|&shard| !self.shards[shard].cold);
        shards
    }

    /// The shards of [`shards_of`](Self::shards_of) that hold the cold rows of the word embeddings.
    pub fn cold_shards_of(&self, model: usize) -> Vec<usize> {
        let mut shards = self.shards_of(model);
        shards.retain(|&shard| self.shards[shard].cold);
        shards
    }

    /// Bytes that are downloaded before the first model answers: the final model, else fold 0.
    pub fn first_answer_bytes(&self) -> u64 {
        let first = self.final_model().unwrap_or(0);
        self.hot_shards_of(first).into_iter().map(|shard| self.shards[shard].bytes).sum()
    }

    /// Bytes of all shards of the final model; `None` if there is none.
    pub fn final_bytes(&self) -> Option<u64> {
        let shards = self.shards_of(self.final_model()?);
        Some(shards.into_iter().map(|shard| self.shards[shard].bytes).sum())
    }

    /// Bytes of all shards together.
    pub fn download_bytes(&self) -> u64 {
        self.shards.iter().map(|shard| shard.bytes).sum()
    }

    /// The part of [`resident_bytes`](Self::resident_bytes) that models in one memory share.
    pub fn common_bytes(&self) -> u64 {
        limits::common_bytes(&self.config, self.labels.len(), self.encoding)
    }

    /// Roughly the bytes of memory that loading and keeping one model takes.
    pub fn resident_bytes(&self) -> u64 {
        limits::resident_bytes(&self.config, self.labels.len(), self.encoding)
    }
}
