//! The rows of the table of many texts. However many there are, those in sight alone are on the page.

use leptos::html::{Button, Div};
use leptos::prelude::*;
use wasm_bindgen::prelude::*;
use web_sys::{Element, HtmlDivElement, ResizeObserver};

use super::css::{DARK, LIGHT, css_percent};
use super::window::{Filled, Sight};
use crate::models::Models;
use crate::palette::tone;
use crate::state::{Direction, Event, ExplanationEvent, Key, ManyEvent, Order, Standing, Table};
use crate::store::Store;
use crate::words::percent;

/// How the box stands before it is measured.
const AT_FIRST: Sight = Sight { scrolled: 0.0, height: 600.0, row: 48.0 };

/// A row of one of the tables that the page has had.
#[derive(Clone, Copy, PartialEq)]
struct RowKey {
    table: u32,
    text: usize,
}

#[component]
pub fn Rows() -> impl IntoView {
    let store = Store::of_component();
    let sight = RwSignal::new(AT_FIRST);
    let shown = store.part_of_table(|_, table| table.shown());
    let filled = Memo::new(move |before: Option<&Filled>| {
        Filled::after(before, sight.get().window(shown.get()))
    });
    let window = move || filled.get().window;
    let can_disagree =
        store.part_of_table(|state, table| can_disagree(table, state.model.folds.len()));
    let explained = store.part(|state| state.explanation.row());
    // Beside that of the texts.
    let columns =
        store.part(move |state| state.model.label_names().len() + usize::from(can_disagree.get()));

    let scroller = NodeRef::<Div>::new();
    let head = RwSignal::new(0.0);
    let measure = move || {
        if let Some(scroller) = scroller.get_untracked() {
            let (of_head, seen) = measured(&scroller);
            head.set(of_head);
            sight.set(seen);
        }
    };
    measure_when_resized(scroller, measure);
    // Measuring makes the browser lay out the page at once: scrolling does without.
    let scrolled = move || {
        if let Some(scroller) = scroller.get_untracked() {
            sight.update(|sight| sight.scrolled = f64::from(scroller.scroll_top()));
        }
    };

    view! {
        <div
            class="scroll rows"
            role="region"
            aria-label="Answers"
            tabindex="0"
            node_ref=scroller
            on:scroll=move |_| scrolled()
        >
            <div
                class="track"
                style:height=move || format!("{}px", window().all + head.get())
                style:padding-top=move || format!("{}px", window().above)
                style=("--columns", move || columns.get().to_string())
            >
                <table
                    id="many-table"
                    aria-describedby="many-told"
                    aria-rowcount=move || (shown.get() + 1).to_string()
                >
                    <Head can_disagree />
                    <tbody>
                        <For
                            each=move || filled.get().elements()
                            key=|&element| element
                            children=move |element| {
                                let position = Memo::new(move |_| filled.get().row(element));
                                view! { <Row position can_disagree explained scroller /> }
                            }
                        />
                    </tbody>
                </table>
            </div>
        </div>
    }
}

/// Calls `measure` when the box or the table in it gets another size: at first, when the page gets one, when the panel around
/// it is opened, when there is another column, or when there are rows.
fn measure_when_resized(scroller: NodeRef<Div>, measure: impl Fn() + Copy + 'static) {
    let kept = StoredValue::new_local(None::<(ResizeObserver, Closure<dyn FnMut()>)>);
    scroller.on_load(move |scroller| {
        let resized = Closure::<dyn FnMut()>::new(measure);
        let observer = ResizeObserver::new(resized.as_ref().unchecked_ref())
            .expect("every browser that runs the models has it");
        observer.observe(&scroller);
        if let Ok(Some(table)) = scroller.query_selector("table") {
            observer.observe(&table);
        }
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
fn Row(
    /// Where the row stands among those that are shown.
    position: Memo<Option<usize>>,
    can_disagree: Memo<bool>,
    /// The text that is explained.
    explained: Memo<Option<usize>>,
    /// The box around the table.
    scroller: NodeRef<Div>,
) -> impl IntoView {
    let store = Store::of_component();
    let row = store.part_of_table(move |_, table| {
        // The position may be that of a moment ago, when there were more rows.
        let position = position.get().filter(|&position| position < table.shown())?;
        Some(RowKey { table: table.number, text: table.selection().text(position) })
    });
    let text = move || row.get().map(|row| row.text);
    let answered = store.part_of_table(move |_, table| {
        let row = row.get()?;
        let standing = table.answers().standing(row.text);
        (standing != Standing::Open).then_some((row, standing))
    });
    let words = move || {
        let text = text()?;
        store.peek(|state| state.many.job.table().map(|table| table.texts().get(text).to_owned()))
    };
    let is_read_in_part =
        move || answered.get().is_some_and(|(_, standing)| standing == Standing::ReadInPart);
    let note = move || {
        is_read_in_part()
            .then(|| view! { <span class="quiet">"(only the beginning was read)"</span> })
    };
    let cells = move || {
        let (answered, can_disagree) = (answered.get(), can_disagree.get());
        store.peek(|state| {
            let names = state.model.label_names();
            let thresholds = state.model.bundle.as_ref().map(|bundle| &bundle.thresholds);
            let table = state.many.job.table();
            let answer =
                answered.zip(table).and_then(|((row, _), table)| table.answers().get(row.text));
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
    let button = NodeRef::new();
    leave_when_changed(row, button, scroller);
    let explain = move |_| {
        if let Some(text) = row.get_untracked().map(|row| row.text) {
            store.send(Event::Explanation(ExplanationEvent::ExplainRow(text)));
        }
    };
    view! {
        <tr
            data-row=move || text().map(|text| text.to_string())
            aria-rowindex=move || position.get().map(|position| (position + 2).to_string())
            class:read-in-part=is_read_in_part
            class:explained=move || text().is_some() && explained.get() == text()
        >
            <th scope="row" dir="auto">
                <button
                    type="button"
                    class="text"
                    title="Which words matter?"
                    node_ref=button
                    on:click=explain
                >
                    {words}
                </button>
                {note}
            </th>
            {cells}
        </tr>
    }
}

/// Takes the focus from a row's button to the box when the button gets another row: who presses a key then must not get what
/// they did not choose.
fn leave_when_changed(row: Memo<Option<RowKey>>, button: NodeRef<Button>, scroller: NodeRef<Div>) {
    Effect::new(move |before: Option<Option<RowKey>>| {
        let row = row.get();
        if before.is_some_and(|before| before != row)
            && let (Some(button), Some(scroller)) =
                (button.get_untracked(), scroller.get_untracked())
            && document().active_element().is_some_and(|focused| focused == **button)
        {
            // An element that is on the page can always take it.
            let _ = scroller.focus();
        }
        row
    });
}

fn cell(
    label: usize,
    name: String,
    probability: Option<f32>,
    is_on: bool,
) -> impl IntoView + use<> {
    let tone = probability.map(|_| tone(label));
    let (on_light, on_dark) = tone.map(|tone| (tone.on_light, tone.on_dark)).unzip();
    let share = probability.map(f64::from);
    let words = share.map(|share| {
        view! {
            {percent(share)}
            {is_on.then(|| view! { <span class="visually-hidden">" on"</span> })}
        }
    });
    view! {
        <td
            class:on=is_on
            data-label=name
            data-probability=probability.map(|p| p.to_string())
            data-on=probability.map(|_| is_on.to_string())
            style=(LIGHT, on_light)
            style=(DARK, on_dark)
            style=("--share", share.map(css_percent))
        >
            {words}
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
