//! Reading a caller's request: JSON in, a [`JobSpec`] or every problem of it out. Nothing is ignored silently: a field
//! that is not known, or not served yet, is a problem.

mod access;
mod attachment;
mod batch;
mod cancellation;
mod credential;
mod fields;
mod input;
mod nearest;
mod operator;
mod options;
mod pause;
mod problem;
mod studio;
mod upload;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use crate::Timestamp;
use crate::catalogue::{Catalogue, Chosen, Model, PromptRule, Unserved};
use crate::foreign::Exceptions;
use crate::ids::DocumentId;
use crate::job::{Input, JobSpec};
use crate::money::Cost;
use crate::operation::{OnUnknownOutcome, Operation, Priority, Provider};

use fields::Fields;
use problem::Problems;

pub use access::{NewApiKey, parse_new_key};
pub use attachment::Attachment;
pub use batch::{BATCH_LIMIT, BatchRequest, parse_batch};
pub use cancellation::{Cancellation, parse_cancellation};
pub use credential::{
    CredentialChange, NewCredential, check_credential, parse_credential_change, parse_new_credential,
};
pub use input::check_input_asset;
pub use nearest::nearest;
pub use operator::{SELECTION_LIMIT, Selection, parse_resolution, parse_selection};
pub use pause::{Asker, parse_pause};
pub use problem::FieldError;
pub use studio::{media_type, parse_generate};
pub use upload::{name_of_form_file, parse_upload_metadata, parse_upload_name};

/// The fields of a request, in the order of the documentation.
pub const FIELDS: &[&str] = &[
    "operation",
    "provider",
    "model",
    "prompt",
    "input_url",
    "input_asset_id",
    "config",
    "credential_id",
    "idempotency_key",
    "priority",
    "run_at",
    "delay_ms",
    "deadline_s",
    "webhook_url",
    "metadata",
    "capture_prompt",
    "on_unknown_outcome",
];

/// A start later than this is more likely a mistake than a plan.
const MAX_AHEAD: Duration = Duration::from_secs(30 * 24 * 3600);
const MAX_DEADLINE_S: u64 = 86_400;
const MAX_METADATA_BYTES: usize = 16 * 1024;

/// What a request is read against.
#[derive(Debug, Clone, Copy)]
pub struct RequestContext<'a> {
    /// The time of admission.
    pub now: Timestamp,
    /// What is served.
    pub catalogue: &'a Catalogue,
    /// For requests that name no `deadline_s`.
    pub default_deadline_s: u32,
    /// Hosts that inputs may come from although they are not public, or not https.
    pub exceptions: &'a Exceptions,
    /// The `Idempotency-Key` header, another spelling of the field.
    pub idempotency_header: Option<&'a str>,
    /// Files that came with the request. A field names one as `attachment:NAME`.
    pub attachments: &'a [Attachment],
}

/// A request that can be admitted.
#[derive(Debug, Clone, PartialEq)]
pub struct ParsedRequest {
    /// What is asked, with the catalogue's defaults put in.
    pub spec: JobSpec,
    /// The model that will be asked.
    pub model: Arc<Model>,
    /// What it will cost by the price table.
    pub cost: Cost,
    /// What the caller should know although the job can be admitted.
    pub warnings: Vec<String>,
    /// The caller's key against double submission.
    pub idempotency_key: Option<String>,
    /// Digest of what the caller said, after aliases, absent fields and nulls are made equal: a repeat has the same,
    /// whenever it comes.
    pub fingerprint: [u8; 16],
}

