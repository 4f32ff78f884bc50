//! `export`: turns a run into a bundle, and compares the two before the bundle is published.

use std::cell::OnceCell;
use std::fmt::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Result;
use indicatif::HumanDuration;
use shared::bundle::{Base, Encoding, Manifest, Whose, write};
use shared::tokenizer::CompactTokenizer;
use shared::words::{bytes, counted};

use super::inspect::bundle;
use super::stdout::print;
use crate::{
    cli::{EncodingChoice, ExportArgs, OnlyModels},
    data::{Dataset, FileOptions, LabelChoice, TextStream, Texts},
    error::{UserError, check},
    export::{
        BundleFolder, Models, Reference, Source,
        candidates::{self, Candidate},
        hot_rows,
        source::FoldChoice,
        verify,
    },
    grid::Targets,
    progress::Progress,
    threads,
};

/// The share of an ensemble's decisions that one model has to share, to stand for it.
const LEAST_AGREEMENT: f64 = 0.9;

/// Writes and verifies the bundle, and prints how it compares with the run.
///
/// # Errors
/// If the run lacks a file that a bundle needs, a file cannot be read or written, or the bundle differs
/// from the run by more than its encoding allows. `--output` is then left unchanged.
pub fn run(args: &ExportArgs, progress: &mut Progress) -> Result<()> {
    threads::set(args.threads)?;
    let mut source = Source::open(&args.run, &args.folds, args.train_csv.as_deref(), progress)?;
    let models = chosen(args, &source)?;
    match models {
        Models::Final => source.open_final()?,
        Models::Both => source.open_final().map_err(|error| {
            UserError::new(format!("{error:#}"))
                .hint("`--only folds` exports the run without its final model")
        })?,
        Models::Folds | Models::Soup => {}
    }
    let tokenizer = source.tokenizer.compact().map_err(|error| {
        UserError::new(format!("`{}`: {error}", args.run.display()))
            .hint("only tokenizers of DeBERTa-v3's kind can be exported")
    })?;
    let mut export = Export {
        args,
        models,
        base: Base::Mean,
        source,
        tokenizer,
        needed_rows: OnceCell::new(),
        reference: None,
    };
    export.find_base(progress)?;
    let mut folder = BundleFolder::open(&args.output)?;
    let (chosen, table) = match args.encoding {
        EncodingChoice::This(encoding) => {
            (export.measure(encoding, None, &mut folder, progress)?, None)
        }
        EncodingChoice::Auto => {
            let (mut all, chosen) = export.measure_all(&mut folder, progress)?;
            let table = candidates::table(&all, chosen);
            (all.swap_remove(chosen), Some(table))
        }
    };
    let found = chosen.found.expect("it was compared, as it is smaller than every other");
    if let EncodingChoice::This(encoding) = args.encoding {
        verify::check(&found, encoding)?;
    }
    if let Some(doubt) = doubt_of_mean(models, found.models.ensemble.agreement) {
        progress.warn(doubt);
    }
    let manifest = chosen.manifest.verified(found.models, found.final_model);
    folder.publish(&manifest)?;
    print(&export.account(&manifest, table))
}

/// A warning of a model of averaged weights that decides less often as the run's ensemble does than [`LEAST_AGREEMENT`].
fn doubt_of_mean(models: Models, agreement: f64) -> Option<String> {
    (matches!(models, Models::Soup) && agreement < LEAST_AGREEMENT).then(|| {
        format!(
            "the averaged weights decide {:.0}% as the ensemble does: these folds have no useful mean, as each began with other \
             random weights in its head or learned far from the others; `distil` trains one model of all",
            100.0 * agreement
        )
    })
}

/// The models that a bundle of the run gets.
fn chosen(args: &ExportArgs, source: &Source) -> Result<Models> {
    match args.only {
        Some(OnlyModels::Final) if args.folds != FoldChoice::All => {
            Err(UserError::new("`--only final` exports no folds, but `--folds` names some")
                .hint("leave one of them out")
                .into())
        }
        Some(OnlyModels::Final) => Ok(Models::Final),
        None if args.soup => Ok(Models::Soup),
        None if source.has_final() => Ok(Models::Both),
        Some(OnlyModels::Folds) | None => Ok(Models::Folds),
    }
}

