//! The rows: which labels come together, which texts are hard, and which labels are worth a second look.

use std::collections::HashSet;

use super::chart::{Axis, Chart, Mark, heat_map};
use super::figure::{Excerpt, Figure, Table};
use super::judged::Judged;
use crate::data::text_key;
use crate::evaluation::Scores;
use crate::evaluation::audit::{Audit, Finding, FoundBy};
use crate::evaluation::columns::{figure, percent};
use crate::grid::{Grid, Targets};

/// The texts of each kind that are shown.
const SHOWN: usize = 20;

/// The parts that texts are dealt to by their length.
const LENGTHS: usize = 5;

/// The longest text that is shown, in characters.
const LONGEST: usize = 300;

/// The rows with the doubts in their labels.
pub struct Rows<'a> {
    judged: Judged<'a>,
    audit: Audit,
}

impl<'a> Rows<'a> {
    pub fn new(judged: Judged<'a>) -> Self {
        let Judged { labels, texts, targets, probabilities, .. } = judged;
        Self { judged, audit: Audit::new(labels, texts, targets, probabilities) }
    }

    /// How often two labels come together, in truth and as decided.
    pub fn together(&self) -> Vec<Figure> {
        let Judged { targets, decisions, .. } = self.judged;
        let decided = Targets::new(
            targets.columns(),
            decisions.rows().flatten().map(|&on| u8::from(on)).collect(),
        );
        let figure = |what: &str, grid: &Targets| {
            let names = self.judged.labels.names();
            let shares = shares_together(grid);
            let mut table = Table { header: vec!["of those with".to_owned()], rows: Vec::new() };
            table.header.extend(names.iter().cloned());
            for (name, shares) in names.iter().zip(&shares) {
                let cells =
                    shares.iter().map(|share| share.map_or_else(|| "–".to_owned(), percent));
                table.rows.push(std::iter::once(name.clone()).chain(cells).collect());
            }
            Figure {
                svg: heat_map(&format!("How often labels come together: {what}"), names, &shares),
                caption: format!(
                    "{what}: of the rows with the label at the left, the share that has the one above."
                ),
                table,
            }
        };
        vec![figure("True labels", targets), figure("Decided labels", &decided)]
    }

    /// The score of short and long texts.
    pub fn lengths(&self) -> Figure {
        let Judged { texts, targets, decisions, .. } = self.judged;
        let words: Vec<usize> = texts.iter().map(|text| text.split_whitespace().count()).collect();
        let mut order: Vec<usize> = (0..texts.len()).collect();
        order.sort_by_key(|&row| words[row]);
        let mut table = Table::new(&["words", "rows", "macro-F1", "micro-F1"]);
        let mut points = Vec::new();
        let mut ticks = Vec::new();
        // Texts of one length stay together.
        let limits: Vec<usize> =
            (1..LENGTHS).map(|part| words[order[part * order.len() / LENGTHS]]).collect();
        let part = |row: &usize| limits.partition_point(|&limit| limit <= words[*row]);
        let parts = order.chunk_by(|one, other| part(one) == part(other));
        for (place, rows) in parts.enumerate() {
            let scores = Scores::new(&targets.select(rows), &decisions.select(rows));
            let range = match (words[rows[0]], words[rows[rows.len() - 1]]) {
                (least, most) if least == most => least.to_string(),
                (least, most) => format!("{least} to {most}"),
            };
            points.push((place as f64, scores.micro_average.f1));
            ticks.push((place as f64, range.clone()));
            table.rows.push(vec![
                range,
                rows.len().to_string(),
                figure(scores.macro_f1()),
                figure(scores.micro_average.f1),
            ]);
        }
        let last = points.len().saturating_sub(1) as f64;
        let chart = Chart {
            description: "Micro-F1 of a fifth of the texts each, by their number of words"
                .to_owned(),
            width: 480.0,
            height: 210.0,
            x: Axis { name: "words", low: -0.5, high: last + 0.5, ticks },
            y: Axis::share("micro-F1"),
            marks: vec![
                Mark::Line { series: 0, points: points.clone() },
                Mark::Dots { series: 0, points },
            ],
        };
        Figure {
            svg: chart.svg(),
            caption: "Micro-F1 of a fifth of the texts each, by their number of words, at thresholds that were tuned on other rows.".to_owned(),
            table,
        }
    }

