//! Keeps the answer in sight while one types on a phone, whose keyboard takes half of the screen.

use leptos::prelude::*;
use web_sys::Element;

/// Scrolls the text to the top of the screen if the labels below it are out of sight. Where they stand beside it, or are in
/// sight, nothing moves.
pub fn keep_the_answer_in_sight() {
    let found = |selector| document().query_selector(selector).ok().flatten();
    let (Some(text), Some(labels)) = (found("section.composer"), found(".labels")) else { return };
    let (top, end) = (top_of(&text), bottom_of(&labels));
    let is_below = top_of(&labels) >= bottom_of(&text);
    if is_below && end > visible_height() && top > 0.0 {
        text.scroll_into_view();
    }
}

/// The height of what is to be seen: without the keyboard, where the browser tells.
fn visible_height() -> f64 {
    let visible = window().visual_viewport().map(|visible| visible.height());
    visible.or_else(|| window().inner_height().ok()?.as_f64()).unwrap_or(f64::INFINITY)
}

fn top_of(element: &Element) -> f64 {
    element.get_bounding_client_rect().top()
}

fn bottom_of(element: &Element) -> f64 {
    element.get_bounding_client_rect().bottom()
}
