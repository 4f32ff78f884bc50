//! `export`: a run becomes a bundle, which is compared with it before anyone can see it.

use std::fmt::Write;

use anyhow::Result;
use shared::bundle::{self, Manifest, Verification};

use super::{counted, print};
use crate::{
    cli::ExportArgs,
    config::set_threads,
    error::UserError,
    export::{BundleFolder, Source, verify},
    progress::Progress,
};

/// Writes and verifies the bundle, prints how it compares with the run.
///
/// # Errors
/// If the run lacks what a bundle needs, a file cannot be read or written, or the bundle differs from the run by more
/// than its encoding may. `--output` is then as it was.
pub fn run(args: &ExportArgs, progress: &mut Progress) -> Result<()> {
    set_threads(args.threads)?;
    let source = Source::open(&args.run, &args.folds, args.train_csv.as_deref(), progress)?;
    let encoding = args.encoding.into();
    let contents = source.contents(encoding, args.title.clone(), args.license.clone());
    let tokenizer = source.tokenizer.compact().map_err(|error| {
        UserError::new(format!("`{}`: {error}", args.run.display()))
            .hint("a bundle takes tokenizers of DeBERTa-v3's own form")
    })?;
    let tokenizers = vec![tokenizer; source.folds.len()];
    let mut folder = BundleFolder::open(&args.output)?;
    progress.note(format_args!(
        "writing {} as {} to `{}`",
        counted(source.folds.len(), "fold"),
        encoding.name(),
        args.output.display()
    ));
    let manifest = bundle::write(
        contents,
        &tokenizers,
        |place, name| source.read(place, name),
        |shard, bytes| folder.add(shard, &bytes),
    )?;
    progress
        .note(format_args!("comparing with the run on {}", counted(source.dataset.len(), "row")));
    let found = verify::compare(&source, &manifest, &folder, |place| {
        progress.note(format_args!("fold {}: compared", source.folds[place]));
    })?;
    verify::check(&found, encoding)?;
    let manifest = manifest.verified(found.clone());
    folder.publish(&manifest)?;
    print(&account(args, &manifest, &found))
}

fn account(args: &ExportArgs, manifest: &Manifest, found: &Verification) -> String {
    let mut account = format!("bundle `{}`\n", args.output.display());
    let mut line = |text: String| writeln!(account, "  {text}").expect("a string takes all");
    line(format!(
        "{} as {}: {}, {}",
        counted(manifest.folds(), "fold"),
        manifest.encoding().name(),
        counted(manifest.shards().len(), "shard"),
        megabytes(manifest.download_bytes()),
    ));
    super::inspect::bundle::verification(found).into_iter().for_each(&mut line);
    account
}

pub(super) fn megabytes(bytes: u64) -> String {
    format!("{:.1} MB", bytes as f64 / 1e6)
}
