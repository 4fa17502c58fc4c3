//! The part of a record that changes seldom or never, as MessagePack with names of one letter.
//!
//! Waiting jobs are kept by the million, and most of what a JSON body holds is its names. Defaults are left out; a
//! field that a build does not know is skipped, and one that an older build did not write gets its default.

use std::borrow::Cow;
use std::collections::BTreeMap;

use atelier_domain::Timestamp;
use atelier_domain::asset::Asset;
use atelier_domain::error::JobError;
use atelier_domain::ids::{JobId, WorkspaceId};
use atelier_domain::job::{Input, JobBody, JobSpec, Output, RemoteOperation};
use atelier_domain::ledger::PaidCall;
use atelier_domain::money::{Cost, CostSource, MicroUsd, PriceUnit, UnitPrice};
use atelier_domain::operation::{OnUnknownOutcome, Operation, Priority, Provider};
use atelier_domain::trace::{JobTrace, TraceParent};
use serde::{Deserialize, Serialize};

use super::RecordError;
use super::facts::Facts;
use super::moment::{self, Packed};

/// The letters. One that was ever used for something is not used for something else.
#[derive(Serialize, Deserialize)]
struct Body<'a> {
    #[serde(rename = "w")]
    workspace_id: Cow<'a, WorkspaceId>,
    #[serde(rename = "o")]
    operation: Operation,
    #[serde(rename = "p")]
    provider: Provider,
    #[serde(rename = "m")]
    model: Cow<'a, str>,
    #[serde(rename = "t", default, skip_serializing_if = "Option::is_none")]
    prompt: Option<Cow<'a, str>>,
    #[serde(rename = "i", default, skip_serializing_if = "Option::is_none")]
    input: Option<Cow<'a, Input>>,
    #[serde(rename = "f", default, skip_serializing_if = "is_default")]
    files: Cow<'a, BTreeMap<String, Input>>,
    #[serde(rename = "c", default, skip_serializing_if = "is_default")]
    config: Cow<'a, serde_json::Map<String, serde_json::Value>>,
    #[serde(rename = "k", default, skip_serializing_if = "Option::is_none")]
    credential_id: Option<Cow<'a, str>>,
    #[serde(rename = "y", default, skip_serializing_if = "Option::is_none")]
    priority: Option<Priority>,
    #[serde(rename = "r", default, skip_serializing_if = "Option::is_none")]
    run_at_ns: Option<i64>,
    #[serde(rename = "d", default, skip_serializing_if = "is_default")]
    metadata: Cow<'a, serde_json::Map<String, serde_json::Value>>,
    #[serde(rename = "h", default, skip_serializing_if = "is_default")]
    hides_prompt: bool,
    #[serde(rename = "u", default, skip_serializing_if = "Option::is_none")]
    on_unknown_outcome: Option<OnUnknownOutcome>,
    #[serde(rename = "P", default, skip_serializing_if = "is_default")]
    paid_calls: Cow<'a, [PaidCall]>,
    #[serde(rename = "R", default, skip_serializing_if = "Option::is_none")]
    remote: Option<Cow<'a, RemoteOperation>>,
    #[serde(rename = "s", default, skip_serializing_if = "Option::is_none")]
    provider_status: Option<Cow<'a, str>>,
    #[serde(rename = "O", default, skip_serializing_if = "is_default")]
    outputs: Cow<'a, [Output]>,
    #[serde(rename = "X", default, skip_serializing_if = "Option::is_none")]
    outputs_expire_at_ns: Option<i64>,
    #[serde(rename = "A", default, skip_serializing_if = "is_default")]
    assets: Cow<'a, [Asset]>,
    #[serde(rename = "x", default, skip_serializing_if = "Option::is_none")]
    text: Option<Cow<'a, str>>,
    #[serde(rename = "H", default, skip_serializing_if = "Vec::is_empty")]
    history: Vec<Packed<'a>>,
    #[serde(rename = "Y", default, skip_serializing_if = "Option::is_none")]
    replay_of: Option<Cow<'a, JobId>>,
    #[serde(rename = "e", default, skip_serializing_if = "is_default")]
    estimated: MicroUsd,
    #[serde(rename = "a", default, skip_serializing_if = "Option::is_none")]
    actual: Option<MicroUsd>,
    #[serde(rename = "z", default, skip_serializing_if = "Option::is_none")]
    cost_source: Option<CostSource>,
    #[serde(rename = "n", default, skip_serializing_if = "Option::is_none")]
    price: Option<(PriceUnit, MicroUsd)>,
    #[serde(rename = "E", default, skip_serializing_if = "Option::is_none")]
    error: Option<Cow<'a, JobError>>,
    #[serde(rename = "W", default, skip_serializing_if = "is_default")]
    warnings: Cow<'a, [String]>,
    #[serde(rename = "T", default, skip_serializing_if = "Option::is_none")]
    tracestate: Option<Cow<'a, str>>,
    #[serde(rename = "S", default, skip_serializing_if = "Option::is_none")]
    scheduled_by: Option<TraceParent>,
}

