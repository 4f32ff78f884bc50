//! Counts, sizes and lists as a sentence has them.

use std::fmt::Display;

/// `1 text`, `12,345 texts`.
pub fn counted(count: usize, noun: &str) -> String {
    let ending = if count == 1 { "" } else { "s" };
    format!("{} {noun}{ending}", thousands(count))
}

/// `1234567` as `1,234,567`.
pub fn thousands(number: usize) -> String {
    let digits = number.to_string();
    let mut grouped = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// `2.4 MB`: decimal units, as browsers and file managers show them.
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

/// `a`, `a and b`, `a, b and c`: a list within a sentence.
pub fn listed(items: &[String]) -> String {
    match items {
        [] => String::new(),
        [only] => only.clone(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

/// `a, b, c`: a list after a colon.
pub fn joined(items: impl IntoIterator<Item: Display>) -> String {
    let items: Vec<String> = items.into_iter().map(|item| item.to_string()).collect();
    items.join(", ")
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
    fn lists_and_counts_read_as_english() {
        assert_eq!(listed(&["joy", "fear", "anger"].map(str::to_owned)), "joy, fear and anger");
        assert_eq!(joined([0, 1, 3]), "0, 1, 3");
        assert_eq!([counted(1, "text"), counted(0, "text")], ["1 text", "0 texts"]);
        let numbers = [7, 999, 1000, 98_304, 1_234_567].map(thousands);
        assert_eq!(numbers, ["7", "999", "1,000", "98,304", "1,234,567"]);
    }
}
