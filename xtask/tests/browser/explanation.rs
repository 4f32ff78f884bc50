//! Which words drove a decision.

use crate::visitor::Visitor;

#[test]
#[ignore = "needs the built site: cargo xtask test"]
fn each_word_has_the_change_that_leaving_it_out_makes() {
    let visitor = Visitor::settled();
    let with = visitor.classify("I am so angry about this");
    visitor.click("#explain");
    visitor.wait_for("#explanation[data-state=done]");
    let words = visitor.ask(
        "Array.from(document.querySelectorAll('#explanation [data-word]'), \
         word => [word.innerText.trim(), Number(word.dataset.change)])",
    );
    let words: Vec<(String, f64)> = serde_json::from_value(words).unwrap();
    let names: Vec<&str> = words.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["I", "am", "so", "angry", "about", "this"]);
    assert!(!visitor.read("#explanation-text").is_empty());

    // A visitor who leaves the word out sees the same change.
    let label = visitor.ask("document.querySelector('#explanation').dataset.label");
    let label = label.as_str().unwrap();
    let without = visitor.classify("I am so about this");
    let change = with[label].probability - without[label].probability;
    assert!((words[3].1 - change).abs() < 1e-6, "{} and {change}", words[3].1);
    visitor.classify("I am so angry about this");
    visitor.click("#explain");
    visitor.wait_for("#explanation[data-state=done]");
    visitor.picture("explanation");

    // A new text never has the old explanation.
    visitor.write("Nothing of the kind.");
    visitor.wait_for_all_answers("Nothing of the kind.");
    assert!(!visitor.says("document.querySelector('#explanation')?.innerText.includes('angry')"));
    visitor.leave();
}
