//! Linear warm-up, then linear decay to zero: `get_linear_schedule_with_warmup` of transformers.

/// The learning rate as a function of the optimizer step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LinearSchedule {
    peak: f64,
    warmup_steps: usize,
    total_steps: usize,
}

impl LinearSchedule {
    /// A schedule that warms up for `int(warmup_ratio * total_steps)` steps.
    pub fn new(peak: f64, warmup_ratio: f64, total_steps: usize) -> Self {
        Self { peak, warmup_steps: (warmup_ratio * total_steps as f64) as usize, total_steps }
    }

    pub fn warmup_steps(&self) -> usize {
        self.warmup_steps
    }

    /// The learning rate of the step after `done` steps. The first step of a warm-up has 0.
    pub fn learning_rate(&self, done: usize) -> f64 {
        let factor = if done < self.warmup_steps {
            done as f64 / self.warmup_steps as f64
        } else {
            let left = self.total_steps.saturating_sub(done) as f64;
            left / (self.total_steps - self.warmup_steps).max(1) as f64
        };
        self.peak * factor
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rises_to_the_peak_and_falls_to_zero() {
        // By hand: 2 of 10 steps warm up, eighths from there on.
        let schedule = LinearSchedule::new(1e-3, 0.2, 10);
        let rates: Vec<f64> = (0..=10).map(|done| schedule.learning_rate(done)).collect();
        let expected =
            [0.0, 0.5, 1.0, 0.875, 0.75, 0.625, 0.5, 0.375, 0.25, 0.125, 0.0].map(|x| x * 1e-3);
        for (found, expected) in rates.iter().zip(expected) {
            assert!((found - expected).abs() < 1e-18, "{rates:?}");
        }
    }

    #[test]
    fn warmup_is_rounded_down_and_may_be_all_or_nothing() {
        assert_eq!(LinearSchedule::new(1.0, 0.1, 1708).warmup_steps(), 170);
        assert_eq!(LinearSchedule::new(2.0, 0.0, 4).learning_rate(0), 2.0);
        let all = LinearSchedule::new(1.0, 1.0, 4);
        assert_eq!([0, 3, 4].map(|done| all.learning_rate(done)), [0.0, 0.75, 0.0]);
    }
}
