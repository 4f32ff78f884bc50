//! Which rows of the table of many texts are shown, and in which order.

use std::cmp::Ordering;

use shared::Thresholds;

use super::answers::{Answer, Answers};

/// The rows that are wanted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Filter {
    #[default]
    All,
    /// Those that this label is on for.
    Label(usize),
    /// Those that no label is on for.
    NoLabel,
}

/// What rows are sorted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Key {
    /// The probability of this label.
    Probability(usize),
    Disagreement,
}

/// An order of rows other than the given one; rows that are equal in it are in the given one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Order {
    pub key: Key,
    pub direction: Direction,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    Descending,
    Ascending,
}

/// The rows that are shown, kept up to date while answers arrive.
#[derive(Debug, Clone, Default)]
pub struct Selection {
    filter: Filter,
    order: Option<Order>,
    /// The texts of the rows, where these are not simply all in the given order. Only texts with an answer are among them.
    rows: Option<Vec<u32>>,
}

impl Selection {
    pub fn filter(&self) -> Filter {
        self.filter
    }

    /// The order; `None` for that in which the texts were given.
    pub fn order(&self) -> Option<Order> {
        self.order
    }

    /// Whether all rows are shown in the order in which the texts were given.
    pub fn is_plain(&self) -> bool {
        self.rows.is_none()
    }

    /// The number of rows shown, of `all`.
    pub fn len(&self, all: usize) -> usize {
        self.rows.as_ref().map_or(all, Vec::len)
    }

    /// The text of the row at this position, which must be below [`len`](Self::len).
    pub fn text(&self, position: usize) -> usize {
        self.rows.as_ref().map_or(position, |rows| rows[position] as usize)
    }

    /// Shows other rows of `answers`.
    pub fn choose(&mut self, filter: Filter, answers: &Answers, thresholds: &Thresholds) {
        self.filter = filter;
        self.select(answers, thresholds);
    }

    /// Sorts by `key`: downwards at first, upwards when asked again, and then as the texts were given.
    pub fn sort_by(&mut self, key: Key, answers: &Answers, thresholds: &Thresholds) {
        self.order = match self.order {
            Some(Order { key: now, direction: Direction::Descending }) if now == key => {
                Some(Order { key, direction: Direction::Ascending })
            }
            Some(Order { key: now, direction: Direction::Ascending }) if now == key => None,
            _ => Some(Order { key, direction: Direction::Descending }),
        };
        self.select(answers, thresholds);
    }

    /// Shows the row of a text that has just been answered, if it is wanted.
    pub fn admit(&mut self, text: usize, answers: &Answers, thresholds: &Thresholds) {
        let (filter, order) = (self.filter, self.order);
        let Some(rows) = &mut self.rows else { return };
        if answers.get(text).is_some_and(|answer| filter.wants(answer, thresholds)) {
            let text = text as u32;
            let comes_before =
                |&other: &u32| compare(order, answers, other, text) == Ordering::Less;
            rows.insert(rows.partition_point(comes_before), text);
        }
    }

    fn select(&mut self, answers: &Answers, thresholds: &Thresholds) {
        self.rows = None;
        if self.filter == Filter::All && self.order.is_none() {
            return;
        }
        let is_wanted = |&text: &u32| {
            answers.get(text as usize).is_some_and(|answer| self.filter.wants(answer, thresholds))
        };
        let mut rows: Vec<u32> = (0..answers.len() as u32).filter(is_wanted).collect();
        if self.order.is_some() {
            rows.sort_unstable_by(|&a, &b| compare(self.order, answers, a, b));
        }
        self.rows = Some(rows);
    }
}

impl Filter {
    fn wants(self, answer: Answer<'_>, thresholds: &Thresholds) -> bool {
        let mut decisions = thresholds.apply(answer.probabilities);
        match self {
            Self::All => true,
            Self::Label(label) => decisions.nth(label) == Some(true),
            Self::NoLabel => !decisions.any(|is_on| is_on),
        }
    }
}

