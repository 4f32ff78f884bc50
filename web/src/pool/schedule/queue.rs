//! The queue of requests, given to the folds in slices of a few texts of similar length.
//!
//! Texts are divided three times on their way to a model, each time for another reason:
//!
//! 1. `state/batches.rs` makes requests of 16 texts (8 for an explanation), two under way at a time. A request
//!    is answered as a whole, so this is how often a table grows. Thousands of texts stay with the page, and a
//!    job that is stopped has only two requests to cancel.
//! 2. This file makes slices of up to 8 texts or 2 KiB, one at a time for each worker. A worker cannot be
//!    interrupted, so this is how long a text that is being typed waits behind a table.
//! 3. `shared::bundle::FoldModel` makes passes of up to 1,024 tokens. Only the worker knows how many tokens a
//!    text has, so this is what bounds the memory of a pass. `native-train` relies on it as well: it gives a
//!    `FoldModel` any number of texts.

use shared::bundle::TextAnswer;

use crate::pool::event::PoolEvent;

/// Texts in a slice at most: enough for efficient matrix products, few enough that the next request does not
/// wait long.
const SLICE: usize = 8;

/// Bytes of a slice at most, unless it is a single text: some 500 tokens. A slice of long texts would take
/// many times as long as one of short texts.
const SLICE_BYTES: usize = 2048;

/// The requests, oldest first.
#[derive(Default)]
pub struct Queue {
    requests: Vec<Queued>,
    next_ticket: u32,
}

/// A request and the folds' progress with it.
struct Queued {
    /// Unique, unlike the request's number: a late answer to a cancelled request has another ticket.
    ticket: u32,
    request: u32,
    /// Shortest first.
    texts: Vec<String>,
    /// The position of each text in the request.
    places: Vec<usize>,
    folds: Vec<FoldProgress>,
}

/// A fold's progress with a request.
struct FoldProgress {
    /// None if the fold is not asked.
    texts: Vec<TextState>,
    /// The texts that its worker was given last.
    slice: Vec<usize>,
}

#[derive(Clone, PartialEq)]
enum TextState {
    Open,
    /// Waits for the fold's cold rows.
    NeedsCold,
    Answered(TextAnswer),
}

impl Queue {
    /// Adds a request to the folds that are `asked`; an earlier one with the same number is dropped.
    pub fn add(&mut self, request: u32, texts: Vec<String>, asked: Vec<bool>) {
        self.cancel(request);
        let folds = asked.into_iter().map(|is_asked| FoldProgress {
            texts: vec![TextState::Open; if is_asked { texts.len() } else { 0 }],
            slice: Vec::new(),
        });
        let folds = folds.collect();
        let mut numbered: Vec<(usize, String)> = texts.into_iter().enumerate().collect();
        numbered.sort_by_key(|(_, text)| text.len());
        let (places, texts) = numbered.into_iter().unzip();
        self.requests.push(Queued { ticket: self.next_ticket, request, texts, places, folds });
        self.next_ticket = self.next_ticket.wrapping_add(1);
    }

    pub fn cancel(&mut self, request: u32) {
        self.requests.retain(|queued| queued.request != request);
    }

    /// Whether no request is left.
    pub fn is_empty(&self) -> bool {
        self.requests.is_empty()
    }

    /// Whether a fold has texts left to answer; those that need cold rows count if it has them.
    pub fn is_pending(&self, fold: usize, has_cold: bool) -> bool {
        self.requests.iter().any(|queued| queued.folds[fold].left(has_cold).next().is_some())
    }

    /// Whether a request that is for this fold alone waits for it.
    pub fn has_only(&self, fold: usize) -> bool {
        self.requests.iter().any(|queued| {
            let mut others = queued.folds.iter().enumerate().filter(|&(other, _)| other != fold);
            !queued.folds[fold].is_finished() && others.all(|(_, other)| other.texts.is_empty())
        })
    }

    /// Whether a text waits for the fold's cold rows.
    pub fn is_waiting_for_cold(&self, fold: usize) -> bool {
        self.requests.iter().any(|queued| queued.folds[fold].needs_cold())
    }

