use serde_json::{Value, json};

use super::speak::content_type_of;
use super::*;
use crate::fixture::{assert_table, call, endpoint, shown};

fn speech(config: Value) -> SubmitCall {
    call(Provider::ElevenLabs, Operation::Tts, "eleven_multilingual_v2", config)
}

fn wire() -> ElevenLabs {
    ElevenLabs::new(ElevenLabsOptions::default())
}

fn encoded(call: &SubmitCall) -> Result<HttpRequest, ProviderError> {
    wire().encode_submit(call, &endpoint("http://speech.test"))
}

#[test]
fn a_plain_request_names_text_model_and_format_only() {
    assert_eq!(
        shown(&encoded(&speech(json!({}))).unwrap()),
        "POST http://speech.test/v1/text-to-speech/21m00Tcm4TlvDq8ikWAM?output_format=mp3_44100_128\n\
         xi-api-key: KEY\n\
         {\"model_id\":\"eleven_multilingual_v2\",\"text\":\"a fox\"}"
    );
}

#[test]
fn every_option_has_its_place() {
    let call = speech(json!({
        "voice_id": "Xb7hH8MSUJpSbSDYk0k2", "output_format": "pcm_24000", "enable_logging": false,
        "language_code": "de", "seed": 7, "previous_text": "once", "next_text": "end",
        "apply_text_normalization": "off", "voice_settings": {"stability": 0.1, "clone_strength": 0.3},
        "stability": 0.5, "similarity_boost": 0.75, "style": 0, "use_speaker_boost": true, "speed": 1.1,
        "next_request_ids": null
    }));
    assert_eq!(
        shown(&encoded(&call).unwrap()),
        "POST http://speech.test/v1/text-to-speech/Xb7hH8MSUJpSbSDYk0k2?output_format=pcm_24000&enable_logging=false\n\
         xi-api-key: KEY\n\
         {\"apply_text_normalization\":\"off\",\"language_code\":\"de\",\"model_id\":\"eleven_multilingual_v2\",\
         \"next_text\":\"end\",\"previous_text\":\"once\",\"seed\":7,\"text\":\"a fox\",\"voice_settings\":\
         {\"clone_strength\":0.3,\"similarity_boost\":0.75,\"speed\":1.1,\"stability\":0.5,\"style\":0,\
         \"use_speaker_boost\":true}}"
    );
}

#[test]
fn a_base_with_a_path_keeps_it() {
    let request =
        wire().encode_submit(&speech(json!({})), &endpoint("http://sim.test:8080/elevenlabs/")).unwrap();
    assert!(request.url.as_str().starts_with("http://sim.test:8080/elevenlabs/v1/text-to-speech/"));
}

#[test]
fn what_cannot_be_right_is_not_sent() {
    let mut silent = speech(json!({}));
    silent.spec.prompt = Some("  ".to_owned());
    let mut image = speech(json!({}));
    image.spec.operation = Operation::ImageGen;
    let rows = [
        (silent, "a prompt is needed"),
        (image, "`tts` or `stt` was expected"),
        (speech(json!({"voice_id": "../models"})), "`voice_id`"),
        (speech(json!({"voice_id": 7})), "`voice_id`"),
        (speech(json!({"output_format": []})), "`output_format`"),
        (speech(json!({"enable_logging": "yes"})), "`enable_logging`"),
        (speech(json!({"voice_settings": 1})), "`voice_settings`"),
        (speech(json!({"colour": "red"})), "`colour`"),
    ];
    for (call, part) in rows {
        match encoded(&call) {
            Err(ProviderError::Invalid { message, .. }) => assert!(message.contains(part), "{message}"),
            other => panic!("{part}: {other:?}"),
        }
    }
}

#[test]
fn a_key_that_no_header_can_carry_is_a_credential_error() {
    for text in ["", "a key", "key\n", "schlüssel"] {
        let mut call = speech(json!({}));
        call.key = atelier_domain::ports::ProviderKey(atelier_domain::secret::Secret::new(text.to_owned()));
        assert!(matches!(encoded(&call), Err(ProviderError::Unauthorized { .. })), "{text:?}");
    }
}

