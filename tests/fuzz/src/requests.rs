//! A caller's request: a line with the content type, then the body. What can be admitted is also written to its
//! provider, whose adapter trusts the api.

use std::sync::LazyLock;

use atelier_api::read_body_pieces;
use atelier_domain::asset::extension_of;
use atelier_domain::catalogue::Catalogue;
use atelier_domain::foreign::Exceptions;
use atelier_domain::job::StagedInput;
use atelier_domain::operation::Provider;
use atelier_domain::ports::{ExpectedContent, NewObject, PreparedInput};
use atelier_domain::request::{self, Attachment, ParsedRequest, RequestContext};
use atelier_providers::{Protocol, ProviderSettings, Writing, protocol};
use atelier_s3_store::probe_pieces;
use bytes::Bytes;

use crate::{pieces, samples};

/// As in a small installation; both limits are within reach of the fuzzer.
const JSON_BYTES: usize = 2 * 1024;
const FILE_BYTES: usize = 4 * 1024;

static CATALOGUE: LazyLock<Option<Catalogue>> = LazyLock::new(|| Catalogue::builtin().ok());
static PROTOCOLS: LazyLock<Vec<(Provider, Box<dyn Protocol>)>> = LazyLock::new(|| {
    let settings = ProviderSettings::default();
    let pair = |provider: &Provider| Some((*provider, protocol(*provider, &settings).ok()?));
    Provider::ALL.iter().filter_map(pair).collect()
});

pub(crate) fn attack(data: &[u8]) {
    let Some(end) = data.iter().position(|byte| *byte == b'\n') else { return };
    let (line, rest) = data.split_at_checked(end).unwrap_or((data, &[]));
    let Ok(content_type) = std::str::from_utf8(line) else { return };
    let body = rest.get(1..).unwrap_or_default();
    let copied = pieces(body).into_iter().map(Bytes::copy_from_slice).collect();
    let reading = read_body_pieces(content_type, copied, JSON_BYTES, FILE_BYTES);
    let Ok((value, files)) = futures::executor::block_on(reading) else { return };
    let mut attachments = Vec::new();
    for file in files {
        assert!(file.bytes.len() <= FILE_BYTES, "a file is larger than the limit");
        let object = NewObject {
            key_prefix: "staged".to_owned(),
            claimed_type: file.content_type,
            expects: ExpectedContent::AnyMedia,
            length_bytes: Some(file.bytes.len() as u64),
        };
        let Ok(found) = probe_pieces(object, &[&file.bytes]) else { return };
        let key = format!("staged.{}", extension_of(&found.content_type));
        let staged = StagedInput {
            key,
            content_type: found.content_type,
            size_bytes: found.size_bytes,
            sha256: found.sha256,
        };
        attachments.push(Attachment { name: file.name, staged, facts: found.facts });
    }
    let catalogue = CATALOGUE.as_ref();
    assert!(catalogue.is_some(), "the catalogue is built in");
    let Some(catalogue) = catalogue else { return };
    let context = RequestContext {
        now: samples::now(),
        catalogue,
        default_deadline_s: 3600,
        exceptions: &Exceptions::default(),
        idempotency_header: None,
        attachments: &attachments,
    };
    if let Ok(parsed) = request::parse(&value, &context) {
        write(parsed);
    }
}

/// Nothing that was admitted may end an adapter.
fn write(parsed: ParsedRequest) {
    let spec = parsed.spec;
    let Some((_, protocol)) = PROTOCOLS.iter().find(|(provider, _)| *provider == spec.provider) else {
        return;
    };
    let mut call = samples::bare_call(spec.provider, spec.operation);
    let file = |option: Option<&str>| {
        if protocol.input_forms(&spec, option).takes_url {
            PreparedInput::Url("https://example.com/fox.png".to_owned())
        } else {
            let bytes = Bytes::from_static(b"a file");
            PreparedInput::Bytes { content_type: "image/png".to_owned(), bytes }
        }
    };
    call.input = spec.input.is_some().then(|| file(None));
    call.files = spec.files.keys().map(|option| (option.clone(), file(Some(option)))).collect();
    call.spec = spec;
    for writing in Writing::ALL {
        let _ = protocol.write(writing, &call, &samples::remote());
    }
}
