//! What became of the rounds of one command, and the table of all.

use std::fmt::Write;
use std::time::Duration;

/// The moment at which a command was struck.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// Before it changed anything.
    Before,
    Middle,
    /// After it had ended by itself.
    After,
}

/// What struck a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Struck {
    /// SIGKILL, or for a page its end.
    Killed(When),
    /// A disk that was full; false if there was room enough.
    Starved(bool),
}

/// The rounds of one command.
pub struct Tally {
    pub command: &'static str,
    /// The time that the command takes undisturbed.
    pub takes: Duration,
    pub rounds: usize,
    pub survived: usize,
    struck: Vec<Struck>,
}

impl Tally {
    pub fn new(command: &'static str, takes: Duration) -> Self {
        Self { command, takes, rounds: 0, survived: 0, struck: Vec::new() }
    }

    /// Counts a round that was survived.
    pub fn survived(&mut self, struck: Struck) {
        self.rounds += 1;
        self.survived += 1;
        self.struck.push(struck);
    }

    /// Counts a round that was not.
    pub fn failed(&mut self) {
        self.rounds += 1;
    }

    fn count(&self, struck: Struck) -> usize {
        self.struck.iter().filter(|it| **it == struck).count()
    }
}

/// The table, and what its words mean.
pub fn table(tallies: &[Tally]) -> String {
    let mut table = format!(
        "\n{:<8} {:>7} {:>11} {:>8} {:>8} {:>8} {:>10} {:>10}\n",
        "command", "takes", "survived", "before", "middle", "after", "disk full", "room left"
    );
    for tally in tallies {
        let survived = format!("{} of {}", tally.survived, tally.rounds);
        let [before, middle, after] =
            [When::Before, When::Middle, When::After].map(|when| tally.count(Struck::Killed(when)));
        let [full, room] = [true, false].map(|full| tally.count(Struck::Starved(full)));
        let mark = if tally.survived < tally.rounds { "  FAILED" } else { "" };
        writeln!(
            table,
            "{:<8} {:>6.1}s {survived:>11} {before:>8} {middle:>8} {after:>8} {full:>10} {room:>10}{mark}",
            tally.command,
            tally.takes.as_secs_f64(),
        )
        .expect("a string takes all");
    }
    table + NOTES
}

const NOTES: &str = "\
survived: what stood before was whole, and the end after trying again was the undisturbed one to the byte, except the
  times and the memory in summary.json (`seconds`, `peak_memory_bytes`) and report.html, which differ between any two runs
before, middle, after: kills before the command changed anything, in the middle, and when it had already ended
disk full: rounds whose disk filled up, which the command said; room left: the disk was large enough after all
";
