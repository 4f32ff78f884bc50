//! The state as a signal. Components read parts of it and send events.

use std::rc::Rc;

use leptos::prelude::*;

use crate::state::{Effect, Event, ManyEvent, State, Table, update};

/// The page's state and what carries out its effects. Components get a copy from the context.
#[derive(Clone, Copy)]
pub struct Store {
    state: RwSignal<State>,
    carry_out: StoredValue<CarryOut, LocalStorage>,
    /// The file that the visitor chose last. It is the browser's handle, so the state does not hold it.
    file: StoredValue<Option<web_sys::File>, LocalStorage>,
}

type CarryOut = Rc<dyn Fn(Store, Effect)>;

impl Store {
    /// A store whose effects are carried out by `carry_out`.
    pub fn new(state: State, carry_out: impl Fn(Self, Effect) + 'static) -> Self {
        Self {
            state: RwSignal::new(state),
            carry_out: StoredValue::new_local(Rc::new(carry_out)),
            file: StoredValue::new_local(None),
        }
    }

    /// The store in the context of the component that is being created.
    pub fn of_component() -> Self {
        expect_context()
    }

    /// Changes the state by an event and carries out the effects. The readers of its parts are notified only if the page
    /// may look different: a page that is left has no time for them.
    pub fn send(self, event: Event) {
        let notifies = event.may_be_visible();
        let effects = self.state.try_maybe_update(|state| (notifies, update(state, event)));
        // `None` while the page is being closed.
        if let Some(effects) = effects {
            self.carry_out(effects);
        }
    }

    pub fn carry_out(self, effects: Vec<Effect>) {
        let carry_out = self.carry_out.get_value();
        for effect in effects {
            carry_out(self, effect);
        }
    }

    /// A part of the state that notifies its readers only when it changes. `part` runs after every event,
    /// so it must be cheap: what grows with the number of texts is an `Arc` or a counter in the state.
    pub fn part<T>(self, part: impl Fn(&State) -> T + Send + Sync + 'static) -> Memo<T>
    where
        T: PartialEq + Send + Sync + 'static,
    {
        Memo::new(move |_| self.state.with(&part))
    }

    /// A part of the state that is about the table of many texts, or what it is without one.
    pub fn part_of_table<T>(
        self,
        part: impl Fn(&State, &Table) -> T + Send + Sync + 'static,
    ) -> Memo<T>
    where
        T: Default + PartialEq + Send + Sync + 'static,
    {
        self.part(move |state| {
            state.many.job.table().map(|table| part(state, table)).unwrap_or_default()
        })
    }

    /// Reads the state without subscribing to it.
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
