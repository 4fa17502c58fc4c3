//! What the simulated model says. It follows from the request alone.
//!
//! The last user message decides. A tool that it names is called, with arguments made from the tool's schema; a
//! directive names tool and arguments exactly. Once every planned call was made, the answer is text that quotes the
//! results. Directives: `[sim:tool=NAME {"json": 1}]`, `[sim:bad_arguments]`, `[sim:endless]` (the same calls in
//! every round), `[sim:refusal]`, `[sim:length]`.

use serde_json::{Value, json};

use super::messages::{Message, Role, tokens};
use super::request::Request;
use super::schema::{mentions, value_for};
use super::tools::{Choice, Format, Tool};

/// The words that directives for the model begin with.
const DIRECTIVES: [&str; 5] = ["tool", "bad_arguments", "endless", "refusal", "length"];
/// How much a reasoning model thinks, whatever it is asked.
const REASONING_TOKENS: u64 = 64;
const REFUSAL: &str = "I'm sorry, but I can't help with that.";

/// An answer before it is put into its wire form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Reply {
    pub(super) text: Option<String>,
    pub(super) refusal: Option<String>,
    pub(super) calls: Vec<ToolCall>,
    pub(super) finish: &'static str,
    pub(super) reasoning_tokens: u64,
}

/// A call that the model wants made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ToolCall {
    pub(super) name: String,
    /// JSON, or free text for a custom tool.
    pub(super) arguments: String,
    pub(super) is_custom: bool,
}

impl Reply {
    fn text(text: String) -> Self {
        Self { text: Some(text), refusal: None, calls: Vec::new(), finish: "stop", reasoning_tokens: 0 }
    }

    pub(super) fn tokens(&self) -> u64 {
        let calls = self.calls.iter().map(|call| tokens(&call.name) + tokens(&call.arguments));
        let texts = [&self.text, &self.refusal].into_iter().flatten().map(|text| tokens(text));
        calls.chain(texts).sum::<u64>() + self.reasoning_tokens
    }

    /// Cuts what is said after this many tokens, thinking not counted.
    fn cut(&mut self, left: u64) {
        let mut left = usize::try_from(left.saturating_mul(4)).unwrap_or(usize::MAX);
        let texts = self.text.iter_mut().chain(&mut self.refusal);
        for text in texts.chain(self.calls.iter_mut().map(|call| &mut call.arguments)) {
            *text = text.chars().take(left).collect();
            left = left.saturating_sub(text.chars().count());
        }
        self.finish = "length";
    }
}

/// Whether a directive is for the model.
pub(super) fn is_directive(inside: &str) -> bool {
    let name = inside.split(['=', ' ']).next().unwrap_or_default();
    DIRECTIVES.contains(&name)
}

/// The model's own refusal.
pub(super) fn refused() -> Reply {
    Reply { text: None, refusal: Some(REFUSAL.to_owned()), ..Reply::text(String::new()) }
}

/// An answer that a filter has taken away.
pub(super) fn filtered() -> Reply {
    Reply { finish: "content_filter", ..Reply::text(String::new()) }
}

pub(super) fn decide(request: &Request) -> Reply {
    let last_user = request.messages.iter().rposition(|message| message.role == Role::User);
    let wish = Wish::read(
        last_user.and_then(|index| request.messages.get(index)).map_or("", |message| &message.text),
    );
    let since = request.messages.get(last_user.map_or(0, |index| index + 1)..).unwrap_or_default();
    let calls = calls(request, &wish, since);
    let mut reply = if wish.is_refused {
        refused()
    } else if calls.is_empty() {
        Reply::text(said(request, &wish, since))
    } else {
        Reply { text: None, calls, finish: "tool_calls", ..Reply::text(String::new()) }
    };
    if let Some(text) = &mut reply.text
        && let Some(end) = request.stops.iter().filter_map(|stop| text.find(stop)).min()
    {
        text.truncate(end);
    }
    if wish.is_cut {
        let half = reply.tokens().div_ceil(2);
        reply.cut(half);
    }
    reply.reasoning_tokens = if request.model.is_reasoning { REASONING_TOKENS } else { 0 };
    if reply.tokens() > request.most_tokens {
        reply.reasoning_tokens = reply.reasoning_tokens.min(request.most_tokens);
        reply.cut(request.most_tokens - reply.reasoning_tokens);
    }
    reply
}

