use serde_json::{Value, json};

use super::*;
use crate::asset::{Asset, MediaFacts};
use crate::ids::{AssetId, JobId};
use crate::job::{Input, StagedInput};

const NOW: &str = "2026-11-22T12:00:00Z";

fn parse_with(body: &Value, header: Option<&str>) -> Result<ParsedRequest, Vec<FieldError>> {
    let catalogue = Catalogue::builtin().unwrap();
    let exceptions = Exceptions::new(["127.0.0.1:8090".to_owned()]);
    let context = RequestContext {
        now: NOW.parse().unwrap(),
        catalogue: &catalogue,
        default_deadline_s: 3600,
        exceptions: &exceptions,
        idempotency_header: header,
        attachments: &[],
    };
    parse(body, &context)
}

fn good(body: Value) -> ParsedRequest {
    parse_with(&body, None).unwrap_or_else(|problems| panic!("{body}: {problems:?}"))
}

fn problems(body: &Value) -> Vec<FieldError> {
    parse_with(body, None).expect_err(&body.to_string())
}

/// A valid request with some fields replaced; a removed field is given as `null`.
fn video(changes: Value) -> Value {
    let mut body = json!({
        "operation": "video_from_image", "provider": "runway", "model": "gen4_turbo", "prompt": "slow pan",
        "input_url": "https://example.com/a.png", "config": {"duration": 5, "ratio": "1280:720"},
    });
    for (name, value) in changes.as_object().unwrap() {
        body[name] = value.clone();
    }
    body
}

fn image(config: Value) -> Value {
    json!({"operation": "image_gen", "provider": "fal", "prompt": "a fox", "config": config})
}

#[test]
fn the_request_of_the_documentation_reads() {
    let parsed = good(json!({
        "operation": "video_from_image", "provider": "runway", "model": "gen4_turbo", "prompt": "slow pan",
        "input_url": "https://example.com/a.png", "input_asset_id": null,
        "config": {"duration": 5, "ratio": "1280:720"}, "credential_id": null, "idempotency_key": "order-17",
        "priority": "high", "run_at": "2026-11-23T12:00:00+01:00", "deadline_s": 900, "webhook_url": null,
        "metadata": {"order": 17}, "capture_prompt": false, "on_unknown_outcome": "resubmit",
    }));
    let spec = parsed.spec;
    assert_eq!(
        (spec.operation, spec.provider, spec.model.as_str()),
        (Operation::VideoFromImage, Provider::Runway, "gen4_turbo")
    );
    assert_eq!(spec.input, Some(Input::Url("https://example.com/a.png".to_owned())));
    assert_eq!((spec.priority, spec.on_unknown_outcome), (Priority::High, OnUnknownOutcome::Resubmit));
    assert_eq!(spec.run_at, Some("2026-11-23T11:00:00Z".parse().unwrap()));
    assert_eq!(spec.start_deadline, "2026-11-23T11:15:00Z".parse().unwrap());
    assert_eq!(spec.metadata, *json!({"order": 17}).as_object().unwrap());
    assert!(!spec.capture_prompt);
    assert_eq!(parsed.idempotency_key.as_deref(), Some("order-17"));
    assert_eq!(parsed.cost.estimated.0, 250_000);
}

#[test]
fn a_short_request_gets_the_defaults() {
    let parsed = good(json!({"operation": "tts", "provider": "elevenlabs", "prompt": "hello"}));
    let spec = parsed.spec;
    assert_eq!(spec.model, "eleven_multilingual_v2");
    assert_eq!(
        Value::Object(spec.config),
        json!({"voice_id": "21m00Tcm4TlvDq8ikWAM", "output_format": "mp3_44100_128"})
    );
    assert_eq!(spec.start_deadline, "2026-11-22T13:00:00Z".parse().unwrap());
    assert_eq!(
        (spec.priority, spec.on_unknown_outcome, spec.capture_prompt),
        (Priority::Normal, OnUnknownOutcome::Fail, true)
    );
    assert_eq!((spec.input, spec.run_at, parsed.idempotency_key), (None, None, None));
    assert_eq!(parsed.cost.estimated.0, 400);
}

