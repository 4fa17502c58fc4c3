//! Compiled defaults, file and environment, laid over one another. Every value knows where it came from.

use std::path::{Path, PathBuf};

use config::{Config, ConfigError, Map, Source, Value, ValueKind};

use super::environment;
use super::faults::{Fault, KeyPath};

/// Larger files are no settings.
const FILE_LIMIT_BYTES: u64 = 1 << 20;

const DEFAULTS: &str = "from the compiled defaults";
const FILE: &str = "from file ";
const VARIABLE: &str = "from environment variable ";
const NAMED_FILE: &str = ", which names the file ";

/// The sources of one start.
#[derive(Debug)]
pub(super) struct Layers {
    /// The defaults alone: what a wrong value is replaced with.
    pub(super) defaults: Value,
    /// All of it.
    pub(super) merged: Value,
    /// What could not be read at all.
    pub(super) faults: Vec<Fault>,
}

impl Layers {
    /// Where the value at `path`, or the nearest one above it, came from.
    pub(super) fn origin_of(&self, path: &[String]) -> String {
        let mut value = &self.merged;
        let mut origin = None;
        for part in path {
            let ValueKind::Table(table) = &value.kind else { break };
            let with_file = format!("{part}_file");
            let Some(inner) = table.get(part).or_else(|| table.get(&with_file)) else {
                return "not set anywhere".to_owned();
            };
            value = inner;
            origin = value.origin();
        }
        origin.map_or_else(|| "from several sources".to_owned(), str::to_owned)
    }
}

/// How much a source weighs: the later one wins.
pub(super) fn rank(origin: Option<&str>) -> u8 {
    match origin {
        Some(origin) if origin.starts_with(VARIABLE) => 2,
        Some(origin) if origin.starts_with(FILE) => 1,
        _ => 0,
    }
}

/// The origin of a value that stands in a file which another value names.
pub(super) fn through_file(origin: &str, file: &str) -> String {
    format!("{origin}{NAMED_FILE}{file}")
}

/// Whether the value is bare text that must be read as the type that is asked for.
pub(super) fn is_untyped(value: &Value) -> bool {
    value.origin().is_some_and(|origin| origin.starts_with(VARIABLE) || origin.contains(NAMED_FILE))
}

/// The value at `path`.
pub(super) fn find<'a>(value: &'a Value, path: &[String]) -> Option<&'a Value> {
    path.iter().try_fold(value, |value, part| match &value.kind {
        ValueKind::Table(table) => table.get(part),
        _ => None,
    })
}

/// Reads and merges the sources; what cannot be read becomes a fault and counts as empty.
pub(super) fn read(
    defaults_toml: &str,
    file: Option<PathBuf>,
    environment: impl Iterator<Item = (String, String)>,
) -> Layers {
    let mut faults = Vec::new();
    let variables: Vec<_> = environment.filter(|(_, value)| !value.is_empty()).collect();
    let named = variables.iter().find(|(name, _)| environment::names_the_file(name));
    let file = file.or_else(|| named.map(|(_, path)| PathBuf::from(path)));

    let defaults = Layer::parse(defaults_toml, DEFAULTS, "compiled defaults", &mut faults);
    let file = file.map(|path| Layer::read(&path, &mut faults)).unwrap_or_default();
    let variables = Layer::of_variables(variables);

    let mut layers = [defaults.clone(), file, variables].into_iter();
    let mut builder = Config::builder();
    for layer in layers.by_ref() {
        builder = builder.add_source(layer);
    }
    let merged = builder.build().map(|merged| merged.cache).unwrap_or_else(|error| {
        faults.push(unreadable("settings", error.to_string(), "a table", "from several sources"));
        Value::new(None, ValueKind::Table(Map::new()))
    });
    Layers { defaults: Value::new(None, ValueKind::Table(defaults.values)), merged, faults }
}

/// One source, as crate `config` merges it.
#[derive(Debug, Clone, Default)]
struct Layer {
    values: Map<String, Value>,
}