/// Reads a request. On failure names every problem, not only the first; nothing may be admitted then.
pub fn parse(body: &Value, context: &RequestContext<'_>) -> Result<ParsedRequest, Vec<FieldError>> {
    let mut problems = Problems::default();
    let Some(object) = body.as_object() else {
        problems.push(
            "body",
            format!("is {}", problem::kind_of(body)),
            "a JSON object with `operation` and `provider`",
        );
        return Err(problems.into_vec());
    };
    let mut fields = Fields::new(object, &mut problems);
    fields.refuse_unknown(FIELDS);

    let operation = fields.required_word("operation", Operation::parse, Operation::expected);
    let provider = fields.required_word("provider", str::parse::<Provider>, Provider::expected);
    let model_id = fields.text("model");
    let chosen = operation.zip(provider).and_then(|(operation, provider)| {
        let chosen = context.catalogue.choose(provider, operation, model_id);
        chosen
            .map_err(|unserved| fields.push_error(unserved_error(&unserved, provider, operation, model_id)))
            .ok()
    });
    let model = chosen.as_ref().map(|chosen| chosen.model.as_ref());
    let prompt = read_prompt(&mut fields, model);
    let input = input::read(&mut fields, operation, model, context);
    let asked_config = fields.object("config").map(without_nulls).unwrap_or_default();
    let mut config = read_config(&mut fields, model, &asked_config);
    let files = input::take_files(&mut fields, model, &mut config, context);
    refuse_unused_attachments(&mut fields, &input, &files, context);
    refuse_what_is_not_served(&mut fields);
    let credential_id = read_credential(&mut fields);
    let idempotency_key = read_idempotency_key(&mut fields, context.idempotency_header);
    let priority =
        fields.word("priority", str::parse::<Priority>, Priority::expected).unwrap_or(Priority::Normal);
    let asked_delay_ms = read_delay(&mut fields);
    let run_at = read_run_at(&mut fields, context.now)
        .or_else(|| asked_delay_ms.map(|delay_ms| later(context.now, Duration::from_millis(delay_ms))));
    let asked_deadline_s = fields.integer("deadline_s", 1, MAX_DEADLINE_S);
    let metadata = read_metadata(&mut fields);
    let capture_prompt = fields.boolean("capture_prompt").unwrap_or(true);
    let on_unknown_outcome = fields
        .word("on_unknown_outcome", str::parse::<OnUnknownOutcome>, OnUnknownOutcome::expected)
        .unwrap_or(OnUnknownOutcome::Fail);

    let (Some(operation), Some(provider), Some(Chosen { model, warnings }), true) =
        (operation, provider, chosen, problems.is_empty())
    else {
        return Err(problems.into_vec());
    };
    let deadline_s = asked_deadline_s.unwrap_or(u64::from(context.default_deadline_s));
    let start_from = run_at.map_or(context.now, |run_at| run_at.max(context.now));
    let spec = JobSpec {
        operation,
        provider,
        model: model.id.clone(),
        prompt,
        input,
        files,
        config,
        credential_id: credential_id.map(String::from),
        priority,
        run_at,
        start_deadline: later(start_from, Duration::from_secs(deadline_s)),
        metadata,
        capture_prompt,
        on_unknown_outcome,
    };
    let fingerprint = fingerprint(&spec, asked_config, asked_deadline_s, asked_delay_ms);
    let cost = context.catalogue.estimate(&model, &spec);
    Ok(ParsedRequest { spec, model, cost, warnings, idempotency_key, fingerprint })
}

fn unserved_error(
    unserved: &Unserved,
    provider: Provider,
    operation: Operation,
    model: Option<&str>,
) -> FieldError {
    let serving = |served_by: &[Provider]| match served_by {
        [] => format!("another operation: no provider is served for {operation} yet"),
        some => format!("for {operation} one of {}", problem::list(some)),
    };
    match unserved {
        Unserved::Provider { served_by } => FieldError::new(
            "provider",
            format!("is `{provider}`, which is not served yet"),
            serving(served_by),
        ),
        Unserved::Operation { does, served_by } => FieldError::new(
            "provider",
            format!("is `{provider}`, which does not do {operation}, only {}", problem::list(does)),
            serving(served_by),
        ),
        Unserved::Model { models } => {
            let wrong = problem::quoted(model.unwrap_or_default());
            FieldError::new(
                "model",
                format!("is {wrong}, which is not a model of {provider} for {operation}"),
                format!("one of {}", models.join(", ")),
            )
        }
    }
}

