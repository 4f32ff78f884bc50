//! A call that waits for the models' answers, and what it is answered with.

use js_sys::{Array, Function, JSON, Object};
use serde::Serialize;
use shared::bundle::{Manifest, TextAnswer};
use wasm_bindgen::prelude::*;
use web::api::{Answer, Explanation};
use web::explained::Explained;
use web::models::Models;

use crate::js::{Aborting, Settle, set};

/// A call of `classify` or `explain`.
pub struct Pending {
    pub settle: Settle,
    asked: Asked,
    on_answer: Option<Function>,
    /// Whether a text waits for a fold's cold rows.
    pub needs_cold: bool,
    /// The models that answer: the folds, or the final model.
    models: Models,
    /// One for each of these.
    answers: Vec<Option<Vec<TextAnswer>>>,
    /// Rejects the call when its signal is aborted.
    pub aborting: Option<Aborting>,
}

/// What was asked.
pub enum Asked {
    One(String),
    List(Vec<String>),
    /// The words of a text, for the label at this index.
    Words {
        explained: Explained,
        label: usize,
    },
}

impl Asked {
    pub fn texts(&self) -> Vec<String> {
        match self {
            Self::One(text) => vec![text.clone()],
            Self::List(texts) => texts.clone(),
            Self::Words { explained, .. } => explained.texts(),
        }
    }
}

impl Pending {
    /// Waits for `count` models.
    pub fn new(asked: Asked, models: Models, count: usize, on_answer: Option<Function>) -> Self {
        let (settle, answers) = (Settle::new(), vec![None; count]);
        Self { settle, asked, on_answer, needs_cold: false, models, answers, aborting: None }
    }

    /// Takes a model's answers. Returns the callback that wants to know, with what it is called with.
    pub fn take(
        &mut self,
        manifest: &Manifest,
        fold: usize,
        answers: Vec<TextAnswer>,
    ) -> Option<(Function, JsValue, JsValue)> {
        let place = if self.models == Models::Final { 0 } else { fold };
        self.answers[place] = Some(answers);
        let on_answer = self.on_answer.clone()?;
        let progress = Object::new();
        let number = |number: usize| JsValue::from_f64(number as f64);
        if self.models == Models::Folds {
            set(&progress, "fold", &number(fold));
        }
        set(&progress, "answered", &number(self.answers.iter().flatten().count()));
        set(&progress, "of", &number(self.answers.len()));
        Some((on_answer, self.answer(manifest), progress.into()))
    }

    pub fn is_answered(&self) -> bool {
        self.answers.iter().all(Option::is_some)
    }

    /// The answer of the models that have answered.
    pub fn answer(&self, manifest: &Manifest) -> JsValue {
        let models: Vec<&Vec<TextAnswer>> = self.answers.iter().flatten().collect();
        let answers = (0..models[0].len()).map(|text| {
            let of_text: Vec<&TextAnswer> = models.iter().map(|model| &model[text]).collect();
            Answer::new(manifest, self.models, &of_text)
        });
        match &self.asked {
            Asked::One(_) => answers.map(|answer| plain(&answer)).next().unwrap_or_default(),
            Asked::List(_) => answers.map(|answer| plain(&answer)).collect::<Array>().into(),
            Asked::Words { explained, label } => {
                let answers: Vec<Answer> = answers.collect();
                plain(&Explanation::new(explained.clone(), *label, &answers))
            }
        }
    }
}

fn plain(value: &impl Serialize) -> JsValue {
    let json = serde_json::to_string(value).expect("it is plain data");
    JSON::parse(&json).expect("serde_json writes JSON")
}
