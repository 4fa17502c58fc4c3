//! Stability AI: the stable-image endpoints of `v2beta` and the older `v1`, as in the contract sheet of 2026-11-22.
//!
//! | fact | value | kind |
//! |---|---|---|
//! | body that is no multipart form | 400 `bad_request` | status assumed |
//! | field that an endpoint does not know | 400 `bad_request` | assumed |
//! | empty part `none` | passed over | as the provider's examples send it to force a multipart form |
//! | `Accept` other than the two, also `*/*` | 400 `bad_request` | documented, status assumed |
//! | request above 10 MiB | 413 `payload_too_large` | documented |
//! | ratio of 1:2.5 to 2.5:1 | wanted by `control`, outpaint, both searches, relighting and the conservative upscaler | documented |
//! | the same ratio | wanted by inpaint | of another seller's reference; the OpenAPI document does not say so |
//! | sides and pixels of images | by operation, as the OpenAPI document says; longest side 16,383 where it names none | documented, longest side assumed |
//! | image that is smaller or larger than allowed | 400 `bad_request` | assumed |
//! | `creativity` of the conservative upscaler | 0.2 to 0.5 | of the provider's own node; another seller of it says 0.1 |
//! | `light_source_strength` | wants a direction or a reference | documented |
//! | largest changed image | 9,437,184 pixels | of the simulator |
//! | size of upscaled images | 4 times the sides, at most 4 (fast: 16) megapixels | assumed |
//! | refused prompt | 403 `content_moderation`, `v1` 400 `invalid_prompts` | documented, `v1` assumed |
//! | filtered image | 200, `CONTENT_FILTERED`, a blank image instead of a blurred one | documented, blank is of the simulator |
//! | out of credit | 402 `payment_required` | documented for `v2beta`, assumed for `v1` |
//! | `v1` size that SDXL does not have, of text or image | 400 `invalid_sdxl_v1_dimensions` | as public clients report it |
//! | `v1` mask of another size than the image | 400 `invalid_mask_image` | size documented, name assumed |
//! | `v1` size of SDXL when none is given | 1024x1024 | assumed: the documented default is not allowed there |
//! | `v1` field that is not known | 400 `bad_request` | assumed |
//! | failure of accepted work | the result's answer is that error | assumed |
//! | results of another key, or after 24 hours | are given | of the simulator |

mod fields;
mod form;
mod operations;
mod reply;
mod size;
mod v1;
mod work;

use http::Method;
use serde_json::{Value, json};

use self::form::Form;
use self::operations::Operation;
use crate::answer::Answer;
use crate::call::{Account, Call};
use crate::fault::Fault;
use crate::journal::Kind;
use crate::state::State;

/// Fields that hold what the caller wants, in the order in which they are looked for.
const PROMPT_FIELDS: [&str; 4] =
    ["prompt", "background_prompt", "foreground_prompt", "text_prompts[0][text]"];

pub(crate) fn kind(call: &Call) -> Kind {
    match (&call.method, call.parts().as_slice()) {
        (&Method::POST, ["v2beta", "stable-image", _, _] | ["v1", "generation", _, _, ..]) => Kind::Submit,
        (&Method::GET, ["v2beta", "results", _]) => Kind::Status,
        _ => Kind::Other,
    }
}

pub(crate) fn prompt(call: &Call, state: &State) -> Option<String> {
    match call.parts().as_slice() {
        ["v2beta", "results", id] => state.with_task(id, |task| task.prompt.clone()),
        ["v2beta", "stable-image", ..] | ["v1", "generation", ..] => match call.json() {
            Some(body) => Some(body.pointer("/text_prompts/0/text")?.as_str()?.to_owned()),
            None => {
                let form = Form::of(call)?;
                PROMPT_FIELDS.iter().find_map(|name| form.text(name)).map(str::to_owned)
            }
        },
        _ => None,
    }
}

pub(crate) fn answer(call: &Call, state: &State, work: Option<&Fault>) -> Answer {
    let parts = call.parts();
    let version = if parts.first() == Some(&"v1") { Version::V1 } else { Version::V2Beta };
    let account = Account::of_authorization(call, "Bearer");
    if matches!(account, Account::Missing | Account::Wrong) {
        let text = "missing or invalid authorization header";
        return Refusal::new(401, "unauthorized", text).answer(version, state);
    }
    let answered = match (&call.method, parts.as_slice()) {
        (&Method::POST, ["v2beta", "stable-image", group, name]) => match Operation::named(group, name) {
            Some(operation) => work::begin(call, state, account, operation, work),
            None => Err(Refusal::not_found()),
        },
        (&Method::GET, ["v2beta", "results", id]) => work::result(call, state, id),
        (_, ["v1", rest @ ..]) => v1::answer(call, state, account, rest, work),
        _ => Err(Refusal::not_found()),
    };
    answered.unwrap_or_else(|refusal| refusal.answer(version, state))
}

/// The provider's body for an HTTP error that the script asks for.
pub(crate) fn error_body(status: u16) -> Value {
    let name = match status {
        400 => "bad_request",
        401 => "unauthorized",
        402 => "payment_required",
        403 => "content_moderation",
        404 => "not_found",
        413 => "payload_too_large",
        422 => "invalid_language",
        429 => "rate_limit_exceeded",
        _ => "internal_error",
    };
    // The provider names no request when it limits.
    let id = if status == 429 { name } else { "5c71fab9d8b7a3bd2bd10c1e4e5d9a2f" };
    json!({"id": id, "name": name, "errors": ["The simulator was asked for this error."]})
}

/// Of the API; they differ in how they name what went wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Version {
    V1,
    V2Beta,
}

/// Why a request is not served.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Refusal {
    status: u16,
    name: String,
    errors: Vec<String>,
}

impl Refusal {
    fn new(status: u16, name: impl Into<String>, error: impl Into<String>) -> Self {
        Self { status, name: name.into(), errors: vec![error.into()] }
    }

    fn bad(error: impl Into<String>) -> Self {
        Self::new(400, "bad_request", error)
    }

    fn not_found() -> Self {
        Self::new(404, "not_found", "the requested resource was not found")
    }

    fn too_large() -> Self {
        Self::new(413, "payload_too_large", "the request must not be larger than 10MiB")
    }

    fn out_of_credit() -> Self {
        Self::new(402, "payment_required", "you lack sufficient credits to make this request")
    }

    /// The failure that a script names.
    fn failure(code: &str) -> Self {
        let status = match code {
            "unauthorized" => 401,
            "payment_required" => 402,
            "content_moderation" | "permission_denied" => 403,
            "not_found" | "generation_not_found" => 404,
            "payload_too_large" => 413,
            "public_figure" | "invalid_language" => 422,
            "rate_limit_exceeded" => 429,
            code if code == "bad_request" || code.starts_with("invalid_") => 400,
            _ => 500,
        };
        Self::new(status, code, "the request could not be served")
    }

    fn answer(self, version: Version, state: &State) -> Answer {
        let id = if self.name == "rate_limit_exceeded" { self.name.clone() } else { hex_id(state) };
        let body = match version {
            Version::V2Beta => json!({"id": id, "name": self.name, "errors": self.errors}),
            Version::V1 => json!({"id": id, "name": self.name, "message": self.errors.join("; ")}),
        };
        Answer::json(self.status, body)
    }
}

/// An id of 32 hex digits.
fn hex_id(state: &State) -> String {
    state.new_id().replace('-', "")
}
