//! Luma: Dream Machine under `/dream-machine/v1` and the Agents API under `/agents/v1`.
//!
//! | fact | value | kind |
//! |---|---|---|
//! | unknown or wrong field | 422, `detail` is a list | assumed status, list documented |
//! | prompt missing, fields that do not go together | 400, `detail` is a text that repeats the status | documented form |
//! | `ray-1-6` | 400; today's SDKs do not know it | assumed |
//! | missing or wrong key | 401 | documented text, status assumed |
//! | out of credit | Dream Machine 400 with a text, Agents 402 | assumed, documented |
//! | moderation | `failed` with a reason; with the form `refusal` Dream Machine answers the create with 400 | assumed |
//! | concepts with `ray-flash-2` | refused: not every model takes them | assumed |
//! | short side of a video | the number in `resolution`; follows from the prices at 16:9 | assumed for other ratios |
//! | start or end frame with `10s` or `hdr` | 422; keyframes do that | documented |
//! | links | Dream Machine plain, Agents signed for an hour | observed, documented |

mod agents;
mod agents_input;
mod dream;
mod dream_input;
mod fields;

use http::Method;
use serde_json::{Value, json};

use crate::answer::Answer;
use crate::call::{Account, Call};
use crate::fault::Fault;
use crate::journal::{Kind, Provider};
use crate::media::MediaSpec;
use crate::state::State;
use crate::task::Task;

/// The parameter of a signed link.
const SIGNATURE: &str = "X-Amz-Signature";

/// Which of the two APIs a path belongs to, with what follows the version.
enum Api<'a> {
    DreamMachine(&'a [&'a str]),
    Agents(&'a [&'a str]),
    Neither,
}

impl<'a> Api<'a> {
    fn of(parts: &'a [&'a str]) -> Self {
        match parts {
            ["dream-machine", "v1", rest @ ..] => Self::DreamMachine(rest),
            ["agents", "v1", rest @ ..] => Self::Agents(rest),
            _ => Self::Neither,
        }
    }
}

pub(crate) fn kind(call: &Call) -> Kind {
    let parts = call.parts();
    match (&call.method, Api::of(&parts)) {
        (&Method::POST, Api::DreamMachine(["generations"] | ["generations", "video" | "image"]))
        | (&Method::POST, Api::Agents(["generations"])) => Kind::Submit,
        (&Method::GET, Api::DreamMachine(["generations", _]) | Api::Agents(["generations", _])) => {
            Kind::Status
        }
        (&Method::DELETE, Api::DreamMachine(["generations", _])) => Kind::Cancel,
        _ => Kind::Other,
    }
}

pub(crate) fn prompt(call: &Call, state: &State) -> Option<String> {
    if kind(call) == Kind::Submit {
        return call.text_field("prompt");
    }
    let parts = call.parts();
    match Api::of(&parts) {
        Api::DreamMachine(["generations", id]) | Api::Agents(["generations", id]) => {
            state.with_task(id, |task| task.prompt.clone())
        }
        _ => None,
    }
}

pub(crate) fn answer(call: &Call, state: &State, work: Option<&Fault>) -> Answer {
    let parts = call.parts();
    let api = Api::of(&parts);
    let account = Account::of_authorization(call, "Bearer");
    let answer = match (&api, account) {
        (Api::Neither, _) => error(404, "Not Found"),
        (_, Account::Missing) => error(401, "Not authenticated"),
        (_, Account::Wrong) => error(401, "Invalid API key is provided"),
        (Api::DreamMachine(rest), _) => dream::answer(call, rest, state, account, work),
        (Api::Agents(rest), _) => agents::answer(call, rest, state, account, work),
    };
    if matches!(api, Api::Agents(_)) { agents::with_headers(answer, call, state) } else { answer }
}

/// The provider's body for an HTTP error that the script asks for.
pub(crate) fn error_body(status: u16) -> Value {
    match status {
        429 => json!({"detail": "Too many requests"}),
        422 => {
            json!({"detail": [fields::fault(&[], "value_error", "The simulator was asked for this error.")]})
        }
        _ => json!({"detail": "The simulator was asked for this error."}),
    }
}

/// Whether a file may be read with the address asked for.
pub(crate) fn may_read(task: &Task, call: &Call) -> bool {
    !agents::made(task) || call.query(SIGNATURE).is_some_and(|signature| !signature.is_empty())
}

/// Where the task's file is, without a signature.
fn link(task: &Task, index: usize, file: &MediaSpec, origin: &str) -> String {
    format!("{origin}/media/luma/{}-{index}.{}", task.id, file.extension())
}

fn is_here(task: &Task) -> bool {
    task.provider == Provider::Luma && !task.is_cancelled
}

fn error(status: u16, message: &str) -> Answer {
    Answer::json(status, json!({"detail": message}))
}

/// Why a request may not run: the status and what stands under `detail`.
#[derive(Debug, PartialEq)]
struct Refusal {
    status: u16,
    detail: Value,
}

impl Refusal {
    /// A text that repeats the status, as the provider's do.
    fn text(status: u16, message: &str) -> Self {
        Self { status, detail: format!("{status}: {message}").into() }
    }

    fn faults(faults: Vec<Value>) -> Self {
        Self { status: 422, detail: Value::Array(faults) }
    }

    fn answer(self) -> Answer {
        Answer::json(self.status, json!({"detail": self.detail}))
    }
}
