//! The table of many texts as a CSV file, made part by part, as all of it may be larger than the memory at hand.

use std::ops::Range;

use csv::WriterBuilder;
use shared::Thresholds;

use super::bundle_summary::BundleSummary;
use super::table::Table;

const ID_NAME: &str = "id";

/// Rows of a part.
const PART: usize = 2000;

/// The rows that the table shows, in its order: `id` if there are ids, `text`, 0 or 1 for each label, the probability of
/// each label. The values of a text without an answer are empty. Returns the header and then some thousand rows at a time.
pub fn parts<'a>(
    table: &'a Table,
    bundle: &'a BundleSummary,
) -> impl Iterator<Item = String> + use<'a> {
    let starts = (0..table.shown()).step_by(PART);
    let rows = starts.map(|start| rows(table, start..table.shown().min(start + PART), bundle));
    std::iter::once(header(table, bundle.labels.names())).chain(rows)
}

fn header(table: &Table, labels: &[String]) -> String {
    let id = table.ids.iter().map(|_| ID_NAME.to_owned());
    let probabilities = labels.iter().map(|label| format!("{label}_probability"));
    let names = labels.iter().cloned().chain(probabilities);
    written([id.chain(["text".to_owned()]).chain(names).collect::<Vec<_>>()])
}

fn rows(table: &Table, positions: Range<usize>, bundle: &BundleSummary) -> String {
    written(positions.map(|position| {
        let text = table.selection().text(position);
        let id = table.ids.iter().map(|ids| ids.get(text).to_owned());
        let id_and_text = id.chain([table.texts().get(text).to_owned()]);
        id_and_text.chain(values_of(table, text, &bundle.thresholds)).collect::<Vec<_>>()
    }))
}

fn values_of(table: &Table, text: usize, thresholds: &Thresholds) -> Vec<String> {
    let Some(answer) = table.answers().get(text) else {
        return vec![String::new(); 2 * thresholds.values().len()];
    };
    let decisions = thresholds.apply(answer.probabilities).map(|on| u8::from(on).to_string());
    decisions.chain(answer.probabilities.iter().map(ToString::to_string)).collect()
}

fn written(records: impl IntoIterator<Item = Vec<String>>) -> String {
    let mut writer = WriterBuilder::new().from_writer(Vec::new());
    for record in records {
        writer.write_record(record).expect("writing to memory does not fail");
    }
    let bytes = writer.into_inner().expect("writing to memory does not fail");
    String::from_utf8(bytes).expect("made of strings")
}
