//! The requests that wait for folds, cut into slices of a few texts of like length.

use shared::bundle::TextAnswer;

use super::super::PoolEvent;

/// Texts that a worker is given at once: enough for a product of matrices to be worth it, few enough
/// that the next request does not wait long, and a bound on the memory of one pass.
const SLICE: usize = 8;

/// Of a slice's texts together, unless it is one text: some 500 tokens. Long texts go by themselves, so that a slice
/// of them does not take many times as long as one of short ones.
const SLICE_BYTES: usize = 2048;

/// Requests in the order in which they came.
pub struct Jobs {
    folds: usize,
    jobs: Vec<Job>,
    next_ticket: u32,
}

struct Job {
    /// Tells an answer to this request from one to an earlier request of the same number.
    ticket: u32,
    request: u32,
    /// The shortest first.
    texts: Vec<String>,
    /// Where each of them stood in the request.
    places: Vec<usize>,
    /// What each fold has said so far.
    answers: Vec<Vec<TextAnswer>>,
}

impl Jobs {
    pub fn new(folds: usize) -> Self {
        Self { folds, jobs: Vec::new(), next_ticket: 0 }
    }

    /// Takes a request; an earlier one of the same number is forgotten.
    pub fn add(&mut self, request: u32, texts: Vec<String>) {
        self.cancel(request);
        let answers = vec![Vec::new(); self.folds];
        let mut numbered: Vec<(usize, String)> = texts.into_iter().enumerate().collect();
        numbered.sort_by_key(|(_, text)| text.len());
        let (places, texts) = numbered.into_iter().unzip();
        self.jobs.push(Job { ticket: self.next_ticket, request, texts, places, answers });
        self.next_ticket = self.next_ticket.wrapping_add(1);
    }

    pub fn cancel(&mut self, request: u32) {
        self.jobs.retain(|job| job.request != request);
    }

    /// Whether a fold has something left to answer.
    pub fn is_pending(&self, fold: usize) -> bool {
        self.jobs.iter().any(|job| job.lacks(fold))
    }

    /// The next texts for one of these folds: (ticket, fold, texts). A single text goes first, as
    /// somebody is waiting for it; otherwise the request that came first.
    pub fn next(
        &self,
        folds: impl Iterator<Item = usize> + Clone,
    ) -> Option<(u32, usize, Vec<String>)> {
        let singles = self.jobs.iter().filter(|job| job.texts.len() == 1);
        let others = self.jobs.iter().filter(|job| job.texts.len() > 1);
        singles.chain(others).find_map(|job| {
            let fold = folds.clone().find(|&fold| job.lacks(fold))?;
            let rest = &job.texts[job.answers[fold].len()..];
            Some((job.ticket, fold, rest[..fitting(rest)].to_vec()))
        })
    }

    /// How many folds have not answered all of it.
    pub fn folds_left(&self, ticket: u32) -> usize {
        let job = self.jobs.iter().find(|job| job.ticket == ticket);
        job.map_or(0, |job| (0..self.folds).filter(|&fold| job.lacks(fold)).count())
    }

    /// Takes a slice's answers. The fold's whole answer, in the order of the request, if that was the last slice.
    pub fn answer(
        &mut self,
        ticket: u32,
        fold: usize,
        slice: Vec<TextAnswer>,
    ) -> Option<PoolEvent> {
        let job = self.jobs.iter_mut().find(|job| job.ticket == ticket)?;
        let answers = job.answers.get_mut(fold)?;
        answers.extend(slice);
        if answers.len() < job.texts.len() {
            return None;
        }
        let mut in_order: Vec<_> = job.places.iter().zip(answers.iter().cloned()).collect();
        in_order.sort_by_key(|&(place, _)| place);
        let answers = in_order.into_iter().map(|(_, answer)| answer).collect();
        Some(PoolEvent::Answer { request: job.request, fold, answers })
    }

    /// Forgets what every fold has answered. The newest request also outlives failed folds, so that
    /// one that is tried again still answers it; older ones are not kept for that.
    pub fn forget_finished(&mut self, failed: &[bool]) {
        let newest = self.jobs.last().map(|job| job.ticket);
        self.jobs.retain(|job| {
            let is_newest = Some(job.ticket) == newest;
            (0..failed.len()).any(|fold| job.lacks(fold) && (is_newest || !failed[fold]))
        });
    }
}

/// How many of the first texts make a slice: at least one.
fn fitting(texts: &[String]) -> usize {
    let mut bytes = 0;
    let fits = |text: &&String| {
        bytes += text.len();
        bytes <= SLICE_BYTES
    };
    texts.iter().take(SLICE).take_while(fits).count().max(1)
}

impl Job {
    fn lacks(&self, fold: usize) -> bool {
        self.answers[fold].len() < self.texts.len()
    }
}