#[test]
fn the_alias_of_video_from_image_is_read() {
    assert_eq!(good(video(json!({"operation": "video_from_img"}))).spec.operation, Operation::VideoFromImage);
}

#[test]
fn nulls_are_absent_also_in_config() {
    let nulls: Value =
        FIELDS.iter().map(|name| ((*name).to_owned(), Value::Null)).collect::<serde_json::Map<_, _>>().into();
    let mut body = nulls;
    for (name, value) in
        image(json!({"seed": null, "image_size": {"width": 64, "height": 64}})).as_object().unwrap()
    {
        body[name] = value.clone();
    }
    assert!(!good(body).spec.config.contains_key("seed"));
}

#[test]
fn an_optional_prompt_may_be_absent_or_empty() {
    assert_eq!(good(video(json!({"prompt": null}))).spec.prompt, None);
    assert_eq!(good(video(json!({"prompt": "  "}))).spec.prompt, None);
}

#[test]
fn a_delay_counts_from_the_request_to_the_millisecond() {
    let parsed = good(video(json!({"delay_ms": 1_500, "deadline_s": 60})));
    assert_eq!(parsed.spec.run_at, Some("2026-11-22T12:00:01.5Z".parse().unwrap()));
    assert_eq!(parsed.spec.start_deadline, "2026-11-22T12:01:01.5Z".parse().unwrap());
}

#[test]
fn a_start_in_the_past_is_now() {
    let parsed = good(video(json!({"run_at": "2020-01-01T00:00:00Z", "deadline_s": 60})));
    assert_eq!(parsed.spec.start_deadline, "2026-11-22T12:01:00Z".parse().unwrap());
}