    /// The next slice for one of the folds, as (ticket, fold, texts). Each fold comes with whether it has its
    /// cold rows. Requests of a single text go first, as a visitor is waiting for them, then the oldest.
    /// Requests that more than `most_left` folds have still to answer are left out.
    pub fn next(
        &mut self,
        folds: impl Iterator<Item = (usize, bool)> + Clone,
        most_left: usize,
    ) -> Option<(u32, usize, Vec<String>)> {
        let (singles, others): (Vec<&mut Queued>, Vec<&mut Queued>) =
            self.requests.iter_mut().partition(|queued| queued.texts.len() == 1);
        let mut requests = singles.into_iter().chain(others).filter(|queued| {
            queued.folds.iter().filter(|progress| !progress.is_finished()).count() <= most_left
        });
        requests.find_map(|queued| {
            let mut folds = folds.clone();
            let (fold, left) = folds.find_map(|(fold, has_cold)| {
                let left: Vec<usize> = queued.folds[fold].left(has_cold).collect();
                (!left.is_empty()).then_some((fold, left))
            })?;
            let fitting = fitting(left.iter().map(|&text| &*queued.texts[text]));
            let slice = left[..fitting].to_vec();
            let texts = slice.iter().map(|&text| queued.texts[text].clone()).collect();
            queued.folds[fold].slice = slice;
            Some((queued.ticket, fold, texts))
        })
    }

    /// Takes the answers to a slice. Returns the fold's answers to the whole request, in its order, after the
    /// last slice; or `NeedsCold` after the first slice with a text that waits for cold rows.
    pub fn answer(
        &mut self,
        ticket: u32,
        fold: usize,
        answers: Vec<Option<TextAnswer>>,
    ) -> Option<PoolEvent> {
        let queued = self.requests.iter_mut().find(|queued| queued.ticket == ticket)?;
        let (request, progress) = (queued.request, queued.folds.get_mut(fold)?);
        let needed_cold = progress.needs_cold();
        for (text, answer) in std::mem::take(&mut progress.slice).into_iter().zip(answers) {
            progress.texts[text] = answer.map_or(TextState::NeedsCold, TextState::Answered);
        }
        if !progress.is_finished() {
            let needs_cold = progress.needs_cold() && !needed_cold;
            return needs_cold.then_some(PoolEvent::NeedsCold { request, fold });
        }
        let answered = progress.texts.iter().filter_map(|state| match state {
            TextState::Answered(answer) => Some(answer.clone()),
            _ => None,
        });
        let mut in_order: Vec<_> = queued.places.iter().zip(answered).collect();
        in_order.sort_by_key(|&(place, _)| place);
        let answers = in_order.into_iter().map(|(_, answer)| answer).collect();
        Some(PoolEvent::Answer { request, fold, answers })
    }

    /// Drops requests that every fold has answered, but for those that are `out`: failed, say. The newest is kept
    /// for these, so that they answer it after a retry.
    pub fn forget_finished(&mut self, out: &[bool]) {
        let newest = self.requests.last().map(|queued| queued.ticket);
        self.requests.retain(|queued| {
            let is_newest = Some(queued.ticket) == newest;
            let mut folds = queued.folds.iter().zip(out);
            folds.any(|(progress, out)| !progress.is_finished() && (is_newest || !out))
        });
    }
}

/// The number of texts, counted from the first, that make a slice; at least one.
fn fitting<'t>(texts: impl Iterator<Item = &'t str>) -> usize {
    let mut bytes = 0;
    let fits = |text: &&str| {
        bytes += text.len();
        bytes <= SLICE_BYTES
    };
    texts.take(SLICE).take_while(fits).count().max(1)
}

impl FoldProgress {
    fn is_finished(&self) -> bool {
        self.left(true).next().is_none()
    }

    fn needs_cold(&self) -> bool {
        self.texts.contains(&TextState::NeedsCold)
    }

    /// The texts left to answer; those that need cold rows are among them if the fold has its own.
    fn left(&self, has_cold: bool) -> impl Iterator<Item = usize> {
        let texts = self.texts.iter().enumerate();
        let left = texts.filter(move |(_, state)| match state {
            TextState::Open => true,
            TextState::NeedsCold => has_cold,
            TextState::Answered(_) => false,
        });
        left.map(|(text, _)| text)
    }
}