/// Which of two texts with an answer comes first.
fn compare(order: Option<Order>, answers: &Answers, a: u32, b: u32) -> Ordering {
    let by_order = order.map_or(Ordering::Equal, |Order { key, direction }| {
        let value = |text: u32| {
            let answer = answers.get(text as usize);
            answer.map_or(0.0, |answer| match key {
                Key::Probability(label) => answer.probabilities[label],
                Key::Disagreement => answer.disagreement,
            })
        };
        let ascending = value(a).total_cmp(&value(b));
        if direction == Direction::Ascending { ascending } else { ascending.reverse() }
    });
    by_order.then(a.cmp(&b))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Answers to the texts of `probabilities`, each at its index; they disagree the more the later they are.
    fn answers(probabilities: &[Option<[f32; 2]>]) -> (Answers, Thresholds) {
        let mut answers = Answers::new(probabilities.len(), 2);
        for (text, probabilities) in probabilities.iter().enumerate() {
            if let Some(probabilities) = probabilities {
                note(&mut answers, text, *probabilities);
            }
        }
        (answers, Thresholds::new(vec![0.5, 0.25], 2).unwrap())
    }

    fn note(answers: &mut Answers, text: usize, probabilities: [f32; 2]) {
        let disagreement = text as f32 / 100.0;
        answers
            .note(text, Answer { probabilities: &probabilities, disagreement, truncated: false });
    }

    fn shown(selection: &Selection, all: usize) -> Vec<usize> {
        (0..selection.len(all)).map(|position| selection.text(position)).collect()
    }

    const GIVEN: [Option<[f32; 2]>; 5] =
        [Some([0.5, 0.0]), Some([0.0, 0.0]), None, Some([0.75, 0.25]), Some([0.5, 0.75])];

    #[test]
    fn all_rows_are_shown_as_given_answered_or_not() {
        let (answers, thresholds) = answers(&GIVEN);
        let mut selection = Selection::default();
        assert_eq!(shown(&selection, 5), [0, 1, 2, 3, 4]);
        selection.admit(1, &answers, &thresholds);
        assert!(selection.is_plain());
    }

    #[test]
    fn a_filter_shows_the_rows_of_a_label_or_of_none() {
        let (answers, thresholds) = answers(&GIVEN);
        let mut selection = Selection::default();
        for (filter, rows) in [
            (Filter::Label(0), vec![0, 3, 4]),
            (Filter::Label(1), vec![3, 4]),
            (Filter::NoLabel, vec![1]),
        ] {
            selection.choose(filter, &answers, &thresholds);
            assert_eq!(shown(&selection, 5), rows, "{filter:?}");
        }
        selection.choose(Filter::All, &answers, &thresholds);
        assert!(selection.is_plain());
    }

    #[test]
    fn sorts_downwards_upwards_and_then_not_at_all() {
        let (answers, thresholds) = answers(&GIVEN);
        let mut selection = Selection::default();
        let mut sort = |key| {
            selection.sort_by(key, &answers, &thresholds);
            shown(&selection, 5)
        };
        assert_eq!(sort(Key::Probability(0)), [3, 0, 4, 1]);
        assert_eq!(sort(Key::Probability(0)), [1, 0, 4, 3]);
        assert_eq!(sort(Key::Probability(0)), [0, 1, 2, 3, 4]);
        assert_eq!(sort(Key::Probability(1)), [4, 3, 0, 1]);
        assert_eq!(sort(Key::Disagreement), [4, 3, 1, 0]);
        assert_eq!(
            selection.order(),
            Some(Order { key: Key::Disagreement, direction: Direction::Descending })
        );
    }

    #[test]
    fn what_is_answered_later_comes_to_its_place() {
        let all = [[0.5, 0.5], [0.75, 0.0], [0.25, 0.5], [0.5, 0.25], [1.0, 1.0]];
        for filter in [Filter::All, Filter::Label(1), Filter::NoLabel] {
            for order in [None, Some(Key::Probability(0)), Some(Key::Disagreement)] {
                let (mut some, thresholds) = answers(&[None; 5]);
                let mut growing = Selection::default();
                growing.choose(filter, &some, &thresholds);
                if let Some(key) = order {
                    growing.sort_by(key, &some, &thresholds);
                }
                for text in [3, 0, 4, 2, 1] {
                    note(&mut some, text, all[text]);
                    growing.admit(text, &some, &thresholds);
                }
                let mut at_once = Selection::default();
                at_once.choose(filter, &some, &thresholds);
                if let Some(key) = order {
                    at_once.sort_by(key, &some, &thresholds);
                }
                assert_eq!(shown(&growing, 5), shown(&at_once, 5), "{filter:?} {order:?}");
            }
        }
    }
}
