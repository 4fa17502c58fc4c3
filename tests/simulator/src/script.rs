//! Scripted faults: which requests they strike, how often, and what happens.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use crate::directive;
use crate::fault::{Fault, Layer};
use crate::journal::{Kind, Provider};

/// How many prompts with counted directives are remembered; the oldest are forgotten first.
const COUNTED_PROMPTS: usize = 10_000;

/// One scripted fault. Rules are looked at in the order in which they were added.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// Which requests it strikes; empty means every one the fault makes sense for.
    #[serde(default)]
    pub matches: Match,
    /// How often it strikes; `None` = always.
    #[serde(default)]
    pub times: Option<u32>,
    /// How many matching requests pass unharmed first.
    #[serde(default)]
    pub skip: u32,
    /// What happens.
    pub fault: Fault,
}

impl Rule {
    /// A rule that strikes every request its fault makes sense for, always.
    pub fn new(fault: Fault) -> Self {
        Self { matches: Match::default(), times: None, skip: 0, fault }
    }

    /// Only requests to this provider.
    pub fn provider(mut self, provider: Provider) -> Self {
        self.matches.provider = Some(provider);
        self
    }

    /// Only requests of this kind.
    pub fn kind(mut self, kind: Kind) -> Self {
        self.matches.kind = Some(kind);
        self
    }

    /// Only requests about work whose prompt contains this text.
    pub fn prompt_contains(mut self, text: impl Into<String>) -> Self {
        self.matches.prompt_contains = Some(text.into());
        self
    }

    /// Strike this often only.
    pub fn times(mut self, times: u32) -> Self {
        self.times = Some(times);
        self
    }

    /// Let this many matching requests pass first.
    pub fn skip(mut self, skip: u32) -> Self {
        self.skip = skip;
        self
    }
}

/// Conditions of a [`Rule`]; all that are present must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Match {
    /// The provider spoken to (media requests belong to the provider that made the file).
    #[serde(default)]
    pub provider: Option<Provider>,
    /// The kind of request.
    #[serde(default)]
    pub kind: Option<Kind>,
    /// Text that the prompt contains. Requests that name a task are matched by that task's prompt.
    #[serde(default)]
    pub prompt_contains: Option<String>,
}

/// The faults that strike one request: at most one of each layer.
#[derive(Debug, Clone, Default)]
pub(crate) struct Strike {
    pub(crate) answer: Option<Fault>,
    pub(crate) body: Option<Fault>,
    pub(crate) work: Option<Fault>,
    /// Directives in the prompt that could not be understood, for the journal.
    pub(crate) unknown: Vec<String>,
}

impl Strike {
    /// What the journal says about it, such as `lost` or `late+stuck`.
    pub(crate) fn label(&self) -> Option<String> {
        let faults = [&self.answer, &self.body, &self.work];
        let mut words: Vec<String> =
            faults.into_iter().flatten().map(|fault| fault.label().to_owned()).collect();
        words.extend(self.unknown.iter().map(|text| format!("unknown({text})")));
        (!words.is_empty()).then(|| words.join("+"))
    }

    fn slot(&mut self, layer: Layer) -> &mut Option<Fault> {
        match layer {
            Layer::Answer => &mut self.answer,
            Layer::Body => &mut self.body,
            Layer::Work => &mut self.work,
        }
    }
}

/// The rules in force and how often each has matched.
#[derive(Debug, Default)]
pub(crate) struct Script {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    rules: Vec<(Rule, u64)>,
    counted: HashMap<(String, usize), u64>,
    order: VecDeque<(String, usize)>,
}

impl Script {
    pub(crate) fn add(&self, rule: Rule) {
        self.lock().rules.push((rule, 0));
    }

    pub(crate) fn clear(&self) {
        *self.lock() = State::default();
    }

    pub(crate) fn rules(&self) -> Vec<Rule> {
        self.lock().rules.iter().map(|(rule, _)| rule.clone()).collect()
    }

    /// Decides what strikes a request and counts it. Rules come before directives in the prompt.
    pub(crate) fn strike(&self, provider: Provider, kind: Kind, prompt: Option<&str>) -> Strike {
        let mut strike = Strike::default();
        let mut state = self.lock();
        for (rule, seen) in &mut state.rules {
            let slot = strike.slot(rule.fault.layer());
            if slot.is_none() && rule_matches(rule, provider, kind, prompt) {
                *seen += 1;
                if in_window(*seen, rule.skip, rule.times) {
                    *slot = Some(rule.fault.clone());
                }
            }
        }
        let directives = prompt.map(|prompt| directive::parse(prompt, provider)).unwrap_or_default();
        for (index, parsed) in directives.into_iter().enumerate() {
            match parsed {
                Err(text) if kind == Kind::Submit => strike.unknown.push(text),
                Err(_) => {}
                Ok(rule) => {
                    let slot = strike.slot(rule.fault.layer());
                    if slot.is_none() && rule_matches(&rule, provider, kind, prompt) {
                        let counted = rule.skip > 0 || rule.times.is_some();
                        let seen = if counted { state.count(prompt.unwrap_or_default(), index) } else { 1 };
                        if in_window(seen, rule.skip, rule.times) {
                            *slot = Some(rule.fault);
                        }
                    }
                }
            }
        }
        strike
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn count(&mut self, prompt: &str, index: usize) -> u64 {
        let key = (prompt.to_owned(), index);
        if !self.counted.contains_key(&key) {
            if self.order.len() >= COUNTED_PROMPTS
                && let Some(oldest) = self.order.pop_front()
            {
                self.counted.remove(&oldest);
            }
            self.order.push_back(key.clone());
        }
        let seen = self.counted.entry(key).or_insert(0);
        *seen += 1;
        *seen
    }
}

fn rule_matches(rule: &Rule, provider: Provider, kind: Kind, prompt: Option<&str>) -> bool {
    let Match { provider: wanted_provider, kind: wanted_kind, prompt_contains } = &rule.matches;
    let kind_fits = match wanted_kind {
        Some(wanted) => *wanted == kind && (rule.fault.layer() != Layer::Work || kind == Kind::Submit),
        None => rule.fault.suits(provider, kind),
    };
    kind_fits
        && wanted_provider.is_none_or(|wanted| wanted == provider)
        && prompt_contains.as_ref().is_none_or(|text| prompt.is_some_and(|prompt| prompt.contains(text)))
}

fn in_window(seen: u64, skip: u32, times: Option<u32>) -> bool {
    let struck = seen.saturating_sub(u64::from(skip));
    struck > 0 && times.is_none_or(|times| struck <= u64::from(times))
}