fn is_default<T: ?Sized + IsDefault>(value: &T) -> bool {
    value.is_default()
}

/// What is not worth its bytes.
trait IsDefault {
    fn is_default(&self) -> bool;
}

impl IsDefault for bool {
    fn is_default(&self) -> bool {
        !self
    }
}

impl IsDefault for MicroUsd {
    fn is_default(&self) -> bool {
        self.0 == 0
    }
}

impl IsDefault for Cow<'_, serde_json::Map<String, serde_json::Value>> {
    fn is_default(&self) -> bool {
        self.is_empty()
    }
}

impl IsDefault for Cow<'_, BTreeMap<String, Input>> {
    fn is_default(&self) -> bool {
        self.is_empty()
    }
}

impl<T: Clone> IsDefault for Cow<'_, [T]> {
    fn is_default(&self) -> bool {
        self.is_empty()
    }
}

/// Nanoseconds since 1970; fails for times after the year 2262.
pub(super) fn nanos(time: Timestamp) -> Result<i64, RecordError> {
    i64::try_from(time.as_nanosecond()).map_err(|_| RecordError::Time)
}

/// The reverse of [`nanos`].
pub(super) fn time(nanos: i64) -> Result<Timestamp, RecordError> {
    Timestamp::from_nanosecond(i128::from(nanos)).map_err(|_| RecordError::Time)
}

/// Appends everything of `body` that [`Facts`] do not hold.
pub(super) fn write(body: &JobBody, record: &mut Vec<u8>) -> Result<(), RecordError> {
    // Taken apart whole: a new field does not compile until it has its place here or in the facts.
    let JobBody {
        workspace_id,
        spec,
        attempts: _,
        failures: _,
        waits: _,
        paid_calls,
        remote,
        provider_status,
        outputs,
        outputs_expire_at,
        assets,
        text,
        history,
        replay_of,
        cost: Cost { estimated, actual, source, price },
        error,
        warnings,
        trace: JobTrace { producer: _, tracestate, media_span_id: _, scheduled_by },
        created_at,
        started_at: _,
        completed_at: _,
    } = body;
    let JobSpec {
        operation,
        provider,
        model,
        prompt,
        input,
        files,
        config,
        credential_id,
        priority,
        run_at,
        start_deadline: _,
        metadata,
        capture_prompt,
        on_unknown_outcome,
    } = spec;
    let body = Body {
        workspace_id: Cow::Borrowed(workspace_id),
        operation: *operation,
        provider: *provider,
        model: model.into(),
        prompt: prompt.as_deref().map(Cow::Borrowed),
        input: input.as_ref().map(Cow::Borrowed),
        files: Cow::Borrowed(files),
        config: Cow::Borrowed(config),
        credential_id: credential_id.as_deref().map(Cow::Borrowed),
        priority: (*priority != Priority::Normal).then_some(*priority),
        run_at_ns: run_at.map(nanos).transpose()?,
        metadata: Cow::Borrowed(metadata),
        hides_prompt: !capture_prompt,
        on_unknown_outcome: (*on_unknown_outcome != OnUnknownOutcome::Fail).then_some(*on_unknown_outcome),
        paid_calls: paid_calls.into(),
        remote: remote.as_ref().map(Cow::Borrowed),
        provider_status: provider_status.as_deref().map(Cow::Borrowed),
        outputs: outputs.into(),
        outputs_expire_at_ns: outputs_expire_at.map(nanos).transpose()?,
        assets: assets.into(),
        text: text.as_deref().map(Cow::Borrowed),
        history: history.iter().map(|moment| moment::pack(moment, *created_at)).collect(),
        replay_of: replay_of.as_ref().map(Cow::Borrowed),
        estimated: *estimated,
        actual: *actual,
        cost_source: (*source != CostSource::Table).then_some(*source),
        price: price.map(|price| (price.unit, price.micro_usd)),
        error: error.as_ref().map(Cow::Borrowed),
        warnings: warnings.into(),
        tracestate: tracestate.as_deref().map(Cow::Borrowed),
        scheduled_by: *scheduled_by,
    };
    let mut serializer = rmp_serde::Serializer::new(record).with_struct_map();
    body.serialize(&mut serializer).map_err(RecordError::Encode)
}

