//! What a command says while it works, all of it on stderr: bars on a terminal, a line every few
//! seconds elsewhere, warnings only under `--quiet`. No colours, so nothing for NO_COLOR to undo.

use std::{
    fmt,
    io::{self, IsTerminal, Write},
    time::{Duration, Instant},
};

use indicatif::{FormattedDuration, MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::pretrained;

/// Tells how far a training or a prediction is.
pub struct Progress {
    voice: Voice,
    bar: ProgressBar,
    /// The bars of trainings that run side by side.
    bars: Option<MultiProgress>,
    training: Training,
    /// Rows that were labelled when the first were reported, and when that was.
    labelling: Option<(usize, Instant)>,
    last_line: Instant,
    /// When each step was done, for who times them.
    step_times: Option<Vec<Instant>>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Voice {
    Quiet,
    Lines,
    Bars,
}

impl Progress {
    /// Bars if stderr is a terminal, else lines.
    pub fn on_stderr() -> Self {
        Self::with(if io::stderr().is_terminal() { Voice::Bars } else { Voice::Lines })
    }

    /// Warnings only.
    pub fn quiet() -> Self {
        Self::with(Voice::Quiet)
    }

    fn with(voice: Voice) -> Self {
        Self {
            voice,
            bar: ProgressBar::hidden(),
            bars: None,
            training: Training::new(Instant::now()),
            labelling: None,
            last_line: Instant::now(),
            step_times: None,
        }
    }

    /// As [`quiet`](Self::quiet), and remembers when each step was done.
    pub fn timing() -> Self {
        Self { step_times: Some(Vec::new()), ..Self::quiet() }
    }

    /// When each step was done, if this was to be remembered.
    pub fn step_times(&self) -> &[Instant] {
        self.step_times.as_deref().unwrap_or_default()
    }

    /// For trainings that run side by side, one each.
    pub fn side_by_side(&self, trainings: usize) -> Vec<Self> {
        let bars = (self.voice == Voice::Bars).then(MultiProgress::new);
        (0..trainings)
            .map(|_| {
                let mut progress = Self { bars: bars.clone(), ..Self::with(self.voice) };
                progress.training.side_by_side = trainings;
                progress
            })
            .collect()
    }

    /// Whether model downloads are told of.
    pub fn downloads(&self) -> pretrained::Progress {
        match self.voice {
            Voice::Quiet => pretrained::Progress::Hidden,
            Voice::Lines | Voice::Bars => pretrained::Progress::Shown,
        }
    }

    /// A line that stays.
    pub fn note(&self, line: impl fmt::Display) {
        if self.voice != Voice::Quiet {
            self.say(line);
        }
    }

    /// Something the user should know even under `--quiet`.
    pub fn warn(&self, warning: impl fmt::Display) {
        self.say(format_args!("warning: {warning}"));
    }

    /// Training of `fold` begins, the `place`-th (from 1) of `of` that are to be trained now.
    pub fn fold(&mut self, fold: usize, place: usize, of: usize) {
        (self.training.fold, self.training.place, self.training.folds) = (fold, place, of);
    }

    /// Epoch `epoch` (from 1) of `of` begins; it has `steps` optimizer steps.
    pub fn epoch(&mut self, epoch: usize, of: usize, steps: usize) {
        self.training.begin_epoch(epoch, of, steps);
        if self.voice == Voice::Bars {
            self.bar = bar(steps as u64);
            if let Some(bars) = &self.bars {
                self.bar = bars.add(self.bar.clone());
            }
            self.bar.set_prefix(self.training.place());
        }
    }

    /// One optimizer step is done, at this loss.
    pub fn step(&mut self, loss: f64) {
        self.training.step(loss);
        if let Some(times) = &mut self.step_times {
            times.push(Instant::now());
        }
        match self.voice {
            Voice::Quiet => {}
            Voice::Bars => {
                self.bar.set_message(self.training.state(Instant::now()));
                self.bar.inc(1);
            }
            Voice::Lines => self.line_if_due(|training, now| {
                let Training { step, steps, .. } = training;
                format!("{} step {step}/{steps}: {}", training.place(), training.state(now))
            }),
        }
    }

    /// The epoch is over; its weights reach this macro-F1 on the fold's own rows.
    pub fn validated(&mut self, macro_f1: f64) {
        self.clear();
        let Training { best, .. } = &mut self.training;
        *best = best.map_or(Some(macro_f1), |before| Some(before.max(macro_f1)));
        let (place, loss) = (self.training.place(), self.training.mean_loss());
        self.note(format_args!("{place}: loss {loss:.4}, macro-F1 {macro_f1:.4}"));
    }

    /// `done` rows of a file are labelled.
    pub fn rows(&mut self, done: usize) {
        let (before, since) = *self.labelling.get_or_insert((done, Instant::now()));
        let line = |now: Instant| {
            let rate = (done - before) as f64 / (now - since).as_secs_f64().max(1e-9);
            format!("{done} rows labelled, {rate:.0} rows/s")
        };
        match self.voice {
            Voice::Quiet => {}
            Voice::Bars => {
                if self.bar.is_hidden() {
                    self.bar = spinner();
                }
                self.bar.set_message(line(Instant::now()));
                self.bar.tick();
            }
            Voice::Lines => self.line_if_due(|_, now| line(now)),
        }
    }

    /// Rows of a tensor are being written to a bundle.
    pub fn tensor(&mut self, name: &str) {
        match self.voice {
            Voice::Quiet => {}
            Voice::Bars => {
                if self.bar.is_hidden() {
                    self.bar = spinner();
                }
                self.bar.set_message(format!("writing {name}"));
                self.bar.tick();
            }
            Voice::Lines => self.line_if_due(|_, _| format!("writing {name}")),
        }
    }

    /// Takes the bar off the screen.
    pub fn clear(&mut self) {
        self.bar.finish_and_clear();
        self.bar = ProgressBar::hidden();
    }

    fn line_if_due(&mut self, line: impl FnOnce(&Training, Instant) -> String) {
        const PAUSE: Duration = Duration::from_secs(5);
        let now = Instant::now();
        if now - self.last_line >= PAUSE {
            self.last_line = now;
            self.say(line(&self.training, now));
        }
    }

    /// A closed stderr must not end a training, so write errors are dropped.
    fn say(&self, line: impl fmt::Display) {
        let write = || {
            let _ = writeln!(io::stderr(), "{line}");
        };
        match &self.bars {
            Some(bars) => bars.suspend(write),
            None => self.bar.suspend(write),
        }
    }
}

/// How far the training of all folds is.
struct Training {
    started: Instant,
    /// Steps since `started`, of all folds.
    done: usize,
    fold: usize,
    place: usize,
    folds: usize,
    epoch: usize,
    epochs: usize,
    step: usize,
    steps: usize,
    loss_sum: f64,
    best: Option<f64>,
    /// Trainings that share the folds.
    side_by_side: usize,
}

impl Training {
    fn new(started: Instant) -> Self {
        Self {
            started,
            done: 0,
            fold: 0,
            place: 1,
            folds: 1,
            epoch: 1,
            epochs: 1,
            step: 0,
            steps: 0,
            loss_sum: 0.0,
            best: None,
            side_by_side: 1,
        }
    }

    fn begin_epoch(&mut self, epoch: usize, epochs: usize, steps: usize) {
        (self.epoch, self.epochs, self.steps) = (epoch, epochs, steps);
        (self.step, self.loss_sum) = (0, 0.0);
        if epoch == 1 {
            self.best = None;
        }
    }

    fn step(&mut self, loss: f64) {
        self.done += 1;
        self.step += 1;
        self.loss_sum += loss;
    }

    fn place(&self) -> String {
        let Self { fold, place, folds, epoch, epochs, .. } = self;
        format!("fold-{fold} ({place} of {folds}) epoch {epoch}/{epochs}")
    }

    fn state(&self, now: Instant) -> String {
        let elapsed = (now - self.started).as_secs_f64();
        let rate = self.done as f64 / elapsed.max(1e-9);
        let left = FormattedDuration(Duration::from_secs_f64(self.steps_left() as f64 / rate));
        let best = self.best.map_or_else(String::new, |best| format!(" best F1 {best:.4},"));
        format!("loss {:.4},{best} {rate:.1} steps/s, {left} left", self.mean_loss())
    }

    /// Of the epoch so far.
    fn mean_loss(&self) -> f64 {
        self.loss_sum / self.step as f64
    }

    /// In this epoch, this fold and the folds after it, which are taken to be as long.
    fn steps_left(&self) -> usize {
        let folds_left = (self.folds - self.place).div_ceil(self.side_by_side);
        let epochs_left = self.epochs - self.epoch + folds_left * self.epochs;
        self.steps - self.step + epochs_left * self.steps
    }
}

fn bar(length: u64) -> ProgressBar {
    let style = ProgressStyle::with_template("{prefix} {wide_bar} {pos}/{len} {msg}")
        .expect("the template is ours");
    on_terminal(ProgressBar::new(length).with_style(style))
}

fn spinner() -> ProgressBar {
    let style = ProgressStyle::with_template("{spinner} {msg}").expect("the template is ours");
    on_terminal(ProgressBar::new_spinner().with_style(style))
}

fn on_terminal(bar: ProgressBar) -> ProgressBar {
    bar.set_draw_target(ProgressDrawTarget::stderr());
    bar
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_left_counts_epochs_and_folds_to_come() {
        let start = Instant::now();
        let mut training = Training::new(start);
        (training.fold, training.place, training.folds) = (3, 2, 4);
        training.begin_epoch(1, 3, 10);
        for _ in 0..4 {
            training.step(0.5);
        }
        assert_eq!(training.place(), "fold-3 (2 of 4) epoch 1/3");
        assert_eq!(training.steps_left(), 6 + 2 * 10 + 2 * 3 * 10);
        assert_eq!(
            training.state(start + Duration::from_secs(2)),
            "loss 0.5000, 2.0 steps/s, 00:00:43 left"
        );
    }

    #[test]
    fn loss_is_the_epochs_and_best_f1_the_folds() {
        let mut progress = Progress::quiet();
        progress.fold(0, 1, 1);
        progress.epoch(1, 2, 2);
        progress.step(1.0);
        progress.step(0.5);
        assert!((progress.training.mean_loss() - 0.75).abs() < 1e-12);
        progress.validated(0.6);
        progress.epoch(2, 2, 2);
        progress.step(0.2);
        progress.validated(0.4);
        assert!((progress.training.mean_loss() - 0.2).abs() < 1e-12);
        assert_eq!(progress.training.best, Some(0.6));
    }
}
