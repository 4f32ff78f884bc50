//! The state as a signal, and the way events get to it: what components have of the program.

use std::rc::Rc;

use leptos::prelude::*;

use crate::state::{Effect, Event, ManyEvent, State, update};

/// Copied into every component by context.
#[derive(Clone, Copy)]
pub struct Store {
    state: RwSignal<State>,
    carry_out: StoredValue<CarryOut, LocalStorage>,
    /// The file that the visitor chose last: a handle, and so no part of the state.
    file: StoredValue<Option<web_sys::File>, LocalStorage>,
}

type CarryOut = Rc<dyn Fn(Store, Effect)>;

impl Store {
    /// `carry_out` does what an event leads to.
    pub fn new(state: State, carry_out: impl Fn(Self, Effect) + 'static) -> Self {
        Self {
            state: RwSignal::new(state),
            carry_out: StoredValue::new_local(Rc::new(carry_out)),
            file: StoredValue::new_local(None),
        }
    }

    /// Of the component that is being made.
    pub fn of_component() -> Self {
        expect_context()
    }

    pub fn send(self, event: Event) {
        // None once the page is closing: late answers find nobody.
        if let Some(effects) = self.state.try_update(|state| update(state, event)) {
            self.carry_out(effects);
        }
    }

    pub fn carry_out(self, effects: Vec<Effect>) {
        let carry_out = self.carry_out.get_value();
        for effect in effects {
            carry_out(self, effect);
        }
    }

    /// A part of the state that tells its readers only when it is another.
    pub fn part<T>(self, part: impl Fn(&State) -> T + Send + Sync + 'static) -> Memo<T>
    where
        T: PartialEq + Send + Sync + 'static,
    {
        Memo::new(move |_| self.state.with(&part))
    }

    /// A look at the state that nobody is told about.
    pub fn peek<T>(self, look: impl FnOnce(&State) -> T) -> T {
        self.state.with_untracked(look)
    }

    pub fn choose_file(self, file: web_sys::File) {
        let (name, bytes) = (file.name(), file.size() as u64);
        self.file.set_value(Some(file));
        self.send(Event::Many(ManyEvent::FileChosen { name, bytes }));
    }

    pub fn chosen_file(self) -> Option<web_sys::File> {
        self.file.get_value()
    }
}
