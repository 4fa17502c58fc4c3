//! Whatever a provider sends, reading it gives a value or an error: never a panic, never the key, never a second paid
//! call after a 2xx.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::LazyLock;

use atelier_domain::catalogue::Catalogue;
use atelier_domain::error::ProviderError;
use atelier_domain::operation::{Operation, Provider};
use atelier_domain::ports::{CallbackRequest, SubmitCall};
use atelier_providers::{
    HeaderText, HttpReply, HttpRequest, Protocol, ProviderSettings, Reading, ReplyHead, Writing, protocol,
};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use proptest::sample::{Index, select};
use serde_json::{Map, Value, json};

use crate::fixtures::{self, Sample};
use crate::json_change::{JsonChange, change_place, places};
use crate::samples::{self, KEY};

/// Cases of each property at each provider, unless `PROPTEST_CASES` asks for more.
const CASES: u32 = 96;
/// Numbers at the edges of what a field may be read as.
const NUMBERS: [f64; 10] = [
    0.0,
    -1.0,
    0.5,
    1e-300,
    1e300,
    f64::MAX,
    f64::MIN,
    9_007_199_254_740_993.0,
    1.844_674_407_370_955_2e19,
    -0.0,
];
/// Texts that mean something to some reader.
const TEXTS: [&str; 14] = [
    "",
    ".",
    "..",
    "a/b?c#d",
    "-1",
    "1e400",
    "18446744073709551616",
    "2026-11-24T00:00:00Z",
    "9999-12-31T23:59:59.999999999Z",
    "https://cdn.example.com/a.mp4?token=x",
    "http://[::1",
    "data:image/png;base64,iVBORw0KGgo=",
    "data:;base64,%%%",
    KEY,
];
const HEADERS: [&str; 12] = [
    "content-type",
    "retry-after",
    "retry-after-ms",
    "date",
    "location",
    "character-cost",
    "request-id",
    "x-request-id",
    "x-fal-retryable",
    "x-fal-error-type",
    "seed",
    "finish-reason",
];
const HEADER_VALUES: [&str; 12] = [
    "application/json",
    "audio/mpeg; charset=\"x",
    "image/png",
    "text/html",
    "0",
    "-3",
    "1e308",
    "NaN",
    "inf",
    "Sun, 22 Nov 2026 10:00:30 GMT",
    "Thu, 01 Jan 9999 00:00:00 GMT",
    "true",
];

/// A provider in one setting, with what there is of it in the catalogue and in the fixtures.
struct Subject {
    provider: Provider,
    protocol: Box<dyn Protocol>,
    calls: Vec<SubmitCall>,
    samples: Vec<Sample>,
    /// The names and the short texts of its JSON.
    words: Vec<String>,
}

static SUBJECTS: LazyLock<Vec<Subject>> = LazyLock::new(|| {
    let catalogue = Catalogue::builtin().unwrap();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures");
    let here = json!({"base_url": "https://provider.test/base"});
    let plain: Map<String, Value> =
        Provider::ALL.iter().map(|provider| (provider.as_str().to_owned(), here.clone())).collect();
    // What switches another path on.
    let switched = [
        (Provider::Replicate, json!({"webhook_secret": "whsec_c2VjcmV0IGJ5dGVz"})),
        (Provider::Deepgram, json!({"use_callback": true})),
        (Provider::Pika, json!({"mode": "direct"})),
    ];
    let mut other = plain.clone();
    for (provider, options) in &switched {
        other[provider.as_str()]["options"] = options.clone();
    }
    let mut subjects = Vec::new();
    let others: Vec<Provider> = switched.iter().map(|(provider, _)| *provider).collect();
    for (settings, providers) in [(plain, Provider::ALL), (other, &others)] {
        let settings: ProviderSettings = serde_json::from_value(settings.into()).unwrap();
        for provider in providers.iter().copied() {
            let protocol = protocol(provider, &settings).unwrap_or_else(|error| panic!("{error}"));
            let mut calls = samples::calls(&catalogue, provider, protocol.as_ref());
            calls.extend(Operation::ALL.iter().map(|operation| samples::bare_call(provider, *operation)));
            let samples = fixtures::replies(&folder, provider).unwrap();
            let words = words(&samples);
            subjects.push(Subject { provider, protocol, calls, samples, words });
        }
    }
    subjects
});