/// Each row: the request, the field that must be named, words of its problem, words of what is expected.
#[test]
fn each_problem_names_its_field_and_what_would_be_right() {
    let asset = AssetId::of(&JobId::new(), 0).to_string();
    let long = "x".repeat(1001);
    let rows: Vec<(Value, &str, &str, &str)> = vec![
        (json!([1]), "body", "a list", "JSON object"),
        (json!({"provider": "fal", "prompt": "x"}), "operation", "missing", "tts, stt"),
        (video(json!({"provider": null})), "provider", "missing", "runway"),
        (video(json!({"operation": "dance"})), "operation", "`dance`", "video_from_image"),
        (video(json!({"provider": "acme"})), "provider", "`acme`", "elevenlabs"),
        (video(json!({"operation": 7})), "operation", "a number", "a string"),
        (
            video(json!({"provider": "elevenlabs"})),
            "provider",
            "does not do video_from_image, only tts",
            "runway",
        ),
        (
            json!({"operation": "stt", "provider": "fal", "input_url": "https://a.example/x.mp3"}),
            "provider",
            "does not do stt",
            "elevenlabs, deepgram",
        ),
        (video(json!({"model": "gen5"})), "model", "`gen5`", "gen4_turbo, gen4.5, gen3a_turbo (retired"),
        (video(json!({"model": 4})), "model", "a number", "a string"),
        (video(json!({"promt": "x"})), "promt", "not a known field", "`prompt`"),
        (video(json!({"colour": "x"})), "colour", "not a known field", "operation, provider"),
        (video(json!({"prompt": 5})), "prompt", "a number", "a string"),
        (video(json!({"model": "gen4.5", "prompt": null})), "prompt", "missing", "gen4.5 needs one"),
        (video(json!({"model": "gen4.5", "prompt": " \n"})), "prompt", "empty", "gen4.5 needs one"),
        (video(json!({"prompt": long})), "prompt", "1001 UTF-16", "at most 1000 UTF-16"),
        (video(json!({"prompt": "🎬".repeat(501)})), "prompt", "1002 UTF-16", "at most 1000"),
        (
            json!({"operation": "tts", "provider": "elevenlabs", "prompt": "ü".repeat(10_001)}),
            "prompt",
            "10001 characters",
            "at most 10000 characters",
        ),
        (video(json!({"input_url": null})), "input_url", "missing", "`input_asset_id`"),
        (video(json!({"input_asset_id": asset})), "input_asset_id", "beside `input_url`", "only one"),
        (video(json!({"input_url": null, "input_asset_id": "nope"})), "input_asset_id", "not an id", "27"),
        (
            json!({"operation": "image_gen", "provider": "fal", "prompt": "x", "input_url": "https://a.example/"}),
            "input_url",
            "is given",
            "takes none",
        ),
        (
            json!({"operation": "image_gen", "provider": "fal", "prompt": "x", "input_asset_id": asset}),
            "input_asset_id",
            "is given",
            "takes none",
        ),
        (video(json!({"input_url": "http://example.com/a.png"})), "input_url", "`http`", "https"),
        (video(json!({"input_url": "ftp://example.com/a.png"})), "input_url", "`ftp`", "https"),
        (video(json!({"input_url": "https://10.0.0.1/a.png"})), "input_url", "10.0.0.1", "public"),
        (video(json!({"input_url": "https://169.254.169.254/"})), "input_url", "169.254.169.254", "public"),
        (video(json!({"input_url": "https://localhost/a.png"})), "input_url", "local name", "public"),
        (video(json!({"input_url": "https://u:p@example.com/"})), "input_url", "user name", "public"),
        (video(json!({"input_url": "a.png"})), "input_url", "not a URL", "public"),
        (
            video(json!({"input_url": format!("https://example.com/{}", "a".repeat(9000))})),
            "input_url",
            "9020 bytes",
            "8192",
        ),
        (video(json!({"config": []})), "config", "a list", "an object"),
        (
            video(json!({"config": {"duraton": 5}})),
            "config.duraton",
            "not a known field",
            "`config.duration`",
        ),
        (video(json!({"config": {"fps": 5}})), "config.fps", "not a known field", "duration, ratio"),
        (video(json!({"config": {"duration": 11}})), "config.duration", "is 11", "from 2 to 10"),
        (video(json!({"config": {"duration": -1}})), "config.duration", "is -1", "from 2 to 10"),
        (
            video(json!({"config": {"duration": 5.5}})),
            "config.duration",
            "is 5.5",
            "a whole number from 2 to 10",
        ),
        (video(json!({"config": {"duration": "5"}})), "config.duration", "a string", "a whole number"),
        (video(json!({"config": {"ratio": "2:1"}})), "config.ratio", "`2:1`", "1280:720"),
        (
            video(json!({"config": {"content_moderation": {"public_figure_threshold": "high"}}})),
            "config.content_moderation.public_figure_threshold",
            "`high`",
            "auto, low",
        ),
        (
            video(json!({"model": "gen3a_turbo", "config": {"duration": 7}})),
            "config.duration",
            "is 7",
            "one of 5, 10",
        ),
        (image(json!({"image_size": "huge"})), "config.image_size", "`huge`", "square_hd"),
        (image(json!({"image_size": 5})), "config.image_size", "is 5", "an object with height, width"),
        (
            image(json!({"image_size": {"width": 5}})),
            "config.image_size.height",
            "missing",
            "from 1 to 14142",
        ),
        (
            image(json!({"image_size": {"width": 5, "height": 5, "depth": 5}})),
            "config.image_size.depth",
            "not a known",
            "one of",
        ),
        (image(json!({"num_images": 5})), "config.num_images", "is 5", "from 1 to 4"),
        (
            image(json!({"enable_safety_checker": "no"})),
            "config.enable_safety_checker",
            "a string",
            "true or false",
        ),
        (
            json!({"operation": "tts", "provider": "elevenlabs", "prompt": "x", "config": {"voice_id": "../user"}}),
            "config.voice_id",
            "`../user`",
            "letters",
        ),
        (
            json!({"operation": "tts", "provider": "elevenlabs", "prompt": "x", "config": {"voice_settings": {"stability": 2}}}),
            "config.voice_settings.stability",
            "is 2",
            "from 0 to 1",
        ),
        (video(json!({"credential_id": "abc"})), "credential_id", "`abc`", "the id of a credential"),
        (video(json!({"credential_id": 5})), "credential_id", "a number", "a string"),
        (video(json!({"webhook_url": "https://example.com/hook"})), "webhook_url", "not served yet", "null"),
        (video(json!({"idempotency_key": ""})), "idempotency_key", "empty", "1 to 255"),
        (video(json!({"idempotency_key": "x".repeat(256)})), "idempotency_key", "256 characters", "1 to 255"),
        (video(json!({"idempotency_key": "a\nb"})), "idempotency_key", "not printable", "1 to 255"),
        (video(json!({"priority": "urgent"})), "priority", "`urgent`", "high, normal, low"),
        (video(json!({"run_at": "tomorrow"})), "run_at", "`tomorrow`", "RFC 3339"),
        (video(json!({"run_at": "2026-11-23T12:00:00"})), "run_at", "2026-11-23T12:00:00", "RFC 3339"),
        (video(json!({"run_at": "2026-12-22T12:00:01Z"})), "run_at", "30 days", "30 days"),
        (
            json!({"operation": "video_gen", "provider": "luma", "model": "ray-3.2", "prompt": "x",
                "config": {"loop": true, "duration": "10s"}}),
            "config.loop",
            "beside `duration` \"10s\"",
            "another `duration`",
        ),
        (video(json!({"delay_ms": -1})), "delay_ms", "is -1", "0 to 2592000000"),
        (
            video(json!({"delay_ms": 5, "run_at": "2026-11-23T12:00:00Z"})),
            "delay_ms",
            "beside `run_at`",
            "one of",
        ),
        (video(json!({"run_at": 1_800_000_000})), "run_at", "a number", "a string"),
        (video(json!({"deadline_s": 0})), "deadline_s", "is 0", "from 1 to 86400"),
        (video(json!({"deadline_s": 86_401})), "deadline_s", "is 86401", "from 1 to 86400"),
        (video(json!({"deadline_s": "60"})), "deadline_s", "a string", "a whole number"),
        (video(json!({"metadata": "x"})), "metadata", "a string", "an object"),
        (video(json!({"metadata": {"x": "y".repeat(16 * 1024)}})), "metadata", "16392 bytes", "16384"),
        (video(json!({"capture_prompt": "yes"})), "capture_prompt", "a string", "true or false"),
        (video(json!({"on_unknown_outcome": "retry"})), "on_unknown_outcome", "`retry`", "fail, resubmit"),
    ];
    for (body, field, problem, expected) in rows {
        let found = problems(&body);
        assert!(
            found
                .iter()
                .any(|e| e.field == field && e.problem.contains(problem) && e.expected.contains(expected)),
            "{field} {problem} / {expected}\n  found: {found:#?}"
        );
        assert_eq!(found.len(), 1, "one mistake, one problem: {found:#?}");
    }
}

