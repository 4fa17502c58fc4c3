//! Reads, notes the mistake, repairs it in memory and reads again: how one start finds every mistake.

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::Path;

use config::{Map, Value, ValueKind};
use serde::de::DeserializeOwned;

use super::faults::{Fault, KeyPath, is_secret, names_are_secret, variable_of};
use super::layers::{self, Layers};
use super::reader::{Mistake, MistakeKind, Reader};
use super::{SECTIONS_OF_THE_PRODUCT, stand_in, words};

/// More mistakes than this are not told in one start.
const MISTAKE_LIMIT: usize = 200;
/// A mounted secret is short.
const SECRET_LIMIT_BYTES: u64 = 64 << 10;

/// What stands in the place of a wrong value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Repair {
    /// The compiled default.
    Default,
    /// As if the key were not there.
    Skip,
    /// An empty section: its own required keys are then told by name.
    EmptySection,
    /// Anything of the right type.
    StandIn { round: usize },
}

/// One key of a table and what is to be read for it.
pub(super) enum Entry<'r> {
    Value { path: KeyPath, value: Cow<'r, Value> },
    StandIn { path: KeyPath, round: usize },
}

impl Entry<'_> {
    pub(super) fn path(&self) -> &KeyPath {
        match self {
            Self::Value { path, .. } | Self::StandIn { path, .. } => path,
        }
    }
}

/// All readings of one start.
#[derive(Debug)]
pub(super) struct Attempt<'r> {
    layers: &'r Layers,
    repairs: BTreeMap<KeyPath, Repair>,
    faults: RefCell<Vec<Fault>>,
}

impl<'r> Attempt<'r> {
    pub(super) fn new(layers: &'r Layers) -> Self {
        Self { layers, repairs: BTreeMap::new(), faults: RefCell::default() }
    }

    /// The value, repaired where it had to be; `None` when no repair helped.
    pub(super) fn read<T: DeserializeOwned>(&mut self) -> Option<T> {
        for _ in 0..MISTAKE_LIMIT * stand_in::ROUNDS {
            let root = Reader::new(Cow::Borrowed(&self.layers.merged), Vec::new(), self);
            match T::deserialize(root) {
                Ok(value) => {
                    self.report_empty_sections();
                    return Some(value);
                }
                Err(mistake) => self.repair(mistake).ok()?,
            }
        }
        None
    }

    pub(super) fn into_faults(self) -> Vec<Fault> {
        self.faults.into_inner()
    }

