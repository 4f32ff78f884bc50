//! A value of a pickle.

/// The place of a value in its pickle.
pub type Place = usize;

#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    Integer(i64),
    Text(String),
    /// Tuples, lists and sets.
    Items(Vec<Place>),
    /// A dictionary, of whatever class.
    Entries(Vec<(Place, Place)>),
    /// A class or function, by its module and name.
    Class(String, String),
    /// An object that a class or function made of some arguments.
    Call {
        callable: Place,
        args: Place,
    },
    /// An object that lies outside of the pickle.
    Persistent(Place),
    /// `None`, a number that is no whole one of 64 bits, bytes.
    Other,
}
