//! Tables of ten thousand rows and of a million: they stay smooth, are filtered, sorted, saved and explained.

use std::fs::File;
use std::io::{BufWriter, Write};

use serde_json::json;
use xtask::engines::{Ability, Engine};

use crate::browser::{can, engine};
use crate::many_texts::write_csv;
use crate::visitor::Visitor;

/// The milliseconds that the page's own thread may work for a frame, at 60 frames a second.
const BUDGET: f64 = 16.0;

/// Frames for these milliseconds, the table's box being scrolled by so many pixels a millisecond. Returns the times from frame to frame.
const FRAMES: &str = "
    const {milliseconds, speed} = arguments[0];
    const box = document.querySelector('.rows');
    const end = box.scrollHeight - box.clientHeight;
    return new Promise(done => {
        const intervals = [];
        const start = performance.now();
        let last = start;
        const frame = () => {
            const now = performance.now();
            intervals.push(now - last);
            last = now;
            box.scrollTop = (now - start) * speed % end;
            if (now - start < milliseconds) requestAnimationFrame(frame);
            else done(intervals.slice(1));
        };
        requestAnimationFrame(frame);
    });";

/// What the page did for a while.
struct Smoothness {
    /// Milliseconds of processor time of the page's thread for each frame.
    work: f64,
    /// Milliseconds from frame to frame: the median, and that which one in twenty exceeds.
    median: f64,
    slow: f64,
}

/// A row that is on the page: its number in the file, and of a label the probability and whether it is on.
struct OnPage {
    row: usize,
    probability: f64,
    is_on: bool,
}

impl Visitor {
    fn scrolls_for(&self, milliseconds: u32, speed: f64) -> Smoothness {
        let worked = || {
            let metrics = self.session().devtools("Performance.getMetrics", json!({}));
            let metrics = metrics["metrics"].as_array().unwrap();
            let found = metrics.iter().find(|metric| metric["name"] == "TaskDuration");
            found.unwrap()["value"].as_f64().unwrap() * 1000.0
        };
        let before = worked();
        let argument = json!({ "milliseconds": milliseconds, "speed": speed });
        let intervals = self.session().run(FRAMES, argument);
        let mut intervals: Vec<f64> = serde_json::from_value(intervals).unwrap();
        let work = (worked() - before) / intervals.len() as f64;
        intervals.sort_by(f64::total_cmp);
        let at = |share: f64| intervals[(share * (intervals.len() - 1) as f64) as usize];
        Smoothness { work, median: at(0.5), slow: at(0.95) }
    }

    /// The rows that are on the page, from above.
    fn rows_on_page(&self, label: &str) -> Vec<OnPage> {
        let rows = self.ask(&format!(
            "Array.from(document.querySelectorAll('#many-table tbody tr'), row => {{ \
               const cell = row.querySelector('td[data-label={label}]').dataset; \
               return [Number(row.dataset.row), Number(cell.probability), cell.on === 'true']; }})"
        ));
        let rows: Vec<(usize, f64, bool)> = serde_json::from_value(rows).unwrap();
        let named = |(row, probability, is_on)| OnPage { row, probability, is_on };
        rows.into_iter().map(named).collect()
    }

    fn scroll_table_to(&self, share: f64) {
        self.session().run(
            "const box = document.querySelector('.rows'); box.scrollTop = box.scrollHeight * arguments[0];",
            json!(share),
        );
    }

    fn choose_rows(&self, value: &str) {
        self.session().run(
            "const choice = document.querySelector('#many-filter'); choice.value = arguments[0]; \
             choice.dispatchEvent(new Event('change', {bubbles: true}));",
            json!(value),
        );
    }

    fn sort_by(&self, column: &str) {
        self.click(&format!("#many-table button[data-column={column:?}]"));
    }
}

/// The expression that holds while the table has this to say.
fn told(words: &str) -> String {
    format!("document.querySelector('#many-told')?.innerText.includes({words:?})")
}

#[test]
#[ignore = "needs the built site: cargo xtask test"]
fn ten_thousand_rows_stay_smooth_while_answers_arrive() {
    let visitor = Visitor::settled();
    let texts: Vec<String> = (0..10_000)
        .map(|row| format!("This is text number {row}, and {} it is.", "very ".repeat(row % 20)))
        .collect();
    visitor.choose_texts("ten thousand.csv", &write_csv(&texts));
    visitor.click("#many-run");
    visitor.wait_until("document.querySelector('#many-progress')?.value > 0");
    if engine() == Engine::Chromium {
        visitor.session().devtools("Performance.enable", json!({ "timeDomain": "threadTicks" }));
        // Still, by hand, and pulled through from end to end within a second.
        for speed in [0.0, 3.0, 500.0] {
            let smoothness = visitor.scrolls_for(4000, speed);
            eprintln!(
                "{speed} pixels a millisecond: {:.1} ms of work a frame; from frame to frame {:.1} ms, one in twenty {:.1} ms",
                smoothness.work, smoothness.median, smoothness.slow
            );
            assert!(smoothness.work < BUDGET);
        }
    }
    let rows = visitor.ask("document.querySelectorAll('#many-table tbody tr').length");
    assert!(rows.as_u64().unwrap() < 60, "{rows} rows are on the page");
    visitor.scroll_table_to(0.0);
    visitor.wait_until("!!document.querySelector('#many-table tr[data-row=\"0\"]')");
    visitor
        .session()
        .run("document.querySelector('#many-table tr button.text').focus();", json!(0));
    // The rows at the end are there before they are answered.
    visitor.scroll_table_to(1.0);
    visitor.wait_until("!!document.querySelector('#many-table tr[data-row=\"9999\"]')");
    // No other row has taken the focus of one that is out of sight.
    visitor.wait_until("document.activeElement.classList.contains('rows')");
    visitor.click("#many-cancel");
    visitor.wait_until("document.querySelector('#many-told')?.dataset.state === 'stopped'");
    visitor.leave();
}

