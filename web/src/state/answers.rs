//! The answers about many texts, in flat arrays: those about a million texts take some 30 MB.

/// The models' answers to many texts.
#[derive(Debug, Clone)]
pub struct Answers {
    labels: usize,
    /// `[texts, labels]`; 0 where there is no answer yet.
    probabilities: Vec<f32>,
    disagreement: Vec<f32>,
    standing: Vec<Standing>,
    count: usize,
}

/// Whether a text has an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    Open,
    Answered,
    /// It has one, but only its beginning was read.
    ReadInPart,
}

/// The models' answer to a text.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Answer<'a> {
    pub probabilities: &'a [f32],
    /// The largest difference, over the labels, between the highest and the lowest probability that a model gives.
    pub disagreement: f32,
    pub truncated: bool,
}

impl Answers {
    /// No answers yet about so many texts, for so many labels.
    pub fn new(texts: usize, labels: usize) -> Self {
        Self {
            labels,
            probabilities: vec![0.0; texts * labels],
            disagreement: vec![0.0; texts],
            standing: vec![Standing::Open; texts],
            count: 0,
        }
    }

    /// Notes the answer to a text that has none.
    pub fn note(&mut self, text: usize, answer: Answer<'_>) {
        debug_assert_eq!(self.standing[text], Standing::Open);
        self.probabilities[text * self.labels..][..self.labels]
            .copy_from_slice(answer.probabilities);
        self.disagreement[text] = answer.disagreement;
        self.standing[text] =
            if answer.truncated { Standing::ReadInPart } else { Standing::Answered };
        self.count += 1;
    }

    /// The number of texts that have an answer.
    pub fn count(&self) -> usize {
        self.count
    }

    /// The number of texts.
    pub fn len(&self) -> usize {
        self.standing.len()
    }

    pub fn is_empty(&self) -> bool {
        self.standing.is_empty()
    }

    pub fn standing(&self, text: usize) -> Standing {
        self.standing[text]
    }

    /// The answer to a text; `None` if it has none yet.
    pub fn get(&self, text: usize) -> Option<Answer<'_>> {
        let standing = self.standing[text];
        (standing != Standing::Open).then(|| Answer {
            probabilities: &self.probabilities[text * self.labels..][..self.labels],
            disagreement: self.disagreement[text],
            truncated: standing == Standing::ReadInPart,
        })
    }
}
