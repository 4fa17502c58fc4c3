//! Calls of every provider, and any text as a reply: for the property tests here, the benches and the fuzzer.

use atelier_domain::Timestamp;
use atelier_domain::catalogue::{Catalogue, Model, OptionKind, OptionSpec, PromptRule};
use atelier_domain::job::{JobSpec, RemoteOperation};
use atelier_domain::operation::{OnUnknownOutcome, Operation, Priority, Provider};
use atelier_domain::ports::{PreparedInput, ProviderKey, SubmitCall};
use atelier_domain::secret::Secret;
use atelier_providers::{HttpReply, Protocol, ReplyHead};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::{Map, Value, json};

pub const KEY: &str = "id0123456789abcdef:secretfedcba9876543210";

/// Reads any bytes as a fixture is written: comments, status line, headers, an empty line, body. What cannot be read is
/// passed over.
pub fn reply(text: &[u8]) -> HttpReply {
    let end = text.windows(2).position(|pair| pair == b"\n\n");
    let (top, body) = match end.and_then(|end| text.split_at_checked(end)) {
        Some((top, rest)) => (top, rest.get(2..).unwrap_or_default()),
        None => (text, &[][..]),
    };
    let mut lines = top.split(|byte| *byte == b'\n').filter(|line| !line.starts_with(b"#"));
    let word = lines.next().and_then(|line| line.split(|byte| *byte == b' ').nth(1));
    let status = word.and_then(|word| std::str::from_utf8(word).ok()?.parse().ok());
    let header = |line: &[u8]| {
        let colon = line.iter().position(|byte| *byte == b':')?;
        let (name, rest) = line.split_at_checked(colon)?;
        let value = rest.get(1..)?.trim_ascii();
        Some((HeaderName::from_bytes(name).ok()?, HeaderValue::from_bytes(value).ok()?))
    };
    let headers: HeaderMap = lines.filter_map(header).collect();
    let head = ReplyHead { status: status.unwrap_or(200), headers };
    HttpReply { head, body: Bytes::copy_from_slice(body), is_cut: false }
}

/// One call for each operation that each model of the provider in the catalogue does, with the options that it needs.
pub fn calls(catalogue: &Catalogue, provider: Provider, protocol: &dyn Protocol) -> Vec<SubmitCall> {
    let models = catalogue.models().filter(|model| model.provider == provider);
    let calls =
        models.flat_map(|model| model.operations.iter().map(|operation| call(model, *operation, protocol)));
    calls.collect()
}

/// A call that no catalogue knows.
pub fn bare_call(provider: Provider, operation: Operation) -> SubmitCall {
    let spec = JobSpec {
        operation,
        provider,
        model: "owner/model".to_owned(),
        prompt: Some("a fox in the snow".to_owned()),
        input: None,
        files: Default::default(),
        config: Map::new(),
        credential_id: None,
        priority: Priority::Normal,
        run_at: None,
        start_deadline: now(),
        metadata: Map::new(),
        capture_prompt: true,
        on_unknown_outcome: OnUnknownOutcome::Fail,
    };
    let key = ProviderKey(Secret::new(KEY.to_owned()));
    SubmitCall { spec, input: None, files: Default::default(), key, callback_url: None }
}

pub fn remote() -> RemoteOperation {
    RemoteOperation { id: "id-1".to_owned(), submitted_at: now(), urls: Default::default() }
}

pub fn now() -> Timestamp {
    Timestamp::from_second(1_795_500_000).unwrap_or_default()
}

fn call(model: &Model, operation: Operation, protocol: &dyn Protocol) -> SubmitCall {
    let mut call = bare_call(model.provider, operation);
    call.spec.model.clone_from(&model.id);
    if model.prompt == PromptRule::Unused {
        call.spec.prompt = None;
    }
    for (name, option) in &model.options {
        let value = option.default.clone().or_else(|| option.is_required.then(|| example(option)));
        if option.is_required && option.kinds.contains(&OptionKind::File) {
            let file = file(protocol, &call.spec, Some(name), "image/png");
            call.files.insert(name.clone(), file);
        } else if let Some(value) = value {
            call.spec.config.insert(name.clone(), value);
        }
    }
    if operation.needs_input() {
        let content_type = if operation == Operation::Stt { "audio/mpeg" } else { "image/png" };
        call.input = Some(file(protocol, &call.spec, None, content_type));
    }
    call
}

fn file(protocol: &dyn Protocol, spec: &JobSpec, option: Option<&str>, content_type: &str) -> PreparedInput {
    if protocol.input_forms(spec, option).takes_url {
        return PreparedInput::Url("https://example.com/fox.png".to_owned());
    }
    PreparedInput::Bytes { content_type: content_type.to_owned(), bytes: Bytes::from_static(b"a file") }
}

/// A value that the catalogue allows.
fn example(option: &OptionSpec) -> Value {
    if let Some(value) = option.one_of.first() {
        return value.clone();
    }
    let number = option.min.or(option.max).unwrap_or(1.0);
    match option.kinds.first() {
        Some(OptionKind::Integer) => json!(number as i64),
        Some(OptionKind::Number) => json!(number),
        Some(OptionKind::Boolean) => json!(true),
        Some(OptionKind::List) => option.items.iter().map(|items| example(items)).collect(),
        Some(OptionKind::Object) => option
            .fields
            .iter()
            .map(|(name, field)| (name.clone(), example(field)))
            .collect::<Map<_, _>>()
            .into(),
        Some(OptionKind::String | OptionKind::File) | None => json!("xyz"),
    }
}