fn read_prompt(fields: &mut Fields<'_, '_>, model: Option<&Model>) -> Option<String> {
    let prompt = fields.text("prompt").filter(|text| !text.trim().is_empty());
    let Some(model) = model else {
        return prompt.map(str::to_owned);
    };
    if prompt.is_some() && model.prompt == PromptRule::Unused {
        fields.push("prompt", "is given", format!("no prompt: {} takes none", model.id));
    }
    if prompt.is_none() && model.prompt == PromptRule::Required && !fields.was_wrong("prompt") {
        let what = if fields.is_given("prompt") { "is empty" } else { "is missing" };
        fields.push("prompt", what, format!("a text: {} needs one", model.id));
    }
    if let (Some(text), Some(limit)) = (prompt, model.prompt_limit) {
        let length = limit.unit.count(text);
        if length > limit.length {
            let unit = limit.unit.noun();
            fields.push(
                "prompt",
                format!("has {length} {unit}"),
                format!("at most {} {unit} for {}", limit.length, model.id),
            );
        }
    }
    prompt.map(str::to_owned)
}

fn read_config(
    fields: &mut Fields<'_, '_>,
    model: Option<&Model>,
    asked: &Map<String, Value>,
) -> Map<String, Value> {
    let mut config = asked.clone();
    let Some(model) = model else { return config };
    let given: Map<String, Value> = if model.is_open {
        let known = asked.iter().filter(|(name, _)| model.options.contains_key(*name));
        known.map(|(name, value)| (name.clone(), value.clone())).collect()
    } else {
        asked.clone()
    };
    fields.with_problems(|problems| options::check(&model.options, &given, "config", problems));
    for (name, spec) in &model.options {
        if let (Some(default), false) = (&spec.default, config.contains_key(name)) {
            config.insert(name.clone(), default.clone());
        }
    }
    config
}

/// Fields that are part of the wire form but have nothing behind them yet. Ignoring them would be a lie.
fn refuse_what_is_not_served(fields: &mut Fields<'_, '_>) {
    if fields.text("webhook_url").is_some() {
        fields.push(
            "webhook_url",
            "is given, but webhooks are not served yet",
            "null; ask for the job with `?wait=25` instead",
        );
    }
}

/// The id of a stored credential; whether it is there and fits the provider is asked later.
fn read_credential(fields: &mut Fields<'_, '_>) -> Option<DocumentId> {
    let text = fields.text("credential_id")?;
    let id = text.parse().ok();
    if id.is_none() {
        fields.push(
            "credential_id",
            format!("is {}", problem::quoted(text)),
            "the id of a credential of this workspace, or null for its default of the provider",
        );
    }
    id
}

fn read_idempotency_key(fields: &mut Fields<'_, '_>, header: Option<&str>) -> Option<String> {
    const EXPECTED: &str = "1 to 255 printable ASCII characters";
    let is_fit =
        |key: &str| (1..=255).contains(&key.len()) && key.bytes().all(|byte| (b' '..=b'~').contains(&byte));
    let field = fields.text("idempotency_key");
    for key in [field, header].into_iter().flatten().filter(|key| !is_fit(key)).take(1) {
        let length = key.chars().count();
        let problem = if length > 255 {
            format!("has {length} characters")
        } else {
            "is empty or not printable".to_owned()
        };
        fields.push("idempotency_key", problem, EXPECTED);
    }
    if let (Some(field), Some(header)) = (field, header)
        && field != header
    {
        fields.push(
            "idempotency_key",
            "differs from the `Idempotency-Key` header",
            "one of the two, or the same in both",
        );
    }
    field.or(header).map(str::to_owned)
}

fn read_run_at(fields: &mut Fields<'_, '_>, now: Timestamp) -> Option<Timestamp> {
    const EXPECTED: &str = "an RFC 3339 time such as 2026-11-22T09:30:00Z";
    let text = fields.text("run_at")?;
    match text.parse::<Timestamp>() {
        Ok(run_at) if run_at <= later(now, MAX_AHEAD) => Some(run_at),
        Ok(_) => {
            fields.push("run_at", "is more than 30 days ahead", "a time within the next 30 days");
            None
        }
        Err(_) => {
            fields.push("run_at", format!("is {}", problem::quoted(text)), EXPECTED);
            None
        }
    }
}

