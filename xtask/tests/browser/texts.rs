//! Texts that are longer, stranger or more hostile than most.

use serde_json::Value;

use xtask::engines::Ability;

use crate::browser::can;
use crate::visitor::Visitor;

#[test]
#[ignore = "needs the built site: cargo xtask test"]
fn a_text_of_ten_thousand_characters_is_cut_and_the_page_says_so() {
    if !can(&[Ability::Time]) {
        return;
    }
    let visitor = Visitor::settled();
    let words = "I really did not expect this to go on for so long. ";
    let long: String = words.chars().cycle().take(10_000).collect();
    visitor.classify(&long);
    visitor.wait_for("#truncated");
    visitor.classify("Short again.");
    visitor.wait_until_gone("#truncated");
    visitor.leave();
}

#[test]
#[ignore = "needs the built site: cargo xtask test"]
fn emoji_and_other_scripts_are_texts_like_any_other() {
    let visitor = Visitor::settled();
    let texts = [
        "😀😀😀 👩‍👩‍👧‍👦 🏳️‍🌈",
        "أنا سعيد جدا اليوم",
        "אני כל כך עצוב 😢",
        "この映画は最高でした。",
        "z̸͙͛a̷̛͓l̵̰̈g̶͎̊o̶͖͠",
        "\u{202e}right to left override",
        "a\u{0}b",
    ];
    for text in texts {
        // A text box does not hold null characters.
        let held = text.replace('\u{0}', "\u{fffd}");
        visitor.write(text);
        let forms = Value::from(vec![text.to_owned(), held, text.replace('\u{0}', "")]);
        visitor.wait_until(&format!("{forms}.includes(document.querySelector('#text').value)"));
        let value = visitor.ask("document.querySelector('#text').value");
        let value = value.as_str().unwrap();
        visitor.wait_for_all_answers(value);
        assert_eq!(visitor.answers().len(), 5, "{text}");
    }
    visitor.leave();
}

#[test]
#[ignore = "needs the built site: cargo xtask test"]
fn a_text_that_is_html_is_shown_as_text() {
    if !can(&[Ability::Time]) {
        return;
    }
    let visitor = Visitor::settled();
    let hostile = "<img src=x onerror=\"window.hacked=1\"> <b>bold</b> <script>window.hacked=1</script> \
                   {{7*7}} ${7*7} &amp; I am angry";
    visitor.classify(hostile);
    visitor.click("#explain");
    visitor.wait_for("#explanation[data-state=done]");
    let shown = visitor.read("#explanation");
    assert!(shown.contains("<b>bold</b>"), "{shown}");
    assert!(visitor.says("window.hacked === undefined"));
    assert!(visitor.says("!document.querySelector('main img, main script')"));
    assert!(
        !visitor.says("[...document.querySelectorAll('main b')].some(b => b.innerText === 'bold')")
    );
    visitor.leave();
}

#[test]
#[ignore = "needs the built site: cargo xtask test"]
fn no_text_has_no_answer() {
    if !can(&[Ability::Time]) {
        return;
    }
    let visitor = Visitor::settled();
    visitor.classify("Something at first.");
    visitor.write(" ");
    visitor.session().press(&[crate::webdriver::keys::BACKSPACE]);
    visitor.wait_until("document.querySelector('#results').dataset.state === 'empty'");
    assert!(!visitor.says("document.querySelector('#results [data-probability]')"));
    visitor.leave();
}