fn words(samples: &[Sample]) -> Vec<String> {
    let mut words: BTreeSet<String> = TEXTS.iter().map(|text| (*text).to_owned()).collect();
    let bodies = samples.iter().filter_map(|sample| sample.reply.json());
    let mut waiting: Vec<Value> = bodies.collect();
    while let Some(value) = waiting.pop() {
        match value {
            Value::Object(fields) => {
                for (name, value) in fields {
                    words.insert(name);
                    waiting.push(value);
                }
            }
            Value::Array(values) => waiting.extend(values),
            Value::String(text) if text.len() <= 80 => {
                words.insert(text);
            }
            _ => {}
        }
    }
    words.into_iter().collect()
}

// ---------------------------------------------------------------- what may come

fn any_headers() -> impl Strategy<Value = Vec<(HeaderName, HeaderValue)>> {
    let name = prop_oneof![
        3 => select(HEADERS.as_slice()).prop_map(HeaderName::from_static),
        1 => "[a-z][a-z0-9-]{0,12}".prop_map(|name| HeaderName::try_from(name).unwrap()),
    ];
    let value = prop_oneof![
        3 => select(HEADER_VALUES.as_slice()).prop_map(HeaderValue::from_static),
        1 => vec(prop_oneof![32..=126_u8, 128..=255_u8], 0..20)
            .prop_map(|bytes| HeaderValue::from_bytes(&bytes).unwrap()),
    ];
    vec((name, value), 0..5)
}

fn any_status() -> impl Strategy<Value = u16> {
    let usual =
        [200, 201, 202, 204, 307, 400, 401, 402, 403, 404, 409, 410, 422, 429, 499, 500, 502, 503, 504];
    prop_oneof![3 => select(usual.to_vec()), 1 => any::<u16>()]
}

/// JSON made of these words.
fn any_json(words: &'static [String]) -> impl Strategy<Value = Value> {
    let text = prop_oneof![3 => select(words), 1 => ".{0,12}".prop_map(String::from)];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        select(NUMBERS.as_slice()).prop_map(Value::from),
        text.clone().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 5, move |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Value::from),
            btree_map(text.clone(), inner, 0..6)
                .prop_map(|fields| fields.into_iter().collect::<Map<_, _>>().into()),
        ]
    })
}

/// A reply of any bytes, or of JSON in the provider's words.
fn any_reply(subject: &'static Subject) -> impl Strategy<Value = HttpReply> {
    let body = prop_oneof![
        vec(any::<u8>(), 0..200),
        any_json(&subject.words).prop_map(|value| value.to_string().into_bytes()),
    ];
    (any_status(), any_headers(), body, prop::bool::weighted(0.1)).prop_map(
        |(status, headers, body, is_cut)| {
            let headers: HeaderMap = headers.into_iter().collect();
            HttpReply { head: ReplyHead { status, headers }, body: Bytes::from(body), is_cut }
        },
    )
}

/// One change of a reply.
#[derive(Debug, Clone)]
enum Change {
    Json(JsonChange),
    Status(u16),
    Header(HeaderName, HeaderValue),
    Truncate,
    Byte(u8),
}

fn any_json_change(words: &'static [String]) -> impl Strategy<Value = JsonChange> {
    prop_oneof![
        4 => any_json(words).prop_map(JsonChange::Value),
        2 => Just(JsonChange::Remove),
        1 => select(words).prop_map(JsonChange::Rename),
        1 => Just(JsonChange::Wrap),
        1 => (0..40_usize).prop_map(JsonChange::Repeat),
    ]
}

fn any_change(words: &'static [String]) -> impl Strategy<Value = (Index, Change)> {
    let change = prop_oneof![
        9 => any_json_change(words).prop_map(Change::Json),
        1 => any_status().prop_map(Change::Status),
        1 => any_headers().prop_filter_map("no header", |mut headers| {
            headers.pop().map(|(name, value)| Change::Header(name, value))
        }),
        1 => Just(Change::Truncate),
        1 => any::<u8>().prop_map(Change::Byte),
    ];
    (any::<Index>(), change)
}

