//! The instructions of a pickle, carried out on a stack of places.

use std::collections::HashMap;
use std::io::BufRead;

use anyhow::{Context, Result, bail, ensure};

use super::input::Input;
use super::value::{Place, Value};

struct Machine<'a, R> {
    input: Input<'a, R>,
    values: Vec<Value>,
    stack: Vec<Place>,
    marks: Vec<usize>,
    memo: HashMap<u64, Place>,
    instructions: usize,
    /// Entries that were copied from one dictionary into another.
    copied: usize,
}

/// Reads one pickle: its values, and the place of the one that it stands for.
pub(super) fn run(reader: &mut impl BufRead) -> Result<(Vec<Value>, Place)> {
    let mut machine = Machine {
        input: Input { reader },
        values: Vec::new(),
        stack: Vec::new(),
        marks: Vec::new(),
        memo: HashMap::new(),
        instructions: 0,
        copied: 0,
    };
    while machine.step()? {}
    let root = machine.pop()?;
    Ok((machine.values, root))
}

impl<R: BufRead> Machine<'_, R> {
    /// Carries out one instruction; `false` after the last.
    #[expect(clippy::too_many_lines, reason = "an arm for each instruction")]
    fn step(&mut self) -> Result<bool> {
        let instruction = self.input.byte()?;
        self.instructions += 1;
        match instruction {
            b'.' => return Ok(false),
            0x80 => self.input.skip(1)?,
            0x95 => self.input.skip(8)?, // a frame's length
            0x98 => {}                   // makes a buffer read-only
            b'(' => self.marks.push(self.stack.len()),
            b'1' => drop(self.popped_to_mark()?),
            b'2' => self.stack.push(*self.stack.last().context("an empty stack")?),
            b'N' => self.push(Value::Other),
            0x88 => self.push(Value::Integer(1)),
            0x89 => self.push(Value::Integer(0)),
            b'I' | b'L' | b'F' | b'J' | b'K' | b'M' | b'G' | 0x8a | 0x8b | b'S' | b'V' | b'U'
            | 0x8c | b'T' | b'X' | 0x8d | b'C' | b'B' | 0x8e | 0x96 => {
                let value = self.input.value(instruction)?;
                self.push(value);
            }
            b')' | b']' | 0x8f => self.push(Value::Items(Vec::new())),
            b't' | b'l' | 0x91 => {
                let items = self.popped_to_mark()?;
                self.push(Value::Items(items));
            }
            count @ 0x85..=0x87 => self.tuple(usize::from(count) - 0x84)?,
            b'a' => {
                let item = self.pop()?;
                self.append(vec![item])?;
            }
            b'e' | 0x90 => {
                let items = self.popped_to_mark()?;
                self.append(items)?;
            }
            b'}' => self.push(Value::Entries(Vec::new())),
            b'd' => {
                let items = self.popped_to_mark()?;
                self.push(Value::Entries(Vec::new()));
                self.set_entries(items)?;
            }
            b's' => {
                let (value, key) = (self.pop()?, self.pop()?);
                self.set_entries(vec![key, value])?;
            }
            b'u' => {
                let items = self.popped_to_mark()?;
                self.set_entries(items)?;
            }
            b'0' | b'b' => self.drop_top()?, // any value; the state of an object
            b'c' => {
                let class = Value::Class(self.input.line()?, self.input.line()?);
                self.push(class);
            }
            0x93 => self.class_of_two_texts()?,
            b'R' | 0x81 => {
                let (args, callable) = (self.pop()?, self.pop()?);
                self.call(callable, args)?;
            }
            0x92 => {
                self.pop()?; // arguments by names
                let (args, callable) = (self.pop()?, self.pop()?);
                self.call(callable, args)?;
            }
            b'i' => {
                let class = Value::Class(self.input.line()?, self.input.line()?);
                let args = self.popped_to_mark()?;
                let (class, args) = (self.add(class), self.add(Value::Items(args)));
                self.call(class, args)?;
            }
            b'o' => {
                let mut args = self.popped_to_mark()?;
                ensure!(!args.is_empty(), "an object without a class");
                let class = args.remove(0);
                let args = self.add(Value::Items(args));
                self.call(class, args)?;
            }
            b'P' => {
                let id = self.input.line()?;
                let id = self.add(Value::Text(id));
                self.push(Value::Persistent(id));
            }
            b'Q' => {
                let id = self.pop()?;
                self.push(Value::Persistent(id));
            }
            b'p' => {
                let key = self.input.line()?.parse()?;
                self.memorize(key)?;
            }
            b'q' => {
                let key = self.input.byte()?.into();
                self.memorize(key)?;
            }
            b'r' => {
                let key = self.input.length(4)?;
                self.memorize(key)?;
            }
            0x94 => self.memorize(self.memo.len() as u64)?,
            b'g' => {
                let key = self.input.line()?.parse()?;
                self.recall(key)?;
            }
            b'h' => {
                let key = self.input.byte()?.into();
                self.recall(key)?;
            }
            b'j' => {
                let key = self.input.length(4)?;
                self.recall(key)?;
            }
            other => bail!("its pickle has the instruction {other:#04x}, which is not known"),
        }
        Ok(true)
    }

    fn add(&mut self, value: Value) -> Place {
        self.values.push(value);
        self.values.len() - 1
    }

    fn push(&mut self, value: Value) {
        let place = self.add(value);
        self.stack.push(place);
    }

    fn drop_top(&mut self) -> Result<()> {
        self.pop().map(|_| ())
    }

    fn pop(&mut self) -> Result<Place> {
        self.stack.pop().context("an empty stack")
    }

    fn popped_to_mark(&mut self) -> Result<Vec<Place>> {
        let mark = self.marks.pop().context("no mark")?;
        ensure!(mark <= self.stack.len(), "a mark above the stack");
        Ok(self.stack.split_off(mark))
    }

    fn tuple(&mut self, count: usize) -> Result<()> {
        let start = self.stack.len().checked_sub(count).context("an empty stack")?;
        let items = self.stack.split_off(start);
        self.push(Value::Items(items));
        Ok(())
    }

    /// Adds to the list on the stack; items of another object are not kept.
    fn append(&mut self, more: Vec<Place>) -> Result<()> {
        let list = *self.stack.last().context("an empty stack")?;
        if let Value::Items(items) = &mut self.values[list] {
            items.extend(more);
        }
        Ok(())
    }

    /// Sets entries, keys and values by turns, of the dictionary on the stack.
    fn set_entries(&mut self, items: Vec<Place>) -> Result<()> {
        let dictionary = *self.stack.last().context("an empty stack")?;
        let (pairs, rest) = items.as_chunks::<2>();
        ensure!(rest.is_empty(), "a key without a value");
        if let Value::Entries(entries) = &mut self.values[dictionary] {
            entries.extend(pairs.iter().map(|&[key, value]| (key, value)));
        }
        Ok(())
    }

    /// Notes a call, except that of a dictionary's class, which is a dictionary of the pairs that it was given.
    fn call(&mut self, callable: Place, args: Place) -> Result<()> {
        let is_dictionary = matches!(&self.values[callable], Value::Class(module, name)
            if matches!((module.as_str(), name.as_str()),
                ("collections", "OrderedDict" | "defaultdict") | ("builtins" | "__builtin__", "dict")));
        if !is_dictionary {
            self.push(Value::Call { callable, args });
            return Ok(());
        }
        // The pairs are the last argument: a `defaultdict` is given its default before.
        let given = match &self.values[args] {
            Value::Items(args) => args.last().map(|&last| &self.values[last]),
            _ => None,
        };
        let entries: Vec<(Place, Place)> = match given {
            Some(Value::Entries(given)) => given.clone(),
            Some(Value::Items(pairs)) => pairs
                .iter()
                .filter_map(|&pair| match &self.values[pair] {
                    Value::Items(pair) => <[Place; 2]>::try_from(pair.as_slice()).ok(),
                    _ => None,
                })
                .map(|[key, value]| (key, value))
                .collect(),
            _ => Vec::new(),
        };
        // Each entry took instructions to make, so whoever copies more copies the same ones over and over.
        self.copied += entries.len();
        ensure!(self.copied <= self.instructions, "its dictionaries are copied over and over");
        self.push(Value::Entries(entries));
        Ok(())
    }

    fn class_of_two_texts(&mut self) -> Result<()> {
        let (name, module) = (self.pop()?, self.pop()?);
        match (&self.values[module], &self.values[name]) {
            (Value::Text(module), Value::Text(name)) => {
                let class = Value::Class(module.clone(), name.clone());
                self.push(class);
                Ok(())
            }
            _ => bail!("a class without a name"),
        }
    }

    fn memorize(&mut self, key: u64) -> Result<()> {
        let place = *self.stack.last().context("an empty stack")?;
        self.memo.insert(key, place);
        Ok(())
    }

    fn recall(&mut self, key: u64) -> Result<()> {
        let place = *self.memo.get(&key).context("a value that was not memorised")?;
        self.stack.push(place);
        Ok(())
    }
}
