//! Numbers and lists written for sentences.

/// Formats a size as `2.4 MB`, in decimal units as browsers and file managers do.
pub fn bytes(count: u64) -> String {
    let count = count as f64;
    match count {
        c if c < 1e3 => format!("{c} B"),
        c if c < 1e6 => format!("{:.0} kB", c / 1e3),
        c if c < 1e8 => format!("{:.1} MB", c / 1e6),
        c if c < 1e9 => format!("{:.0} MB", c / 1e6),
        c => format!("{:.2} GB", c / 1e9),
    }
}

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

/// Joins items as `a`, `a and b`, `a, b and c`.
pub fn listed(items: &[String]) -> String {
    match items {
        [] => String::new(),
        [only] => only.clone(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
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

/// Formats a count as `1 text`, `2 texts`.
pub fn counted(count: usize, noun: &str) -> String {
    match count {
        1 => format!("1 {noun}"),
        _ => format!("{count} {noun}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_in_decimal_units() {
        let sizes = [999, 12_345, 2_400_000, 184_000_000, 1_220_000_000].map(bytes);
        assert_eq!(sizes, ["999 B", "12 kB", "2.4 MB", "184 MB", "1.22 GB"]);
    }

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
    fn lists_and_counts_read_as_english() {
        assert_eq!(listed(&["joy", "fear", "anger"].map(str::to_owned)), "joy, fear and anger");
        assert_eq!([counted(1, "text"), counted(500, "text")], ["1 text", "500 texts"]);
        let begun = [1, 5, 12].map(|count| begun(count, "model"));
        assert_eq!(begun, ["One model", "Five models", "12 models"]);
    }
}