/// A run and its predictions, which are computed once.
struct Export<'a> {
    args: &'a ExportArgs,
    models: Models,
    base: Base,
    source: Source,
    tokenizer: CompactTokenizer,
    /// The number of first word embeddings that each text needs, once it was computed.
    needed_rows: OnceCell<Vec<usize>>,
    reference: Option<Reference>,
}

impl Export<'_> {
    fn tokenizers(&self) -> Vec<CompactTokenizer> {
        let models = match self.models {
            Models::Folds => self.source.folds.len(),
            Models::Both => self.source.folds.len() + 1,
            Models::Soup | Models::Final => 1,
        };
        vec![self.tokenizer.clone(); models]
    }

    /// Finds the model that deltas are differences to, if the encoding may have deltas.
    fn find_base(&mut self, progress: &Progress) -> Result<()> {
        let args = self.args;
        let may_have_deltas = match args.encoding {
            EncodingChoice::This(encoding) => encoding.has_deltas(),
            EncodingChoice::Auto => {
                args.candidates.is_empty() || args.candidates.iter().any(|it| it.has_deltas())
            }
        };
        let several = self.models.have_folds() && self.source.folds.len() > 1;
        if !(may_have_deltas && several) {
            return Ok(());
        }
        if self.source.find_ancestor(args.base_model.as_deref(), progress)? {
            self.base = Base::Ancestor;
        } else if matches!(args.encoding, EncodingChoice::This(_)) {
            progress.warn(
                "the folds' mean is the base of their deltas: each fold then has a little of those that were \
                 trained on the rows it held out, and its scores are too good",
            );
        }
        Ok(())
    }

    /// The encodings that `auto` measures. Deltas to the folds' mean cannot be measured: see
    /// [`Base::Mean`].
    fn candidates(&self, progress: &Progress) -> Vec<Encoding> {
        let several = self.models.have_folds() && self.source.folds.len() > 1;
        let mut encodings = match self.args.candidates.is_empty() {
            true => candidates::usual(),
            false => self.args.candidates.clone(),
        };
        if self.base == Base::Mean {
            encodings.retain(|encoding| !encoding.has_deltas());
            if several {
                progress.note(
                    "deltas are not measured: without the model that the run began with (`--base-model`) they \
                     would be differences to the folds' mean, which has seen the held-out rows",
                );
            }
        }
        encodings
    }

    /// Measures all candidates and returns them with the index of the smallest that will do.
    fn measure_all(
        &mut self,
        folder: &mut BundleFolder,
        progress: &mut Progress,
    ) -> Result<(Vec<Candidate>, usize)> {
        let drop = self.args.max_f1_drop;
        check("max-f1-drop", drop, drop >= 0.0, "0 or more")?;
        let encodings = self.candidates(progress);
        let (max_f1_drop, names_all) = (self.args.max_f1_drop, !self.args.candidates.is_empty());
        let (mut left, mut longest) = (encodings.len(), Duration::ZERO);
        candidates::choose(&encodings, max_f1_drop, folder, |encoding, least, folder| {
            let began = Instant::now();
            let least = least.filter(|_| !names_all);
            let candidate = self.measure(encoding, least, folder, progress)?;
            left -= 1;
            if candidate.found.is_none() {
                progress
                    .note(format_args!("{encoding}: larger than one that will do, not compared"));
            } else {
                longest = longest.max(began.elapsed());
                if left > 0 {
                    // The first is the longest, as the run predicts only once.
                    let time = HumanDuration(longest * left as u32);
                    progress.note(format_args!("{left} more to measure, in at most about {time}"));
                }
            }
            Ok(candidate)
        })
    }

    /// Writes a bundle in this encoding, and compares it with the run if it has fewer bytes than `least`.
    fn measure(
        &mut self,
        encoding: Encoding,
        least: Option<u64>,
        folder: &mut BundleFolder,
        progress: &mut Progress,
    ) -> Result<Candidate> {
        let (source, args) = (&self.source, self.args);
        let needed = || &self.needed_rows.get_or_init(|| hot_rows::needed(source))[..];
        let hot_rows = args.hot_rows.of(encoding, source.words(), needed)?;
        let (title, license) = (args.title.clone(), args.license.clone());
        let contents = source.contents(encoding, hot_rows, self.models, title, license);
        progress.note(format_args!(
            "writing {} as {encoding} to `{}`",
            self.what(),
            args.output.display()
        ));
        let manifest = write(
            contents,
            &self.tokenizers(),
            self.base,
            |whose, name, rows| {
                progress.tensor(name);
                match (whose, self.models) {
                    (Whose::Base, _) => source.read_ancestor(name, rows),
                    (Whose::Fold(_), Models::Soup) => source.read_soup(name, rows).map(Some),
                    (Whose::Fold(_), Models::Final) | (Whose::Final, _) => {
                        source.read_final(name, rows).map(Some)
                    }
                    (Whose::Fold(place), _) => source.read(place, name, rows).map(Some),
                }
            },
            |shard, bytes| folder.add(shard, &bytes),
        )?;
        progress.clear();
        let size = manifest.download_bytes();
        let shards = counted(manifest.shards().len(), "shard");
        if least.is_some_and(|least| size >= least) {
            progress.note(format_args!("{shards}, {}", bytes(size)));
            return Ok(Candidate { manifest, found: None });
        }
        progress.note(format_args!("{shards}, {}; comparing with the run", bytes(size)));
        if self.reference.is_none() {
            let unseen = args.test_csv.as_deref().map(|path| self.unseen(path, progress));
            let done = |fold| progress.note(format_args!("fold {fold}: predicted by the run"));
            self.reference =
                Some(Reference::new(&self.source, self.models, unseen.transpose()?, done)?);
        }
        let reference = self.reference.as_ref().expect("made above");
        let found = verify::compare(&self.source, reference, &manifest, folder, |place| {
            progress.note(format_args!("{encoding}: {} compared", self.model(place)));
        })?;
        Ok(Candidate { manifest, found: Some(found) })
    }

    /// The texts of `--test-csv`, with targets if it has a column for each label.
    fn unseen(&self, path: &Path, progress: &Progress) -> Result<(Vec<String>, Option<Targets>)> {
        let options =
            FileOptions { format: None, delimiter: None, ..self.source.config.file_options() };
        let stream = TextStream::open(path, &options)?;
        let labels = self.source.labels.names();
        if stream.is_labelled(labels, &options) {
            let labels = LabelChoice::OfRun(labels);
            let loaded = Dataset::collect(stream, &options, labels)?;
            loaded.warnings.iter().for_each(|warning| warning.tell(progress));
            return Ok((loaded.dataset.texts, Some(loaded.dataset.targets)));
        }
        let (texts, warnings) = Texts::collect(stream)?;
        warnings.iter().for_each(|warning| warning.tell(progress));
        Ok((texts.texts, None))
    }

    fn what(&self) -> String {
        let folds = counted(self.source.folds.len(), "fold");
        match self.models {
            Models::Folds => folds,
            Models::Both => format!("{folds} and the final model"),
            Models::Soup => format!("the averaged weights of {folds}"),
            Models::Final => "the final model".to_owned(),
        }
    }

    fn model(&self, place: usize) -> String {
        match self.models {
            Models::Folds | Models::Both => match self.source.folds.get(place) {
                Some(fold) => format!("fold {fold}"),
                None => "the final model".to_owned(),
            },
            Models::Soup | Models::Final => "the model".to_owned(),
        }
    }

    fn account(&self, manifest: &Manifest, table: Option<String>) -> String {
        let mut account = table.map(|table| table + TABLE_NOTES + "\n").unwrap_or_default();
        writeln!(account, "bundle `{}`", self.args.output.display()).expect("a string takes all");
        let mut line = |text: String| writeln!(account, "  {text}").expect("a string takes all");
        line(format!(
            "{} as {}: {}, {}",
            self.what(),
            manifest.encoding(),
            counted(manifest.shards().len(), "shard"),
            bytes(manifest.download_bytes()),
        ));
        bundle::beginning(manifest).into_iter().for_each(&mut line);
        bundle::hot_rows(manifest).into_iter().for_each(&mut line);
        bundle::verification(manifest).into_iter().for_each(&mut line);
        account
    }
}

const TABLE_NOTES: &str = "\
* the smallest bundle within --max-f1-drop whose probabilities move by at most 0.02 on average; larger ones need
  not be compared, and have no figures unless --candidates names them
  macro-F1: on training texts, each predicted by the fold that held it out, at the run's thresholds
  folds' mean: the mean of the folds' macro-F1; ensemble: macro-F1 of all folds together on other texts
  (those of --test-csv, else training texts, which they have seen); |dp|: difference of a single fold's
  probability; agree: share of the ensemble's decisions that equal the run's
";
