//! The rows of the table of many texts. However many there are, those in sight alone are on the page.

use leptos::html::Div;
use leptos::prelude::*;
use wasm_bindgen::prelude::*;
use web_sys::{Element, HtmlDivElement, ResizeObserver};

use super::css::{DARK, LIGHT, css_percent};
use super::window::{Sight, Window};
use crate::models::Models;
use crate::palette::tone;
use crate::state::{Direction, Event, ExplanationEvent, Key, ManyEvent, Order, Standing, Table};
use crate::store::Store;
use crate::words::percent;

/// How the box stands before it is measured.
const AT_FIRST: Sight = Sight { scrolled: 0.0, height: 600.0, row: 48.0 };

/// A row: the number of its table, and its text in it.
type RowKey = (u32, usize);

#[component]
pub fn Rows() -> impl IntoView {
    let store = Store::of_component();
    let sight = RwSignal::new(AT_FIRST);
    let shown = store.part_of_table(|_, table| table.shown());
    let window = Memo::new(move |_| sight.get().window(shown.get()));
    let rows = store.part_of_table(move |_, table| {
        let Window { first, end, .. } = window.get();
        // The window may be that of a moment ago, when there were more rows.
        let positions = first..end.min(table.shown());
        positions.map(|at| (table.number, table.selection().text(at))).collect::<Vec<RowKey>>()
    });
    let can_disagree =
        store.part_of_table(|state, table| can_disagree(table, state.model.folds.len()));
    // Beside that of the texts.
    let columns =
        store.part(move |state| state.model.label_names().len() + usize::from(can_disagree.get()));

    let scroller = NodeRef::<Div>::new();
    let head = RwSignal::new(0.0);
    let look = move || {
        if let Some(scroller) = scroller.get_untracked() {
            let (of_head, seen) = measured(&scroller);
            head.set(of_head);
            sight.set(seen);
        }
    };
    // Once there are rows, they can be measured.
    Effect::new(move |_| {
        rows.track();
        look();
    });
    look_when_resized(scroller, look);

    view! {
        <div
            class="scroll rows"
            role="region"
            aria-label="Answers"
            tabindex="0"
            node_ref=scroller
            on:scroll=move |_| look()
        >
            <div
                class="track"
                style:height=move || format!("{}px", window.get().all + head.get())
                style:padding-top=move || format!("{}px", window.get().above)
                style=("--columns", move || columns.get().to_string())
            >
                <table
                    id="many-table"
                    aria-describedby="many-told"
                    aria-rowcount=move || (shown.get() + 1).to_string()
                >
                    <Head can_disagree />
                    <tbody>
                        <ForEnumerate
                            each=move || rows.get()
                            key=|&row| row
                            children=move |index, row| {
                                let place = Signal::derive(move || window.get().first + index.get());
                                view! { <Row row place can_disagree /> }
                            }
                        />
                    </tbody>
                </table>
            </div>
        </div>
    }
}

/// Calls `look` when the box gets another size, as it does when the page gets one, or when the panel around it is opened.
fn look_when_resized(scroller: NodeRef<Div>, look: impl Fn() + Copy + 'static) {
    let kept = StoredValue::new_local(None::<(ResizeObserver, Closure<dyn FnMut()>)>);
    scroller.on_load(move |scroller| {
        let resized = Closure::<dyn FnMut()>::new(look);
        let observer = ResizeObserver::new(resized.as_ref().unchecked_ref())
            .expect("every browser that runs the models has it");
        observer.observe(&scroller);
        kept.set_value(Some((observer, resized)));
    });
    on_cleanup(move || {
        if let Some(Some((observer, _))) = kept.try_update_value(Option::take) {
            observer.disconnect();
        }
    });
}

/// Whether several models answer.
fn can_disagree(table: &Table, folds: usize) -> bool {
    table.models() == Models::Folds && folds > 1
}

/// The height of the table's head, and how the box stands over the rows.
fn measured(scroller: &HtmlDivElement) -> (f64, Sight) {
    let height_of = |selector| {
        let found: Option<Element> = scroller.query_selector(selector).ok().flatten();
        found.map(|element| element.get_bounding_client_rect().height())
    };
    let head = height_of("thead").unwrap_or_default();
    let sight = Sight {
        scrolled: f64::from(scroller.scroll_top()),
        height: (f64::from(scroller.client_height()) - head).max(0.0),
        row: height_of("tbody tr").filter(|&height| height > 0.0).unwrap_or(AT_FIRST.row),
    };
    (head, sight)
}

