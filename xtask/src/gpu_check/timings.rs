//! The parts that time: our training, its operations one by one, the rival's training, and our whole job.

use std::time::Instant;

use anyhow::{Context, Result};
use fs_err as fs;
use serde_json::Value;

use super::plan::{FOLDS, MAX_LEN};
use super::report::{Job, Speed};
use super::roofline::Roofline;
use super::session::{Limit, Session};
use super::{limited, pack};

impl Session<'_> {
    pub fn ours(
        &mut self,
        name: &str,
        precision: &str,
        at_once: usize,
        limit: Limit,
    ) -> Result<String> {
        let mut command = self.our_bench("speed", precision);
        command.arg(format!("--folds-at-once={at_once}"));
        let log = format!("ours-{precision}-{at_once}");
        let answer = limited::answer(&self.limited(&mut command, &log, limit)?)?;
        let speed = Speed::of(name, &answer).context("its answer lacks figures")?;
        let found = told(&speed);
        self.report.ours.push(speed);
        Ok(found)
    }

    /// How near each operation of a step comes to what the card can do.
    pub fn roofline(&mut self, precision: &str, limit: Limit) -> Result<String> {
        let mut command = self.our_bench("roofline", precision);
        let answer = limited::answer(&self.limited(&mut command, "roofline", limit)?)?;
        let roofline = Roofline::of(&answer).context("its answer lacks figures")?;
        let found = roofline.in_short();
        self.report.roofline = Some(roofline);
        Ok(found)
    }

    pub fn rival(&mut self, name: &str, flags: &[&str], limit: Limit) -> Result<String> {
        let mut command = self.rival_script("gpu_rival.py");
        command.arg(self.folder.join("rival/hf_train.py"));
        command.args(flags).args(["--config", &self.plan.geometry]).arg("--init").arg(self.model());
        command.arg("--train-csv").arg(self.texts()).arg("--tokenizer").arg(self.tokenizer());
        command.args(["--warmup-steps=20", &format!("--max-len={MAX_LEN}")]);
        command.arg(format!("--steps={}", self.plan.rival_steps));
        command.arg(format!("--batch-size={}", self.plan.batch_size));
        let log = format!("pytorch-{name}");
        let answer = limited::answer(&self.limited(&mut command, &log, limit)?)?;
        let speed = Speed::of(name, &answer).context("its answer lacks figures")?;
        let found = told(&speed);
        self.report.rivals.push(speed);
        Ok(found)
    }

    /// The whole training by `native-train`, on the clock from start to end.
    pub fn job(&mut self, precision: &str, limit: Limit) -> Result<String> {
        let run = self.work.join("job");
        if run.exists() {
            fs::remove_dir_all(&run)?;
        }
        let mut command = self.program("bin/native-train");
        command.args(["train", "--split=stratified", "--device", &self.plan.device]);
        command.args(["--precision", precision]).args(&self.plan.job_arguments);
        command.arg(format!("--epochs={}", self.plan.job_epochs));
        command.arg("--model").arg(self.model()).arg("--train-csv").arg(self.texts());
        command.arg("--test-csv").arg(self.folder.join(pack::TEST_TEXTS));
        command.arg("--output").arg(&run);
        let begin = Instant::now();
        self.limited(&mut command, "job", limit)?;
        let seconds = begin.elapsed().as_secs_f64();
        let summary = fs::read_to_string(run.join("summary.json"))?;
        let summary: Value = serde_json::from_str(&summary)?;
        let macro_f1 = summary["cross_validation"]["macro_f1_at_half"].as_f64();
        let words: Vec<&str> =
            self.plan.job_arguments.iter().map(|word| word.trim_start_matches('-')).collect();
        let name = [&[precision][..], &words[..]].concat().join(", ");
        let phase = |name: &str| {
            let seconds = summary["seconds"][name].as_f64();
            seconds.map_or_else(String::new, |seconds| format!(", {name} {seconds:.1}"))
        };
        let phases = ["setup", "tokenise", "train", "validate", "predict", "files"].map(phase);
        self.report.job = Some(Job { name, seconds, macro_f1 });
        Ok(format!(
            "{FOLDS} folds, {} epochs: {seconds:.1} s{}",
            self.plan.job_epochs,
            phases.concat()
        ))
    }
}

fn told(speed: &Speed) -> String {
    format!("{:.2} ms a step, {:.1} samples/s", speed.step_ms, speed.samples_per_s)
}
