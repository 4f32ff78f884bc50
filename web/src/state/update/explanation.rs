//! Changes of the explanation: it starts on demand, as it asks the models once for each word.

use shared::bundle::TextAnswer;

use crate::state::effect::Effect;
use crate::state::event::ExplanationEvent;
use crate::state::page::State;

pub fn update(state: &mut State, event: ExplanationEvent) -> Vec<Effect> {
    match event {
        ExplanationEvent::Explain => return explain(state),
        ExplanationEvent::ExplainRow(row) => return explain_row(state, row),
        ExplanationEvent::LabelChosen(label) if label < state.model.label_names().len() => {
            state.explanation.label = label;
        }
        ExplanationEvent::LabelChosen(_) => {}
        ExplanationEvent::Close => return state.explanation.close(),
    }
    Vec::new()
}

fn explain(state: &mut State) -> Vec<Effect> {
    let Some(bundle) = state.model.bundle.as_ref().filter(|_| state.model.can_do_jobs()) else {
        return Vec::new();
    };
    if let Some(reading) = state.composer.shown() {
        state.explanation.label = strongest(&reading.gathering.mean(0));
    }
    let models = state.model.for_jobs();
    let (text, folds) = (&state.composer.text, bundle.folds);
    state.explanation.begin(text, None, folds, models, &mut state.requests)
}

fn explain_row(state: &mut State, row: usize) -> Vec<Effect> {
    let Some(bundle) = state.model.bundle.as_ref().filter(|_| state.model.can_do_jobs()) else {
        return Vec::new();
    };
    let Some(table) = state.many.job.table().filter(|table| row < table.len()) else {
        return Vec::new();
    };
    if let Some(answer) = table.answers().get(row) {
        state.explanation.label = strongest(answer.probabilities);
    }
    let (text, models) = (table.texts().get(row), state.model.for_jobs());
    state.explanation.begin(text, Some(row), bundle.folds, models, &mut state.requests)
}

pub fn take(state: &mut State, request: u32, fold: usize, answers: Vec<TextAnswer>) -> Vec<Effect> {
    state.explanation.take(request, fold, answers);
    settle(state)
}

/// Notes what every expected model has answered and sends more; announces the sentence at the end.
pub fn settle(state: &mut State) -> Vec<Effect> {
    let explanation = &mut state.explanation;
    let Some(models) = explanation.models().filter(|_| !explanation.is_done()) else {
        return Vec::new();
    };
    let effects = explanation.settle(&state.model.expected(models), &mut state.requests);
    if explanation.is_done()
        && let Some(label) = state.model.label_names().get(explanation.label)
    {
        state.status = explanation.sentence(label);
    }
    effects
}

fn strongest(probabilities: &[f32]) -> usize {
    let by_probability = |a: &usize, b: &usize| probabilities[*a].total_cmp(&probabilities[*b]);
    (0..probabilities.len()).max_by(by_probability).unwrap_or(0)
}
