//! The table "story by engine": what was played, for how long, and why the rest was not.

use std::collections::BTreeMap;

use crate::engines::Engine;

pub struct Table {
    pub stories: Vec<String>,
    pub columns: Vec<Column>,
}

/// The stories in one engine.
pub struct Column {
    pub engine: Engine,
    /// The version, or the reason why it cannot be driven here.
    pub version: Result<String, String>,
    /// A cell for each story.
    pub cells: Vec<Cell>,
}

/// What became of one story in one engine.
pub struct Played {
    pub verdict: Verdict,
    pub seconds: f64,
    /// What the story and its browser said.
    pub words: String,
}

pub enum Verdict {
    Passed,
    Failed,
    Skipped(String),
}

/// What became of a story in an engine, however often it was played.
#[derive(Clone, Default)]
pub struct Cell {
    passed: usize,
    /// Of each time that it was played to its end.
    seconds: Vec<f64>,
    skipped: Option<String>,
}

impl Column {
    pub fn new(engine: Engine, version: Result<String, String>, stories: usize) -> Self {
        Self { engine, version, cells: vec![Cell::default(); stories] }
    }

    fn seconds(&self) -> f64 {
        // The sum of none would be -0.
        self.cells.iter().flat_map(|cell| &cell.seconds).fold(0.0, |sum, seconds| sum + seconds)
    }

    fn count(&self, is_it: impl Fn(&Cell) -> bool) -> usize {
        self.cells.iter().filter(|cell| is_it(cell)).count()
    }
}

impl Cell {
    pub fn take(&mut self, Played { verdict, seconds, .. }: Played) {
        match verdict {
            Verdict::Skipped(reason) => self.skipped = Some(reason),
            Verdict::Passed => {
                self.passed += 1;
                self.seconds.push(seconds);
            }
            Verdict::Failed => self.seconds.push(seconds),
        }
    }

    fn has_failed(&self) -> bool {
        self.passed < self.seconds.len()
    }

    fn has_passed(&self) -> bool {
        !self.seconds.is_empty() && !self.has_failed()
    }

    fn is_played(&self) -> bool {
        !self.seconds.is_empty()
    }

    /// The median of its times, and how often it passed if it was played more than once.
    fn words(&self) -> String {
        if !self.is_played() {
            return "skipped".to_owned();
        }
        let mut sorted = self.seconds.clone();
        sorted.sort_by(f64::total_cmp);
        let median = format!("{:.1} s", sorted[sorted.len() / 2]);
        match (self.seconds.len(), self.has_failed()) {
            (1, false) => median,
            (1, true) => "FAILED".to_owned(),
            (times, failed) => {
                let mark = if failed { "FAILED, " } else { "" };
                format!("{mark}{} of {times}, {median}", self.passed)
            }
        }
    }
}

impl Table {
    /// Prints the stories by engine, then what was skipped by its reason.
    pub fn print(&self) {
        const LEAST: usize = 18;
        let name = self.stories.iter().map(String::len).max().unwrap_or(0);
        let head = |column: &Column| {
            let version = column.version.as_ref().map_or("not here", |version| shortened(version));
            format!("{} {version}", column.engine)
        };
        let line = |first: &str, cells: Vec<String>| {
            let cells: Vec<String> = cells.iter().map(|cell| format!("{cell:>LEAST$}")).collect();
            println!("{first:<name$}  {}", cells.join("  "));
        };
        println!();
        line("story", self.columns.iter().map(head).collect());
        for (place, story) in self.stories.iter().enumerate() {
            let cells = self.columns.iter().map(|column| column.cells[place].words());
            line(story, cells.collect());
        }
        let passed = |column: &Column| {
            format!("{} in {:.0} s", column.count(Cell::has_passed), column.seconds())
        };
        line("passed", self.columns.iter().map(passed).collect());
        let skipped = |column: &Column| column.count(|cell| !cell.is_played()).to_string();
        line("skipped", self.columns.iter().map(skipped).collect());
        for (reason, stories) in self.reasons() {
            println!("skipped, {reason}: {}", stories.join(", "));
        }
        for sentence in self.absent() {
            println!("{sentence}");
        }
    }

    /// The stories that were skipped, by engine and reason.
    fn reasons(&self) -> BTreeMap<String, Vec<&str>> {
        let mut reasons: BTreeMap<String, Vec<&str>> = BTreeMap::new();
        for column in &self.columns {
            for (cell, story) in column.cells.iter().zip(&self.stories) {
                if let Some(reason) = &cell.skipped {
                    let reason = format!("{} ({reason})", column.engine);
                    reasons.entry(reason).or_default().push(story);
                }
            }
        }
        reasons
    }

    /// A sentence for each engine that is not here.
    pub fn absent(&self) -> Vec<String> {
        let absent = self.columns.iter().filter_map(|column| {
            let reason = column.version.as_ref().err()?;
            Some(format!("skipped: all stories in {}: {reason}", column.engine))
        });
        absent.collect()
    }

    /// The stories that failed, with their engines.
    pub fn failed(&self) -> Vec<String> {
        let of = |column: &Column| {
            let engine = column.engine;
            let failed = column.cells.iter().zip(&self.stories);
            let failed = failed.filter(|(cell, _)| cell.has_failed());
            failed.map(|(_, story)| format!("{story} ({engine})")).collect::<Vec<_>>()
        };
        self.columns.iter().flat_map(of).collect()
    }
}

/// A version without what only its maker tells apart: `156.0` of `156.0.8078.108`.
fn shortened(version: &str) -> &str {
    let mut dots = version.match_indices('.').map(|(place, _)| place);
    dots.nth(1).map_or(version, |place| &version[..place])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn played(verdict: Verdict) -> Played {
        Played { verdict, seconds: 1.0, words: String::new() }
    }

    #[test]
    fn what_was_not_played_has_not_passed_and_what_failed_once_has_failed() {
        let mut cell = Cell::default();
        assert!(!cell.has_passed() && !cell.has_failed());
        cell.take(played(Verdict::Skipped("no such thing".into())));
        assert_eq!(
            (cell.has_passed(), cell.has_failed(), &cell.words()[..]),
            (false, false, "skipped")
        );
        let mut cell = Cell::default();
        cell.take(played(Verdict::Failed));
        assert_eq!(cell.words(), "FAILED");
        cell.take(played(Verdict::Passed));
        assert_eq!((cell.has_failed(), &cell.words()[..]), (true, "FAILED, 1 of 2, 1.0 s"));
    }

    #[test]
    fn a_skipped_story_is_listed_with_its_engine_and_reason() {
        let mut column = Column::new(Engine::WebKit, Ok("2.50.6".into()), 2);
        column.cells[1].take(played(Verdict::Skipped("no such thing".into())));
        let absent = Column::new(Engine::Firefox, Err("no Firefox".into()), 2);
        let stories = vec!["a".to_owned(), "b".to_owned()];
        let table = Table { stories, columns: vec![column, absent] };
        let expected = BTreeMap::from([("WebKitGTK (no such thing)".to_owned(), vec!["b"])]);
        assert_eq!(table.reasons(), expected);
        assert_eq!(table.absent(), ["skipped: all stories in Firefox: no Firefox"]);
        assert_eq!(table.failed(), [""; 0]);
    }
}
