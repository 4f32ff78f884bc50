//! The progress of a command on stderr: bars on a terminal, a line every few seconds elsewhere,
//! warnings only with `--quiet`. There are no colours, so NO_COLOR changes nothing.
//!
//! The lines of a training are a log that may lie beside those of other processes. Where stderr is no terminal, each begins
//! with the host and, within a fold, its number: `[node7 fold-2]`.

use std::{
    fmt,
    io::{self, IsTerminal, Write},
    time::{Duration, Instant},
};

use indicatif::{FormattedDuration, MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Reports how far a training, a prediction or an export is.
pub struct Progress {
    voice: Voice,
    /// The name of this machine, if lines begin with it.
    host: Option<String>,
    bar: ProgressBar,
    /// The bars of trainings that run side by side.
    bars: Option<MultiProgress>,
    training: Training,
    /// The rows of the first report of a prediction, and its time.
    labelling: Option<(usize, Instant)>,
    last_line: Instant,
    /// The time at which each step was done, if a benchmark asks.
    step_times: Option<Vec<Instant>>,
}

/// Whether downloads are reported on stderr.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Downloads {
    /// Shows bars on a terminal, and lines elsewhere.
    Shown,
    Hidden,
}

/// How well a model does on texts that it does not learn from.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Measure {
    MacroF1(f64),
    Loss(f64),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Voice {
    Quiet,
    Lines,
    Bars,
}

impl Progress {
    /// Reports by bars if stderr is a terminal, else by lines.
    pub fn on_stderr() -> Self {
        Self::with(if io::stderr().is_terminal() { Voice::Bars } else { Voice::Lines })
    }

    /// Reports warnings only.
    pub fn quiet() -> Self {
        Self::with(Voice::Quiet)
    }

    fn with(voice: Voice) -> Self {
        Self {
            voice,
            host: None,
            bar: ProgressBar::hidden(),
            bars: None,
            training: Training::new(),
            labelling: None,
            last_line: Instant::now(),
            step_times: None,
        }
    }

    /// Has each line begin with `host` and the fold that it is about, unless stderr is a terminal.
    pub fn name_lines(&mut self, host: String) {
        self.host = (!io::stderr().is_terminal()).then_some(host);
    }

    /// Reports warnings only, and remembers when each step was done.
    pub fn timing() -> Self {
        Self { step_times: Some(Vec::new()), ..Self::quiet() }
    }

    /// The time at which each step was done; empty unless made by [`timing`](Self::timing).
    pub fn step_times(&self) -> &[Instant] {
        self.step_times.as_deref().unwrap_or_default()
    }

    /// A progress for each of some trainings that run side by side.
    pub fn side_by_side(&self, trainings: usize) -> Vec<Self> {
        let bars = (self.voice == Voice::Bars).then(MultiProgress::new);
        (0..trainings)
            .map(|_| {
                let (host, bars) = (self.host.clone(), bars.clone());
                let mut progress = Self { host, bars, ..Self::with(self.voice) };
                progress.training.side_by_side = trainings;
                progress
            })
            .collect()
    }

    /// Whether model downloads are reported.
    pub fn downloads(&self) -> Downloads {
        match self.voice {
            Voice::Quiet => Downloads::Hidden,
            Voice::Lines | Voice::Bars => Downloads::Shown,
        }
    }

    /// Prints a line that stays.
    pub fn note(&self, line: impl fmt::Display) {
        if self.voice != Voice::Quiet {
            self.say(line);
        }
    }

    /// Prints a warning, even with `--quiet`.
    pub fn warn(&self, warning: impl fmt::Display) {
        self.say(format_args!("warning: {warning}"));
    }

    /// Begins the training of `fold`, the `position`-th (from 1) of `of` that are to be trained now.
    pub fn fold(&mut self, fold: usize, position: usize, of: usize) {
        (self.training.fold, self.training.position, self.training.folds) =
            (Some(fold), position, of);
    }

