//! TensorBoard's event files: curves and hyperparameters of a training, as TensorBoard reads them.
//!
//! A file is a row of records, each a message with its length before it and masked CRC-32C sums of both (source:
//! `record_writer.cc` of TensorFlow). A training that goes on from a checkpoint begins another file, which takes back what
//! the earlier ones say of later steps.

mod messages;

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use prost::Message;

use self::messages::{
    Content, EmptyShape, EmptyTensor, Event, HyperparametersData, Kind, NoElements, PluginData,
    Session, SessionEnd, SessionLog, SessionStart, SessionStatus, Status, Summary, SummaryMetadata,
    SummaryValue, Value, What,
};
use crate::run::lease::host;

/// The beginning of a file's name, by which TensorBoard finds it.
const NAME: &str = "events.out.tfevents";

/// The first record says that tags need no graph.
const FILE_VERSION: &str = "brain.Event:2";

const DT_FLOAT: i32 = 1;

/// The longest time that a point is kept in memory while others come.
const PATIENCE: Duration = Duration::from_secs(2);

/// Where the event files of a model's training lie, and what they say of it.
#[derive(Debug, Clone)]
pub struct EventFolder {
    pub folder: PathBuf,
    /// Numbers, words and booleans by their names; values of other types are left out.
    pub hyperparameters: toml::Table,
}

/// An event file, open for writing.
pub struct EventFile {
    path: PathBuf,
    file: BufWriter<File>,
    written: Instant,
}

impl EventFolder {
    /// The folder `name` in this one, with the same hyperparameters.
    pub fn within(&self, name: &str) -> Self {
        Self { folder: self.folder.join(name), hyperparameters: self.hyperparameters.clone() }
    }

    /// Whether a training has left an event file here.
    pub fn is_used(&self) -> bool {
        let is_event_file = |entry: io::Result<fs::DirEntry>| {
            entry.is_ok_and(|entry| entry.file_name().to_string_lossy().starts_with(NAME))
        };
        fs::read_dir(&self.folder).is_ok_and(|mut entries| entries.any(is_event_file))
    }

    /// Begins a file for the steps after the first `steps`. What other files say of them is taken back.
    ///
    /// # Errors
    /// If the folder or the file cannot be written.
    pub fn begin(&self, steps: usize) -> Result<EventFile> {
        let context = || cannot_write(&self.folder);
        fs::create_dir_all(&self.folder).with_context(context)?;
        let name = format!("{NAME}.{:010.0}.{}.{}", now(), host(), process::id());
        let path = self.folder.join(name);
        let file =
            OpenOptions::new().create(true).append(true).open(&path).with_context(context)?;
        let mut file = EventFile { path, file: BufWriter::new(file), written: Instant::now() };
        file.write(0, What::FileVersion(FILE_VERSION.to_owned()))?;
        // TensorBoard takes the first of a folder as the beginning, and each later one as taking back.
        let start = SessionLog { status: SessionStatus::Start.into() };
        file.write(steps + 1, What::SessionLog(start))?;
        let hyperparameters = self.hyperparameters.iter();
        let hyperparameters: BTreeMap<String, Value> = hyperparameters
            .filter_map(|(name, value)| Some((name.clone(), Value { kind: Some(kind(value)?) })))
            .collect();
        let start = SessionStart { hyperparameters, start_time_secs: now() };
        file.session("_hparams_/session_start_info", Session::Start(start))?;
        file.flush()?;
        Ok(file)
    }
}

impl EventFile {
    /// Adds a point to each of these curves.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn points(&mut self, step: usize, points: &[(&str, f64)]) -> Result<()> {
        let value = |&(tag, value): &(&str, f64)| SummaryValue {
            tag: tag.to_owned(),
            metadata: None,
            content: Some(Content::Scalar(value as f32)),
        };
        self.write(step, What::Summary(Summary { value: points.iter().map(value).collect() }))?;
        if self.written.elapsed() >= PATIENCE {
            self.flush()?;
        }
        Ok(())
    }

    /// Says that the training has come to its end.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn end(&mut self) -> Result<()> {
        let end = SessionEnd { status: Status::Success.into(), end_time_secs: now() };
        self.session("_hparams_/session_end_info", Session::End(end))?;
        self.flush()
    }

    /// Hands all points to the system, so that TensorBoard sees them.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn flush(&mut self) -> Result<()> {
        self.written = Instant::now();
        self.file.flush().with_context(|| cannot_write(&self.path))
    }

    fn session(&mut self, tag: &str, session: Session) -> Result<()> {
        let data = HyperparametersData { session: Some(session) };
        let plugin_data =
            PluginData { plugin_name: "hparams".to_owned(), content: data.encode_to_vec() };
        let value = SummaryValue {
            tag: tag.to_owned(),
            metadata: Some(SummaryMetadata { plugin_data: Some(plugin_data) }),
            content: Some(Content::Tensor(EmptyTensor {
                dtype: DT_FLOAT,
                shape: Some(EmptyShape { dim: vec![NoElements {}] }),
            })),
        };
        self.write(0, What::Summary(Summary { value: vec![value] }))
    }

    fn write(&mut self, step: usize, what: What) -> Result<()> {
        let event = Event { wall_time: now(), step: step as i64, what: Some(what) };
        let record = record(&event.encode_to_vec());
        self.file.write_all(&record).with_context(|| cannot_write(&self.path))
    }
}

