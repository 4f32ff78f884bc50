//! The findings, as a table for people and as rows for `bench/gpu.jsonl`.

use std::fmt::Write;

use serde_json::{Value, json};

use super::roofline::Roofline;

/// All that was found so far.
#[derive(Debug, Default)]
pub struct Report {
    pub machine: String,
    pub parts: Vec<Part>,
    pub ours: Vec<Speed>,
    pub rivals: Vec<Speed>,
    pub job: Option<Job>,
    pub roofline: Option<Roofline>,
    /// Our losses and PyTorch's, step by step.
    pub trajectory: Vec<(f64, f64)>,
}

/// The outcome of one part.
#[derive(Debug)]
pub struct Part {
    pub name: String,
    /// The finding, or why the part failed.
    pub outcome: Result<String, String>,
    pub seconds: f64,
}

/// One way of training.
#[derive(Debug, Clone, PartialEq)]
pub struct Speed {
    pub name: String,
    pub step_ms: f64,
    pub samples_per_s: f64,
    /// The peak of the card's memory.
    pub peak_mib: Option<f64>,
    /// Kernel launches a step.
    pub launches: Option<f64>,
    /// The process's own memory.
    pub rss_mib: Option<f64>,
    /// PyTorch's, of the rival.
    pub version: Option<String>,
}

/// Our whole training, measured.
#[derive(Debug, Clone, PartialEq)]
pub struct Job {
    pub name: String,
    pub seconds: f64,
    pub macro_f1: Option<f64>,
}

/// The fields that all rows have alike.
pub struct Origin<'a> {
    pub date: &'a str,
    pub commit: &'a str,
    /// The work: geometry, texts, batch.
    pub work: &'a str,
    /// Texts that the whole job's steps see.
    pub job_samples: usize,
}

impl Speed {
    /// Reads a program's answer.
    pub fn of(name: &str, answer: &Value) -> Option<Self> {
        Some(Self {
            name: name.to_owned(),
            step_ms: answer["step_ms_median"].as_f64()?,
            samples_per_s: answer["samples_per_s"].as_f64().filter(|speed| *speed > 0.0)?,
            peak_mib: answer["peak_mib"].as_f64(),
            launches: answer["launches"].as_f64(),
            rss_mib: answer["rss_mib"].as_f64(),
            version: answer["torch"].as_str().map(str::to_owned),
        })
    }

    /// The time that the job's steps alone take at this pace: less than the job, which also validates, predicts and starts.
    fn job_seconds(&self, samples: usize) -> f64 {
        samples as f64 / self.samples_per_s
    }
}

impl Report {
    pub fn failed(&self) -> usize {
        self.parts.iter().filter(|part| part.outcome.is_err()).count()
    }

    /// The account: parts, then times, then ratios.
    pub fn table(&self, origin: &Origin<'_>) -> String {
        let mut text = format!("{}\ncommit {}, {}\n\n", self.machine, origin.commit, origin.work);
        for Part { name, outcome, seconds } in &self.parts {
            let words = match outcome {
                Ok(found) => format!("ok      {found}"),
                Err(reason) => format!("FAILED  {reason}"),
            };
            writeln!(text, "{name:<28} {seconds:>6.1} s  {words}").expect("a string takes all");
        }
        if !self.ours.is_empty() || !self.rivals.is_empty() {
            text += &self.speeds(origin);
        }
        if !self.ours.is_empty() && !self.rivals.is_empty() {
            text += &self.ratios(origin);
        }
        if let Some(roofline) = &self.roofline {
            text += &roofline.table();
        }
        if !self.trajectory.is_empty() {
            text += &self.losses();
        }
        text
    }

    /// The losses that were compared with PyTorch's.
    fn losses(&self) -> String {
        let mut text = format!(
            "\n{:<6} {:>12} {:>12} {:>12}\n",
            "step", "our loss", "PyTorch's", "difference"
        );
        for (step, (ours, theirs)) in self.trajectory.iter().enumerate() {
            let difference = (ours - theirs) / theirs.abs();
            writeln!(text, "{:<6} {ours:>12.6} {theirs:>12.6} {difference:>12.1e}", step + 1)
                .expect("a string takes all");
        }
        text
    }

    fn speeds(&self, origin: &Origin<'_>) -> String {
        let mut text = format!(
            "\n{:<34} {:>9} {:>10} {:>9} {:>9} {:>10}\n",
            "", "step ms", "samples/s", "peak MiB", "launches", "job s"
        );
        let mut line = |side: &str, speed: &Speed| {
            let job = speed.job_seconds(origin.job_samples);
            writeln!(
                text,
                "{:<34} {:>9.2} {:>10.1} {:>9} {:>9} {job:>9.1}*",
                format!("{side} {}", speed.name),
                speed.step_ms,
                speed.samples_per_s,
                or_none(speed.peak_mib),
                or_none(speed.launches),
            )
            .expect("a string takes all");
        };
        self.rivals.iter().for_each(|speed| line("PyTorch", speed));
        self.ours.iter().for_each(|speed| line("ours", speed));
        if let Some(Job { name, seconds, macro_f1 }) = &self.job {
            let score = macro_f1.map_or(String::new(), |f1| format!(", macro-F1 at 0.5 {f1:.3}"));
            let name = format!("ours, the whole job, {name}");
            let _ = writeln!(text, "{name:<34} {:>40} {seconds:>9.1}{score}", "");
        }
        text + "* extrapolated: the job's optimizer steps at this pace, without validation, prediction and start\n"
    }