#[test]
fn the_format_asked_for_tells_the_media_type() {
    let rows = [
        ("mp3_22050_32", Some("audio/mpeg")),
        ("opus_48000_96", Some("audio/ogg")),
        ("wav_44100", Some("audio/wav")),
        ("pcm_16000", Some("audio/pcm;rate=16000")),
        ("ulaw_8000", Some("audio/basic")),
        ("alaw_8000", Some("audio/x-alaw-basic")),
        ("flac_96000", None),
    ];
    for (format, expected) in rows {
        assert_eq!(content_type_of(format).as_deref(), expected, "{format}");
    }
}

#[test]
fn the_cost_header_counts_characters_or_credits() {
    let head = crate::fixture::load(Provider::ElevenLabs, "media_200_mp3").head;
    assert_eq!(wire().cost(&head), Some(ReportedCost::units(PriceUnit::Character, 11)));
    let by_credit = ElevenLabs::new(ElevenLabsOptions {
        is_character_cost_in_credits: true,
        ..ElevenLabsOptions::default()
    });
    assert_eq!(by_credit.cost(&head), Some(ReportedCost::Amount(MicroUsd(880))));
}

#[test]
fn every_documented_reply_has_its_meaning() {
    assert_table(
        &wire(),
        &speech(json!({})),
        &endpoint("http://speech.test"),
        None,
        &[
            ("media_200_mp3", "media Some(\"audio/mpeg\") request Some(\"req_8Kd2\") cost 11 Character"),
            ("media_200_without_cost", "media Some(\"audio/mpeg\") request None cost unknown"),
            ("media_200_unreadable_cost", "media Some(\"audio/mpeg\") request Some(\"req_1\") cost unknown"),
            ("media_200_json", "malformed [200] it answered `application/json` where audio was expected"),
            ("media_200_html", "malformed [200] it answered `text/html` where audio was expected"),
            (
                "submit_307_redirect",
                "malformed [307] it redirects, which is not followed; the base URL may be wrong",
            ),
            (
                "submit_400_character_limit",
                "invalid [max_character_limit_exceeded] The text is longer than the 10000 characters this model takes.",
            ),
            (
                "submit_400_voice_not_found_legacy",
                "invalid [voice_not_found] A voice with voice_id X was not found.",
            ),
            (
                "submit_400_against_policy",
                "rejected [content_against_policy] The text violates the usage policy.",
            ),
            ("submit_400_model_retired", "model_retired [] The model eleven_turbo_v2 is no longer served."),
            ("submit_401_invalid_api_key", "unauthorized [] Invalid API key"),
            (
                "submit_401_missing_permissions",
                "unauthorized [] The API key lacks the permission text_to_speech.",
            ),
            (
                "submit_401_quota_exceeded",
                "quota [] This request exceeds your quota of 10000. You have 12 credits remaining, while 40 credits are required for this request.",
            ),
            (
                "submit_401_unusual_activity",
                "unauthorized [] Unusual activity detected. Free Tier usage disabled.",
            ),
            ("submit_402_paid_plan", "quota [] Free users cannot use library voices via the API."),
            ("submit_403_plan_gate", "quota [] This output format is only for the Creator plan and above."),
            ("submit_403_forbidden", "unauthorized [] The resource belongs to another workspace."),
            ("submit_404_text", "invalid [404] Not Found"),
            (
                "submit_404_model_not_found",
                "invalid [model_not_found] A model with model_id eleven_x was not found.",
            ),
            ("submit_413_page", "invalid [413] it answered HTTP 413 without a readable reason"),
            (
                "submit_422_validation",
                "invalid [422] body.voice_settings.stability: Input should be less than or equal to 1; body.text.0: Field required",
            ),
            (
                "submit_429_concurrent_legacy",
                "rate_limited [Some(3s)] Too many concurrent requests. Your plan allows 5.",
            ),
            ("submit_429_rate_limit", "rate_limited [Some(1.5s)] Rate limit exceeded."),
            ("submit_429_date", "rate_limited [Some(20s)] The system is busy."),
            ("submit_429_without_hint", "rate_limited [None] The system is busy."),
            ("submit_500", "unavailable [internal_error] Something went wrong."),
            (
                "submit_502_page",
                "unknown_outcome [] HTTP 502: it answered HTTP 502 without a readable reason",
            ),
            ("submit_503_text", "unavailable [503] upstream connect error"),
            ("submit_504", "unknown_outcome [] HTTP 504: it answered HTTP 504 without a readable reason"),
            ("submit_524", "unknown_outcome [] HTTP 524: it answered HTTP 524 without a readable reason"),
        ],
    );
}
