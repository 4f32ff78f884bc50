//! How far a download is and how fast it goes.

use std::collections::VecDeque;

/// How fast the download goes, by what came in during the last seconds.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Meter {
    pub received: u64,
    pub total: u64,
    /// (milliseconds, bytes received by then), oldest first.
    samples: VecDeque<(f64, u64)>,
}

impl Meter {
    /// Long enough to be calm, short enough to notice that a train left its tunnel.
    const WINDOW: f64 = 5_000.0;
    /// A rate from less time than this jumps about.
    const SHORTEST: f64 = 400.0;

    pub fn take(&mut self, received: u64, total: u64, now: f64) {
        (self.received, self.total) = (received, total);
        self.samples.push_back((now, received));
        while self.samples.len() > 2 && now - self.samples[0].0 > Self::WINDOW {
            self.samples.pop_front();
        }
    }

    /// Bytes a second; `None` until enough was seen.
    pub fn rate(&self) -> Option<f64> {
        let (&(begin, before), &(end, after)) = (self.samples.front()?, self.samples.back()?);
        let milliseconds = end - begin;
        (milliseconds >= Self::SHORTEST && after > before)
            .then(|| (after - before) as f64 * 1_000.0 / milliseconds)
    }

    /// What is left of the download at this rate.
    pub fn seconds_left(&self) -> Option<f64> {
        let left = self.total.saturating_sub(self.received);
        self.rate().map(|rate| left as f64 / rate)
    }

    /// 0..=1.
    pub fn fraction(&self) -> f64 {
        match self.total {
            0 => 0.0,
            total => self.received as f64 / total as f64,
        }
    }

    /// Forgets the pace: there was a pause.
    pub fn restart(&mut self) {
        self.samples.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_meter_tells_the_rate_of_the_last_seconds() {
        let mut meter = Meter::default();
        meter.take(0, 10_000, 0.0);
        assert_eq!(meter.rate(), None);
        meter.take(1_000, 10_000, 1_000.0);
        assert_eq!((meter.rate(), meter.seconds_left()), (Some(1_000.0), Some(9.0)));
        // Slow for long: the quick beginning is forgotten.
        for second in 2..=12 {
            meter.take(1_000 + 100 * (second - 1), 10_000, second as f64 * 1_000.0);
        }
        assert_eq!(meter.rate(), Some(100.0));
        assert_eq!(meter.fraction(), 0.21);
    }
}