#[component]
fn Head(can_disagree: Memo<bool>) -> impl IntoView {
    let store = Store::of_component();
    let labels = store.part(|state| state.model.label_names().to_vec());
    let columns = move || {
        let labels = labels.get().into_iter().enumerate();
        labels
            .map(|(label, name)| view! { <Column name by=Key::Probability(label) /> })
            .collect_view()
    };
    view! {
        <thead>
            <tr aria-rowindex="1">
                <th scope="col">"Text"</th>
                {columns}
                <Show when=move || can_disagree.get()>
                    <Column name="Models differ by".to_owned() by=Key::Disagreement />
                </Show>
            </tr>
        </thead>
    }
}

/// The name of a column, which sorts the rows.
#[component]
fn Column(name: String, by: Key) -> impl IntoView {
    let store = Store::of_component();
    let direction = store.part_of_table(move |_, table| match table.selection().order() {
        Some(Order { key, direction }) if key == by => Some(direction),
        _ => None,
    });
    let mark = move || match direction.get() {
        Some(Direction::Descending) => " \u{25be}",
        Some(Direction::Ascending) => " \u{25b4}",
        None => "",
    };
    let in_words = move || match direction.get() {
        Some(Direction::Descending) => "descending",
        Some(Direction::Ascending) => "ascending",
        None => "none",
    };
    view! {
        <th scope="col" aria-sort=in_words>
            <button
                type="button"
                class="sort"
                data-column=name.clone()
                on:click=move |_| store.send(Event::Many(ManyEvent::SortedBy(by)))
            >
                {name.clone()}
                <span aria-hidden="true">{mark}</span>
            </button>
        </th>
    }
}

#[component]
fn Row(row: RowKey, place: Signal<usize>, can_disagree: Memo<bool>) -> impl IntoView {
    let store = Store::of_component();
    let (number, text) = row;
    // A row of this number and text changes once, when it is answered.
    let standing = store.part_of_table(move |_, table| {
        (table.number == number).then(|| table.answers().standing(text))
    });
    let words = store.peek(|state| {
        state.many.job.table().map(|table| table.texts().get(text).to_owned()).unwrap_or_default()
    });
    let is_explained = store.part(move |state| state.explanation.row() == Some(text));
    let is_read_in_part = move || standing.get() == Some(Standing::ReadInPart);
    let cells = move || {
        let (standing, can_disagree) = (standing.get(), can_disagree.get());
        store.peek(|state| {
            let names = state.model.label_names();
            let thresholds = state.model.bundle.as_ref().map(|bundle| &bundle.thresholds);
            let table = state.many.job.table().filter(|table| table.number == number);
            let answer = standing.and(table).and_then(|table| table.answers().get(text));
            let decided = answer.zip(thresholds).map(|(answer, thresholds)| {
                thresholds.apply(answer.probabilities).collect::<Vec<bool>>()
            });
            let labels = names.iter().enumerate().map(|(label, name)| {
                let probability = answer.map(|answer| answer.probabilities[label]);
                let is_on = decided.as_ref().is_some_and(|decided| decided[label]);
                cell(label, name.clone(), probability, is_on)
            });
            let labels = labels.collect_view();
            let difference =
                can_disagree.then(|| difference(answer.map(|answer| answer.disagreement)));
            view! {
                {labels}
                {difference}
            }
        })
    };
    view! {
        <tr
            data-row=text.to_string()
            aria-rowindex=move || (place.get() + 2).to_string()
            class:read-in-part=is_read_in_part
            class:explained=move || is_explained.get()
        >
            <th scope="row" dir="auto">
                <button
                    type="button"
                    class="text"
                    title="Which words matter?"
                    on:click=move |_| {
                        store.send(Event::Explanation(ExplanationEvent::ExplainRow(text)));
                    }
                >
                    {words}
                </button>
                <Show when=is_read_in_part>
                    <span class="quiet">"(only the beginning was read)"</span>
                </Show>
            </th>
            {cells}
        </tr>
    }
}

fn cell(
    label: usize,
    name: String,
    probability: Option<f32>,
    is_on: bool,
) -> impl IntoView + use<> {
    let tone = tone(label);
    let share = probability.map_or(0.0, f64::from);
    view! {
        <td
            class:on=is_on
            data-label=name
            data-probability=probability.map(|p| p.to_string())
            data-on=probability.map(|_| is_on.to_string())
            style=(LIGHT, tone.on_light)
            style=(DARK, tone.on_dark)
            style=("--share", css_percent(share))
        >
            {probability.map(|_| percent(share))}
            {is_on.then(|| view! { <span class="visually-hidden">" on"</span> })}
        </td>
    }
}

/// The cell with the largest difference between two models' probabilities.
fn difference(of: Option<f32>) -> impl IntoView + use<> {
    view! {
        <td data-difference=of.map(|difference| difference.to_string())>
            {of.map(|difference| format!("{:.0} points", difference * 100.0))}
        </td>
    }
}
