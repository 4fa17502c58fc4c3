//! Replicate: predictions, models, files and webhooks, as in the contract sheet of 2026-11-22.
//!
//! | fact | value | kind |
//! |---|---|---|
//! | `Prefer: wait` in time, too early | 201, 202 | documented; recorded traffic also shows 201 for the second |
//! | `Prefer: wait=N` out of 1 to 60 | the nearest that is allowed | assumed |
//! | `Cancel-After` | any whole seconds, minutes, hours | format documented, limits unknown |
//! | unknown property of `input` | ignored | documented (cog, pull request 2943) |
//! | unknown name in a path, in `version` | 404, 422 | documented, observed |
//! | `GET` of an uploaded file | its description; the bytes are at `/download` | observed, documented |
//! | `md5` of an uploaded file | left out; `etag` is the SHA-256 | of the simulator |
//! | out of credit | 402 at the creation | documented, moment assumed |
//! | aborted predictions | stand as accepted in the journal, though the provider does not bill them | of the simulator |
//! | community model by its name alone | 404, 422 | assumed |
//! | `output` event | status `processing`, output there | assumed, as in answers that waited |

mod address;
mod files;
mod input;
mod models;
mod prediction;
mod refusal;
mod request;
mod schema;
mod timeline;
mod webhook;

use http::Method;
use jiff::Timestamp;
use serde_json::json;

use self::address::Address;
pub(crate) use self::files::Uploads;
use self::refusal::Refusal;
use self::request::{NamedBy, Request};
use crate::answer::Answer;
use crate::call::{Account, Call};
use crate::fault::Fault;
use crate::journal::Kind;
use crate::state::State;

/// Hardware and its `sku`.
const HARDWARE: [(&str, &str); 5] = [
    ("CPU", "cpu"),
    ("Nvidia T4 GPU", "gpu-t4"),
    ("Nvidia L40S GPU", "gpu-l40s"),
    ("Nvidia A100 (80GB) GPU", "gpu-a100-large"),
    ("Nvidia H100 GPU", "gpu-h100"),
];
/// Seconds until a limit is reset when the script does not say.
const RESET_S: u64 = 1;

pub(crate) fn kind(call: &Call) -> Kind {
    match (&call.method, call.parts().as_slice()) {
        (&Method::POST, ["v1", "predictions"] | ["v1", "models" | "deployments", _, _, "predictions"]) => {
            Kind::Submit
        }
        (&Method::GET, ["v1", "predictions", _]) => Kind::Status,
        (&Method::POST, ["v1", "predictions", _, "cancel"]) => Kind::Cancel,
        _ => Kind::Other,
    }
}

pub(crate) fn prompt(call: &Call, state: &State) -> Option<String> {
    match call.parts().as_slice() {
        ["v1", "predictions", id] | ["v1", "predictions", id, "cancel"] => {
            state.with_task(id, |task| task.prompt.clone())
        }
        _ => input::prompt_of(call.json()?.get("input")?),
    }
}

