//! The queue of requests, given to the workers in slices of a few texts of similar length. This is where texts are
//! batched.
//!
//! A request's texts lie sorted by length, and workers take them from the longest to the shortest. So a slice's texts are of
//! similar length, and what is left for the end is short. Where several workers hold the same model they share a list's texts;
//! the last slices are so small that all of these workers end at about the same time.
//!
//! A slice is bounded by its cost: by bytes, for only the worker knows how many tokens a text has. A worker cannot be
//! interrupted, so this is how long a text that is being typed waits behind a table. It is also what bounds the memory of a
//! pass: a token has at least a byte, so a slice fits into one pass of `shared::bundle::FoldModel`, which is what
//! `native-train` relies on.
//!
//! `state/batches.rs` divides nothing for speed: it has a few requests under way, so that thousands of texts stay with the
//! page and a job that is stopped has little to cancel.

use shared::bundle::TextAnswer;

use crate::pool::event::PoolEvent;

/// The cost of a slice at most, unless it is a single text: some 250 tokens. More would not make products more efficient.
const SLICE_COST: usize = 1024;

/// The cost of a slice at least, where workers share the end of a list: products of fewer rows are less efficient.
const LEAST_COST: usize = 256;

/// The cost of a text beside its bytes: its special tokens, and what is done for each text.
const COST_OF_TEXT: usize = 16;

/// The requests, oldest first.
#[derive(Default)]
pub struct Queue {
    requests: Vec<Queued>,
    next_ticket: u32,
    /// The cost of the lists since there was none.
    cost_of_lists: usize,
}

/// A request and the models' progress with it.
struct Queued {
    /// Unique, unlike the request's number: a late answer to a cancelled request has another ticket.
    ticket: u32,
    request: u32,
    /// Shortest first.
    texts: Vec<String>,
    /// The position of each text in the request.
    places: Vec<usize>,
    models: Vec<Progress>,
}

/// A model's progress with a request.
#[derive(Default)]
struct Progress {
    is_asked: bool,
    /// The texts that no worker has been given, shortest first.
    open: Vec<usize>,
    /// Their cost.
    open_cost: usize,
    /// The texts that wait for the model's cold rows.
    cold: Vec<usize>,
    /// The texts that workers are at.
    slices: Vec<Slice>,
    /// `[texts]`
    answers: Vec<Option<TextAnswer>>,
    unanswered: usize,
}

/// Texts that a worker was given.
struct Slice {
    worker: usize,
    texts: Vec<usize>,
    /// Whether they had waited for cold rows.
    is_cold: bool,
}

/// A model in a worker's memory.
#[derive(Debug, Clone, Copy)]
pub struct Holder {
    /// The model's index.
    pub model: usize,
    /// Whether the worker has the model's cold rows.
    pub has_cold: bool,
    /// The number of workers that hold the model.
    pub sharers: usize,
}

/// The next slice for a worker.
#[derive(Debug)]
pub struct Next {
    pub ticket: u32,
    pub model: usize,
    pub texts: Vec<String>,
}

impl Queue {
    /// Adds a request to the models that are `asked`; an earlier one with the same number is dropped.
    pub fn add(&mut self, request: u32, texts: Vec<String>, asked: Vec<bool>) {
        self.cancel(request);
        let mut numbered: Vec<(usize, String)> = texts.into_iter().enumerate().collect();
        numbered.sort_by_key(|(_, text)| text.len());
        let (places, texts): (Vec<usize>, Vec<String>) = numbered.into_iter().unzip();
        let cost = texts.iter().map(|text| cost(text)).sum();
        if texts.len() > 1 {
            self.cost_of_lists = self.cost_of_lists.saturating_add(cost);
        }
        let progress = |is_asked| match is_asked {
            true => Progress {
                is_asked,
                open: (0..texts.len()).collect(),
                open_cost: cost,
                answers: vec![None; texts.len()],
                unanswered: texts.len(),
                ..Progress::default()
            },
            false => Progress::default(),
        };
        let models = asked.into_iter().map(progress).collect();
        self.requests.push(Queued { ticket: self.next_ticket, request, texts, places, models });
        self.next_ticket = self.next_ticket.wrapping_add(1);
    }

