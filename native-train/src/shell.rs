//! Values written such that a command from a message can be pasted into a shell.

use std::borrow::Cow;

/// The value as one word of a POSIX shell.
pub fn quoted(value: &str) -> Cow<'_, str> {
    let is_plain = |c: char| c.is_alphanumeric() || "_-./:,@%+=".contains(c);
    if !value.is_empty() && value.chars().all(is_plain) {
        return Cow::Borrowed(value);
    }
    Cow::Owned(format!("'{}'", value.replace('\'', r"'\''")))
}

/// Words of a POSIX shell, with spaces between them.
pub fn words(values: &[String]) -> String {
    values.iter().map(|value| quoted(value)).collect::<Vec<_>>().join(" ")
}

/// A flag with its value. `=` stands between them where the value could be taken for another flag.
pub fn flag(name: &str, value: &str) -> String {
    let separator = if value.starts_with('-') { '=' } else { ' ' };
    format!("{name}{separator}{}", quoted(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_one_word_for_a_shell() {
        let values = ["text", "my text", "it's", "", "a$b", "-x", "Größe"];
        let words = values.map(|value| flag("--text-column", value));
        assert_eq!(
            words,
            [
                "--text-column text",
                "--text-column 'my text'",
                r"--text-column 'it'\''s'",
                "--text-column ''",
                "--text-column 'a$b'",
                "--text-column=-x",
                "--text-column Größe",
            ]
        );
    }
}