    /// The entries of a struct. Keys that it does not have are noted.
    pub(super) fn entries_of_struct<'v>(
        &self,
        table: &Value,
        path: &KeyPath,
        fields: &[&str],
    ) -> Vec<Entry<'v>> {
        let empty = Map::new();
        let values = match &table.kind {
            ValueKind::Table(values) => values,
            _ => &empty,
        };
        for (key, value) in values {
            let stem = key.strip_suffix("_file").unwrap_or(key);
            let is_elsewhere = path.is_empty() && SECTIONS_OF_THE_PRODUCT.contains(&key.as_str());
            if !fields.contains(&key.as_str()) && !fields.contains(&stem) && !is_elsewhere {
                self.note_unknown(child(path, key), value, fields);
            }
        }
        let entries = fields.iter().filter_map(|field| {
            let named = match fields.iter().any(|other| *other == format!("{field}_file")) {
                true => None,
                false => values.get(&format!("{field}_file")),
            };
            self.entry(child(path, field), values.get(*field), named)
        });
        entries.collect()
    }

    /// The entries of a map, whose keys are free; `x_file` names the file that holds `x`.
    pub(super) fn entries_of_map<'v>(&self, table: &Value, path: &KeyPath) -> Vec<Entry<'v>> {
        let ValueKind::Table(values) = &table.kind else { return Vec::new() };
        let mut names: Vec<&str> =
            values.keys().map(|key| key.strip_suffix("_file").unwrap_or(key)).collect();
        names.sort_unstable();
        names.dedup();
        let entries = names.into_iter().filter_map(|name| {
            self.entry(child(path, name), values.get(name), values.get(&format!("{name}_file")))
        });
        entries.collect()
    }

    fn entry<'v>(&self, path: KeyPath, value: Option<&Value>, named: Option<&Value>) -> Option<Entry<'v>> {
        let value = match self.repairs.get(&path) {
            Some(Repair::Skip) => return None,
            Some(Repair::StandIn { round }) => return Some(Entry::StandIn { path, round: *round }),
            Some(Repair::EmptySection) => Some(Value::new(None, ValueKind::Table(Map::new()))),
            Some(Repair::Default) => layers::find(&self.layers.defaults, &path).cloned(),
            None => match (value, named) {
                (value, None) => value.cloned(),
                (Some(value), Some(named)) => self.heavier(&path, value, named),
                (None, Some(named)) => self.mounted(&path, named),
            },
        };
        value.map(|value| Entry::Value { path, value: Cow::Owned(value) })
    }

    /// Both `x` and `x_file` are set: the later source wins, the same source contradicts itself.
    fn heavier(&self, path: &KeyPath, value: &Value, named: &Value) -> Option<Value> {
        match layers::rank(value.origin()).cmp(&layers::rank(named.origin())) {
            std::cmp::Ordering::Less => self.mounted(path, named),
            std::cmp::Ordering::Greater => Some(value.clone()),
            std::cmp::Ordering::Equal => {
                let key = path.last().cloned().unwrap_or_default();
                let problem = format!("set twice, as `{key}` and as `{key}_file`");
                self.note(path.clone(), problem, "one of the two would do".to_owned(), origin(named));
                Some(value.clone())
            }
        }
    }

    /// The content of the file that a setting names, without the line break at its end.
    fn mounted(&self, path: &KeyPath, named: &Value) -> Option<Value> {
        let ValueKind::String(file) = &named.kind else {
            let problem = "the path of a file was expected".to_owned();
            self.note(
                path.clone(),
                problem,
                "a text such as \"/run/secrets/name\"".to_owned(),
                origin(named),
            );
            return None;
        };
        match layers::read_capped(Path::new(file), SECRET_LIMIT_BYTES) {
            Ok(text) => {
                let text = text.trim_end_matches(['\r', '\n']).to_owned();
                Some(Value::new(Some(&layers::through_file(&origin(named), file)), text))
            }
            Err(problem) => {
                let remedy = "a small readable text file would be right".to_owned();
                self.note(path.clone(), format!("its file {file} {problem}"), remedy, origin(named));
                None
            }
        }
    }

    fn note_unknown(&self, path: KeyPath, value: &Value, fields: &[&str]) {
        let name = path.last().map(String::as_str).unwrap_or_default();
        let remedy = words::guess(name, fields);
        let origin = first_origin(value).unwrap_or_else(|| origin(value));
        self.note(path, "unknown key".to_owned(), remedy, origin);
    }

    fn note(&self, path: KeyPath, problem: String, remedy: String, origin: String) {
        let mut faults = self.faults.borrow_mut();
        if !faults.iter().any(|fault| fault.path == path) {
            faults.push(Fault { path, problem, remedy, origin, is_missing: false });
        }
    }

    fn is_noted(&self, path: &KeyPath) -> bool {
        self.faults.borrow().iter().any(|fault| fault.path == *path)
    }

    /// Notes the mistake and chooses what the next reading finds in its place. `Err` when nothing is left to try.
    fn repair(&mut self, mistake: Mistake) -> Result<(), ()> {
        let path = mistake.path.unwrap_or_default();
        // A stand-in that does not fit makes room for the next one.
        let stand_in = self.repairs.iter_mut().find_map(|(at, repair)| match repair {
            Repair::StandIn { round } if path.starts_with(at) => Some(round),
            _ => None,
        });
        if let Some(round) = stand_in {
            *round += 1;
            return if *round < stand_in::ROUNDS { Ok(()) } else { Err(()) };
        }
        let before = self.repairs.get(&path).copied();
        let next = match (&mistake.kind, before) {
            (MistakeKind::Missing(_), None) if !self.is_noted(&path) => Repair::EmptySection,
            (MistakeKind::Missing(_), _) => Repair::StandIn { round: 0 },
            (_, Some(Repair::EmptySection)) => {
                self.note_missing(path.clone());
                Repair::StandIn { round: 0 }
            }
            (kind, None) => {
                self.note_wrong(&path, kind);
                let has_default = layers::find(&self.layers.defaults, &path).is_some();
                if has_default { Repair::Default } else { Repair::Skip }
            }
            (kind, Some(Repair::Default)) => {
                self.note_wrong(&path, kind);
                Repair::Skip
            }
            (_, Some(Repair::Skip | Repair::StandIn { .. })) => return Err(()),
        };
        self.repairs.insert(path, next);
        Ok(())
    }

    /// An absent map or optional value is content with an empty section; nobody has said yet that it is missing.
    fn report_empty_sections(&self) {
        for (path, repair) in &self.repairs {
            let is_told = self.faults.borrow().iter().any(|fault| fault.path.starts_with(path));
            if *repair == Repair::EmptySection && !is_told {
                self.note_missing(path.clone());
            }
        }
    }

    fn note_missing(&self, path: KeyPath) {
        let remedy = format!("set it in the file or as {}", variable_of(&path));
        let fault = Fault {
            path,
            problem: "required, but missing".to_owned(),
            remedy,
            origin: "not set anywhere".to_owned(),
            is_missing: true,
        };
        self.faults.borrow_mut().push(fault);
    }

    fn note_wrong(&self, path: &KeyPath, kind: &MistakeKind) {
        let value = layers::find(&self.layers.merged, path);
        let given = value.map(|value| words::described(value, is_secret(path)));
        let given = given.unwrap_or_else(|| "the value".to_owned());
        let (problem, remedy) = match kind {
            MistakeKind::Missing(_) => {
                (format!("{given} lacks a part"), "all parts would be right".to_owned())
            }
            MistakeKind::WrongType { expected } => {
                (format!("{given} does not fit"), format!("{} would be right", words::expected(expected)))
            }
            MistakeKind::UnknownKey(words) => {
                let name = path.last().map(String::as_str).unwrap_or_default();
                ("unknown key".to_owned(), words::guess(name, words))
            }
            MistakeKind::UnknownWord(words) => {
                (format!("{given} is not known"), format!("one of {} would be right", words.join(", ")))
            }
            MistakeKind::Other(message) => {
                let message = words::without(message, value.filter(|_| is_secret(path)));
                let message = match path.split_last() {
                    Some((name, above)) if names_are_secret(above) => message.replace(name.as_str(), "***"),
                    _ => message,
                };
                (format!("{given} is refused"), message)
            }
        };
        let origin = self.layers.origin_of(path);
        self.note(path.clone(), problem, remedy, origin);
    }
}

fn child(path: &KeyPath, key: &str) -> KeyPath {
    path.iter().cloned().chain([key.to_owned()]).collect()
}

fn origin(value: &Value) -> String {
    value.origin().unwrap_or("from several sources").to_owned()
}

/// A merged table has no source of its own; its first value has.
fn first_origin(value: &Value) -> Option<String> {
    match &value.kind {
        ValueKind::Table(table) => table.values().find_map(first_origin),
        _ => value.origin().map(str::to_owned),
    }
}
