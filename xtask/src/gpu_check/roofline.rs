//! How near the operations of a training step come to what the card can do: the card's limits are measured by a copy of a large
//! block and by a large product, and the work of an operation is counted.

use std::fmt::Write;

use serde_json::{Value, json};

/// The limits and the operations.
#[derive(Debug, Clone, PartialEq)]
pub struct Roofline {
    /// Bytes read and written a second, in 10^9.
    pub gb_per_s: f64,
    /// Floating-point operations a second, in 10^12.
    pub tflop_per_s: f64,
    pub operations: Vec<Operation>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Operation {
    pub name: String,
    /// Calls in a step.
    pub calls: f64,
    /// Microseconds of a call.
    pub us: f64,
    /// Bytes that it must read and write.
    pub bytes: f64,
    /// Floating-point operations that its result takes.
    pub flops: f64,
}

impl Roofline {
    /// Reads the bench's answer.
    pub fn of(answer: &Value) -> Option<Self> {
        let operations = answer["operations"].as_array()?.iter().map(|operation| {
            let number = |key: &str| operation[key].as_f64();
            Some(Operation {
                name: operation["name"].as_str()?.to_owned(),
                calls: number("calls")?,
                us: number("us").filter(|us| *us > 0.0)?,
                bytes: number("bytes")?,
                flops: number("flops")?,
            })
        });
        Some(Self {
            gb_per_s: answer["gb_per_s"].as_f64().filter(|limit| *limit > 0.0)?,
            tflop_per_s: answer["tflop_per_s"].as_f64().filter(|limit| *limit > 0.0)?,
            operations: operations.collect::<Option<_>>()?,
        })
    }

    /// The shortest time of a call by the limits, in microseconds.
    fn least_us(&self, operation: &Operation) -> f64 {
        let memory = operation.bytes / (self.gb_per_s * 1e3);
        memory.max(operation.flops / (self.tflop_per_s * 1e6))
    }

    /// Milliseconds of a step, and the fewest by the limits.
    fn step_ms(&self) -> (f64, f64) {
        let sum = |of: &dyn Fn(&Operation) -> f64| {
            self.operations.iter().map(|operation| operation.calls * of(operation)).sum::<f64>()
                / 1e3
        };
        (sum(&|operation| operation.us), sum(&|operation| self.least_us(operation)))
    }

    pub fn in_short(&self) -> String {
        let (step, least) = self.step_ms();
        format!(
            "{:.0} GB/s and {:.1} TFLOP/s at most; {step:.2} ms of a step, of which {least:.2} are needed",
            self.gb_per_s, self.tflop_per_s
        )
    }

    pub fn table(&self) -> String {
        let mut text = format!(
            "\n{:<34} {:>6} {:>9} {:>8} {:>8} {:>9} {:>8}\n",
            "operations of a step", "calls", "us each", "GB/s", "TFLOP/s", "of limit", "step ms"
        );
        for operation in &self.operations {
            let Operation { name, calls, us, bytes, flops } = operation;
            let share = 100.0 * self.least_us(operation) / us;
            let (gb_per_s, tflop_per_s, step) =
                (bytes / us / 1e3, flops / us / 1e6, calls * us / 1e3);
            writeln!(
                text,
                "{name:<34} {calls:>6} {us:>9.1} {gb_per_s:>8.0} {tflop_per_s:>8.2} {share:>8.0}% {step:>8.3}"
            )
            .expect("a string takes all");
        }
        let (step, least) = self.step_ms();
        writeln!(
            text,
            "{:<34} {:>41} {:>8.0}% {step:>8.3}\nthe limits are a copy at {:.0} GB/s and a product at {:.1} TFLOP/s; \
             bytes and operations are those that the result takes",
            "all",
            "",
            100.0 * least / step,
            self.gb_per_s,
            self.tflop_per_s
        )
        .expect("a string takes all");
        text
    }

    /// The fields of a row for each operation: its name, times and share of the limit.
    pub fn rows(&self) -> impl Iterator<Item = (String, Value)> {
        self.operations.iter().map(|operation| {
            let share = self.least_us(operation) / operation.us;
            let fields = json!({
                "ours_ms": (operation.us * 1e-3 * 1e6).round() / 1e6,
                "calls": operation.calls,
                "bytes": operation.bytes,
                "flops": operation.flops,
                "share_of_limit": (share * 1e3).round() / 1e3,
                "limit_gb_per_s": self.gb_per_s,
                "limit_tflop_per_s": self.tflop_per_s,
            });
            (operation.name.clone(), fields)
        })
    }
}

#[cfg(test)]
pub mod tests {
    use super::*;

    pub fn roofline() -> Roofline {
        Roofline::of(&json!({
            "gb_per_s": 1000.0, "tflop_per_s": 100.0,
            "operations": [
                {"name": "up product", "calls": 12.0, "us": 40.0, "bytes": 4e6, "flops": 2e9},
                {"name": "gelu", "calls": 12.0, "us": 10.0, "bytes": 5e6, "flops": 1e6},
            ],
        }))
        .expect("an answer")
    }

    #[test]
    fn a_share_is_of_the_limit_that_binds() {
        let roofline = roofline();
        // 2e9 operations take 20 us, 5e6 bytes 5 us.
        assert!((roofline.least_us(&roofline.operations[0]) - 20.0).abs() < 1e-9);
        assert!((roofline.least_us(&roofline.operations[1]) - 5.0).abs() < 1e-9);
        let table = roofline.table();
        let lines: Vec<&str> = table.lines().collect();
        let figures =
            |line: &str| line.split_whitespace().skip(2).map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(figures(lines[2]), ["12", "40.0", "100", "50.00", "50%", "0.480"]);
        assert!(lines[4].starts_with("all ") && lines[4].contains(" 50% "), "{table}");
        let found =
            "1000 GB/s and 100.0 TFLOP/s at most; 0.60 ms of a step, of which 0.30 are needed";
        assert_eq!(roofline.in_short(), found);
    }

    #[test]
    fn an_answer_without_figures_is_none() {
        let without = json!({"gb_per_s": 1.0, "tflop_per_s": 1.0, "operations": [{"name": "x"}]});
        assert_eq!(Roofline::of(&without), None);
        assert_eq!(Roofline::of(&json!({"gb_per_s": 0.0})), None);
    }
}
