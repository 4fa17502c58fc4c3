//! Luma: not played yet.

use serde_json::{Value, json};

use crate::answer::Answer;
use crate::call::Call;
use crate::fault::Fault;
use crate::journal::Kind;
use crate::state::State;

pub(crate) fn kind(_call: &Call) -> Kind {
    Kind::Other
}

pub(crate) fn prompt(_call: &Call, _state: &State) -> Option<String> {
    None
}

pub(crate) fn answer(_call: &Call, _state: &State, _work: Option<&Fault>) -> Answer {
    Answer::json(404, json!({"error": "not played yet"}))
}

pub(crate) fn error_body(_status: u16) -> Value {
    json!({"error": "The simulator was asked for this error."})
}