pub(crate) fn answer(call: &Call, state: &State, work: Option<&Fault>) -> Answer {
    let account = match Account::of_authorization(call, "Bearer") {
        Account::Missing => Account::of_authorization(call, "Token"), // the older scheme
        account => account,
    };
    if matches!(account, Account::Missing | Account::Wrong) {
        return error(401, None);
    }
    let answer = match (&call.method, call.parts().as_slice()) {
        (&Method::POST, ["v1", "predictions"]) => {
            create(call, state, account, NamedBy::Body, work, |request| Address::of_version(&request.version))
        }
        (&Method::POST, ["v1", "models", owner, name, "predictions"]) => {
            create(call, state, account, NamedBy::Path, work, |_| Address::of_model(owner, name))
        }
        (&Method::POST, ["v1", "deployments", owner, name, "predictions"]) => {
            create(call, state, account, NamedBy::Path, work, |_| Address::of_deployment(owner, name))
        }
        (&Method::GET, ["v1", "predictions"]) => prediction::list(call, state),
        (&Method::GET, ["v1", "predictions", id]) => prediction::get(call, state, id),
        (&Method::POST, ["v1", "predictions", id, "cancel"]) => prediction::cancel(call, state, id),
        (&Method::GET, ["v1", "models", owner, name]) => schema::model(call, owner, name),
        (&Method::GET, ["v1", "models", owner, name, "versions"]) => schema::versions(owner, name),
        (&Method::GET, ["v1", "models", owner, name, "versions", id]) => schema::version(owner, name, id),
        (&Method::GET, ["v1", "deployments", owner, name]) => deployment(owner, name),
        (&Method::POST, ["v1", "files"]) => files::create(call, state),
        (&Method::GET, ["v1", "files"]) => files::list(call, state),
        (&Method::GET, ["v1", "files", id]) => files::get(call, state, id),
        (&Method::DELETE, ["v1", "files", id]) => files::delete(state, id),
        (&Method::GET, ["v1", "files", id, "download"]) => files::download(state, id),
        (&Method::GET, ["v1", "webhooks", "default", "secret"]) => {
            Answer::json(200, json!({"key": webhook::secret(state)}))
        }
        (&Method::GET, ["v1", "account"]) => Answer::json(
            200,
            json!({"type": "organization", "username": "simulated", "name": "Simulated", "github_url": null}),
        ),
        (&Method::GET, ["v1", "hardware"]) => {
            Answer::json(200, HARDWARE.iter().map(|(name, sku)| json!({"name": name, "sku": sku})).collect())
        }
        _ => Refusal::NotFound.answer(),
    };
    if answer.accepted.is_some() {
        answer
    } else {
        answer.header("ratelimit-remaining", "2999").header("ratelimit-reset", "1")
    }
}

/// The provider's answer to an HTTP error that the script asks for.
pub(crate) fn error(status: u16, retry_after_s: Option<u64>) -> Answer {
    let body = match status {
        401 => json!({
            "title": "Unauthenticated",
            "detail": "You did not pass a valid authentication token",
            "status": 401,
        }),
        402 => json!({
            "title": "Insufficient credit",
            "detail": "You have insufficient credit to run this model. Add credit to your account and try again.",
            "status": 402,
        }),
        404 => return Refusal::NotFound.answer(),
        429 => {
            let reset_s = retry_after_s.unwrap_or(RESET_S);
            json!({
                "title": "Too many requests",
                "detail": format!("Request was throttled. Your rate limit resets in ~{reset_s}s."),
                "status": 429,
                "retry_after": reset_s,
            })
        }
        _ => json!({"detail": "The simulator was asked for this error.", "status": status}),
    };
    Answer::problem(status, body)
}

fn create(
    call: &Call,
    state: &State,
    account: Account,
    named_by: NamedBy,
    work: Option<&Fault>,
    find: impl FnOnce(&Request) -> Result<Address, Refusal>,
) -> Answer {
    let found = Request::of(call, named_by).and_then(|request| Ok((find(&request)?, request)));
    let (address, request) = match found {
        Ok(found) => found,
        Err(refused) => return refused.answer(),
    };
    let invalid = input::check(address.model, &request.input);
    if !invalid.is_empty() {
        return Refusal::Fields(invalid).answer();
    }
    if account == Account::NoMoney {
        return error(402, None);
    }
    prediction::create(call, state, address, &request, work)
}

fn deployment(owner: &str, name: &str) -> Answer {
    let address = match Address::of_deployment(owner, name) {
        Ok(address) => address,
        Err(refused) => return refused.answer(),
    };
    let release = json!({
        "number": 1,
        "model": address.name,
        "version": address.model.version_ids().first(),
        "created_at": "2024-05-30T12:00:00.000000Z",
        "created_by": {"type": "organization", "username": owner, "name": owner, "github_url": null},
        "configuration": {"hardware": "gpu-l40s", "min_instances": 0, "max_instances": 1},
    });
    Answer::json(200, json!({"owner": owner, "name": name, "current_release": release}))
}

/// A moment as the provider writes it.
fn time(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()
}