/// The calls of this round.
fn calls(request: &Request, wish: &Wish, since: &[Message]) -> Vec<ToolCall> {
    let (allowed, is_required) = match &request.choice {
        Choice::None => return Vec::new(),
        Choice::Auto(allowed) => (allowed, false),
        Choice::Required(allowed) => (allowed, true),
    };
    let allowed: Vec<&Tool> = allowed.iter().filter_map(|index| request.tools.get(*index)).collect();
    let is_allowed = |name: &str| allowed.iter().any(|tool| tool.name == name);
    // A tool that is not offered at all is called when a directive says so: models make tools up, too.
    let is_made_up = |name: &str| !request.tools.iter().any(|tool| tool.name == name);
    let mut planned: Vec<ToolCall> = wish
        .calls
        .iter()
        .filter(|(name, _)| is_allowed(name) || is_made_up(name))
        .map(|(name, arguments)| {
            let tool = allowed.iter().find(|tool| tool.name == *name);
            let made = || tool.map_or_else(|| "{}".to_owned(), |tool| arguments_for(tool, &wish.plain));
            ToolCall {
                name: name.clone(),
                arguments: arguments.clone().unwrap_or_else(made),
                is_custom: tool.is_some_and(|tool| tool.parameters.is_none()),
            }
        })
        .collect();
    if wish.calls.is_empty() {
        let mut named: Vec<(usize, &Tool)> = allowed
            .iter()
            .filter_map(|tool| Some((mentions(&wish.plain, &tool.name)?.len(), *tool)))
            .collect();
        named.sort_by_key(|(rest, _)| std::cmp::Reverse(*rest));
        planned.extend(named.into_iter().map(|(_, tool)| call(tool, &wish.plain)));
    }
    let made: usize = since.iter().map(|message| message.calls.len()).sum();
    let mut now: Vec<ToolCall> = planned.into_iter().skip(if wish.is_endless { 0 } else { made }).collect();
    if now.is_empty()
        && is_required
        && let Some(tool) = allowed.first()
    {
        now.push(call(tool, &wish.plain));
    }
    if !request.is_parallel {
        now.truncate(1);
    }
    if wish.is_broken {
        for call in &mut now {
            call.arguments = format!("{{\"broken\": {}", call.arguments);
        }
    }
    now
}

fn call(tool: &Tool, text: &str) -> ToolCall {
    ToolCall {
        name: tool.name.clone(),
        arguments: arguments_for(tool, text),
        is_custom: tool.parameters.is_none(),
    }
}

fn arguments_for(tool: &Tool, text: &str) -> String {
    match &tool.parameters {
        Some(schema) => value_for(schema, text).to_string(),
        None => text.to_owned(),
    }
}

/// The text of an answer without calls, in the form that is demanded.
fn said(request: &Request, wish: &Wish, since: &[Message]) -> String {
    let calls = || since.iter().flat_map(|message| &message.calls);
    let result = |message: &Message| {
        let id = message.answers.as_ref()?;
        let name = calls().find(|call| call.id == *id).map_or("", |call| &call.name);
        Some(format!("{name} answered: {}", message.text))
    };
    let results: Vec<String> = since.iter().filter_map(result).collect();
    let text = if results.is_empty() {
        format!("You said: {}", wish.plain)
    } else {
        format!("Results for \"{}\":\n{}", wish.plain, results.join("\n"))
    };
    match &request.format {
        Format::Text => text,
        Format::Object => json!({"answer": text}).to_string(),
        Format::Schema(schema) if results.is_empty() => value_for(schema, &wish.plain).to_string(),
        Format::Schema(schema) => value_for(schema, &results.join("\n")).to_string(),
    }
}

/// What the last user message asks for.
#[derive(Debug, Default, PartialEq, Eq)]
struct Wish {
    /// Tools and, where they are given, arguments.
    calls: Vec<(String, Option<String>)>,
    is_broken: bool,
    is_endless: bool,
    is_refused: bool,
    is_cut: bool,
    /// The message without any directive.
    plain: String,
}

impl Wish {
    fn read(text: &str) -> Self {
        let mut wish = Self::default();
        let mut rest = text;
        while let Some((before, tail)) = rest.split_once("[sim:") {
            wish.plain.push_str(before);
            rest = wish.directive(tail);
        }
        wish.plain.push_str(rest);
        wish.plain = wish.plain.trim().to_owned();
        wish
    }

    /// Reads one directive and gives what follows it.
    fn directive<'a>(&mut self, tail: &'a str) -> &'a str {
        if let Some(call) = tail.strip_prefix("tool=") {
            let name = call.split([' ', ']']).next().unwrap_or_default();
            let arguments = call.strip_prefix(name).unwrap_or_default().trim_start();
            // Brackets inside of the JSON do not end the directive.
            let mut values = serde_json::Deserializer::from_str(arguments).into_iter::<Value>();
            let is_json = matches!(values.next(), Some(Ok(Value::Object(_))));
            let json = if is_json { arguments.get(..values.byte_offset()).unwrap_or_default() } else { "" };
            let (inside, after) = match arguments.strip_prefix(json).and_then(|rest| rest.split_once(']')) {
                Some((inside, after)) => (inside.trim_end(), after),
                None => (arguments, ""),
            };
            let given = Some(if is_json { json } else { inside }).filter(|given| !given.is_empty());
            self.calls.push((name.to_owned(), given.map(str::to_owned)));
            return after;
        }
        let (inside, after) = tail.split_once(']').unwrap_or((tail, ""));
        match inside {
            "bad_arguments" => self.is_broken = true,
            "endless" => self.is_endless = true,
            "refusal" => self.is_refused = true,
            "length" => self.is_cut = true,
            _ => {}
        }
        after
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directives_keep_their_arguments_as_written() {
        let wish = Wish::read(
            "Look [sim:tool=find {\"list\": [1, 2], \"x\":\"]\"}] and [sim:tool=clock] then [sim:tool=odd not json] stop",
        );
        let expected =
            [("find", Some("{\"list\": [1, 2], \"x\":\"]\"}")), ("clock", None), ("odd", Some("not json"))];
        let expected = expected.map(|(name, given)| (name.to_owned(), given.map(str::to_owned)));
        assert_eq!(wish.calls, expected);
        assert_eq!(wish.plain, "Look  and  then  stop");
    }

    #[test]
    fn unfinished_directives_end_the_text() {
        for text in ["a [sim:tool=x {\"y\": [", "a [sim:tool=", "a [sim:length", "a [sim:"] {
            assert_eq!(Wish::read(text).plain, "a");
        }
    }
}
