//! `~` and `$VARIABLES` in a path, as Python's `os.path.expanduser` and `os.path.expandvars` read them.

use std::collections::BTreeMap;
use std::fs;

/// Replaces a leading `~` or `~user`, then `$NAME` and `${NAME}`. What stands for nothing stays as it is.
pub(super) fn expand(
    path: &str,
    home: Option<&str>,
    variables: &BTreeMap<String, String>,
) -> String {
    expand_variables(&expand_user(path, home), variables)
}

fn expand_user(path: &str, home: Option<&str>) -> String {
    let Some(rest) = path.strip_prefix('~') else { return path.to_owned() };
    let (user, tail) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let home = match user {
        "" => home.map(str::to_owned),
        user => home_of(user),
    };
    let Some(home) = home else { return path.to_owned() };
    match format!("{}{tail}", home.trim_end_matches('/')) {
        empty if empty.is_empty() => "/".to_owned(),
        expanded => expanded,
    }
}

/// The home of another user, as the system's list of users gives it.
fn home_of(user: &str) -> Option<String> {
    let users = fs::read_to_string("/etc/passwd").ok()?;
    let mut fields = users.lines().map(|line| line.split(':').collect::<Vec<_>>());
    let of_user = fields.find(|fields| fields.len() > 5 && fields[0] == user)?;
    Some(of_user[5].to_owned())
}

fn expand_variables(path: &str, variables: &BTreeMap<String, String>) -> String {
    let mut expanded = String::new();
    let mut rest = path;
    while let Some(at) = rest.find('$') {
        expanded += &rest[..at];
        let from_dollar = &rest[at..];
        let length = reference_length(from_dollar);
        let reference = &from_dollar[..length];
        let name = match reference[1..].strip_prefix('{') {
            Some(braced) => braced.strip_suffix('}').unwrap_or(""),
            None => &reference[1..],
        };
        expanded += variables.get(name).map_or(reference, String::as_str);
        rest = &from_dollar[length..];
    }
    expanded + rest
}

/// The bytes of the `$NAME`, `${NAME}` or lone `$` that the text begins with.
fn reference_length(text: &str) -> usize {
    let after = &text[1..];
    if let Some(braced) = after.strip_prefix('{') {
        return 2 + braced.find('}').map_or(braced.len(), |end| end + 1);
    }
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    1 + after.find(|c| !is_name(c)).unwrap_or(after.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What Python 3.12 answers with these variables.
    #[test]
    fn paths_are_expanded_as_python_expands_them() {
        let variables =
            [("DISK", "/mnt/big disk"), ("a1_", "x"), ("LOOP", "$DISK"), ("TILDE", "~")]
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .into();
        for (path, expected) in [
            ("~", "/home/ann"),
            ("~/models", "/home/ann/models"),
            ("~nobody-has-this-name/x", "~nobody-has-this-name/x"),
            ("a/~", "a/~"),
            ("$DISK/hub", "/mnt/big disk/hub"),
            ("${DISK}hub", "/mnt/big diskhub"),
            ("$DISKhub", "$DISKhub"),
            ("$a1_-$a1_", "x-x"),
            ("$LOOP", "$DISK"),
            ("$TILDE/x", "~/x"),
            ("${DISK", "${DISK"),
            ("${}/$/$$DISK", "${}/$/$/mnt/big disk"),
            ("~/$DISK", "/home/ann//mnt/big disk"),
            ("", ""),
        ] {
            assert_eq!(expand(path, Some("/home/ann/"), &variables), expected, "{path}");
        }
        // The home of another user is the system's to say; its root has one.
        let of_root = expand("~root/x", None, &variables);
        assert!(of_root.starts_with('/') && of_root.ends_with("/x"), "{of_root}");
        assert_eq!(expand("~", Some("/"), &BTreeMap::new()), "/");
        assert_eq!(expand("~/a", Some("/"), &BTreeMap::new()), "/a");
    }
}