    fn ratios(&self, origin: &Origin<'_>) -> String {
        let mut text = format!("\n{:<34}", "samples a second, ours / PyTorch");
        for rival in &self.rivals {
            let _ = write!(text, " {:>15}", rival.name);
        }
        text.push('\n');
        for ours in &self.ours {
            let _ = write!(text, "{:<34}", format!("ours {}", ours.name));
            for rival in &self.rivals {
                let _ = write!(text, " {:>15.2}", ours.samples_per_s / rival.samples_per_s);
            }
            text.push('\n');
        }
        let memory = self.ours.iter().filter(|ours| ours.peak_mib.is_some());
        for ours in memory {
            let _ = write!(text, "{:<34}", format!("peak memory, ours {}", ours.name));
            for rival in &self.rivals {
                let ratio = ours.peak_mib.zip(rival.peak_mib).map(|(ours, rival)| ours / rival);
                let ratio = ratio.map_or_else(|| "-".to_owned(), |ratio| format!("{ratio:.2}"));
                let _ = write!(text, " {ratio:>15}");
            }
            text.push('\n');
        }
        if let Some(job) = &self.job {
            let _ = write!(text, "{:<34}", "the whole job, PyTorch* / ours");
            for rival in &self.rivals {
                let seconds = rival.job_seconds(origin.job_samples);
                let _ = write!(text, " {:>15.2}", seconds / job.seconds);
            }
            text.push('\n');
        }
        text
    }

    /// A row for each of our ways beside each of the rival's, and for the job.
    pub fn rows(&self, origin: &Origin<'_>) -> Vec<Value> {
        let mut rows = Vec::new();
        for rival in &self.rivals {
            for ours in &self.ours {
                let case = format!("train {}: {} / {}", origin.work, ours.name, rival.name);
                // As one text costs, so that several folds side by side compare with one.
                let (mine, theirs) = (1e3 / ours.samples_per_s, 1e3 / rival.samples_per_s);
                let mut row = self.row(origin, &case, mine / theirs);
                row["ours_ms"] = rounded(ours.step_ms);
                row["rival_ms"] = rounded(rival.step_ms);
                row["ours_samples_per_s"] = rounded(ours.samples_per_s);
                row["rival_samples_per_s"] = rounded(rival.samples_per_s);
                row["ours_mib"] = json!(ours.rss_mib);
                row["rival_mib"] = json!(rival.rss_mib);
                row["peak_mib"] = json!(ours.peak_mib);
                row["rival_peak_mib"] = json!(rival.peak_mib);
                row["launches"] = json!(ours.launches);
                row["rival_launches"] = json!(rival.launches);
                row["torch"] = json!(rival.version);
                rows.push(row);
            }
            if let Some(job) = &self.job {
                let case = format!(
                    "whole job {}: {} / {}, extrapolated from its steps",
                    origin.work, job.name, rival.name
                );
                let theirs = rival.job_seconds(origin.job_samples);
                let mut row = self.row(origin, &case, job.seconds / theirs);
                row["ours_ms"] = rounded(1e3 * job.seconds);
                row["rival_ms"] = rounded(1e3 * theirs);
                rows.push(row);
            }
        }
        for (name, fields) in self.roofline.iter().flat_map(Roofline::rows) {
            let mut row = self.row(origin, &format!("operation {}: {name}", origin.work), 1.0);
            let row_fields = row.as_object_mut().expect("a row is an object");
            row_fields.remove("ratio");
            row_fields.extend(fields.as_object().expect("fields are an object").clone());
            rows.push(row);
        }
        rows
    }

    fn row(&self, origin: &Origin<'_>, case: &str, ratio: f64) -> Value {
        json!({
            "date": origin.date,
            "commit": origin.commit,
            "machine": self.machine,
            "bench": "gpu",
            "case": case,
            "ratio": rounded(ratio),
        })
    }
}

fn or_none(figure: Option<f64>) -> String {
    figure.map_or_else(|| "-".to_owned(), |figure| format!("{figure:.0}"))
}

