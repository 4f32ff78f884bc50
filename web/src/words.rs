//! Durations, probabilities and first words, written for sentences. Counts, sizes and lists are written
//! by `shared::words`.

/// Formats an estimated time as `about 40 s`, rounded coarsely.
pub fn duration(seconds: f64) -> String {
    match seconds {
        s if s < 1.5 => "about a second".to_owned(),
        s if s < 10.0 => format!("about {s:.0} s"),
        s if s < 60.0 => format!("about {:.0} s", (s / 5.0).ceil() * 5.0),
        s if s < 90.0 => "about a minute".to_owned(),
        s if s < 5_400.0 => format!("about {:.0} min", s / 60.0),
        s => format!("about {:.0} h", s / 3_600.0),
    }
}

/// Formats a probability as `93%`. Only exactly 0 and 1 become 0% and 100%.
pub fn percent(probability: f64) -> String {
    match probability {
        p if p > 0.0 && p < 0.005 => "<1%".to_owned(),
        p if (0.995..1.0).contains(&p) => ">99%".to_owned(),
        p => format!("{:.0}%", p * 100.0),
    }
}

/// Formats a count as `Five models`, to begin a sentence with.
pub fn begun(count: usize, noun: &str) -> String {
    const WORDS: [&str; 10] =
        ["One", "Two", "Three", "Four", "Five", "Six", "Seven", "Eight", "Nine", "Ten"];
    let number = count.checked_sub(1).and_then(|index| WORDS.get(index));
    let number = number.map_or_else(|| count.to_string(), ToString::to_string);
    let plural = if count == 1 { "" } else { "s" };
    format!("{number} {noun}{plural}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn estimates_are_coarse() {
        let texts = [0.2, 4.4, 31.0, 70.0, 200.0, 7_300.0].map(duration);
        assert_eq!(
            texts,
            [
                "about a second",
                "about 4 s",
                "about 35 s",
                "about a minute",
                "about 3 min",
                "about 2 h"
            ]
        );
    }

    #[test]
    fn only_certainty_reads_as_certain() {
        let texts = [0.0, 0.001, 0.927, 0.9999, 1.0].map(percent);
        assert_eq!(texts, ["0%", "<1%", "93%", ">99%", "100%"]);
    }

    #[test]
    fn small_numbers_begin_a_sentence_in_letters() {
        let begun = [1, 5, 12].map(|count| begun(count, "model"));
        assert_eq!(begun, ["One model", "Five models", "12 models"]);
    }
}
