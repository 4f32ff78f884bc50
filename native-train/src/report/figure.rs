//! The parts of the page: pictures with their values, tables, and texts.

use askama::Template;

/// A picture, and beside it its values as a table.
#[derive(Template)]
#[template(path = "figure.html")]
pub struct Figure {
    pub svg: String,
    pub caption: String,
    pub table: Table,
}

/// A table, the first cell of each row of which names the row.
#[derive(Debug, Default, PartialEq)]
pub struct Table {
    pub header: Vec<String>,
    pub rows: Vec<Vec<String>>,
}

/// A text that is worth a look.
pub struct Excerpt {
    pub id: String,
    pub text: String,
    pub remark: String,
}

impl Table {
    pub fn new(header: &[&str]) -> Self {
        Self { header: header.iter().map(ToString::to_string).collect(), rows: Vec::new() }
    }
}
