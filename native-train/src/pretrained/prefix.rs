//! The names that programs put before those of a model's tensors, as `module.` or `_orig_mod.`, and their removal.

use std::collections::BTreeSet;

/// The names of wrappers around a module in some training programs, wherever in a name it stands: PyTorch's `compile`, FSDP and activation
/// checkpointing.
const WRAPPERS: [&str; 3] = ["_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module"];

/// The tensor by which the model is found: every checkpoint has it once for each model.
const WORD_EMBEDDINGS: &str = "embeddings.word_embeddings.weight";
const BACKBONE: &str = "deberta.";

/// The prefix of a model's tensors.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Prefix(String);

impl Prefix {
    /// Finds the prefix of the only model that the names belong to.
    ///
    /// # Errors
    /// If they belong to several models; the prefixes of each are returned.
    pub fn of<'a>(names: impl Iterator<Item = &'a str>) -> Result<Self, Vec<String>> {
        let before = |name: &str| {
            let name = unwrapped(name);
            let before = name.strip_suffix(WORD_EMBEDDINGS)?;
            let before = before.strip_suffix(BACKBONE).unwrap_or(before);
            (before.is_empty() || before.ends_with('.')).then(|| before.to_owned())
        };
        let found: BTreeSet<String> = names.filter_map(before).collect();
        let is_plain = |prefix: &&String| {
            prefix.split_terminator('.').all(|part| part == "module" || part == "model")
        };
        let mut plain = found.iter().filter(is_plain);
        match (found.len(), plain.next(), plain.next()) {
            (0, ..) => Ok(Self::default()),
            (1, ..) => Ok(found.into_iter().next().map(Self).unwrap_or_default()),
            // The model itself, beside a moving average of it or the like.
            (_, Some(prefix), None) => Ok(Self(prefix.clone())),
            (_, Some(prefix), _) if prefix.is_empty() => Ok(Self::default()),
            _ => Err(found.into_iter().collect()),
        }
    }

    /// The name without the prefix and the wrappers.
    pub fn strip(&self, name: &str) -> String {
        let name = unwrapped(name);
        name.strip_prefix(&self.0).map(str::to_owned).unwrap_or(name)
    }

    /// The prefixes that were removed from some of the names, as a sentence has it; `None` if nothing was.
    pub fn removed<'a>(&self, names: impl Iterator<Item = &'a str>) -> Option<String> {
        let mut removed = BTreeSet::new();
        for name in names {
            let parts = name.split('.').filter(|part| WRAPPERS.contains(part));
            removed.extend(parts.map(|part| format!("`{part}.`")));
        }
        if !self.0.is_empty() {
            removed.insert(format!("`{}`", self.0));
        }
        (!removed.is_empty()).then(|| removed.into_iter().collect::<Vec<_>>().join(" and "))
    }
}

fn unwrapped(name: &str) -> String {
    let parts: Vec<&str> = name.split('.').filter(|part| !WRAPPERS.contains(part)).collect();
    parts.join(".")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prefix(names: &[&str]) -> Result<Prefix, Vec<String>> {
        let words = names.iter().map(|name| format!("{name}{WORD_EMBEDDINGS}")).collect::<Vec<_>>();
        Prefix::of(words.iter().map(String::as_str))
    }

    #[test]
    fn any_stack_of_prefixes_is_found_and_removed() {
        for before in [
            "",
            "deberta.",
            "module.",
            "model.",
            "_orig_mod.",
            "_orig_mod.module.",
            "module._orig_mod.model.deberta.",
            "model.backbone.",
            "net.encoder.deberta.",
            "_fsdp_wrapped_module._orig_mod.deberta.",
        ] {
            let prefix = prefix(&[before]).unwrap();
            let plain = if before.ends_with("deberta.") { "deberta.x.y" } else { "x.y" };
            assert_eq!(prefix.strip(&format!("{before}x.y")), plain, "{before}");
        }
        let inner = prefix(&["model."]).unwrap();
        assert_eq!(inner.strip("model.deberta._orig_mod.encoder.x"), "deberta.encoder.x");
        assert_eq!(inner.strip("classifier.bias"), "classifier.bias");
        assert_eq!(
            inner.removed(["model._orig_mod.x"].into_iter()).unwrap(),
            "`_orig_mod.` and `model.`"
        );
        assert_eq!(prefix(&["deberta."]).unwrap().removed(["deberta.x"].into_iter()), None);
    }

    #[test]
    fn of_several_models_the_plain_one_is_taken_or_none() {
        assert_eq!(prefix(&["model.", "ema_model."]), Ok(Prefix("model.".into())));
        assert_eq!(prefix(&["", "model."]), Ok(Prefix::default()));
        let both = vec!["p_encoder.".to_owned(), "q_encoder.".to_owned()];
        assert_eq!(prefix(&["q_encoder.", "p_encoder."]), Err(both));
        assert_eq!(prefix(&[]), Ok(Prefix::default()));
    }
}
