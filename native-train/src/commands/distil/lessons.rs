//! The lessons of the models: rows with labels and answers, and texts with answers alone.

use std::collections::{BTreeSet, HashMap};

use shared::words::counted;

use super::{answers::Answers, settings::Distilling};
use crate::{
    commands::train::inputs::Inputs, cross_validation::Lesson, data::text_key, grid::Probabilities,
    progress::Progress, training::Teacher,
};

/// The rows that the models learn from.
pub struct Lessons {
    /// For each fold, the training rows whose texts it does not hold out.
    labelled: Vec<Vec<usize>>,
    /// The number of rows with labels. Texts without follow them.
    rows: usize,
    texts: usize,
}

impl Lessons {
    pub fn new(inputs: &Inputs) -> Self {
        let folds = &inputs.folds;
        let keys: Vec<String> = inputs.dataset.texts.iter().map(|text| text_key(text)).collect();
        let mut held_out_by: HashMap<&str, BTreeSet<usize>> = HashMap::new();
        for (key, &fold) in keys.iter().zip(folds.fold_of()) {
            held_out_by.entry(key).or_default().insert(fold);
        }
        let is_learned = |fold: usize, row: usize| !held_out_by[keys[row].as_str()].contains(&fold);
        let labelled = (0..folds.count()).map(|fold| {
            let rows = folds.train_rows(fold).into_iter();
            rows.filter(|&row| is_learned(fold, row)).collect()
        });
        Self {
            labelled: labelled.collect(),
            rows: inputs.dataset.len(),
            texts: inputs.unlabelled.len(),
        }
    }

    /// Tells of the training rows that are left out. With a grouped split there are none.
    pub fn tell(&self, inputs: &Inputs, progress: &Progress) {
        for fold in 0..self.labelled.len() {
            let left_out = self.left_out(fold, inputs);
            if left_out > 0 {
                progress.note(format_args!(
                    "fold {fold}: {} left out, as the fold holds out equal texts",
                    counted(left_out, "training row")
                ));
            }
        }
    }

    /// The number of training rows that a fold's student does not read.
    pub fn left_out(&self, fold: usize, inputs: &Inputs) -> usize {
        self.rows - inputs.folds.sizes()[fold] - self.labelled[fold].len()
    }

    /// The number of rows and texts that a fold's student learns from.
    pub fn len(&self, fold: usize) -> usize {
        self.labelled[fold].len() + self.texts
    }

    /// The number of rows and texts that the final model learns from.
    pub fn all(&self) -> usize {
        self.rows + self.texts
    }

    /// Each student learns from the teacher's model of its fold.
    pub fn of_students(&self, answers: &Answers, distilling: &Distilling) -> Vec<Lesson> {
        let lesson = |(fold, labelled): (usize, &Vec<usize>)| Lesson {
            rows: labelled.iter().copied().chain(self.rows..self.all()).collect(),
            teacher: Some(teacher(answers.of_fold(fold, distilling.temperature), distilling)),
        };
        self.labelled.iter().enumerate().map(lesson).collect()
    }

    /// The final model learns from the whole ensemble.
    pub fn of_final(&self, answers: &Answers, distilling: &Distilling) -> Lesson {
        let answers = answers.of_ensemble(distilling.temperature);
        Lesson { rows: (0..self.all()).collect(), teacher: Some(teacher(answers, distilling)) }
    }

    /// The same rows without a teacher, who alone has something to say of texts without labels.
    pub fn without_teacher(&self) -> Vec<Lesson> {
        let lesson = |rows: &Vec<usize>| Lesson { rows: rows.clone(), teacher: None };
        self.labelled.iter().map(lesson).collect()
    }
}

fn teacher(answers: Probabilities, distilling: &Distilling) -> Teacher {
    Teacher { answers, weight: distilling.alpha as f32, temperature: distilling.temperature as f32 }
}

#[cfg(test)]
mod tests {
    use shared::LabelSet;

    use super::*;
    use crate::data::{Dataset, Duplicates, Folds};
    use crate::grid::{Grid, Targets};

    /// Five rows in two folds and two texts. Row 4 of fold 1 has the text of row 0 of fold 0.
    fn inputs() -> Inputs {
        let texts: Vec<String> =
            ["a b", "c", "d", "e", "A  B"].iter().map(ToString::to_string).collect();
        let folds = Folds::new(vec![0, 0, 1, 1, 1], 2);
        Inputs {
            duplicates: Duplicates::new(&texts, &folds, None),
            dataset: Dataset {
                ids: texts.clone(),
                texts,
                labels: LabelSet::new(vec!["joy".to_owned()]).unwrap(),
                targets: Targets::new(1, vec![1, 0, 1, 0, 1]),
                soft_targets: None,
            },
            folds,
            unlabelled: vec!["f".to_owned(), "g".to_owned()],
            test: None,
        }
    }

    fn distilling() -> Distilling {
        Distilling { alpha: 0.75, temperature: 1.0, ..Distilling::default() }
    }

    #[test]
    fn no_student_reads_a_text_that_its_fold_holds_out() {
        let inputs = inputs();
        let answers = Answers::new(vec![Grid::new(1, vec![0.0; 7]), Grid::new(1, vec![1.0; 7])]);
        let lessons = Lessons::new(&inputs);
        let students = lessons.of_students(&answers, &distilling());
        let rows: Vec<&[usize]> = students.iter().map(|lesson| &lesson.rows[..]).collect();
        assert_eq!(rows, [&[2, 3, 5, 6][..], &[1, 5, 6]]);
        assert_eq!([lessons.left_out(0, &inputs), lessons.left_out(1, &inputs)], [1, 1]);
        assert_eq!([lessons.len(0), lessons.len(1), lessons.all()], [4, 3, 7]);
        let alone = lessons.without_teacher();
        assert_eq!([&alone[0].rows[..], &alone[1].rows[..]], [&[2, 3][..], &[1]]);
        assert!(alone[0].teacher.is_none());

        // Student K is taught by fold K alone, the final model by the mean of their probabilities.
        let half = |lesson: &Lesson| lesson.teacher.as_ref().unwrap().answers.row(6)[0];
        let of_one = 1.0 / (1.0 + (-1.0_f32).exp());
        assert_eq!([half(&students[0]), half(&students[1])], [0.5, of_one]);
        let last = lessons.of_final(&answers, &distilling());
        assert_eq!(last.rows, (0..7).collect::<Vec<_>>());
        assert!((half(&last) - (0.5 + of_one) / 2.0).abs() < 1e-7);
    }
}