fn cannot_write(path: &Path) -> String {
    format!("cannot write `{}`", path.display())
}

/// Seconds since 1970.
fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}

fn kind(value: &toml::Value) -> Option<Kind> {
    match value {
        toml::Value::String(text) => Some(Kind::String(text.clone())),
        toml::Value::Integer(number) => Some(Kind::Number(*number as f64)),
        toml::Value::Float(number) => Some(Kind::Number(*number)),
        toml::Value::Boolean(flag) => Some(Kind::Bool(*flag)),
        toml::Value::Datetime(_) | toml::Value::Array(_) | toml::Value::Table(_) => None,
    }
}

/// A message as a file has it.
fn record(message: &[u8]) -> Vec<u8> {
    let length = (message.len() as u64).to_le_bytes();
    [&length[..], &masked_sum(&length), message, &masked_sum(message)].concat()
}

/// The CRC-32C of some bytes, masked, as sums of bytes that hold sums themselves are weak.
fn masked_sum(bytes: &[u8]) -> [u8; 4] {
    crc32c::crc32c(bytes).rotate_right(15).wrapping_add(0xa282_ead8).to_le_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The messages of all files in a folder, in the order of the files' names.
    fn events(folder: &Path) -> Vec<Vec<Event>> {
        let mut files: Vec<PathBuf> =
            fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.sort();
        let read = |path: &PathBuf| {
            let mut bytes = &fs::read(path).unwrap()[..];
            let mut events = Vec::new();
            while !bytes.is_empty() {
                let (length, rest) = bytes.split_at(8);
                let size = u64::from_le_bytes(length.try_into().unwrap()) as usize;
                let message = &rest[4..4 + size];
                assert_eq!(record(message), bytes[..16 + size]);
                events.push(Event::decode(message).unwrap());
                bytes = &bytes[16 + size..];
            }
            events
        };
        files.iter().map(read).collect()
    }

    /// The bytes are those that TensorBoard 2.20's own writer makes of one scalar.
    #[test]
    fn a_record_has_tensorboards_bytes() {
        let value = SummaryValue {
            tag: "loss".to_owned(),
            metadata: None,
            content: Some(Content::Scalar(0.5)),
        };
        let what = Some(What::Summary(Summary { value: vec![value] }));
        let event = Event { wall_time: 1.0, step: 3, what };
        let expected =
            "1a00000000000000129bd82d09000000000000f03f10032a0d0a0b0a046c6f7373150000003f7fb84377";
        let hex: String =
            record(&event.encode_to_vec()).iter().map(|b| format!("{b:02x}")).collect();
        assert_eq!(hex, expected);
    }

    #[test]
    fn a_second_file_takes_back_the_steps_that_it_begins_with() {
        let folder = tempfile::tempdir().unwrap();
        let hyperparameters = toml::toml! { lr = 0.5 model = "mini" folds = 5 labels = ["joy"] };
        let place =
            EventFolder { folder: folder.path().to_owned(), hyperparameters }.within("fold-0");
        assert!(!place.is_used());
        let mut file = place.begin(0).unwrap();
        file.points(1, &[("train/loss", 0.75), ("train/learning_rate", 0.5)]).unwrap();
        file.end().unwrap();
        let [written] = &events(&place.folder)[..] else { panic!("one file") };
        let [version, restart, start, points, end] = &written[..] else { panic!("{written:?}") };
        assert_eq!(version.what, Some(What::FileVersion("brain.Event:2".to_owned())));
        let taken_back_from =
            |event: &Event| matches!(event.what, Some(What::SessionLog(_))).then_some(event.step);
        assert_eq!(taken_back_from(restart), Some(1));
        let session = |event: &Event| {
            let Some(What::Summary(summary)) = &event.what else { panic!("{event:?}") };
            let data = summary.value[0].metadata.clone().unwrap().plugin_data.unwrap();
            assert_eq!(data.plugin_name, "hparams");
            HyperparametersData::decode(&data.content[..]).unwrap().session.unwrap()
        };
        let Session::Start(start) = session(start) else { panic!("{start:?}") };
        let names: Vec<&String> = start.hyperparameters.keys().collect();
        assert_eq!(names, ["folds", "lr", "model"]);
        assert_eq!(start.hyperparameters["folds"].kind, Some(Kind::Number(5.0)));
        assert!(matches!(session(end), Session::End(end) if end.status() == Status::Success));
        let Some(What::Summary(points)) = &points.what else { panic!("{points:?}") };
        assert_eq!(points.value[1].tag, "train/learning_rate");
        assert_eq!(points.value[1].content, Some(Content::Scalar(0.5)));

        // A file of another time.
        let [first] = &fs::read_dir(&place.folder).unwrap().collect::<Vec<_>>()[..] else {
            panic!()
        };
        let first = first.as_ref().unwrap().path();
        fs::rename(first, place.folder.join(format!("{NAME}.0000000001.here.1"))).unwrap();
        assert!(place.is_used());
        place.begin(7).unwrap();
        let [_, written] = &events(&place.folder)[..] else { panic!("two files") };
        assert_eq!(taken_back_from(&written[1]), Some(8));
    }
}
