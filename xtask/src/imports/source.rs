//! One source file: the modules it declares, the items it defines, the names it imports and the paths it uses.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;
use proc_macro2::{TokenStream, TokenTree};
use quote::ToTokens;
use syn::{Attribute, Item, UseTree};

/// A path as it is written, `["crate", "kernels", "matmul"]`.
pub type Segments = Vec<String>;

/// What a module says that is not part of its tests.
#[derive(Default)]
pub struct Source {
    /// Modules whose files lie elsewhere.
    pub declared: BTreeSet<String>,
    pub defined: BTreeSet<String>,
    /// The name in this module of what a `use` brings in.
    pub imported: BTreeMap<String, Segments>,
    /// Modules whose names a `use` ending in `*` brings in.
    pub globs: Vec<Segments>,
    /// All paths of two segments and more outside of `use`.
    pub paths: BTreeSet<Segments>,
}

impl Source {
    pub fn parse(text: &str) -> Result<Self> {
        let mut source = Self::default();
        source.take(syn::parse_file(text)?.items);
        Ok(source)
    }

    fn take(&mut self, items: Vec<Item>) {
        for item in items {
            self.take_item(item);
        }
    }

    fn take_item(&mut self, item: Item) {
        let tokens = item.to_token_stream();
        let (attributes, name) = match item {
            Item::Mod(module) if is_test(&module.attrs) => return,
            Item::Mod(module) => {
                match module.content {
                    // What an inline module defines and imports is counted as its file's.
                    Some((_, items)) => self.take(items),
                    None => drop(self.declared.insert(module.ident.to_string())),
                }
                return;
            }
            Item::Use(import) => {
                if !is_test(&import.attrs) {
                    self.take_use(&import.tree, &mut Vec::new());
                }
                return;
            }
            Item::Const(item) => (item.attrs, Some(item.ident)),
            Item::Enum(item) => (item.attrs, Some(item.ident)),
            Item::Fn(item) => (item.attrs, Some(item.sig.ident)),
            Item::Impl(item) => (item.attrs, None),
            Item::Macro(item) => (item.attrs, item.ident),
            Item::Static(item) => (item.attrs, Some(item.ident)),
            Item::Struct(item) => (item.attrs, Some(item.ident)),
            Item::Trait(item) => (item.attrs, Some(item.ident)),
            Item::Type(item) => (item.attrs, Some(item.ident)),
            Item::Union(item) => (item.attrs, Some(item.ident)),
            _ => (Vec::new(), None),
        };
        if !is_test(&attributes) {
            self.defined.extend(name.map(|name| name.to_string()));
            collect_paths(tokens, &mut self.paths);
        }
    }

    fn take_use(&mut self, tree: &UseTree, before: &mut Segments) {
        match tree {
            UseTree::Path(path) => {
                before.push(path.ident.to_string());
                self.take_use(&path.tree, before);
                before.pop();
            }
            UseTree::Name(name) if name.ident == "self" => {
                self.imported.extend(before.last().map(|last| (last.clone(), before.clone())));
            }
            UseTree::Name(name) => self.import(name.ident.to_string(), &name.ident, before),
            UseTree::Rename(rename) => {
                self.import(rename.rename.to_string(), &rename.ident, before);
            }
            UseTree::Glob(_) => self.globs.push(before.clone()),
            UseTree::Group(group) => {
                group.items.iter().for_each(|tree| self.take_use(tree, before));
            }
        }
    }

    fn import(&mut self, name: String, last: &syn::Ident, before: &Segments) {
        let path = before.iter().cloned().chain([last.to_string()]).collect();
        // Several traits may be brought in as `_`.
        let name = if name == "_" { format!("_ {}", self.imported.len()) } else { name };
        self.imported.insert(name, path);
    }
}

/// `#[cfg(test)]` and `#[cfg(all(test, ...))]`.
fn is_test(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        let text = attribute.meta.to_token_stream().to_string();
        text.starts_with("cfg")
            && text.split(|c: char| !c.is_alphanumeric()).any(|word| word == "test")
    })
}

/// Finds `a :: b :: c` anywhere in `tokens`: in types, expressions, patterns and what macros are given.
fn collect_paths(tokens: TokenStream, found: &mut BTreeSet<Segments>) {
    let mut path = Segments::new();
    let mut colons = 0;
    for token in tokens {
        match token {
            TokenTree::Punct(punct) if punct.as_char() == ':' => colons += 1,
            TokenTree::Ident(ident) => {
                if colons != 2 || path.is_empty() {
                    keep(&mut path, found);
                }
                path.push(ident.to_string());
                colons = 0;
            }
            other => {
                keep(&mut path, found);
                colons = 0;
                if let TokenTree::Group(group) = other {
                    collect_paths(group.stream(), found);
                }
            }
        }
    }
    keep(&mut path, found);
}

fn keep(path: &mut Segments, found: &mut BTreeSet<Segments>) {
    let path = std::mem::take(path);
    if path.len() > 1 {
        found.insert(path);
    }
}
