//! What the browsers' consoles complain of. Chromium's driver hands the entries over; the others print them.

use serde_json::Value;

/// A warning of Chromium about trunk's preloads. `boot.js` checks the integrity of the module in question.
const UNCHECKED_PRELOAD: &str = "`integrity` attribute is currently ignored for preload";

/// Firefox's own service for remote settings, which finds no host here.
const REMOTE_SETTINGS: &str = "console.error: RSLoader: ";

/// Errors and warnings among the entries, but for those from the sources that are forgiven.
pub fn of_chromium(entries: &[Value], forgiven: &[&str]) -> Vec<String> {
    let is_complaint = |entry: &&Value| {
        let [level, source, message] =
            ["level", "source", "message"].map(|field| entry[field].as_str().unwrap());
        !["INFO", "DEBUG"].contains(&level)
            && !forgiven.contains(&source)
            && !message.contains(UNCHECKED_PRELOAD)
    };
    entries.iter().filter(is_complaint).map(Value::to_string).collect()
}

/// Lines that Firefox prints for errors and warnings of pages.
pub fn of_firefox(said: &str, forgiven: &[&str]) -> Vec<String> {
    let is_complaint = |line: &&str| {
        let is_script = line.starts_with("JavaScript error: http");
        is_script && !forgiven.contains(&"javascript")
            || line.starts_with("console.error: ") && *line != REMOTE_SETTINGS
            || line.starts_with("console.warn: ")
    };
    said.lines().filter(is_complaint).map(str::to_owned).collect()
}

/// Lines that WebKitGTK prints: `CONSOLE JS ERROR ...`, `CONSOLE NETWORK ERROR ...`.
pub fn of_webkit(said: &str, forgiven: &[&str]) -> Vec<String> {
    let is_complaint = |line: &&str| {
        let Some(entry) = line.strip_prefix("CONSOLE ") else { return false };
        let mut words = entry.split(' ');
        let source = words.next().unwrap_or_default();
        let source = if source == "JS" { "javascript" } else { source };
        let level = words.next().unwrap_or_default();
        ["ERROR", "WARN"].contains(&level) && !forgiven.contains(&&source.to_lowercase()[..])
    };
    said.lines().filter(is_complaint).map(str::to_owned).collect()
}
