//! The places of a run's inputs as seen from its folder, so that `--resume` finds them from another working
//! folder, and after run and inputs moved together.
//!
//! The settings hold the paths as they were typed. A path is looked for at its recorded place first, then as it
//! was typed. Who uses it compares its content with what the run began with, so a path may also be given anew.

use std::env;
use std::fs;
use std::path::{Component, Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{ModelChoice, Settings};
use crate::{
    error::UserError,
    run::{Run, files::read_json},
};

/// The paths of the inputs relative to the run folder; `None` for what is no file or folder.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct Places {
    #[serde(skip_serializing_if = "Option::is_none")]
    train_csv: Option<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    test_csv: Option<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    model: Option<PathBuf>,
}

/// A saved path, and whether it leads anywhere.
struct Found {
    path: PathBuf,
    is_there: bool,
}

impl Places {
    /// The places of a run's inputs now.
    pub fn of(run: &Run, train_csv: &Path, test_csv: Option<&Path>, model: &ModelChoice) -> Self {
        let place = |path: &Path| from_folder(run.folder(), path);
        let model = match model {
            ModelChoice::Pretrained(name) if Path::new(name).is_dir() => place(Path::new(name)),
            _ => None,
        };
        Self { train_csv: place(train_csv), test_csv: test_csv.and_then(place), model }
    }

    /// The places that a run has saved; none if it was saved before there were any.
    pub fn saved(run: &Run) -> Self {
        #[derive(Deserialize)]
        struct Saved {
            #[serde(default)]
            places: Places,
        }
        read_json::<Saved>(&run.inputs_json())
            .map_or_else(|_| Self::default(), |saved| saved.places)
    }

    /// The settings of `run` with paths that can be opened from this working folder. Those that `given` names are
    /// left alone.
    ///
    /// # Errors
    /// If an input is neither where it was nor where it would be from here.
    pub fn locate(
        &self,
        run: &Run,
        mut saved: Settings,
        given: &Settings,
    ) -> Result<Settings, UserError> {
        let find = |typed: &Path, place: &Option<PathBuf>, key: &str| {
            locate(run, typed, place.as_deref(), key)
        };
        if let (Some(path), None) = (&mut saved.train_csv, &given.train_csv) {
            *path = self.train_csv(run, path)?;
        }
        if let (Some(path), None) = (&mut saved.test_csv, &given.test_csv) {
            *path = find(path, &self.test_csv, "test-csv")?;
        }
        if let (Some(ModelChoice::Pretrained(name)), None) = (&mut saved.model, &given.model)
            && self.model.is_some()
        {
            let path = find(Path::new(name.as_str()), &self.model, "model")?;
            if let Ok(path) = path.into_os_string().into_string() {
                *name = path;
            }
        }
        Ok(saved)
    }

    /// The training file of `run`, which was typed as `typed`, as it can be opened from this working folder.
    ///
    /// # Errors
    /// If it is neither where it was nor where it would be from here.
    pub fn train_csv(&self, run: &Run, typed: &Path) -> Result<PathBuf, UserError> {
        locate(run, typed, self.train_csv.as_deref(), "train-csv")
    }
}

/// The way from a run's folder to a file or folder; `None` if it is neither.
pub fn place_of(run: &Run, path: &Path) -> Option<PathBuf> {
    from_folder(run.folder(), path)
}

/// A path that was typed when a run began and recorded as `place`, as it can be opened from this working folder. If it leads
/// nowhere any more, it is as it was typed.
pub fn located(run: &Run, typed: &Path, place: &Path) -> PathBuf {
    find(run.folder(), typed, Some(place).filter(|place| !place.as_os_str().is_empty())).path
}

/// The settings of a config file, in which a relative path that leads nowhere from the working folder is read
/// from the file's own folder, or, if a run saved it, from where its inputs lie.
pub fn of_config_file(file: &Path, mut settings: Settings) -> Settings {
    let folder = file.parent().unwrap_or(Path::new(""));
    let places = Run::open(folder).map_or_else(|_| Places::default(), |run| Places::saved(&run));
    let beside = |path: &Path, place: &Option<PathBuf>| {
        let own = folder.join(path);
        match find(folder, path, place.as_deref()) {
            found if found.is_there => found.path,
            _ if path.is_relative() && own.exists() => own,
            found => found.path,
        }
    };
    settings.train_csv = settings.train_csv.map(|path| beside(&path, &places.train_csv));
    settings.test_csv = settings.test_csv.map(|path| beside(&path, &places.test_csv));
    if let Some(ModelChoice::Pretrained(name)) = &mut settings.model {
        let path = beside(Path::new(name.as_str()), &places.model);
        if let Some(path) = path.to_str().filter(|path| Path::new(path).is_dir()) {
            path.clone_into(name);
        }
    }
    settings
}

/// The recorded place if something is there, unless the typed path means the same; else the typed path.
fn find(folder: &Path, typed: &Path, place: Option<&Path>) -> Found {
    let recorded = place.and_then(|place| to_absolute(folder, place)).filter(|path| path.exists());
    let is_typed = |recorded: &PathBuf| same_file(recorded, typed);
    match recorded.filter(|recorded| !is_typed(recorded)) {
        Some(path) => Found { path: shortened(path), is_there: true },
        None => Found { path: typed.to_owned(), is_there: typed.exists() },
    }
}