#[test]
fn all_problems_are_named_at_once() {
    let found = problems(&json!({
        "operation": "video_from_image", "provider": "runway", "promt": "x", "priority": 1,
        "config": {"duration": 99, "rato": "x"}, "webhook_url": "https://example.com/",
    }));
    let mut fields: Vec<&str> = found.iter().map(|error| error.field.as_str()).collect();
    fields.sort_unstable();
    assert_eq!(fields, ["config.duration", "config.rato", "input_url", "priority", "promt", "webhook_url"]);
}

#[test]
fn a_hostile_body_does_not_make_a_long_answer() {
    let body: serde_json::Map<String, Value> =
        (0..10_000).map(|n| (format!("{n}{}", "x".repeat(90)), json!(1))).collect();
    let found = problems(&body.into());
    assert_eq!(found.len(), 50);
    assert!(found.iter().all(|error| error.field.len() <= 64));
}

#[test]
fn an_excepted_host_may_be_private_and_http() {
    let parsed = good(video(json!({"input_url": "http://127.0.0.1:8090/a.png"})));
    assert_eq!(parsed.spec.input, Some(Input::Url("http://127.0.0.1:8090/a.png".to_owned())));
}

#[test]
fn header_and_field_give_one_idempotency_key() {
    let with_field = video(json!({"idempotency_key": "a"}));
    let key = |body: &Value, header| parse_with(body, header).map(|parsed| parsed.idempotency_key);
    assert_eq!(key(&with_field, Some("a")), Ok(Some("a".to_owned())));
    assert_eq!(key(&video(json!({})), Some("h")), Ok(Some("h".to_owned())));
    for (body, header) in [(&with_field, "b"), (&video(json!({})), "")] {
        let problems = key(body, Some(header)).unwrap_err();
        assert_eq!(
            problems.iter().map(|e| e.field.as_str()).collect::<Vec<_>>(),
            ["idempotency_key"],
            "{header}"
        );
    }
}

