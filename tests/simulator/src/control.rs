//! The simulator's own surface under `/_sim`: journal, script, health.

use http::Method;
use serde_json::{Value, json};

use crate::answer::Answer;
use crate::call::Call;
use crate::journal::{Entry, Kind, Provider};
use crate::script::Rule;
use crate::state::State;

pub(crate) fn answer(call: &Call, state: &State) -> Answer {
    match (&call.method, call.parts().as_slice()) {
        (&Method::GET, ["health"]) => {
            let providers: Vec<&str> = Provider::ALL.iter().map(|provider| provider.name()).collect();
            Answer::json(200, json!({"status": "ok", "providers": providers, "seed": state.options.seed}))
        }
        (&Method::GET, ["journal"]) => match Filter::of(call) {
            Ok(filter) => {
                let entries: Vec<Entry> =
                    state.journal.all().into_iter().filter(|entry| filter.admits(entry)).collect();
                Answer::json(200, json!({"count": entries.len(), "entries": entries}))
            }
            Err(message) => Answer::json(400, json!({"error": message})),
        },
        (&Method::DELETE, ["journal"]) => {
            state.journal.clear();
            Answer::empty(204)
        }
        (&Method::GET, ["script"]) => Answer::json(200, json!({"rules": state.script.rules()})),
        (&Method::POST, ["script"]) => match read_rules(&call.body) {
            Ok(rules) => {
                let count = rules.len();
                rules.into_iter().for_each(|rule| state.script.add(rule));
                Answer::json(200, json!({"added": count}))
            }
            Err(error) => Answer::json(400, json!({"error": format!("not a rule: {error}")})),
        },
        (&Method::DELETE, ["script"]) => {
            state.script.clear();
            Answer::empty(204)
        }
        _ => Answer::json(404, json!({"error": "try /_sim/health, /_sim/journal or /_sim/script"})),
    }
}

/// One rule or a list of rules.
fn read_rules(body: &[u8]) -> serde_json::Result<Vec<Rule>> {
    let value: Value = serde_json::from_slice(body)?;
    if value.is_array() { serde_json::from_value(value) } else { Ok(vec![serde_json::from_value(value)?]) }
}

#[derive(Default)]
struct Filter {
    kind: Option<Kind>,
    provider: Option<Provider>,
    prompt: Option<String>,
    prompt_contains: Option<String>,
    accepted: Option<bool>,
}

impl Filter {
    fn of(call: &Call) -> Result<Self, String> {
        let mut filter = Self::default();
        for (name, value) in &call.query {
            let unknown = || format!("`{value}` is no {name}");
            match name.as_str() {
                "kind" => filter.kind = Some(Kind::from_word(value).ok_or_else(unknown)?),
                "provider" => filter.provider = Some(Provider::named(value).ok_or_else(unknown)?),
                "prompt" => filter.prompt = Some(value.clone()),
                "prompt_contains" => filter.prompt_contains = Some(value.clone()),
                "accepted" => filter.accepted = Some(value.parse().map_err(|_| unknown())?),
                _ => return Err(format!("unknown filter `{name}`")),
            }
        }
        Ok(filter)
    }

    fn admits(&self, entry: &Entry) -> bool {
        let prompt = entry.prompt.as_deref();
        self.kind.is_none_or(|kind| entry.kind == kind)
            && self.provider.is_none_or(|provider| entry.provider == Some(provider))
            && self.accepted.is_none_or(|accepted| entry.accepted == accepted)
            && self.prompt.as_deref().is_none_or(|wanted| prompt == Some(wanted))
            && self
                .prompt_contains
                .as_deref()
                .is_none_or(|part| prompt.is_some_and(|prompt| prompt.contains(part)))
    }
}