/// A fixture with a few changes; any reply where the provider has no fixtures.
fn changed_sample(subject: &'static Subject) -> BoxedStrategy<HttpReply> {
    if subject.samples.is_empty() {
        return any_reply(subject).boxed();
    }
    (select(subject.samples.as_slice()), vec(any_change(&subject.words), 0..4))
        .prop_map(|(sample, changes)| {
            changes.iter().fold(sample.reply, |reply, (at, change)| changed(reply, *at, change))
        })
        .boxed()
}

fn changed(mut reply: HttpReply, at: Index, change: &Change) -> HttpReply {
    match change {
        Change::Status(status) => reply.head.status = *status,
        Change::Header(name, value) => {
            reply.head.headers.insert(name.clone(), value.clone());
        }
        Change::Truncate => reply.body.truncate(at.index(reply.body.len() + 1)),
        Change::Byte(byte) => {
            let mut body = reply.body.to_vec();
            let length = body.len();
            if length > 0 {
                body[at.index(length)] = *byte;
            }
            reply.body = body.into();
        }
        Change::Json(change) => {
            let Some(mut body) = reply.json() else { return reply };
            let mut left = at.index(places(&body));
            change_place(&mut body, &mut left, change);
            reply.body = body.to_string().into();
        }
    }
    reply
}

// ---------------------------------------------------------------- what must hold