    /// The texts with the greatest loss, of equal ones the first: where the models are surest and wrong.
    pub fn most_wrong(&self) -> Vec<Excerpt> {
        let Judged { targets, probabilities, labels, .. } = self.judged;
        let error = |row: usize, label: usize| {
            let probability = f64::from(probabilities.row(row)[label]);
            if targets.row(row)[label] == 1 { 1.0 - probability } else { probability }
        };
        let loss = |row: usize| -> f64 {
            (0..labels.len()).map(|label| -(1.0 - error(row, label)).max(1e-9).ln()).sum()
        };
        let mut order: Vec<(f64, usize)> = (0..targets.len()).map(|row| (loss(row), row)).collect();
        order.sort_by(|one, other| other.0.total_cmp(&one.0).then(one.1.cmp(&other.1)));
        let excerpt = |&(_, row): &(f64, usize)| {
            let remarks = (0..labels.len()).filter(|&label| error(row, label) > 0.5).map(|label| {
                let has = if targets.row(row)[label] == 1 { "has" } else { "has not" };
                let probability = probabilities.row(row)[label];
                format!("{has} {} ({probability:.2})", labels.names()[label])
            });
            self.excerpt(row, remarks.collect::<Vec<_>>().join(", "))
        };
        let is_wrong =
            |&&(_, row): &&(f64, usize)| (0..labels.len()).any(|label| error(row, label) > 0.5);
        let mut seen = HashSet::new();
        let is_new = |&&(_, row): &&(f64, usize)| seen.insert(text_key(&self.judged.texts[row]));
        order.iter().filter(is_wrong).filter(is_new).take(SHOWN).map(excerpt).collect()
    }

    /// The labels that the models doubt most.
    pub fn suspects(&self) -> Vec<Excerpt> {
        let found = self.audit.found_by(FoundBy::Model).take(SHOWN);
        let doubt = |finding: &Finding| {
            let probability = self.judged.probabilities.row(finding.row)[finding.label];
            self.doubt(finding, format!("the models give it {}", percent(f64::from(probability))))
        };
        found.map(doubt).collect()
    }

    /// Equal and nearly equal texts with other labels.
    pub fn contradictions(&self) -> Vec<Excerpt> {
        let equal = self.audit.found_by(FoundBy::EqualText).take(SHOWN);
        let near = self.audit.found_by(FoundBy::NearText).take(SHOWN);
        let doubt = |finding: &Finding, why: &str| {
            self.doubt(finding, format!("{} {why}", percent(finding.score)))
        };
        let equal = equal.map(|finding| doubt(finding, "of equal texts say the other"));
        equal
            .chain(near.map(|finding| doubt(finding, "similar to one that says the other")))
            .collect()
    }

    fn doubt(&self, finding: &Finding, why: String) -> Excerpt {
        let name = &self.judged.labels.names()[finding.label];
        let says = if finding.given { "given" } else { "not given" };
        self.excerpt(finding.row, format!("{name} is {says}; {why}"))
    }

    fn excerpt(&self, row: usize, remark: String) -> Excerpt {
        let text = &self.judged.texts[row];
        let mut shown: String = text.chars().take(LONGEST).collect();
        if shown.len() < text.len() {
            shown.push('…');
        }
        Excerpt { id: self.judged.ids[row].clone(), text: shown, remark }
    }
}

/// Of the rows with one label, the share with another; `None` where no row has it, and for a label with itself.
fn shares_together(grid: &Grid<u8>) -> Vec<Vec<Option<f64>>> {
    let labels = grid.columns();
    let mut counts = vec![vec![0usize; labels]; labels];
    for row in grid.rows() {
        let on: Vec<usize> = (0..labels).filter(|&label| row[label] == 1).collect();
        for &one in &on {
            on.iter().for_each(|&other| counts[one][other] += 1);
        }
    }
    let share = |one: usize, other: usize| {
        let all = counts[one][one];
        (one != other && all > 0).then(|| counts[one][other] as f64 / all as f64)
    };
    (0..labels).map(|one| (0..labels).map(|other| share(one, other)).collect()).collect()
}