/// Reads what [`write`] has written, and puts it together with the facts.
pub(super) fn read(bytes: &[u8], facts: &Facts) -> Result<JobBody, RecordError> {
    let body: Body<'static> = rmp_serde::from_slice(bytes).map_err(RecordError::Packed)?;
    Ok(JobBody {
        workspace_id: body.workspace_id.into_owned(),
        spec: JobSpec {
            operation: body.operation,
            provider: body.provider,
            model: body.model.into_owned(),
            prompt: body.prompt.map(Cow::into_owned),
            input: body.input.map(Cow::into_owned),
            files: body.files.into_owned(),
            config: body.config.into_owned(),
            credential_id: body.credential_id.map(Cow::into_owned),
            priority: body.priority.unwrap_or(Priority::Normal),
            run_at: body.run_at_ns.map(time).transpose()?,
            start_deadline: facts.start_deadline,
            metadata: body.metadata.into_owned(),
            capture_prompt: !body.hides_prompt,
            on_unknown_outcome: body.on_unknown_outcome.unwrap_or(OnUnknownOutcome::Fail),
        },
        attempts: facts.attempts,
        failures: facts.failures,
        waits: facts.waits,
        paid_calls: body.paid_calls.into_owned(),
        remote: body.remote.map(Cow::into_owned),
        provider_status: body.provider_status.map(Cow::into_owned),
        outputs: body.outputs.into_owned(),
        outputs_expire_at: body.outputs_expire_at_ns.map(time).transpose()?,
        assets: body.assets.into_owned(),
        text: body.text.map(Cow::into_owned),
        history: moment::unpack_all(body.history, facts.created_at),
        replay_of: body.replay_of.map(Cow::into_owned),
        cost: Cost {
            estimated: body.estimated,
            actual: body.actual,
            source: body.cost_source.unwrap_or(CostSource::Table),
            price: body.price.map(|(unit, micro_usd)| UnitPrice { unit, micro_usd }),
        },
        error: body.error.map(Cow::into_owned),
        warnings: body.warnings.into_owned(),
        trace: JobTrace {
            producer: facts.producer,
            tracestate: body.tracestate.map(Cow::into_owned),
            media_span_id: facts.media_span_id,
            scheduled_by: body.scheduled_by,
        },
        created_at: facts.created_at,
        started_at: facts.started_at,
        completed_at: facts.completed_at,
    })
}

/// Whether two bodies differ in what only a whole record holds: not in the counters and times of the header.
pub fn differs(before: &JobBody, after: &JobBody) -> bool {
    let JobBody {
        workspace_id,
        spec,
        attempts: _,
        failures: _,
        waits: _,
        paid_calls,
        remote,
        provider_status,
        outputs,
        outputs_expire_at,
        assets,
        text,
        history,
        replay_of,
        cost,
        error,
        warnings,
        trace,
        created_at,
        started_at: _,
        completed_at: _,
    } = before;
    *remote != after.remote
        || *provider_status != after.provider_status
        || *cost != after.cost
        || *error != after.error
        || *paid_calls != after.paid_calls
        || *outputs != after.outputs
        || *outputs_expire_at != after.outputs_expire_at
        || *replay_of != after.replay_of
        || *history != after.history
        || *assets != after.assets
        || *text != after.text
        || *warnings != after.warnings
        || *trace != after.trace
        || *created_at != after.created_at
        || *workspace_id != after.workspace_id
        || *spec != after.spec
}
