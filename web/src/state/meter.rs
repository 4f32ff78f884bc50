//! Progress and speed of the download.

use std::collections::VecDeque;

/// The bytes received so far, and the speed over the last few seconds.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Meter {
    pub received: u64,
    pub total: u64,
    /// Pairs of a time in milliseconds and the bytes received by then, oldest first.
    samples: VecDeque<(f64, u64)>,
}

impl Meter {
    /// Milliseconds over which the speed is measured: long enough to be steady, short enough to follow a change.
    const WINDOW: f64 = 5_000.0;
    /// Milliseconds below which a speed would be too erratic to show.
    const SHORTEST: f64 = 400.0;

    pub fn take(&mut self, received: u64, total: u64, now: f64) {
        (self.received, self.total) = (received, total);
        self.samples.push_back((now, received));
        while self.samples.len() > 2 && now - self.samples[0].0 > Self::WINDOW {
            self.samples.pop_front();
        }
    }

    /// Bytes per second; `None` until there are enough samples.
    pub fn rate(&self) -> Option<f64> {
        let (&(begin, before), &(end, after)) = (self.samples.front()?, self.samples.back()?);
        let milliseconds = end - begin;
        (milliseconds >= Self::SHORTEST && after > before)
            .then(|| (after - before) as f64 * 1_000.0 / milliseconds)
    }

    /// The estimated time until the download is complete.
    pub fn seconds_left(&self) -> Option<f64> {
        let left = self.total.saturating_sub(self.received);
        self.rate().map(|rate| left as f64 / rate)
    }

    /// Forgets the speed, after a pause.
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
        // Ten slow seconds: the fast first one is outside the window.
        for second in 2..=12 {
            meter.take(1_000 + 100 * (second - 1), 10_000, second as f64 * 1_000.0);
        }
        assert_eq!(meter.rate(), Some(100.0));
    }
}
