//! Reads a typed struct out of the merged values, noting unknown keys on the way and saying where an error stands.

use std::borrow::Cow;
use std::fmt;

use config::{Value, ValueKind};
use serde::de::value::StrDeserializer;
use serde::de::{
    self, DeserializeSeed, Deserializer, Expected, IntoDeserializer, MapAccess, SeqAccess, Unexpected,
    Visitor,
};

use super::faults::KeyPath;
use super::layers;
use super::repair::{Attempt, Entry};
use super::stand_in::StandIn;

/// Why a value could not be read.
#[derive(Debug)]
pub(super) struct Mistake {
    pub(super) kind: MistakeKind,
    /// Set by the innermost reader that sees the mistake.
    pub(super) path: Option<KeyPath>,
}

#[derive(Debug)]
pub(super) enum MistakeKind {
    /// A required field is absent.
    Missing(&'static str),
    /// The name in a map is not one of these.
    UnknownKey(&'static [&'static str]),
    /// The word of an enum is not one of these.
    UnknownWord(&'static [&'static str]),
    /// Another type, or out of range.
    WrongType { expected: String },
    /// What the type itself says.
    Other(String),
}

impl Mistake {
    fn of(kind: MistakeKind) -> Self {
        Self { kind, path: None }
    }

    /// The same, said of a key instead of a value.
    fn of_key(self) -> Self {
        match self.kind {
            MistakeKind::UnknownWord(words) => Self { kind: MistakeKind::UnknownKey(words), ..self },
            _ => self,
        }
    }

    pub(super) fn at(mut self, path: &KeyPath) -> Self {
        if self.path.is_none() {
            let mut path = path.clone();
            if let MistakeKind::Missing(field) = self.kind {
                path.push(field.to_owned());
            }
            self.path = Some(path);
        }
        self
    }
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.kind)
    }
}

impl std::error::Error for Mistake {}

impl de::Error for Mistake {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::of(MistakeKind::Other(message.to_string()))
    }

    fn invalid_type(_: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::of(MistakeKind::WrongType { expected: expected.to_string() })
    }

    fn invalid_value(_: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::of(MistakeKind::WrongType { expected: expected.to_string() })
    }

    fn unknown_variant(_: &str, expected: &'static [&'static str]) -> Self {
        Self::of(MistakeKind::UnknownWord(expected))
    }

    fn missing_field(field: &'static str) -> Self {
        Self::of(MistakeKind::Missing(field))
    }
}

/// A value on its way into a type.
pub(super) struct Reader<'r> {
    value: Cow<'r, Value>,
    path: KeyPath,
    attempt: &'r Attempt<'r>,
}

impl<'r> Reader<'r> {
    pub(super) fn new(value: Cow<'r, Value>, path: KeyPath, attempt: &'r Attempt<'r>) -> Self {
        Self { value, path, attempt }
    }

    /// Bare text, which becomes a number or a flag when one is asked for.
    fn untyped(&self) -> Option<&str> {
        match &self.value.kind {
            ValueKind::String(text) if layers::is_untyped(&self.value) => Some(text.trim()),
            _ => None,
        }
    }

    fn visit<'de, V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mistake> {
        let Self { value, path, attempt } = self;
        let result = match &value.kind {
            ValueKind::Nil => visitor.visit_unit(),
            ValueKind::Boolean(flag) => visitor.visit_bool(*flag),
            ValueKind::I64(number) => visitor.visit_i64(*number),
            ValueKind::I128(number) => visitor.visit_i128(*number),
            ValueKind::U64(number) => visitor.visit_u64(*number),
            ValueKind::U128(number) => visitor.visit_u128(*number),
            ValueKind::Float(number) => visitor.visit_f64(*number),
            ValueKind::String(text) => visitor.visit_str(text),
            ValueKind::Table(_) => {
                visitor.visit_map(Entries::new(attempt.entries_of_map(&value, &path), attempt))
            }
            ValueKind::Array(items) => {
                visitor.visit_seq(Items { rest: items.iter(), index: 0, path: &path, attempt })
            }
        };
        result.map_err(|mistake| mistake.at(&path))
    }
}

macro_rules! from_text {
    ($($method:ident $visit:ident $type:ty, $wanted:literal;)+) => {
        $(fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mistake> {
            let Some(text) = self.untyped() else { return self.visit(visitor) };
            let result = match text.parse::<$type>() {
                Ok(value) => visitor.$visit(value),
                Err(_) => Err(Mistake::of(MistakeKind::WrongType { expected: $wanted.to_owned() })),
            };
            result.map_err(|mistake| mistake.at(&self.path))
        })+
    };
}