#[test]
#[ignore = "needs the built site: cargo xtask test"]
fn rows_are_filtered_sorted_saved_and_explained() {
    let visitor = Visitor::settled();
    let texts: Vec<String> = [
        "I am so happy today",
        "I am afraid of the dark",
        "What a surprise, nobody told me",
        "I miss her every day",
        "The bus leaves at ten",
    ]
    .iter()
    .cycle()
    .take(120)
    .enumerate()
    .map(|(row, text)| format!("{text}, {row}."))
    .collect();
    visitor.choose_texts("some.csv", &write_csv(&texts));
    visitor.classify_them();

    visitor.choose_rows("0");
    visitor.wait_until(&told("of them"));
    visitor.sort_by("joy");
    visitor.wait_until(
        "!!document.querySelector('#many-table th[aria-sort=descending] button[data-column=joy]')",
    );
    visitor.choose_rows("all");
    visitor.wait_until(&told("120 of them are shown."));
    let down = visitor.rows_on_page("joy");
    assert!(down.len() > 5 && down.is_sorted_by(|a, b| a.probability >= b.probability));
    visitor.sort_by("joy");
    visitor.wait_until("!!document.querySelector('#many-table th[aria-sort=ascending]')");
    let up = visitor.rows_on_page("joy");
    assert!(up.is_sorted_by(|a, b| a.probability <= b.probability));
    assert!(up[0].probability < down[0].probability);

    // Those that joy is on for, in the order of their disagreement.
    let joy = visitor.ask(
        "[...document.querySelectorAll('#many-filter option')].find(option => option.text === 'joy').value",
    );
    visitor.choose_rows(joy.as_str().unwrap());
    visitor.sort_by("Models differ by");
    visitor.wait_until("!!document.querySelector('#many-table th[aria-sort=descending] button[data-column=\"Models differ by\"]')");
    visitor.picture("many-texts-chosen");
    let chosen = visitor.rows_on_page("joy");
    assert!(!chosen.is_empty() && chosen.iter().all(|row| row.is_on));
    let differences = visitor.ask(
        "Array.from(document.querySelectorAll('#many-table td[data-difference]'), cell => Number(cell.dataset.difference))",
    );
    let differences: Vec<f64> = serde_json::from_value(differences).unwrap();
    assert!(differences.is_sorted_by(|a, b| a >= b) && differences[0] > 0.0, "{differences:?}");
    let saved = visitor.download_table();
    assert!(saved.iter().all(|row| row["joy"] == "1") && saved.len() >= chosen.len());
    for (saved, chosen) in saved.iter().zip(&chosen) {
        assert_eq!(saved["id"], format!("r{}", chosen.row));
    }

    // A click tells which words of a row matter.
    visitor.click("#many-table tbody tr button.text");
    visitor.wait_for("#many-explained #explanation[data-state=done]");
    assert!(visitor.read("#many-explained .words").contains(&format!("{}.", chosen[0].row)));
    visitor.picture("many-texts-explained");
    visitor.click("#explain-close");
    visitor.wait_until("!document.querySelector('#explanation')");
    visitor.leave();
}

#[test]
#[ignore = "needs the built site: cargo xtask test"]
fn a_hundred_megabytes_are_read_block_by_block() {
    if !can(&[Ability::Time]) {
        return;
    }
    const ROWS: usize = 1_000_000;
    let visitor = Visitor::settled();
    let file = visitor.file("large.csv", "");
    let mut writer = BufWriter::new(File::create(&file).unwrap());
    writeln!(writer, "id,text,note").unwrap();
    for row in 0..ROWS {
        writeln!(writer, "{row},\"This is text number {row}, of a large file.\",{:040}", 0)
            .unwrap();
    }
    writer.into_inner().unwrap();
    let megabytes = file.metadata().unwrap().len() / 1_000_000;
    assert!((90..100).contains(&megabytes), "{megabytes} MB");

    visitor.open_many();
    // The visitor changes their mind while it is read, which takes a moment only.
    visitor.session().run(
        "const look = setInterval(() => { \
           const stop = document.querySelector('#many-reading-stop'); \
           if (stop) { stop.click(); clearInterval(look); window.stopped = true; } }, 1);",
        json!(null),
    );
    visitor.session().send_keys("#many-file", file.to_str().unwrap());
    visitor.wait_until("window.stopped === true");
    visitor.wait_until("!document.querySelector('#many-reading')");
    assert!(!visitor.says("!!document.querySelector('#many-file-name')"));
    visitor.session().send_keys("#many-file", file.to_str().unwrap());
    visitor.wait_until("document.querySelector('#many-file-name')?.dataset.texts === '1000000'");
    visitor.click("#many-run");
    visitor.wait_until("document.querySelector('#many-progress')?.value > 0");
    visitor.scroll_table_to(1.0);
    visitor.wait_until("!!document.querySelector('#many-table tr[data-row=\"999999\"]')");
    visitor.scroll_table_to(0.5);
    visitor.wait_until(
        "Math.abs(document.querySelector('#many-table tbody tr').dataset.row - 500000) < 100",
    );
    visitor.click("#many-cancel");
    visitor.wait_until("document.querySelector('#many-told')?.dataset.state === 'stopped'");
    visitor.leave();
}
