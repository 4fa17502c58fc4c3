//! Faults asked for inside a prompt: `[sim:late=5s]`, `[sim:status=503 on=status times=2]`.
//!
//! A directive is `[sim:NAME]` or `[sim:NAME=VALUE]`, followed by options separated by blanks: `on=KIND`
//! (`submit`, `status`, `result`, `cancel`, `media`), `times=N`, `skip=N`, and for `status` also `retry_after=2s`,
//! `html` and `accepted`. A prompt may hold several. `times` and `skip` count all requests with the same prompt.

use crate::fault::{ClaimedType, Fault, Layer, ModerationForm, media_kind};
use crate::journal::{Kind, Provider};
use crate::openai;
use crate::options::parse_duration;
use crate::script::{Match, Rule};

/// The directives of a prompt in order; `Err` holds the text of one that is not understood.
pub(crate) fn parse(prompt: &str, provider: Provider) -> Vec<Result<Rule, String>> {
    let mut found = Vec::new();
    let mut rest = prompt;
    while let Some((_, tail)) = rest.split_once("[sim:") {
        let Some((inside, after)) = tail.split_once(']') else {
            found.push(Err(tail.chars().take(60).collect()));
            break;
        };
        rest = after;
        // What is said to the simulated model is no fault.
        if provider == Provider::OpenAi && openai::is_own_directive(inside) {
            continue;
        }
        found.push(parse_one(inside, provider).ok_or_else(|| inside.chars().take(60).collect()));
    }
    found
}

fn parse_one(inside: &str, provider: Provider) -> Option<Rule> {
    let mut words = inside.split_whitespace();
    let (name, value) = split_pair(words.next()?);
    let mut fault = fault_named(name, value)?;
    let (mut kind, mut times, mut skip) = (None, None, 0);
    for word in words {
        match (split_pair(word), &mut fault) {
            (("on", Some(word)), _) => kind = Some(Kind::from_word(word)?),
            (("times", Some(number)), _) => times = Some(number.parse().ok()?),
            (("skip", Some(number)), _) => skip = number.parse().ok()?,
            (("retry_after", Some(text)), Fault::Status { retry_after_s, .. }) => {
                *retry_after_s = Some(parse_duration(text)?.as_secs());
            }
            (("html", None), Fault::Status { html, .. }) => *html = true,
            (("accepted", None), Fault::Status { accepted, .. }) => *accepted = true,
            _ => return None,
        }
    }
    let usual = match fault.layer() {
        Layer::Answer | Layer::Work => Kind::Submit,
        Layer::Body => media_kind(provider),
    };
    let matches = Match { provider: None, kind: Some(kind.unwrap_or(usual)), prompt_contains: None };
    Some(Rule { matches, times, skip, fault })
}

fn fault_named(name: &str, value: Option<&str>) -> Option<Fault> {
    let optional_size = |value: Option<&str>| match value {
        Some(text) => parse_size(text).map(Some),
        None => Some(None),
    };
    Some(match (name, value) {
        ("late", Some(text)) => Fault::Late { delay: parse_duration(text)? },
        ("lost", None) => Fault::Lost,
        ("reset_before", None) => Fault::ResetBefore,
        ("doubled", None) => Fault::Doubled,
        ("slow", Some(text)) => Fault::Slow { bytes_per_second: parse_size(text)?.max(1) },
        ("truncated", text) => Fault::Truncated { sent_bytes: optional_size(text)? },
        ("cut_clean", text) => Fault::CutClean { missing_bytes: optional_size(text)? },
        ("status", Some(text)) => {
            let code = text.parse().ok().filter(|code| (200..=599).contains(code))?;
            Fault::Status { code, retry_after_s: None, html: false, accepted: false }
        }
        ("moderation", None) => Fault::Moderation { form: ModerationForm::Model },
        ("moderation", Some("refusal")) => Fault::Moderation { form: ModerationForm::Refusal },
        ("moderation", Some("nsfw_flag")) => Fault::Moderation { form: ModerationForm::NsfwFlag },
        ("fail", Some(code)) => Fault::Fail { code: code.to_owned() },
        ("stuck", None) => Fault::Stuck,
        ("wrong_type", None | Some("html")) => Fault::WrongType { claims: ClaimedType::Html },
        ("wrong_type", Some("media")) => Fault::WrongType { claims: ClaimedType::Media },
        ("huge", Some(text)) => Fault::Huge { bytes: parse_size(text)? },
        ("malformed", None) => Fault::Malformed,
        ("progress", Some(list)) => {
            Fault::Progress { statuses: list.split(',').map(str::to_owned).collect() }
        }
        ("gone", None) => Fault::Gone { code: 404 },
        ("gone", Some(code)) => {
            Fault::Gone { code: code.parse().ok().filter(|code| (400..=599).contains(code))? }
        }
        _ => return None,
    })
}

fn split_pair(word: &str) -> (&str, Option<&str>) {
    match word.split_once('=') {
        Some((name, value)) => (name, Some(value)),
        None => (word, None),
    }
}

/// Reads `1000`, `64KB`, `500MB`, `1GB` (decimal units).
fn parse_size(text: &str) -> Option<u64> {
    let (number, unit) = if let Some(number) = text.strip_suffix("KB") {
        (number, 1_000)
    } else if let Some(number) = text.strip_suffix("MB") {
        (number, 1_000_000)
    } else if let Some(number) = text.strip_suffix("GB") {
        (number, 1_000_000_000)
    } else {
        (text.strip_suffix('B').unwrap_or(text), 1)
    };
    number.parse::<u64>().ok()?.checked_mul(unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directives_are_read_with_their_options() {
        let rules = parse("a cat [sim:status=503 on=status times=2 html] and [sim:stuck]", Provider::Runway);
        assert_eq!(rules.len(), 2);
        let first = rules[0].clone().unwrap();
        assert_eq!(first.matches.kind, Some(Kind::Status));
        assert_eq!(first.times, Some(2));
        assert_eq!(
            first.fault,
            Fault::Status { code: 503, retry_after_s: None, html: true, accepted: false }
        );
        assert_eq!(rules[1].clone().unwrap().fault, Fault::Stuck);
    }

    #[test]
    fn body_faults_strike_where_the_media_is() {
        let kind = |provider| parse("[sim:huge=1MB]", provider)[0].clone().unwrap().matches.kind;
        assert_eq!(kind(Provider::ElevenLabs), Some(Kind::Submit));
        assert_eq!(kind(Provider::Runway), Some(Kind::Media));
    }

    #[test]
    fn what_is_not_understood_is_reported() {
        assert_eq!(parse("[sim:explode]", Provider::Fal), vec![Err("explode".to_owned())]);
        assert_eq!(parse("[sim:late]", Provider::Fal), vec![Err("late".to_owned())]);
        assert_eq!(parse("no directive", Provider::Fal), vec![]);
    }
}