fn read_delay(fields: &mut Fields<'_, '_>) -> Option<u64> {
    let most = u64::try_from(MAX_AHEAD.as_millis()).unwrap_or(u64::MAX);
    let delay_ms = fields.integer("delay_ms", 0, most);
    if delay_ms.is_some() && fields.is_given("run_at") {
        fields.push("delay_ms", "is given beside `run_at`", "one of the two");
    }
    delay_ms
}

fn read_metadata(fields: &mut Fields<'_, '_>) -> Map<String, Value> {
    let metadata = fields.object("metadata").cloned().unwrap_or_default();
    let size_bytes = serde_json::to_vec(&metadata).map_or(usize::MAX, |text| text.len());
    if size_bytes > MAX_METADATA_BYTES {
        fields.push(
            "metadata",
            format!("has {size_bytes} bytes as JSON"),
            format!("at most {MAX_METADATA_BYTES} bytes"),
        );
    }
    metadata
}

fn later(time: Timestamp, by: Duration) -> Timestamp {
    time.checked_add(by).unwrap_or(Timestamp::MAX)
}

/// Nulls mean absent, also within options.
fn without_nulls(object: &Map<String, Value>) -> Map<String, Value> {
    let given = object.iter().filter(|(_, value)| !value.is_null());
    given
        .map(|(name, value)| {
            let kept = value.as_object().map(|inner| Value::Object(without_nulls(inner)));
            (name.clone(), kept.unwrap_or_else(|| value.clone()))
        })
        .collect()
}

/// The deadline goes in as it was asked: the instant that follows from it differs from repeat to repeat.
fn fingerprint(
    spec: &JobSpec,
    asked_config: Map<String, Value>,
    asked_deadline_s: Option<u64>,
    asked_delay_ms: Option<u64>,
) -> [u8; 16] {
    let mut said = json!({
        "operation": spec.operation,
        "provider": spec.provider,
        "model": spec.model,
        "prompt": spec.prompt,
        "input": spec.input.as_ref().map(said_input),
        "files": spec.files.iter().map(|(name, file)| (name.clone(), said_input(file))).collect::<Map<_, _>>(),
        "config": asked_config,
        "credential_id": spec.credential_id,
        "priority": spec.priority,
        // A delay counts from each request, so that its end differs; what was said is the same.
        "run_at": spec.run_at.filter(|_| asked_delay_ms.is_none()),
        "deadline_s": asked_deadline_s,
        "metadata": spec.metadata,
        "capture_prompt": spec.capture_prompt,
        "on_unknown_outcome": spec.on_unknown_outcome,
    });
    // Left out where absent: the digest of a request without it is the same as before there was such a field.
    if let (Some(delay_ms), Some(said)) = (asked_delay_ms, said.as_object_mut()) {
        said.insert("delay_ms".to_owned(), json!(delay_ms));
    }
    said.sort_all_objects();
    let digest = Sha256::digest(said.to_string());
    digest.first_chunk::<16>().copied().unwrap_or_default()
}

/// Bytes are what they are, wherever and whenever they were kept.
fn said_input(input: &Input) -> Value {
    match input {
        Input::Staged(staged) => json!({"sha256": staged.sha256}),
        other @ (Input::Url(_) | Input::Asset(_)) => json!(other),
    }
}

/// A file that nothing refers to was meant for something.
fn refuse_unused_attachments(
    fields: &mut Fields<'_, '_>,
    input: &Option<Input>,
    files: &BTreeMap<String, Input>,
    context: &RequestContext<'_>,
) {
    let used: Vec<&str> = input
        .iter()
        .chain(files.values())
        .filter_map(|input| match input {
            Input::Staged(staged) => Some(staged.key.as_str()),
            Input::Url(_) | Input::Asset(_) => None,
        })
        .collect();
    for attachment in context.attachments {
        let field = attachment.field();
        if !used.contains(&attachment.staged.key.as_str()) && !fields.was_wrong(&field) {
            fields.push(
                &field,
                "is sent along, but the job does not use it",
                "no such file, or an option that takes it",
            );
        }
    }
}

#[cfg(test)]
mod tests;
