//! A text in the page's address, behind the `#`. Browsers do not send that part to servers, so no server
//! sees the text of a shared link.

const KEY: &str = "text=";

/// The fragment `text=...`, percent-encoded like `encodeURIComponent`.
pub fn with_text(text: &str) -> String {
    let mut fragment = KEY.to_owned();
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' => fragment.push(byte as char),
            b'-' | b'_' | b'.' | b'!' | b'~' | b'*' | b'\'' | b'(' | b')' => {
                fragment.push(byte as char);
            }
            other => fragment += &format!("%{other:02X}"),
        }
    }
    fragment
}

/// The text of a fragment, with or without its `#`; `None` if it has none, or none that is UTF-8.
pub fn text_in(fragment: &str) -> Option<String> {
    let fragment = fragment.strip_prefix('#').unwrap_or(fragment);
    decoded(fragment.strip_prefix(KEY)?).filter(|text| !text.is_empty())
}

fn decoded(encoded: &str) -> Option<String> {
    let mut rest = encoded.as_bytes();
    let mut bytes = Vec::with_capacity(rest.len());
    while let Some((&first, after)) = rest.split_first() {
        rest = after;
        if first != b'%' {
            bytes.push(first);
            continue;
        }
        let (digits, after) = rest.split_at_checked(2)?;
        // `from_str_radix` would take a sign.
        let digits = std::str::from_utf8(digits).ok().filter(|d| !d.starts_with('+'))?;
        bytes.push(u8::from_str_radix(digits, 16).ok()?);
        rest = after;
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_text_survives_the_address() {
        for text in ["plain", "a+b & c=d #e?", "100%", "two\nlines", "\u{1f600} שלום", "<b>"] {
            let fragment = with_text(text);
            assert!(fragment.is_ascii());
            assert_eq!(text_in(&format!("#{fragment}")).as_deref(), Some(text));
        }
    }

    #[test]
    fn other_fragments_and_damaged_ones_hold_no_text() {
        for fragment in [
            "",
            "#",
            "#about",
            "#text=",
            "#text=%",
            "#text=%f",
            "#text=%zz",
            "#text=%+f",
            "#text=%ff",
        ] {
            assert_eq!(text_in(fragment), None, "{fragment}");
        }
    }
}
