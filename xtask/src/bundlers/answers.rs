//! The probabilities that a page, Node or `native-train` gives to the texts.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use fs_err as fs;
use serde_json::Value;

use crate::shell::{self, Shell};
use crate::site::Site;
use crate::workspace::Workspace;

/// Other instructions and another order of sums change the last digits; a wrong token or weight changes far more.
pub const TOLERANCE: f64 = 1e-4;

/// Of a text alone and among others, as the page's own tests allow.
const ALONE: f64 = 1e-6;

/// For each text, a probability for each label.
#[derive(Debug, PartialEq)]
pub struct Answers(Vec<Vec<f64>>);

impl Answers {
    /// # Errors
    /// If these are no lists of numbers.
    pub fn of(told: &Value) -> Result<Self> {
        let answers: Vec<Vec<f64>> =
            serde_json::from_value(told.clone()).with_context(|| format!("no answers: {told}"))?;
        ensure!(answers.iter().all(|answer| !answer.is_empty()), "an answer has no label");
        Ok(Self(answers))
    }

    /// The first numbers, to be looked at.
    pub fn beginning(&self) -> String {
        let numbers = self.0.first().into_iter().flatten().take(3);
        numbers.map(|number| format!("{number:.4}")).collect::<Vec<_>>().join(" ")
    }

    /// Compares the first answer with one that was told alone.
    ///
    /// # Errors
    /// If they differ.
    pub fn must_begin_like(&self, told: &str) -> Result<()> {
        let alone: Vec<f64> = serde_json::from_str(told)?;
        let first = self.0.first().context("there is an answer")?;
        let is_near = alone.len() == first.len() && difference(&alone, first) <= ALONE;
        ensure!(is_near, "alone {alone:?}, among others {first:?}");
        Ok(())
    }
}

/// The answers of `native-train predict`.
pub struct Native(Answers);

impl Native {
    /// Asks it about `texts.json` of the folder.
    ///
    /// # Errors
    /// If it fails.
    pub fn ask(workspace: &Workspace, folder: &Path) -> Result<Self> {
        let texts: Vec<String> = serde_json::from_slice(&fs::read(folder.join("texts.json"))?)?;
        let rows = texts.iter().map(|text| serde_json::json!({ "text": text }).to_string() + "\n");
        let (input, output) = (folder.join("texts.jsonl"), folder.join("native.jsonl"));
        fs::write(&input, rows.collect::<String>())?;
        let shell = Shell::new(workspace);
        let mut predict = shell.command(workspace.program("native-train"));
        predict.args(["predict", "--quiet", "--probabilities", "--run"]);
        predict
            .arg(Site::of(workspace).run)
            .arg("--input")
            .arg(&input)
            .arg("--output")
            .arg(&output);
        shell::run(&mut predict, "see native-train's message above")?;
        let rows = fs::read_to_string(&output)?;
        let answers = rows.lines().map(|row| {
            let row: serde_json::Map<String, Value> = serde_json::from_str(row)?;
            Ok(row.values().filter_map(Value::as_f64).collect())
        });
        let answers = answers.collect::<Result<Vec<Vec<f64>>>>()?;
        ensure!(answers.len() == texts.len(), "{} texts, {} answers", texts.len(), answers.len());
        Ok(Self(Answers(answers)))
    }

    pub fn largest_difference(&self, answers: &Answers) -> f64 {
        let pairs = self.0.0.iter().zip(&answers.0);
        pairs.map(|(native, here)| difference(native, here)).fold(0.0, f64::max)
    }

    /// # Errors
    /// If a probability differs by more than the tolerance, or there are other numbers of them.
    pub fn must_be_near(&self, answers: &Answers) -> Result<()> {
        let lengths = |answers: &Answers| answers.0.iter().map(Vec::len).collect::<Vec<_>>();
        ensure!(lengths(&self.0) == lengths(answers), "{answers:?}, native-train {:?}", self.0);
        let largest = self.largest_difference(answers);
        ensure!(largest <= TOLERANCE, "{largest:.1e} from native-train's probabilities");
        Ok(())
    }
}

fn difference(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
}
