//! A pickle as values. No code of it is run: a class is a name, and a call is noted, not made.
//!
//! Knows the instructions of protocols 0 to 5 except those that need another program's memory. Values lie in one list and
//! name each other by their places, so that a pickle of any depth or with circles is read and dropped in a loop.
//! Format: <https://github.com/python/cpython/blob/v3.13.0/Lib/pickletools.py>

mod input;
mod machine;
mod value;

use std::io::BufRead;

use anyhow::Result;

pub use value::{Place, Value};

#[derive(Debug)]
pub struct Pickle {
    values: Vec<Value>,
    root: Place,
}

impl Pickle {
    /// Reads one pickle, to its last instruction.
    ///
    /// # Errors
    /// If it ends early or is damaged.
    pub fn read(reader: &mut impl BufRead) -> Result<Self> {
        let (values, root) = machine::run(reader)?;
        Ok(Self { values, root })
    }

    pub fn root(&self) -> Place {
        self.root
    }

    pub fn get(&self, place: Place) -> &Value {
        &self.values[place]
    }

    pub fn values(&self) -> &[Value] {
        &self.values
    }

    pub fn text(&self, place: Place) -> Option<&str> {
        if let Value::Text(text) = self.get(place) { Some(text) } else { None }
    }

    pub fn items(&self, place: Place) -> Option<&[Place]> {
        if let Value::Items(items) = self.get(place) { Some(items) } else { None }
    }

    pub fn entries(&self, place: Place) -> Option<&[(Place, Place)]> {
        if let Value::Entries(entries) = self.get(place) { Some(entries) } else { None }
    }

    pub fn count(&self, place: Place) -> Option<u64> {
        if let Value::Integer(number) = self.get(place) { (*number).try_into().ok() } else { None }
    }

    /// A class's module and name, and the arguments of its call.
    pub fn call(&self, place: Place) -> Option<(&str, &str, &[Place])> {
        let Value::Call { callable, args } = self.get(place) else { return None };
        let Value::Class(module, name) = self.get(*callable) else { return None };
        Some((module, name, self.items(*args)?))
    }
}