#[test]
fn a_repeat_has_the_same_fingerprint_whenever_and_however_it_is_written() {
    let base = video(json!({"deadline_s": 60, "metadata": {"a": 1, "b": {"c": 2, "d": 3}}}));
    let fingerprint = good(base.clone()).fingerprint;
    let reordered: Value = serde_json::from_str(
        r#"{"deadline_s": 60, "metadata": {"b": {"d": 3, "c": 2}, "a": 1}, "config": {"ratio": "1280:720", "duration": 5, "seed": null},
            "input_url": "https://example.com/a.png", "prompt": "slow pan", "model": "gen4_turbo", "provider": "runway",
            "operation": "video_from_img", "priority": "normal", "idempotency_key": "k", "capture_prompt": true}"#,
    )
    .unwrap();
    assert_eq!(good(reordered).fingerprint, fingerprint);

    let catalogue = Catalogue::builtin().unwrap();
    let later = RequestContext {
        now: "2026-11-22T18:00:00Z".parse().unwrap(),
        catalogue: &catalogue,
        default_deadline_s: 10,
        exceptions: &Exceptions::default(),
        idempotency_header: None,
        attachments: &[],
    };
    assert_eq!(parse(&base, &later).unwrap().fingerprint, fingerprint);
}

#[test]
fn another_wish_has_another_fingerprint() {
    let base = good(video(json!({}))).fingerprint;
    for change in [
        json!({"prompt": "fast pan"}),
        json!({"config": {"duration": 6, "ratio": "1280:720"}}),
        json!({"input_url": "https://example.com/b.png"}),
        json!({"metadata": {"a": 1}}),
        json!({"priority": "low"}),
        json!({"deadline_s": 3600}),
        json!({"run_at": "2026-11-23T00:00:00Z"}),
        json!({"delay_ms": 1}),
        json!({"capture_prompt": false}),
        json!({"on_unknown_outcome": "resubmit"}),
        json!({"model": "gen4.5"}),
    ] {
        assert_ne!(good(video(change.clone())).fingerprint, base, "{change}");
    }
}

#[test]
fn every_default_of_the_catalogue_passes_its_own_check() {
    for model in Catalogue::builtin().unwrap().models() {
        let defaults: Map<String, Value> = model
            .options
            .iter()
            .filter_map(|(name, spec)| Some((name.clone(), spec.default.clone()?)))
            .collect();
        let mut optional = model.options.clone();
        optional.retain(|_, spec| !spec.is_required);
        let mut found = Problems::default();
        options::check(&optional, &defaults, "config", &mut found);
        assert!(found.is_empty(), "{}: {found:?}", model.id);
    }
}