fn locate(run: &Run, typed: &Path, place: Option<&Path>, key: &str) -> Result<PathBuf, UserError> {
    match find(run.folder(), typed, place) {
        Found { path, is_there: true } => Ok(path),
        Found { .. } => Err(gone(run, typed, place, key)),
    }
}

fn gone(run: &Run, typed: &Path, place: Option<&Path>, key: &str) -> UserError {
    let recorded = place.and_then(|place| to_absolute(run.folder(), place));
    let recorded =
        recorded.map_or_else(String::new, |path| format!(", nor is `{}`", path.display()));
    let folder = run.folder().display();
    UserError::new(format!(
        "`{}`, with which the training of `{folder}` began, is not there{recorded}",
        typed.display()
    ))
    .hint(format!("pass its path as `--{key}`: the same content is recognised wherever it lies"))
}

/// The way from a folder to a file or folder.
fn from_folder(folder: &Path, to: &Path) -> Option<PathBuf> {
    let metadata = fs::metadata(to).ok()?;
    if !metadata.is_file() && !metadata.is_dir() {
        return None;
    }
    let folder = folder.canonicalize().ok()?;
    let to = absolute(to)?;
    let common = folder.components().zip(to.components()).take_while(|(a, b)| a == b).count();
    if common == 0 {
        return to.to_str().is_some().then_some(to);
    }
    let up = folder.components().skip(common).map(|_| Component::ParentDir);
    let way: PathBuf = up.chain(to.components().skip(common)).collect();
    way.to_str().is_some().then_some(way)
}

/// A path without links in its folders. The last name may be a link, whose target may change.
fn absolute(path: &Path) -> Option<PathBuf> {
    let Some(name) = path.file_name() else { return path.canonicalize().ok() };
    let parent = match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    };
    Some(parent.canonicalize().ok()?.join(name))
}

fn to_absolute(folder: &Path, way: &Path) -> Option<PathBuf> {
    let mut path = folder.canonicalize().ok()?;
    for component in way.components() {
        match component {
            Component::ParentDir => drop(path.pop()),
            component => path.push(component),
        }
    }
    Some(path)
}

fn same_file(one: &Path, other: &Path) -> bool {
    matches!((one.canonicalize(), other.canonicalize()), (Ok(one), Ok(other)) if one == other)
}

/// The path as it would be typed here.
fn shortened(path: PathBuf) -> PathBuf {
    let here = env::current_dir().and_then(|here| here.canonicalize());
    match here.ok().and_then(|here| path.strip_prefix(here).ok().map(Path::to_owned)) {
        Some(short) if short != Path::new("") => short,
        _ => path,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder with `a/train.csv` and a run in `a/runs/one`.
    fn place() -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let run = folder.path().join("a/runs/one");
        fs::create_dir_all(&run).unwrap();
        fs::write(folder.path().join("a/train.csv"), "").unwrap();
        (folder, run)
    }

    #[test]
    fn a_place_is_found_again_after_all_moved_together() {
        let (folder, run) = place();
        let way = from_folder(&run, &folder.path().join("a/train.csv")).unwrap();
        assert_eq!(way, Path::new("../../train.csv"));
        fs::rename(folder.path().join("a"), folder.path().join("b")).unwrap();
        let run = folder.path().join("b/runs/one");
        let found = find(&run, Path::new("train.csv"), Some(&way));
        assert!(found.is_there);
        assert!(same_file(&found.path, &folder.path().join("b/train.csv")));
    }

    /// Another file of the same name may lie in the working folder.
    #[test]
    fn the_recorded_place_goes_before_the_typed_path() {
        let (folder, run) = place();
        let other = folder.path().join("train.csv");
        fs::write(&other, "").unwrap();
        let found = find(&run, &other, Some(Path::new("../../train.csv")));
        assert!(same_file(&found.path, &folder.path().join("a/train.csv")));
        let found = find(&run, &other, Some(Path::new("../gone.csv")));
        assert_eq!(found.path, other);
        // The same file keeps the name that was typed.
        let typed = folder.path().join("a/runs/../train.csv");
        assert_eq!(find(&run, &typed, Some(Path::new("../../train.csv"))).path, typed);
    }

    #[test]
    fn what_can_be_read_only_once_has_no_place() {
        let (_folder, run) = place();
        assert_eq!(from_folder(&run, Path::new("/dev/null")), None);
        assert_eq!(from_folder(&run, Path::new("/no/such/file")), None);
    }

    #[test]
    fn paths_in_a_config_file_may_be_relative_to_it() {
        let (folder, _run) = place();
        let file = folder.path().join("a/ours.toml");
        fs::create_dir(folder.path().join("a/model")).unwrap();
        let settings = Settings {
            train_csv: Some("train.csv".into()),
            test_csv: Some("gone.csv".into()),
            model: Some(ModelChoice::from("model".to_owned())),
            ..Settings::default()
        };
        let read = of_config_file(&file, settings);
        assert_eq!(read.train_csv, Some(folder.path().join("a/train.csv")));
        assert_eq!(read.test_csv, Some("gone.csv".into()));
        let model = folder.path().join("a/model").display().to_string();
        assert_eq!(read.model, Some(ModelChoice::from(model)));
        let hub = Some(ModelChoice::from("microsoft/deberta-v3-base".to_owned()));
        let read = of_config_file(&file, Settings { model: hub.clone(), ..Settings::default() });
        assert_eq!(read.model, hub);
    }
}