fn rounded(value: f64) -> Value {
    json!((value * 1000.0).round() / 1000.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ORIGIN: Origin<'_> = Origin {
        date: "2026-01-31",
        commit: "0123456789ab",
        work: "base, batch 16",
        job_samples: 1000,
    };

    fn speed(name: &str, samples_per_s: f64, peak_mib: Option<f64>) -> Speed {
        let answer = json!({
            "step_ms_median": 16e3 / samples_per_s, "samples_per_s": samples_per_s,
            "peak_mib": peak_mib, "launches": 1700.0, "rss_mib": 2000,
        });
        Speed::of(name, &answer).expect("an answer")
    }

    fn report() -> Report {
        Report {
            machine: "NVIDIA H100".to_owned(),
            parts: vec![
                Part {
                    name: "tests".to_owned(),
                    outcome: Ok("12 passed".to_owned()),
                    seconds: 3.0,
                },
                Part { name: "curves".to_owned(), outcome: Err("why".to_owned()), seconds: 4.0 },
            ],
            ours: vec![speed("bf16, one fold", 800.0, Some(3000.0))],
            rivals: vec![speed("notebook", 200.0, Some(6000.0)), speed("tuned", 400.0, None)],
            job: Some(Job { name: "bf16".to_owned(), seconds: 0.5, macro_f1: Some(0.61) }),
            ..Report::default()
        }
    }

    #[test]
    fn the_table_ends_in_ratios() {
        let table = report().table(&ORIGIN);
        let lines: Vec<&str> = table.lines().collect();
        assert_eq!(lines[3], "tests                           3.0 s  ok      12 passed");
        assert_eq!(lines[4], "curves                          4.0 s  FAILED  why");
        assert!(lines[7].starts_with("PyTorch notebook "), "{table}");
        let figures: Vec<&str> = lines[7].split_whitespace().skip(2).collect();
        assert_eq!(figures, ["80.00", "200.0", "6000", "1700", "5.0*"]);
        let ratios = |line: &str| -> Vec<f64> {
            line.split_whitespace().filter_map(|word| word.parse().ok()).collect()
        };
        let [speeds, memory, job] = [lines.len() - 3, lines.len() - 2, lines.len() - 1];
        assert_eq!(ratios(lines[speeds]), [4.0, 2.0]);
        // The second rival does not tell.
        assert!(lines[memory].ends_with(" 0.50               -"), "{table}");
        assert_eq!(ratios(lines[job]), [10.0, 5.0]);
        assert_eq!(report().failed(), 1);
    }

    #[test]
    fn what_was_not_reached_is_left_out() {
        let report = Report { rivals: Vec::new(), job: None, ..report() };
        let table = report.table(&ORIGIN);
        assert!(
            table.contains("ours bf16, one fold") && !table.contains("ours / PyTorch"),
            "{table}"
        );
        assert!(report.rows(&ORIGIN).is_empty());
    }

    #[test]
    fn a_row_has_the_fields_of_the_cpu_bench_and_what_a_card_adds() {
        let rows = report().rows(&ORIGIN);
        assert_eq!(rows.len(), 4, "each of ours beside each rival, and the job beside each");
        let fields = [
            "date",
            "commit",
            "machine",
            "bench",
            "case",
            "ours_ms",
            "rival_ms",
            "ratio",
            "ours_mib",
            "rival_mib",
            "peak_mib",
            "launches",
        ];
        for field in fields {
            assert!(!rows[0][field].is_null(), "{field}: {}", rows[0]);
        }
        // Below 1 we are faster, as in the CPU bench.
        assert_eq!(rows[0]["ratio"], 0.25);
        assert_eq!((&rows[0]["ours_ms"], &rows[0]["rival_ms"]), (&json!(20.0), &json!(80.0)));
        assert_eq!(rows[1]["ratio"], 0.1);
    }

    #[test]
    fn operations_and_losses_follow_the_ratios() {
        let roofline = Some(super::super::roofline::tests::roofline());
        let report = Report { roofline, trajectory: vec![(0.7, 0.7), (0.5, 0.4)], ..report() };
        let table = report.table(&ORIGIN);
        let places = ["ours / PyTorch", "operations of a step", "up product", "our loss"];
        let places = places.map(|words| table.find(words).unwrap_or_else(|| panic!("{table}")));
        assert!(places.is_sorted(), "{table}");
        assert!(table.ends_with("2          0.500000     0.400000       2.5e-1\n"), "{table}");
        let rows = report.rows(&ORIGIN);
        let row = rows.last().expect("rows");
        assert_eq!(
            (&row["case"], &row["share_of_limit"]),
            (&json!("operation base, batch 16: gelu"), &json!(0.5))
        );
        assert!(row["ratio"].is_null() && row["rival_ms"].is_null());
    }

    #[test]
    fn an_answer_without_figures_is_none() {
        assert_eq!(Speed::of("x", &json!({"samples_per_s": 1.0})), None);
        assert_eq!(Speed::of("x", &json!({"step_ms_median": 1.0, "samples_per_s": 0.0})), None);
    }
}