    pub fn cancel(&mut self, request: u32) {
        self.requests.retain(|queued| queued.request != request);
        self.note_lists();
    }

    /// Whether a request waits for this model.
    pub fn is_unfinished(&self, model: usize) -> bool {
        self.requests.iter().any(|queued| !queued.models[model].is_finished())
    }

    /// The cost of the lists that a model is asked about, with those before them since there was none; 0 if there is none.
    pub fn cost_of_lists(&self, model: usize) -> usize {
        let is_asked = |queued: &&Queued| queued.is_list() && !queued.models[model].is_finished();
        self.requests.iter().find(is_asked).map_or(0, |_| self.cost_of_lists)
    }

    /// Whether there is a list.
    pub fn has_list(&self) -> bool {
        self.requests.iter().any(Queued::is_list)
    }

    /// Whether a model has texts that no worker was given; those that need cold rows count if it has them.
    pub fn is_pending(&self, model: usize, has_cold: bool) -> bool {
        self.requests.iter().any(|queued| {
            let progress = &queued.models[model];
            !progress.open.is_empty() || (has_cold && !progress.cold.is_empty())
        })
    }

    /// Whether a request that is for this model alone waits for it.
    pub fn has_only(&self, model: usize) -> bool {
        self.requests.iter().any(|queued| {
            let mut others = queued.models.iter().enumerate().filter(|&(other, _)| other != model);
            !queued.models[model].is_finished() && others.all(|(_, other)| !other.is_asked)
        })
    }

    /// Whether a text waits for the model's cold rows.
    pub fn is_waiting_for_cold(&self, model: usize) -> bool {
        self.requests.iter().any(|queued| queued.models[model].needs_cold())
    }

    /// The next slice for a worker that holds these models. Requests of a single text go first, as a visitor is waiting for
    /// them, then the oldest. Requests that more than `most_left` models have still to answer are left out.
    pub fn next(
        &mut self,
        worker: usize,
        holders: impl Iterator<Item = Holder> + Clone,
        most_left: usize,
    ) -> Option<Next> {
        let left = |holder: Holder| {
            let models = self.requests.iter().map(|queued| &queued.models[holder.model]);
            models.map(|progress| progress.open_cost).sum::<usize>()
        };
        // What remains is shared in ever smaller slices, each half of a fair share.
        let most = holders.clone().map(|holder| match holder.sharers {
            0 | 1 => SLICE_COST,
            sharers => (left(holder) / (2 * sharers)).clamp(LEAST_COST, SLICE_COST),
        });
        let holders: Vec<(Holder, usize)> = holders.clone().zip(most).collect();
        let (singles, others): (Vec<&mut Queued>, Vec<&mut Queued>) =
            self.requests.iter_mut().partition(|queued| !queued.is_list());
        let mut requests = singles.into_iter().chain(others).filter(|queued| {
            queued.models.iter().filter(|progress| !progress.is_finished()).count() <= most_left
        });
        requests.find_map(|queued| {
            let Queued { ticket, texts, models, .. } = queued;
            holders.iter().find_map(|&(Holder { model, has_cold, .. }, most)| {
                let given = models[model].give(worker, texts, has_cold, most)?;
                let texts = given.iter().map(|&text| texts[text].clone()).collect();
                Some(Next { ticket: *ticket, model, texts })
            })
        })
    }

