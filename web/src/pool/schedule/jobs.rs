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
    folds: Vec<OfFold>,
}

/// How far one fold is with a request.
#[derive(Clone)]
struct OfFold {
    texts: Vec<Standing>,
    /// The texts it was given last.
    slice: Vec<usize>,
}

#[derive(Clone, PartialEq)]
enum Standing {
    Open,
    /// It waits for the fold's cold word embeddings.
    Cold,
    Answered(TextAnswer),
}

impl Jobs {
    pub fn new(folds: usize) -> Self {
        Self { folds, jobs: Vec::new(), next_ticket: 0 }
    }

    /// Takes a request; an earlier one of the same number is forgotten.
    pub fn add(&mut self, request: u32, texts: Vec<String>) {
        self.cancel(request);
        let of_fold = OfFold { texts: vec![Standing::Open; texts.len()], slice: Vec::new() };
        let folds = vec![of_fold; self.folds];
        let mut numbered: Vec<(usize, String)> = texts.into_iter().enumerate().collect();
        numbered.sort_by_key(|(_, text)| text.len());
        let (places, texts) = numbered.into_iter().unzip();
        self.jobs.push(Job { ticket: self.next_ticket, request, texts, places, folds });
        self.next_ticket = self.next_ticket.wrapping_add(1);
    }

    pub fn cancel(&mut self, request: u32) {
        self.jobs.retain(|job| job.request != request);
    }

    /// Whether a fold has something left to answer: of all texts if it is whole, else of those that wait for nothing.
    pub fn is_pending(&self, fold: usize, is_whole: bool) -> bool {
        self.jobs.iter().any(|job| job.folds[fold].left(is_whole).next().is_some())
    }

    /// Whether a text waits for a fold's cold word embeddings.
    pub fn is_waiting_for_cold(&self, fold: usize) -> bool {
        self.jobs.iter().any(|job| job.folds[fold].texts.contains(&Standing::Cold))
    }

    /// The next texts for one of these folds, each with whether it is whole: (ticket, fold, texts). A single text goes
    /// first, as somebody is waiting for it; otherwise the request that came first. Requests that more than
    /// `most_left` folds have not answered are left out.
    pub fn next(
        &mut self,
        folds: impl Iterator<Item = (usize, bool)> + Clone,
        most_left: usize,
    ) -> Option<(u32, usize, Vec<String>)> {
        let (singles, others): (Vec<&mut Job>, Vec<&mut Job>) =
            self.jobs.iter_mut().partition(|job| job.texts.len() == 1);
        let mut jobs = singles
            .into_iter()
            .chain(others)
            .filter(|job| job.folds.iter().filter(|of_fold| of_fold.lacks()).count() <= most_left);
        jobs.find_map(|job| {
            let mut folds = folds.clone();
            let (fold, left) = folds.find_map(|(fold, is_whole)| {
                let left: Vec<usize> = job.folds[fold].left(is_whole).collect();
                (!left.is_empty()).then_some((fold, left))
            })?;
            let fitting = fitting(left.iter().map(|&text| &*job.texts[text]));
            let slice = left[..fitting].to_vec();
            let texts = slice.iter().map(|&text| job.texts[text].clone()).collect();
            job.folds[fold].slice = slice;
            Some((job.ticket, fold, texts))
        })
    }

    /// Takes a slice's answers. The fold's whole answer, in the order of the request, if that was the last slice; or that
    /// the request waits, if this slice is the first with a text that does.
    pub fn answer(
        &mut self,
        ticket: u32,
        fold: usize,
        answers: Vec<Option<TextAnswer>>,
    ) -> Option<PoolEvent> {
        let job = self.jobs.iter_mut().find(|job| job.ticket == ticket)?;
        let (request, of_fold) = (job.request, job.folds.get_mut(fold)?);
        let waited = of_fold.texts.contains(&Standing::Cold);
        for (text, answer) in std::mem::take(&mut of_fold.slice).into_iter().zip(answers) {
            of_fold.texts[text] = answer.map_or(Standing::Cold, Standing::Answered);
        }
        if of_fold.lacks() {
            let waits = of_fold.texts.contains(&Standing::Cold);
            return (waits && !waited).then_some(PoolEvent::RareWords { request, fold });
        }
        let answered = of_fold.texts.iter().filter_map(|standing| match standing {
            Standing::Answered(answer) => Some(answer.clone()),
            _ => None,
        });
        let mut in_order: Vec<_> = job.places.iter().zip(answered).collect();
        in_order.sort_by_key(|&(place, _)| place);
        let answers = in_order.into_iter().map(|(_, answer)| answer).collect();
        Some(PoolEvent::Answer { request, fold, answers })
    }

    /// Forgets what every fold has answered. The newest request also outlives failed folds, so that
    /// one that is tried again still answers it; older ones are not kept for that.
    pub fn forget_finished(&mut self, failed: &[bool]) {
        let newest = self.jobs.last().map(|job| job.ticket);
        self.jobs.retain(|job| {
            let is_newest = Some(job.ticket) == newest;
            job.folds
                .iter()
                .zip(failed)
                .any(|(fold, failed)| fold.lacks() && (is_newest || !failed))
        });
    }
}

/// How many of the first texts make a slice: at least one.
fn fitting<'t>(texts: impl Iterator<Item = &'t str>) -> usize {
    let mut bytes = 0;
    let fits = |text: &&str| {
        bytes += text.len();
        bytes <= SLICE_BYTES
    };
    texts.take(SLICE).take_while(fits).count().max(1)
}

impl OfFold {
    fn lacks(&self) -> bool {
        self.left(true).next().is_some()
    }

    /// What it can answer, if it is whole or not.
    fn left(&self, is_whole: bool) -> impl Iterator<Item = usize> {
        let texts = self.texts.iter().enumerate();
        let left = texts.filter(move |(_, standing)| match standing {
            Standing::Open => true,
            Standing::Cold => is_whole,
            Standing::Answered(_) => false,
        });
        left.map(|(text, _)| text)
    }
}
