//! The values of a table that are needed.

/// The indices of the input columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InputColumns {
    pub text: usize,
    /// `None` if there is no id column; rows are then numbered from 0.
    pub id: Option<usize>,
}

/// The columns whose values are needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Needed {
    /// `None` until they are found.
    pub inputs: Option<InputColumns>,
    /// Whether those of all other columns are needed too.
    pub others: bool,
}

impl Needed {
    /// The columns of a table of which nothing is known yet.
    pub const ALL: Self = Self { inputs: None, others: true };

    pub fn has(self, column: usize) -> bool {
        self.others || self.is_text(column) || self.is_id(column)
    }

    pub fn is_text(self, column: usize) -> bool {
        self.inputs.is_some_and(|inputs| inputs.text == column)
    }

    pub fn is_id(self, column: usize) -> bool {
        self.inputs.is_some_and(|inputs| inputs.id == Some(column))
    }
}
