//! The plan of the run there, written when packing and read when running.

use anyhow::{Context, Result};
use serde_json::{Value, json};

/// The whole plan; `pack.json` in the packed folder.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    pub commit: String,
    /// The name that the rival's script has for it.
    pub geometry: String,
    /// The value of `--device`.
    pub device: String,
    /// Whether the device is no card, so that times mean nothing.
    pub rehearsal: bool,
    /// The precisions that ours is timed in, best first.
    pub precisions: Vec<String>,
    /// Optimizer steps that are compared with PyTorch's.
    pub trajectory_steps: usize,
    /// Optimizer steps that half precision is compared with f32 over.
    pub curve_steps: usize,
    /// Timed steps of the rival.
    pub rival_steps: usize,
    pub job_epochs: usize,
    /// Texts in the packed file.
    pub rows: usize,
    pub batch_size: usize,
    /// Arguments of `native-train train` that this build knows.
    pub job_arguments: Vec<String>,
    /// File names of the test programs.
    pub tests: Vec<String>,
    /// What the names of their tests contain.
    pub test_filter: String,
}

pub const FOLDS: usize = 5;

/// The tokens that a text may have.
pub const MAX_LEN: usize = 128;

/// Learning rate of the comparisons: large enough that 20 steps change the loss noticeably.
pub const COMPARISON_LR: &str = "1e-4";

/// The rival's ways of training: a name, and its script's arguments.
pub const RIVALS: [(&str, &[&str]); 3] = [
    ("tuned", &["--mode=tuned"]),
    ("dynamic", &["--mode=dynamic"]),
    ("notebook", &["--mode=notebook"]),
];

/// Those that compile before they train, which may take longer than all else.
pub const COMPILED_RIVALS: [(&str, &[&str]); 2] =
    [("flash", &["--mode=tuned", "--flash"]), ("compiled", &["--mode=tuned", "--compile"])];

impl Plan {
    /// Texts that the whole job's optimizer steps see.
    pub fn job_samples(&self) -> usize {
        self.job_epochs * self.rows * (FOLDS - 1)
    }

    pub fn to_json(&self) -> String {
        let value = json!({
            "commit": self.commit,
            "geometry": self.geometry,
            "device": self.device,
            "rehearsal": self.rehearsal,
            "precisions": self.precisions,
            "trajectory_steps": self.trajectory_steps,
            "curve_steps": self.curve_steps,
            "rival_steps": self.rival_steps,
            "job_epochs": self.job_epochs,
            "rows": self.rows,
            "batch_size": self.batch_size,
            "job_arguments": self.job_arguments,
            "tests": self.tests,
            "test_filter": self.test_filter,
        });
        format!("{value:#}\n")
    }

    pub fn from_json(text: &str) -> Result<Self> {
        let value: Value = serde_json::from_str(text)?;
        let word = |key: &str| {
            let word = value[key].as_str().map(str::to_owned);
            word.with_context(|| format!("`{key}` is missing"))
        };
        let number = |key: &str| {
            let number = value[key].as_u64().map(|number| number as usize);
            number.with_context(|| format!("`{key}` is missing"))
        };
        let words = |key: &str| {
            let words = value[key].as_array().with_context(|| format!("`{key}` is missing"))?;
            let words = words.iter().map(|word| word.as_str().map(str::to_owned));
            words.collect::<Option<Vec<_>>>().with_context(|| format!("`{key}` holds no words"))
        };
        Ok(Self {
            commit: word("commit")?,
            geometry: word("geometry")?,
            device: word("device")?,
            rehearsal: value["rehearsal"].as_bool().context("`rehearsal` is missing")?,
            precisions: words("precisions")?,
            trajectory_steps: number("trajectory_steps")?,
            curve_steps: number("curve_steps")?,
            rival_steps: number("rival_steps")?,
            job_epochs: number("job_epochs")?,
            rows: number("rows")?,
            batch_size: number("batch_size")?,
            job_arguments: words("job_arguments")?,
            tests: words("tests")?,
            test_filter: word("test_filter")?,
        })
    }
}

#[cfg(test)]
pub mod tests {
    use super::*;

    pub fn plan() -> Plan {
        Plan {
            commit: "0123456789ab".to_owned(),
            geometry: "base".to_owned(),
            device: "cuda".to_owned(),
            rehearsal: false,
            precisions: vec!["bf16".to_owned(), "f16".to_owned()],
            trajectory_steps: 20,
            curve_steps: 60,
            rival_steps: 100,
            job_epochs: 4,
            rows: 6827,
            batch_size: 16,
            job_arguments: vec!["--parallel-folds=auto".to_owned()],
            tests: vec!["shared-0123".to_owned()],
            test_filter: "cuda".to_owned(),
        }
    }

    #[test]
    fn a_plan_reads_back_as_written() {
        assert_eq!(Plan::from_json(&plan().to_json()).expect("a plan"), plan());
        let error = Plan::from_json("{}").unwrap_err();
        assert_eq!(error.to_string(), "`commit` is missing");
    }

    #[test]
    fn the_job_sees_each_text_in_all_folds_but_its_own() {
        assert_eq!(plan().job_samples(), 4 * 4 * 6827);
    }
}
