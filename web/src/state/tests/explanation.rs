use super::*;
use crate::explained::MOST_WORDS;

fn explain(state: &mut State) -> Vec<Effect> {
    update(state, Event::Explanation(ExplanationEvent::Explain))
}

/// A page with an answered text.
fn answered(text: &str) -> State {
    let mut state = ready(1);
    let asked = request(&ask(&mut state, text));
    answer(&mut state, asked, 0, &[[0.25, 0.75]]);
    state
}

#[test]
fn leaves_out_a_word_at_a_time_and_tells_the_change() {
    let mut state = answered("so very glad");
    let effects = explain(&mut state);
    let (request, texts) = asked(&effects).remove(0);
    assert_eq!(texts, ["so very glad", "very glad", "so glad", "so very "]);
    assert_eq!(state.explanation.progress(), Some((0, 3)));

    answer(&mut state, request, 0, &[[0.5, 0.75], [0.5, 0.5], [0.25, 1.0], [0.0, 0.75]]);
    assert!(state.explanation.is_done());
    // The strongest label is explained first.
    let changes = |state: &State| -> Vec<f32> {
        state.explanation.words().map(|word| word.change.unwrap()).collect()
    };
    assert_eq!(changes(&state), [0.25, -0.25, 0.0]);
    let said = "For fear: \u{201c}so\u{201d} raises it by 25 points; \u{201c}very\u{201d} lowers it by 25 points.";
    assert_eq!(state.explanation.sentence("fear"), said);
    assert_eq!(state.status, said);

    update(&mut state, Event::Explanation(ExplanationEvent::LabelChosen(0)));
    assert_eq!(changes(&state), [0.0, 0.25, 0.5]);
}

#[test]
fn another_text_ends_it() {
    let mut state = answered("so glad");
    let asked = request(&explain(&mut state));
    let effects = type_text(&mut state, "so glad!");
    assert!(effects.contains(&Effect::CancelRequest { request: asked }));
    assert!(!state.explanation.is_of_box());
    answer(&mut state, asked, 0, &[[0.5, 0.5]; 3]);
    assert!(!state.explanation.is_of_box());
}

#[test]
fn long_texts_have_their_first_words_explained() {
    let text = "word ".repeat(MOST_WORDS + 10);
    let mut state = answered(&text);
    explain(&mut state);
    assert!(state.explanation.is_cut());
    assert_eq!(state.explanation.words().count(), MOST_WORDS);
}

#[test]
fn says_that_no_word_matters() {
    let mut state = answered("hm");
    let asked = request(&explain(&mut state));
    answer(&mut state, asked, 0, &[[0.5, 0.5], [0.5, 0.501]]);
    let said = "No single word changes fear by a percentage point.";
    assert_eq!(state.explanation.sentence("fear"), said);
}