#[test]
fn an_input_asset_must_be_of_a_type_the_model_takes() {
    let catalogue = Catalogue::builtin().unwrap();
    let job = JobId::new();
    let asset = |content_type: &str| Asset {
        id: AssetId::of(&job, 0),
        workspace_id: "acme".parse().unwrap(),
        made_by: None,
        name: None,
        metadata: Default::default(),
        key: "k".into(),
        content_type: content_type.into(),
        size_bytes: 1,
        sha256: String::new(),
        media: Default::default(),
        seed: None,
        revised_prompt: None,
        created_at: NOW.parse().unwrap(),
    };
    let model = catalogue.model(Provider::Runway, Operation::VideoFromImage, "gen4_turbo").unwrap();
    let problems = |asset: &Asset| check_input_asset(&model, Operation::VideoFromImage, None, asset);
    assert_eq!(problems(&asset("image/png; x=y")), []);
    let error = &problems(&asset("video/mp4"))[0];
    assert_eq!(error.field, "input_asset_id");
    assert!(error.problem.contains("video/mp4") && error.expected.contains("image/webp"), "{error}");
    let large = Asset { size_bytes: 16_000_001, ..asset("image/png") };
    assert_eq!(problems(&large)[0].expected, "at most 16000000 bytes");
}

fn attachment(name: &str, content_type: &str, sha256: &str) -> Attachment {
    let staged = StagedInput {
        key: format!("inputs/acme/2026/11/22/{sha256}.png"),
        content_type: content_type.to_owned(),
        size_bytes: 10,
        sha256: sha256.to_owned(),
    };
    Attachment { name: name.to_owned(), staged, facts: MediaFacts::default() }
}

fn parse_attached(body: &Value, attachments: &[Attachment]) -> Result<ParsedRequest, Vec<FieldError>> {
    let catalogue = Catalogue::builtin().unwrap();
    let context = RequestContext {
        now: NOW.parse().unwrap(),
        catalogue: &catalogue,
        default_deadline_s: 3600,
        exceptions: &Exceptions::default(),
        idempotency_header: None,
        attachments,
    };
    parse(body, &context)
}

#[test]
fn a_file_sent_along_is_the_input() {
    let body = video(json!({"input_url": "attachment:input"}));
    let parsed = parse_attached(&body, &[attachment("input", "image/png", "aa")]).unwrap();
    assert!(matches!(parsed.spec.input, Some(Input::Staged(staged)) if staged.sha256 == "aa"));
}

#[test]
fn a_file_sent_along_that_does_not_fit_is_refused_with_its_reason() {
    for (body, sent, field, expected) in [
        (
            video(json!({"input_url": "attachment:input"})),
            vec![attachment("input", "image/gif", "aa")],
            "input_url",
            "image/webp",
        ),
        (video(json!({"input_url": "attachment:other"})), vec![], "input_url", "a file of that name"),
        (video(json!({})), vec![attachment("mask", "image/png", "aa")], "mask", "no such file"),
    ] {
        let problems = parse_attached(&body, &sent).unwrap_err();
        assert_eq!(problems[0].field, field, "{problems:?}");
        assert!(problems[0].expected.contains(expected), "{problems:?}");
    }
}

#[test]
fn the_same_bytes_are_the_same_request_on_any_day() {
    let body = video(json!({"input_url": "attachment:input"}));
    let mut tomorrow = attachment("input", "image/png", "aa");
    tomorrow.staged.key = "inputs/acme/2026/11/23/aa.png".to_owned();
    let today = parse_attached(&body, &[attachment("input", "image/png", "aa")]).unwrap();
    assert_eq!(parse_attached(&body, &[tomorrow]).unwrap().fingerprint, today.fingerprint);
    let other = parse_attached(&body, &[attachment("input", "image/png", "bb")]).unwrap();
    assert_ne!(other.fingerprint, today.fingerprint);
}

#[test]
fn a_value_that_is_not_allowed_is_told_the_nearest_that_is() {
    for (config, nearest) in [
        (json!({"duration": 12}), "the nearest is 10"),
        (json!({"ratio": "16:10"}), "the nearest is 1280:720"),
        (json!({"ratio": "1280x720"}), "the nearest is 1280:720"),
    ] {
        let problems = problems(&video(json!({"config": config})));
        assert!(problems[0].expected.ends_with(nearest), "{problems:?}");
    }
}
