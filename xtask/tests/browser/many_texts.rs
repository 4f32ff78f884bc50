//! Many texts: a file in, a table and a file out.

use std::io::Write;
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;

use xtask::engines::Ability;

use crate::browser::can;
use crate::downloads::Row;
use crate::elements::FOLDS;
use crate::visitor::Visitor;

/// The longest that hundreds of texts take on two slow cores.
const PATIENCE: Duration = Duration::from_mins(10);

impl Visitor {
    /// Opens the panel for many texts and chooses a file that holds `content`.
    pub fn choose_texts(&self, name: &str, content: &str) {
        self.open_many();
        let file = self.file(name, content);
        self.session().send_keys("#many-file", file.to_str().unwrap());
        self.wait_until(&mentions("#many-file-name", name));
    }

    pub fn open_many(&self) {
        if !self.says("document.querySelector('#many').open") {
            self.click("#many > summary");
            self.wait_for("#many-drop");
        }
    }

    /// Classifies the chosen texts and waits for the end.
    pub fn classify_them(&self) {
        self.wait_until("!document.querySelector('#many-run').disabled");
        self.click("#many-run");
        self.wait_at_most(
            PATIENCE,
            "document.querySelector('#many-told')?.dataset.state === 'done'",
        );
    }

    /// Downloads the table; returns a map from column to value for each row.
    pub fn download_table(&self) -> Vec<Row> {
        self.download_table_by("#many-download")
    }
}

/// The expression that holds while an element shows this text.
fn mentions(selector: &str, text: &str) -> String {
    format!("document.querySelector({selector:?})?.innerText.includes({text:?})")
}

pub fn write_csv(texts: &[String]) -> String {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(["id", "text"]).unwrap();
    for (row, text) in texts.iter().enumerate() {
        writer.write_record([&format!("r{row}"), text]).unwrap();
    }
    String::from_utf8(writer.into_inner().unwrap()).unwrap()
}

#[test]
#[ignore = "needs the built site: cargo xtask test"]
fn five_hundred_rows_of_a_csv_come_back_as_a_csv_in_order() {
    let visitor = Visitor::settled();
    let texts: Vec<String> =
        (0..500).map(|row| format!("Row {row}, \"quoted\",\nand <i>that</i> is fine.")).collect();
    visitor.choose_texts("five hundred.csv", &write_csv(&texts));
    assert_eq!(visitor.ask("document.querySelector('#many-file-name').dataset.texts"), "500");
    visitor.classify_them();
    visitor.picture("many-texts");

    let rows = visitor.download_table();
    assert_eq!(rows.len(), 500);
    for (row, (fields, text)) in rows.iter().zip(&texts).enumerate() {
        assert_eq!(fields["id"], format!("r{row}"));
        assert_eq!(&fields["text"], text);
        assert!(["0", "1"].contains(&fields["joy"].as_str()), "{fields:?}");
        let probability: f64 = fields["joy_probability"].parse().unwrap();
        assert!((0.0..=1.0).contains(&probability), "{fields:?}");
    }
    // The text box works after the table.
    let alone = visitor.classify(&texts[7].replace('\n', " "));
    assert_eq!(alone.len(), FOLDS);
    visitor.leave();
}

#[test]
#[ignore = "needs the built site: cargo xtask test"]
fn lines_can_be_pasted_and_the_table_agrees_with_the_text_box() {
    if !can(&[Ability::Time]) {
        return;
    }
    let visitor = Visitor::settled();
    visitor.open_many();
    visitor.click("#many-text");
    visitor.browser.insert("I love it.\n\nI am afraid of the dark.\n");
    visitor.classify_them();
    assert_eq!(visitor.ask("document.querySelectorAll('#many-table tbody tr').length"), 2);
    let cell = "#many-table tr[data-row=\"1\"] td[data-label=fear]";
    let there = visitor.ask(&format!("document.querySelector('{cell}').dataset.probability"));
    let there: f64 = there.as_str().unwrap().parse().unwrap();
    let here = visitor.classify("I am afraid of the dark.")["fear"].probability;
    assert!((there - here).abs() < 1e-6, "{there} in the table, {here} alone");
    visitor.leave();
}

#[test]
#[ignore = "needs the built site: cargo xtask test"]
fn a_long_table_can_be_stopped() {
    if !can(&[Ability::Time]) {
        return;
    }
    // So many that it has not ended when a slow driver comes to the button.
    const TEXTS: usize = 20_000;
    let visitor = Visitor::settled();
    let texts: Vec<String> = (0..TEXTS).map(|row| format!("This is text number {row}.")).collect();
    visitor.choose_texts("long.csv", &write_csv(&texts));
    visitor.click("#many-run");
    visitor.wait_until("document.querySelector('#many-progress')?.value > 0");
    visitor.click("#many-cancel");
    visitor.wait_until("document.querySelector('#many-told')?.dataset.state === 'stopped'");
    // The text box has the models to itself again.
    visitor.classify("And now to something else.");
    visitor.leave();
}

#[test]
#[ignore = "needs the built site: cargo xtask test"]
fn files_are_read_as_people_have_them() {
    let visitor = Visitor::settled();
    visitor.open_many();
    let text = "id;text\n0;What a day, and what a night.\n1;Größe ist nicht alles.\n";
    let wide: Vec<u8> =
        format!("\u{feff}{text}").encode_utf16().flat_map(u16::to_le_bytes).collect();
    let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
    gzip.write_all(text.as_bytes()).unwrap();
    let semicolons = "The columns are separated by semicolons.";
    for (name, content, said) in [
        ("semicolons.csv", text.as_bytes().to_vec(), semicolons),
        ("from-excel.csv", wide, "The file is read as UTF-16 (little-endian)."),
        ("compressed.csv.gz", gzip.finish().unwrap(), semicolons),
    ] {
        let file = visitor.file(name, content);
        visitor.session().send_keys("#many-file", file.to_str().unwrap());
        let line = format!(
            "document.querySelector('#many-file-name')?.innerText.includes('{name}: 2 texts')"
        );
        visitor.wait_until(&line);
        let shown = visitor.read("#many-file-name");
        assert!(
            shown.contains("from the column \u{201c}text\u{201d}") && shown.contains(said),
            "{shown}"
        );
    }
    let damaged = visitor.file("damaged.csv.gz", b"\x1F\x8B\x08 no more");
    visitor.session().send_keys("#many-file", damaged.to_str().unwrap());
    visitor.wait_until(&mentions("#many-error", "damaged.csv.gz"));
    visitor.leave();
}

#[test]
#[ignore = "needs the built site: cargo xtask test"]
fn a_malformed_file_is_refused_with_a_reason() {
    if !can(&[Ability::Time]) {
        return;
    }
    let visitor = Visitor::settled();
    visitor.open_many();
    for (name, content) in [
        ("no-text.csv", "id,number\n1,2\n"),
        ("headless.csv", "what a day\nand a night\n"),
        ("open-quote.csv", "text\n\"never closed\n"),
        ("empty.csv", ""),
    ] {
        let file = visitor.file(name, content);
        visitor.session().send_keys("#many-file", file.to_str().unwrap());
        // The reason against the file before is shown until this one is read.
        visitor.wait_until(&mentions("#many-error", name));
    }
    visitor.leave();
}