    /// Says that what follows is about no fold.
    pub fn end_of_folds(&mut self) {
        self.training.fold = None;
    }

    /// Begins the training of a model that is none of a fold, and the only one.
    pub fn only_model(&mut self) {
        (self.training.fold, self.training.position, self.training.folds) = (None, 1, 1);
    }

    /// Begins epoch `epoch` (from 1) of `of`, which has `steps` optimizer steps, or goes on with it after the first `done`.
    pub fn epoch(&mut self, epoch: usize, of: usize, steps: usize, done: usize) {
        self.training.begin_epoch(epoch, of, steps, done, Instant::now());
        if self.voice == Voice::Bars {
            self.bar = bar(steps as u64).with_position(done as u64);
            if let Some(bars) = &self.bars {
                self.bar = bars.add(self.bar.clone());
            }
            self.bar.set_prefix(self.training.heading(Names::Said));
        }
    }

    /// Counts an optimizer step with this loss.
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
            Voice::Lines => {
                let names = self.names();
                self.line_if_due(|training, now| {
                    let Training { step, steps, .. } = training;
                    let heading = training.heading(names);
                    format!("{heading} step {step}/{steps}: {}", training.state(now))
                });
            }
        }
    }

    /// Ends an epoch, whose weights do so well on texts that are held out, if there are any.
    pub fn validated(&mut self, measure: Option<Measure>) {
        self.clear();
        if let Some(Measure::MacroF1(macro_f1)) = measure {
            let Training { best, .. } = &mut self.training;
            *best = best.map_or(Some(macro_f1), |before| Some(before.max(macro_f1)));
        }
        let (heading, loss) = (self.training.heading(self.names()), self.training.mean_loss());
        let measure = measure.map_or_else(String::new, |measure| format!(", {measure}"));
        self.note(format_args!("{heading}: loss {loss:.4}{measure}"));
    }

    /// Reports that `done` rows of a file are labelled.
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

    /// Reports that a tensor is being written to a bundle.
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

    /// Removes the bar from the screen. Rows that are labelled later are counted anew.
    pub fn clear(&mut self) {
        self.bar.finish_and_clear();
        self.bar = ProgressBar::hidden();
        self.labelling = None;
    }

    /// Whether the beginning of a line names the fold.
    fn names(&self) -> Names {
        if self.host.is_some() { Names::Before } else { Names::Said }
    }

    fn line_if_due(&mut self, line: impl FnOnce(&Training, Instant) -> String) {
        const PAUSE: Duration = Duration::from_secs(5);
        let now = Instant::now();
        if now - self.last_line >= PAUSE {
            self.last_line = now;
            self.say(line(&self.training, now));
        }
    }

    /// Prints a line. Errors are ignored, as a closed stderr must not end a training.
    fn say(&self, line: impl fmt::Display) {
        let origin = match (&self.host, self.training.fold) {
            (None, _) => String::new(),
            (Some(host), None) => format!("[{host}] "),
            (Some(host), Some(fold)) => format!("[{host} fold-{fold}] "),
        };
        // In one piece, so that those of other processes do not come between.
        let lines: String =
            line.to_string().lines().map(|line| format!("{origin}{line}\n")).collect();
        let write = || {
            let _ = io::stderr().write_all(lines.as_bytes());
        };
        match &self.bars {
            Some(bars) => bars.suspend(write),
            None => self.bar.suspend(write),
        }
    }
}

/// Where the fold of a line is named.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Names {
    /// In the heading.
    Said,
    /// Before it, at the beginning of the line.
    Before,
}

/// The progress of the training of all folds.
struct Training {
    /// The beginning of the first epoch: what comes before, such as a teacher's answers, is no training.
    started: Option<Instant>,
    /// The steps of all folds since `started`.
    done: usize,
    /// `None` for a training that has no folds.
    fold: Option<usize>,
    /// The fold's position, from 1, among those that are trained now.
    position: usize,
    folds: usize,
    epoch: usize,
    epochs: usize,
    step: usize,
    /// The steps of the epoch that an earlier process took.
    steps_before: usize,
    steps: usize,
    loss_sum: f64,
    best: Option<f64>,
    /// The number of trainings that share the folds.
    side_by_side: usize,
}