    /// Takes the answers to a worker's slice. Returns the model's answers to the whole request, in its order, after the
    /// last slice; or `NeedsCold` after the first slice with a text that waits for cold rows.
    pub fn answer(
        &mut self,
        worker: usize,
        ticket: u32,
        model: usize,
        answers: Vec<Option<TextAnswer>>,
    ) -> Option<PoolEvent> {
        let queued = self.requests.iter_mut().find(|queued| queued.ticket == ticket)?;
        let (request, progress) = (queued.request, queued.models.get_mut(model)?);
        let needed_cold = progress.needs_cold();
        let slice = progress.slices.iter().position(|slice| slice.worker == worker)?;
        let slice = progress.slices.swap_remove(slice);
        for (text, answer) in slice.texts.into_iter().zip(answers) {
            match answer {
                Some(answer) => {
                    progress.answers[text] = Some(answer);
                    progress.unanswered -= 1;
                }
                None => progress.cold.push(text),
            }
        }
        if !progress.is_finished() {
            let needs_cold = progress.needs_cold() && !needed_cold;
            return needs_cold.then_some(PoolEvent::NeedsCold { request, fold: model });
        }
        // The request stays for the other models; this one's answers leave with the event.
        let answers = std::mem::take(&mut progress.answers).into_iter().flatten();
        let mut in_order: Vec<_> = queued.places.iter().zip(answers).collect();
        in_order.sort_unstable_by_key(|&(place, _)| place);
        let answers = in_order.into_iter().map(|(_, answer)| answer).collect();
        Some(PoolEvent::Answer { request, fold: model, answers })
    }

    /// Takes back what a worker was given and will not answer.
    pub fn take_back(&mut self, worker: usize) {
        for queued in &mut self.requests {
            for progress in &mut queued.models {
                progress.take_back(worker, &queued.texts);
            }
        }
    }

    /// Drops requests that every model has answered, but for those that are `out`: failed, say. The newest is kept
    /// for these, so that they answer it after a retry.
    pub fn forget_finished(&mut self, out: &[bool]) {
        let newest = self.requests.last().map(|queued| queued.ticket);
        self.requests.retain(|queued| {
            let is_newest = Some(queued.ticket) == newest;
            let mut models = queued.models.iter().zip(out);
            models.any(|(progress, out)| !progress.is_finished() && (is_newest || !out))
        });
        self.note_lists();
    }

    fn note_lists(&mut self) {
        if !self.has_list() {
            self.cost_of_lists = 0;
        }
    }
}

fn cost(text: &str) -> usize {
    text.len() + COST_OF_TEXT
}

impl Queued {
    fn is_list(&self) -> bool {
        self.texts.len() > 1
    }
}

impl Progress {
    fn is_finished(&self) -> bool {
        self.unanswered == 0
    }

    fn needs_cold(&self) -> bool {
        !self.cold.is_empty() || self.slices.iter().any(|slice| slice.is_cold)
    }

    /// Gives a worker its next texts: those that waited for cold rows first, if it has them. At least one text, of at most
    /// the cost `most` together if they are more.
    fn give(
        &mut self,
        worker: usize,
        texts: &[String],
        has_cold: bool,
        most: usize,
    ) -> Option<&[usize]> {
        let is_cold = has_cold && !self.cold.is_empty();
        let from = if is_cold { &mut self.cold } else { &mut self.open };
        let mut total = 0;
        let costs = from.iter().rev().map(|&text| cost(&texts[text]));
        let fitting = costs.take_while(|cost| {
            total += cost;
            total <= most
        });
        let count = fitting.count().max(1).min(from.len());
        let given = from.split_off(from.len() - count);
        if given.is_empty() {
            return None;
        }
        if !is_cold {
            self.open_cost -= given.iter().map(|&text| cost(&texts[text])).sum::<usize>();
        }
        self.slices.push(Slice { worker, texts: given, is_cold });
        self.slices.last().map(|slice| &*slice.texts)
    }

    fn take_back(&mut self, worker: usize, texts: &[String]) {
        for slice in self.slices.extract_if(.., |slice| slice.worker == worker) {
            if slice.is_cold {
                self.cold.extend(slice.texts);
            } else {
                self.open_cost += slice.texts.iter().map(|&text| cost(&texts[text])).sum::<usize>();
                self.open.extend(slice.texts);
                self.open.sort_unstable();
            }
        }
    }
}