impl Source for Layer {
    fn clone_into_box(&self) -> Box<dyn Source + Send + Sync> {
        Box::new(self.clone())
    }

    fn collect(&self) -> Result<Map<String, Value>, ConfigError> {
        Ok(self.values.clone())
    }
}

impl Layer {
    fn read(path: &Path, faults: &mut Vec<Fault>) -> Self {
        let shown = path.display().to_string();
        let origin = format!("{FILE}{shown}");
        match read_capped(path, FILE_LIMIT_BYTES) {
            Ok(text) => Self::parse(&text, &origin, &shown, faults),
            Err(problem) => {
                faults.push(unreadable(&shown, problem, "a readable TOML file", &origin));
                Self::default()
            }
        }
    }

    fn parse(text: &str, origin: &str, shown: &str, faults: &mut Vec<Fault>) -> Self {
        match text.parse::<toml::Table>() {
            Ok(table) => {
                Self { values: table.into_iter().map(|(key, value)| (key, tagged(value, origin))).collect() }
            }
            Err(error) => {
                // The error's own text quotes the line, and with it perhaps a secret.
                let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
                let line = before.matches('\n').count() + 1;
                let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
                let problem = format!("no valid TOML at line {line}, column {column}");
                faults.push(unreadable(shown, problem, "TOML 1.0", origin));
                Self::default()
            }
        }
    }

    fn of_variables(mut variables: Vec<(String, String)>) -> Self {
        // Short names first, so that the long form of the same key wins.
        variables.sort_by_key(|(name, _)| !environment::is_alias(name));
        let mut layer = Self::default();
        for (name, value) in variables {
            if let Some(path) = environment::key_of(&name) {
                let origin = format!("{VARIABLE}{name}");
                insert(&mut layer.values, path, Value::new(Some(&origin), value), &origin);
            }
        }
        layer
    }
}

/// Reads a small text file; the error says why not, without its content.
pub(super) fn read_capped(path: &Path, limit_bytes: u64) -> Result<String, String> {
    let size_bytes = std::fs::metadata(path).map_err(|error| format!("cannot be read ({error})"))?.len();
    if size_bytes > limit_bytes {
        return Err(format!("has {size_bytes} bytes, the limit is {limit_bytes}"));
    }
    std::fs::read_to_string(path).map_err(|error| format!("cannot be read ({error})"))
}

fn insert(table: &mut Map<String, Value>, path: KeyPath, value: Value, origin: &str) {
    let mut parts = path.into_iter();
    let Some(first) = parts.next() else { return };
    let rest: KeyPath = parts.collect();
    if rest.is_empty() {
        table.insert(first, value);
        return;
    }
    let origin = origin.to_owned();
    let inner = table.entry(first).or_insert_with(|| Value::new(Some(&origin), ValueKind::Table(Map::new())));
    if let ValueKind::Table(inner) = &mut inner.kind {
        insert(inner, rest, value, &origin);
    }
}

fn tagged(value: toml::Value, origin: &str) -> Value {
    let kind = match value {
        toml::Value::String(text) => ValueKind::String(text),
        toml::Value::Integer(number) => ValueKind::I64(number),
        toml::Value::Float(number) => ValueKind::Float(number),
        toml::Value::Boolean(flag) => ValueKind::Boolean(flag),
        toml::Value::Datetime(instant) => ValueKind::String(instant.to_string()),
        toml::Value::Array(items) => {
            ValueKind::Array(items.into_iter().map(|item| tagged(item, origin)).collect())
        }
        toml::Value::Table(table) => {
            ValueKind::Table(table.into_iter().map(|(key, value)| (key, tagged(value, origin))).collect())
        }
    };
    Value::new(Some(&origin.to_owned()), kind)
}

fn unreadable(key: &str, problem: String, remedy: &str, origin: &str) -> Fault {
    Fault {
        path: vec![key.to_owned()],
        problem,
        remedy: format!("{remedy} was expected"),
        origin: origin.to_owned(),
        is_missing: false,
    }
}
