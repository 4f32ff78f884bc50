//! The texts of a shrinking, as both models read them.

use rayon::prelude::*;
use shared::kernels::{CumulativeSeqLengths, Indices};
use shared::tokenizer::{Token, Tokenizer};

/// Texts in the ids of teacher and student, and the tokens that are the same to both.
pub struct Lesson {
    texts: Vec<Reading>,
}

/// One text.
struct Reading {
    teacher: Vec<u32>,
    student: Vec<u32>,
    /// The places of tokens that cover the same characters, in the student's ids and in the teacher's.
    common: Vec<(u32, u32)>,
}

/// The common tokens of some texts that are packed end to end.
pub struct Common {
    /// Their rows among the student's.
    pub student: Indices,
    /// Their rows among the teacher's.
    pub teacher: Indices,
    /// The bounds of the texts among them.
    pub bounds: CumulativeSeqLengths,
}

impl Lesson {
    /// Encodes texts by both tokenizers, each cut to `max_len` tokens.
    pub fn new(texts: &[String], teacher: &Tokenizer, student: &Tokenizer, max_len: usize) -> Self {
        let read =
            |text: &String| Reading::new(teacher.tokens(text), student.tokens(text), max_len);
        Self { texts: texts.par_iter().map(read).collect() }
    }

    /// The number of texts.
    pub fn len(&self) -> usize {
        self.texts.len()
    }

    pub fn is_empty(&self) -> bool {
        self.texts.is_empty()
    }

    /// The number of texts that the student reads in other pieces than the teacher.
    pub fn differing(&self) -> usize {
        self.texts.iter().filter(|text| text.differs()).count()
    }

    /// The teacher's ids of a text.
    pub fn teacher_ids(&self, row: usize) -> &[u32] {
        &self.texts[row].teacher
    }

    /// The student's ids of a text.
    pub fn student_ids(&self, row: usize) -> &[u32] {
        &self.texts[row].student
    }

    /// The number of a text's tokens that are the same to both.
    pub fn common_tokens(&self, row: usize) -> usize {
        self.texts[row].common.len()
    }

    /// The common tokens of some texts, packed in this order.
    pub fn common(&self, rows: &[usize]) -> Common {
        let (mut student, mut teacher) = (Vec::new(), Vec::new());
        let (mut student_at, mut teacher_at) = (0, 0);
        for &row in rows {
            let text = &self.texts[row];
            student.extend(text.common.iter().map(|(place, _)| student_at + place));
            teacher.extend(text.common.iter().map(|(_, place)| teacher_at + place));
            student_at += text.student.len() as u32;
            teacher_at += text.teacher.len() as u32;
        }
        let lengths = rows.iter().map(|&row| self.common_tokens(row));
        let bounds = CumulativeSeqLengths::new(lengths);
        Common { student: student.into(), teacher: teacher.into(), bounds }
    }
}

impl Reading {
    /// Both are framed by `[CLS]` and `[SEP]`, which are common.
    fn new(mut teacher: Vec<Token>, mut student: Vec<Token>, max_len: usize) -> Self {
        for tokens in [&mut teacher, &mut student] {
            if tokens.len() > max_len {
                tokens.drain(max_len - 1..tokens.len() - 1);
            }
        }
        let (last_of_teacher, last_of_student) = (teacher.len() - 1, student.len() - 1);
        let mut common = vec![(0, 0)];
        let (mut t, mut s) = (1, 1);
        while t < last_of_teacher && s < last_of_student {
            let (of_teacher, of_student) = (&teacher[t], &student[s]);
            if of_teacher.offsets == of_student.offsets {
                common.push((s as u32, t as u32));
            }
            let (teachers_end, students_end) = (of_teacher.offsets.1, of_student.offsets.1);
            t += usize::from(teachers_end <= students_end);
            s += usize::from(students_end <= teachers_end);
        }
        common.push((last_of_student as u32, last_of_teacher as u32));
        let ids = |tokens: Vec<Token>| tokens.into_iter().map(|token| token.id).collect();
        Self { teacher: ids(teacher), student: ids(student), common }
    }

    fn differs(&self) -> bool {
        self.common.len() < self.teacher.len().max(self.student.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXTS: [&str; 3] = ["the cat sat on the mat", "the hats", "a cat, a hat"];

    fn lesson(keeps: impl Fn(u32) -> bool, max_len: usize) -> Lesson {
        let teacher = Tokenizer::learn(TEXTS.iter(), 60).unwrap();
        let student = teacher.cut(keeps).unwrap().tokenizer;
        Lesson::new(&TEXTS.map(str::to_owned), &teacher, &student, max_len)
    }

    #[test]
    fn with_the_same_pieces_every_token_is_common() {
        let lesson = lesson(|_| true, 128);
        assert_eq!(lesson.differing(), 0);
        let common = lesson.common(&[0, 1, 2]);
        assert_eq!(common.student.host(), common.teacher.host());
        let tokens: usize = (0..3).map(|row| lesson.teacher_ids(row).len()).sum();
        assert_eq!(common.student.host(), (0..tokens as u32).collect::<Vec<_>>());
    }

    #[test]
    fn tokens_are_common_where_they_cover_the_same_characters() {
        let lesson = lesson(|_| false, 128);
        assert!(lesson.differing() > 0);
        for row in 0..3 {
            let text = &lesson.texts[row];
            assert_eq!(text.common[0], (0, 0));
            let last = (text.student.len() as u32 - 1, text.teacher.len() as u32 - 1);
            assert_eq!(*text.common.last().unwrap(), last);
            assert!(text.common.is_sorted());
        }
        // The second text's rows follow those of the first.
        let (first, both) = (lesson.common(&[0]), lesson.common(&[0, 1]));
        let at = first.student.host().len();
        assert_eq!(both.bounds[1], at);
        assert_eq!(both.student.host()[at] as usize, lesson.student_ids(0).len());
        assert_eq!(both.teacher.host()[at] as usize, lesson.teacher_ids(0).len());
    }

    #[test]
    fn long_texts_are_cut_and_end_in_the_last_token() {
        let (whole, cut) = (lesson(|_| true, 128), lesson(|_| true, 5));
        let ids = cut.teacher_ids(0);
        assert_eq!(ids.len(), 5);
        assert_eq!(ids[..4], whole.teacher_ids(0)[..4]);
        assert_eq!(ids[4], *whole.teacher_ids(0).last().unwrap());
        assert_eq!(cut.common_tokens(0), 5);
    }
}