impl<'de> Deserializer<'de> for Reader<'_> {
    type Error = Mistake;

    from_text! {
        deserialize_bool visit_bool bool, "a boolean";
        deserialize_i8 visit_i64 i64, "i8";
        deserialize_i16 visit_i64 i64, "i16";
        deserialize_i32 visit_i64 i64, "i32";
        deserialize_i64 visit_i64 i64, "i64";
        deserialize_i128 visit_i128 i128, "i128";
        deserialize_u8 visit_u64 u64, "u8";
        deserialize_u16 visit_u64 u64, "u16";
        deserialize_u32 visit_u64 u64, "u32";
        deserialize_u64 visit_u64 u64, "u64";
        deserialize_u128 visit_u128 u128, "u128";
        deserialize_f32 visit_f64 f64, "f32";
        deserialize_f64 visit_f64 f64, "f64";
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mistake> {
        self.visit(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mistake> {
        match self.value.kind {
            ValueKind::Nil => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Mistake> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mistake> {
        let Some(text) = self.untyped() else { return self.visit(visitor) };
        // A list in a variable: words with commas between them.
        let origin = self.value.origin().map(str::to_owned);
        let words = text.split(',').map(str::trim).filter(|word| !word.is_empty());
        let items: Vec<Value> = words.map(|word| Value::new(origin.as_ref(), word)).collect();
        let list = Value::new(origin.as_ref(), ValueKind::Array(items));
        Reader { value: Cow::Owned(list), path: self.path, attempt: self.attempt }.visit(visitor)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Mistake> {
        if !matches!(self.value.kind, ValueKind::Table(_)) {
            return self.visit(visitor);
        }
        let entries = self.attempt.entries_of_struct(&self.value, &self.path, fields);
        visitor.visit_map(Entries::new(entries, self.attempt)).map_err(|mistake| mistake.at(&self.path))
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Mistake> {
        let result = match &self.value.kind {
            ValueKind::String(text) => {
                let text: StrDeserializer<'_, Mistake> = text.as_str().into_deserializer();
                text.deserialize_enum(name, variants, visitor)
            }
            ValueKind::Table(table) if table.len() == 1 => {
                let entries = self.attempt.entries_of_map(&self.value, &self.path);
                let entries = Entries::new(entries, self.attempt);
                visitor.visit_enum(de::value::MapAccessDeserializer::new(entries))
            }
            _ => Err(Mistake::of(MistakeKind::UnknownWord(variants))),
        };
        result.map_err(|mistake| mistake.at(&self.path))
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mistake> {
        visitor.visit_unit()
    }

    serde::forward_to_deserialize_any! {
        char str string bytes byte_buf unit unit_struct tuple tuple_struct map identifier
    }
}

/// The entries of a table, each with the value to read for it.
struct Entries<'r> {
    rest: std::vec::IntoIter<Entry<'r>>,
    next: Option<Entry<'r>>,
    attempt: &'r Attempt<'r>,
}

impl<'r> Entries<'r> {
    fn new(entries: Vec<Entry<'r>>, attempt: &'r Attempt<'r>) -> Self {
        Self { rest: entries.into_iter(), next: None, attempt }
    }
}

impl<'de> MapAccess<'de> for Entries<'_> {
    type Error = Mistake;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Mistake> {
        self.next = self.rest.next();
        let Some(entry) = &self.next else { return Ok(None) };
        let path = entry.path();
        let name: StrDeserializer<'_, Mistake> = path.last().map_or("", String::as_str).into_deserializer();
        seed.deserialize(name).map(Some).map_err(|mistake| mistake.of_key().at(path))
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, Mistake> {
        match self.next.take() {
            Some(Entry::Value { path, value }) => {
                let attempt = self.attempt;
                seed.deserialize(Reader { value, path: path.clone(), attempt })
                    .map_err(|mistake| mistake.at(&path))
            }
            Some(Entry::StandIn { path, round }) => {
                // A mistake inside a stand-in is one of the stand-in, whatever its depth.
                let stand_in = seed.deserialize(StandIn { round });
                stand_in.map_err(|mistake| Mistake { path: Some(path), ..mistake })
            }
            None => Err(de::Error::custom("a value was asked for before its key")),
        }
    }
}

/// The items of a list.
struct Items<'r, 'p> {
    rest: std::slice::Iter<'p, Value>,
    index: usize,
    path: &'p KeyPath,
    attempt: &'r Attempt<'r>,
}

impl<'de> SeqAccess<'de> for Items<'_, '_> {
    type Error = Mistake;

    fn next_element_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, Mistake> {
        let Some(item) = self.rest.next() else { return Ok(None) };
        let mut path = self.path.clone();
        path.push(self.index.to_string());
        self.index += 1;
        let reader = Reader { value: Cow::Borrowed(item), path: path.clone(), attempt: self.attempt };
        seed.deserialize(reader).map(Some).map_err(|mistake| mistake.at(&path))
    }
}