/// Runs a property at every provider in every setting, with fresh randomness that a failure shows.
fn at_each<S: Strategy>(
    strategy: impl Fn(&'static Subject) -> S,
    holds: impl Fn(&'static Subject, S::Value),
) {
    for subject in SUBJECTS.iter() {
        let cases = std::env::var("PROPTEST_CASES").map_or(CASES, |cases| cases.parse().unwrap());
        let config = ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() };
        let mut runner = proptest::test_runner::TestRunner::new(config);
        let outcome = runner.run(&strategy(subject), |value| {
            holds(subject, value);
            Ok(())
        });
        outcome.unwrap_or_else(|failure| panic!("{}: {failure}", subject.provider));
    }
}

fn read_as_everything(subject: &Subject, call: &SubmitCall, reply: &HttpReply, second: &HttpReply) {
    let remote = samples::remote();
    for reading in Reading::ALL {
        let outcome = subject.protocol.read(reading, call, &remote, reply, second, samples::now());
        let Err(error) = outcome else { continue };
        let text = error.to_string();
        assert!(!text.contains(KEY), "{reading:?} shows the key: {text}");
        assert!(text.chars().count() < 500 && !text.contains('\n'), "{reading:?} is no message: {text}");
        let is_paid_for = reply.head.is_success() && matches!(reading, Reading::Submit | Reading::Media);
        let is_taken_back = matches!(
            error,
            ProviderError::NotSent { .. }
                | ProviderError::RateLimited { .. }
                | ProviderError::Unavailable { .. }
        );
        assert!(!(is_paid_for && is_taken_back), "{reading:?} of a 2xx would be paid again: {error:?}");
    }
}

#[test]
fn any_reply_gives_a_value_or_an_error() {
    at_each(
        |subject| (any::<Index>(), any_reply(subject), any_reply(subject)),
        |subject, (call, reply, second)| {
            read_as_everything(subject, call.get(&subject.calls), &reply, &second);
        },
    );
}

#[test]
fn any_change_of_a_known_reply_gives_a_value_or_an_error() {
    at_each(
        |subject| (any::<Index>(), changed_sample(subject), changed_sample(subject)),
        |subject, (call, reply, second)| {
            read_as_everything(subject, call.get(&subject.calls), &reply, &second);
        },
    );
}

#[test]
fn any_callback_gives_news_or_a_refusal() {
    let names = [
        "webhook-id",
        "webhook-timestamp",
        "webhook-signature",
        "x-fal-webhook-request-id",
        "x-fal-webhook-user-id",
        "x-fal-webhook-timestamp",
        "x-fal-webhook-signature",
        "dg-token",
    ];
    let now = samples::now().as_second();
    let values =
        [now.to_string(), i64::MIN.to_string(), "v1,AAAA".to_owned(), "ab".repeat(64), "é".to_owned()];
    let keys = json!({"keys": [{"kty": "OKP", "crv": "Ed25519", "x": "A".repeat(43)}, {"kty": 1}, null]});
    at_each(
        |subject| {
            let name = prop_oneof![select(names.to_vec()).prop_map(str::to_owned), "[a-z-]{1,9}"];
            let value = prop_oneof![select(values.to_vec()), ".{0,20}"];
            let keys = prop_oneof![
                Just(None),
                Just(Some(keys.to_string().into_bytes())),
                vec(any::<u8>(), 0..40).prop_map(Some),
            ];
            (btree_map(name, value, 0..9), changed_sample(subject), keys)
        },
        |subject, (headers, reply, keys): (BTreeMap<String, String>, HttpReply, Option<Vec<u8>>)| {
            let request = CallbackRequest { headers, body: reply.body };
            let _ = subject.protocol.judge(&request, keys.as_deref(), samples::now());
        },
    );
}

#[test]
fn inv7_any_call_is_written_or_refused_and_the_key_stays_at_home() {
    at_each(
        |subject| {
            // Nobody gives the key as an id.
            let text = || select(subject.words.as_slice()).prop_filter("the key", |text| text != KEY);
            let config = btree_map(text(), any_json(&subject.words), 0..4);
            let model =
                prop_oneof![2 => Just(None), 1 => text().prop_map(Some), 1 => ".{0,20}".prop_map(Some)];
            let urls = btree_map(select(vec!["status", "response", "cancel", "get", "self"]), text(), 0..4);
            (any::<Index>(), config, model, prop::option::of(".{0,20}"), text(), urls)
        },
        |subject, (call, config, model, prompt, id, urls)| {
            let mut call = call.get(&subject.calls).clone();
            call.spec.config.extend(config);
            call.spec.model = model.unwrap_or(call.spec.model);
            call.spec.prompt = prompt;
            let mut remote = samples::remote();
            remote.id = id;
            remote.urls = urls.into_iter().map(|(name, url)| (name.to_owned(), url)).collect();
            for writing in Writing::ALL {
                match subject.protocol.write(writing, &call, &remote) {
                    Ok(Some(request)) if writing != Writing::Upload => assert_key_stays(&request),
                    Ok(_) | Err(_) => {}
                }
            }
        },
    );
}

fn assert_key_stays(request: &HttpRequest) {
    let is_home = request.url.origin().ascii_serialization() == "https://provider.test";
    let holds_key = request.headers.iter().any(|header| matches!(header.value, HeaderText::Secret(_)));
    assert!(is_home || !holds_key, "the key goes to {}", request.url);
    assert!(!request.url.as_str().contains("secretfedcba"), "the key is in the address {}", request.url);
}

/// Chance need not help here: each value of each known reply is exchanged for each of these, and left out.
#[test]
fn every_single_change_of_a_known_reply_gives_a_value_or_an_error() {
    let edges = [
        Value::Null,
        json!(true),
        json!(-1),
        json!(u64::MAX),
        json!(1e300),
        json!(""),
        json!([null]),
        json!({}),
    ];
    for subject in SUBJECTS.iter() {
        for (number, sample) in subject.samples.iter().enumerate() {
            let call = &subject.calls[number % subject.calls.len()];
            let read = |reply: &HttpReply| read_as_everything(subject, call, reply, reply);
            read(&sample.reply);
            let Some(body) = sample.reply.json() else { continue };
            for place in 0..places(&body) {
                let changes = edges.iter().cloned().map(JsonChange::Value).chain([JsonChange::Remove]);
                for change in changes {
                    let mut body = body.clone();
                    change_place(&mut body, &mut place.clone(), &change);
                    read(&HttpReply { body: body.to_string().into(), ..sample.reply.clone() });
                }
            }
        }
    }
}