impl Training {
    fn new() -> Self {
        Self {
            started: None,
            done: 0,
            fold: None,
            position: 1,
            folds: 1,
            epoch: 1,
            epochs: 1,
            step: 0,
            steps_before: 0,
            steps: 0,
            loss_sum: 0.0,
            best: None,
            side_by_side: 1,
        }
    }

    fn begin_epoch(
        &mut self,
        epoch: usize,
        epochs: usize,
        steps: usize,
        done: usize,
        now: Instant,
    ) {
        self.started.get_or_insert(now);
        (self.epoch, self.epochs, self.steps) = (epoch, epochs, steps);
        (self.step, self.steps_before, self.loss_sum) = (done, done, 0.0);
        if epoch == 1 {
            self.best = None;
        }
    }

    fn step(&mut self, loss: f64) {
        self.done += 1;
        self.step += 1;
        self.loss_sum += loss;
    }

    fn heading(&self, names: Names) -> String {
        let Self { fold, position, folds, epoch, epochs, .. } = self;
        match (fold, names) {
            (Some(fold), Names::Said) => {
                format!("fold-{fold} ({position} of {folds}) epoch {epoch}/{epochs}")
            }
            (Some(_), Names::Before) => format!("({position} of {folds}) epoch {epoch}/{epochs}"),
            (None, _) => format!("epoch {epoch}/{epochs}"),
        }
    }

    fn state(&self, now: Instant) -> String {
        let elapsed = self.started.map_or(0.0, |started| (now - started).as_secs_f64());
        let rate = self.done as f64 / elapsed.max(1e-9);
        let left = FormattedDuration(Duration::from_secs_f64(self.steps_left() as f64 / rate));
        let best = self.best.map_or_else(String::new, |best| format!(" best F1 {best:.4},"));
        format!("loss {:.4},{best} {rate:.1} steps/s, {left} left", self.mean_loss())
    }

    /// The mean loss of the epoch's steps so far, those of an earlier process not counted.
    fn mean_loss(&self) -> f64 {
        self.loss_sum / (self.step - self.steps_before) as f64
    }

    /// The steps left in this epoch, this fold and the folds after it, which are taken to be as long.
    fn steps_left(&self) -> usize {
        let folds_left = (self.folds - self.position).div_ceil(self.side_by_side);
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

impl fmt::Display for Measure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MacroF1(macro_f1) => write!(f, "macro-F1 {macro_f1:.4}"),
            Self::Loss(loss) => write!(f, "on held-out texts {loss:.4}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_left_counts_epochs_and_folds_to_come() {
        let start = Instant::now();
        let mut training = Training::new();
        (training.fold, training.position, training.folds) = (Some(3), 2, 4);
        training.begin_epoch(1, 3, 10, 0, start);
        for _ in 0..4 {
            training.step(0.5);
        }
        assert_eq!(training.heading(Names::Said), "fold-3 (2 of 4) epoch 1/3");
        assert_eq!(training.heading(Names::Before), "(2 of 4) epoch 1/3");
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
        progress.epoch(1, 2, 2, 0);
        progress.step(1.0);
        progress.step(0.5);
        assert!((progress.training.mean_loss() - 0.75).abs() < 1e-12);
        progress.validated(Some(Measure::MacroF1(0.6)));
        progress.epoch(2, 2, 2, 0);
        progress.step(0.2);
        progress.validated(Some(Measure::MacroF1(0.4)));
        assert!((progress.training.mean_loss() - 0.2).abs() < 1e-12);
        assert_eq!(progress.training.best, Some(0.6));
    }
}
