//! How sure one may be of a probability: what the page says under each label, and where it has that from.

use serde_json::Value;
use xtask::engines::Ability;

use crate::browser::can;
use crate::visitor::Visitor;

impl Visitor {
    /// The bin of the manifest's reliability table that each label's probability falls into: its texts, and those that have the
    /// label.
    fn alike(&self) -> Vec<(String, u64, u64)> {
        let scores = self.manifest()["scores"]["per_label"].take();
        let answers = self.answers();
        let of_label = |label: &Value| {
            let name = label["label"].as_str().unwrap();
            let bins = label["reliability"].as_array().unwrap();
            let probability = answers[name].probability;
            let holds = |bin: &&Value| probability < bin["below"].as_f64().unwrap();
            let bin = bins.iter().find(holds).unwrap_or(&bins[bins.len() - 1]);
            let count = |field: &str| bin[field].as_u64().unwrap();
            (name.to_owned(), count("texts"), count("with_label"))
        };
        scores.as_array().unwrap().iter().map(of_label).collect()
    }

    fn assert_it_tells_how_sure_one_may_be(&self) {
        for (label, texts, with_label) in self.alike() {
            let row = format!("#results [data-label={label}]");
            let data =
                |name: &str| self.ask(&format!("document.querySelector({row:?}).dataset.{name}"));
            assert_eq!(data("alike"), texts.to_string(), "{label}");
            assert_eq!(data("alikeOn"), with_label.to_string(), "{label}");
            let told = self.read(&format!("{row} .sure"));
            let digits: String = told.chars().filter(char::is_ascii_digit).collect();
            assert!(digits.starts_with(&texts.to_string()), "{label}: {told}");
        }
    }
}

#[test]
#[ignore = "needs the built site: cargo xtask test"]
fn a_visitor_reads_how_sure_the_models_may_be() {
    if !can(&[Ability::Time]) {
        return;
    }
    let visitor = Visitor::settled();
    assert!(!visitor.sees("#basis"), "nothing is said before there is an answer");
    for text in ["What a lovely surprise, thank you!", "I am afraid of the dark."] {
        visitor.classify(text);
        visitor.assert_it_tells_how_sure_one_may_be();
    }
    visitor.picture("how-sure");

    visitor.open_everything();
    let score = visitor.manifest()["scores"]["macro_f1_interval"].take();
    for end in ["low", "high"] {
        let told = visitor.ask(&format!("document.querySelector('#honest-score').dataset.{end}"));
        assert_eq!(told.as_str().unwrap().parse::<f64>().unwrap(), score[end].as_f64().unwrap());
    }
    visitor.leave();
}

#[test]
#[ignore = "needs the built site: cargo xtask test"]
fn the_final_model_says_that_others_were_tested_in_its_place() {
    if !can(&[Ability::Time]) {
        return;
    }
    let visitor = Visitor::with_a_final_model();
    visitor.write("What a lovely surprise, thank you!");
    visitor.wait_until("document.querySelector('#results').dataset.state === 'complete'");
    visitor.assert_it_tells_how_sure_one_may_be();
    visitor.open_everything();
    let basis = visitor.read("#basis");
    assert!(basis.contains("others that learned likewise stand for it"), "{basis}");
    visitor.leave();
}
