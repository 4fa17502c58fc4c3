//! Two workers, a poller and a caller at one store, and all that may happen next.

use atelier_domain::operation::Step;
use atelier_domain::state::{Event, State};

use super::store::{Consumer, JobNumber, Next, Record, Rule, Rules, Source, Store, Taken, Verdict, Written};

pub const WORKERS: usize = 2;
/// Number of the poller among the actors.
const POLLER: Consumer = 2;
/// Holds what nobody who lives holds any more.
const NOBODY: Consumer = 3;
/// Claims without a verdict before a job counts as poison.
const MAX_DELIVERIES: u16 = 3;
/// Paid calls of one job, at most.
const MAX_ATTEMPTS: u8 = 3;

/// What the jobs' callers want after an unknown outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum OnUnknown {
    Fail,
    Resubmit,
}

/// How a system begins, and how much may go wrong in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Setting {
    pub rules: Rules,
    pub jobs: JobNumber,
    pub on_unknown: OnUnknown,
    /// Crashes, lost answers, and stalls longer than a lease, together.
    pub faults: u8,
    /// Checks that find the provider still at work.
    pub checks: u8,
    /// Calls refused for now, and times that the asset store is away.
    pub refusals: u8,
    pub cancels: u8,
}

/// Where a worker or the poller stands. Each value but the first dies with its process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Phase {
    Idle,
    /// It has claimed a step.
    Holding(Taken),
    /// The intent is being stored.
    Saving(Taken),
    /// The paid call is next.
    Calling(Taken),
    /// The verdict is being written, again and again until there is an answer.
    Settling(Verdict),
    /// The message was acknowledged and the record is not written yet: only without its rule.
    Acknowledged(Verdict),
    /// An accepted call came too late for its claim.
    Noting(JobNumber, u8),
    NotingAs(Verdict),
}

/// What was paid for a job, and why.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
struct Ledger {
    /// Paid calls that arrived at the provider.
    paid: u8,
    /// Intents that were stored.
    intents: u8,
    /// Times that the job went from uncertain to queued.
    disproved: u8,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct System {
    setting: Setting,
    pub store: Store,
    actors: [Phase; WORKERS + 1],
    /// The caller's cancel on its way.
    cancel: Option<Verdict>,
    /// Steps that left the due set and stand in no stream yet: only without the rule about it.
    moving: Vec<(Step, JobNumber)>,
    ledgers: Vec<Ledger>,
}

/// How a step came about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// A process goes on.
    Progress,
    /// Something goes wrong, or the caller interferes: it need not happen.
    Chance,
}

/// One thing that may happen next.
pub struct Successor {
    pub name: String,
    pub cause: Cause,
    pub system: System,
}

/// A promise that does not hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Broken {
    /// A second paid call that no uncertain state explains.
    PaidTwice,
    /// A paid call without a stored intent.
    PaidWithoutIntent,
    /// A job that has not ended and that nothing will look at.
    Forgotten,
    /// An ended job got another state.
    EndChanged,
    /// Nothing goes wrong any more, and yet a job does not end.
    DoesNotEnd,
}

impl Broken {
    pub const ALL: [Self; 5] =
        [Self::PaidTwice, Self::PaidWithoutIntent, Self::Forgotten, Self::EndChanged, Self::DoesNotEnd];
}

impl System {
    pub fn new(setting: Setting) -> Self {
        let mut store = Store::default();
        (0..setting.jobs).for_each(|job| store.admit(job, Next::Now(Step::Submit)));
        Self {
            setting,
            store,
            actors: [Phase::Idle; WORKERS + 1],
            cancel: None,
            moving: Vec::new(),
            ledgers: vec![Ledger::default(); usize::from(setting.jobs)],
        }
    }

    /// The same system with its workers in an order that does not depend on their names: what can happen to it is the
    /// same.
    pub fn canonical(&self) -> Self {
        let mut system = self.clone();
        if system.actors[0] > system.actors[1] {
            system.actors.swap(0, 1);
            for message in system.store.streams.values_mut().flatten() {
                message.holder = message.holder.map(|holder| if holder < 2 { 1 - holder } else { holder });
            }
        }
        system
    }

    /// Whether all jobs have ended and nobody has anything left to do.
    pub fn is_at_rest(&self) -> bool {
        self.store.records.values().all(|record| record.header.state.is_terminal())
            && self.actors.iter().all(|phase| *phase == Phase::Idle)
            && self.store.streams.values().all(Vec::is_empty)
            && self.store.delayed.is_empty()
            && self.store.deliveries.is_empty()
    }

    /// The promises that the way from `self` to `later` breaks.
    pub fn broken_by(&self, later: &Self) -> Vec<Broken> {
        let mut broken = Vec::new();
        for ledger in &later.ledgers {
            if ledger.paid > ledger.intents {
                broken.push(Broken::PaidWithoutIntent);
            }
            if ledger.paid > 1 + ledger.disproved {
                broken.push(Broken::PaidTwice);
            }
        }
        for (job, after) in &later.store.records {
            if !after.header.state.is_terminal() && !later.store.is_reachable(later.rules(), *job) {
                broken.push(Broken::Forgotten);
            }
            let before = self.store.records.get(job).map_or(State::Queued, |record| record.header.state);
            if before.is_terminal() && before != after.header.state {
                broken.push(Broken::EndChanged);
            }
        }
        broken
    }

    /// Everything that may happen next.
    pub fn successors(&self) -> Vec<Successor> {
        let mut found = Vec::new();
        for actor in 0..=POLLER {
            self.steps_of(actor, &mut found);
            if self.actors[usize::from(actor)] != Phase::Idle {
                self.chance(
                    &mut found,
                    || format!("{} dies", name(actor)),
                    |system| {
                        system.actors[usize::from(actor)] = Phase::Idle;
                        if actor == POLLER {
                            system.moving.clear();
                        }
                    },
                );
            }
        }
        self.clock(&mut found);
        self.caller(&mut found);
        found
    }

    fn steps_of(&self, actor: Consumer, found: &mut Vec<Successor>) {
        match self.actors[usize::from(actor)] {
            Phase::Idle if actor == POLLER => self.take_a_check(found),
            Phase::Idle => {
                self.read(actor, found);
                self.take_a_delivery(actor, found);
                if self.rules().has(Rule::OthersRecover) {
                    self.recover(actor, found);
                }
            }
            Phase::Holding(taken) => self.handle(actor, taken, found),
            Phase::Saving(taken) => {
                self.written(actor, "stores the intent", &save_of(&taken), found, |system, written| {
                    system.actors[usize::from(actor)] =
                        if written == Written::Yes { Phase::Calling(taken) } else { Phase::Idle };
                });
            }
            Phase::Calling(taken) => self.call(actor, taken, found),
            Phase::Settling(verdict) if !self.rules().has(Rule::StateBeforeAck) => {
                self.progress(found, format!("{} acknowledges", name(actor)), |system| {
                    system.store.acknowledge(&verdict);
                    system.actors[usize::from(actor)] = Phase::Acknowledged(verdict);
                });
            }
            Phase::Settling(verdict) | Phase::Acknowledged(verdict) => {
                self.written(actor, "settles", &verdict, found, |system, written| {
                    let is_late = matches!(written, Written::Stale(_));
                    let remote = verdict.record.remote;
                    system.actors[usize::from(actor)] =
                        if is_late && remote != 0 && verdict.record.header.state == State::Awaiting {
                            Phase::Noting(verdict.job, remote)
                        } else {
                            Phase::Idle
                        };
                });
            }
            Phase::Noting(job, remote) => {
                let phase = match self.store.records.get(&job).and_then(|record| note(job, record, remote)) {
                    Some(verdict) => Phase::NotingAs(verdict),
                    None => Phase::Idle,
                };
                self.progress(found, format!("{} reads a late answer's job", name(actor)), |system| {
                    system.actors[usize::from(actor)] = phase;
                });
            }
            Phase::NotingAs(verdict) => {
                self.written(actor, "keeps a late answer", &verdict, found, |system, written| {
                    system.actors[usize::from(actor)] = match written {
                        Written::Yes => Phase::Idle,
                        Written::Stale(_) => Phase::Noting(verdict.job, verdict.record.remote),
                    };
                });
            }
        }
    }

    fn read(&self, actor: Consumer, found: &mut Vec<Successor>) {
        for (step, messages) in &self.store.streams {
            if messages.iter().all(|message| message.holder.is_some()) {
                continue;
            }
            let claim = |system: &mut Self| system.store.read(system.rules(), *step, actor, 1);
            self.progress(found, format!("{} reads {step}", name(actor)), |system| {
                let taken = claim(system);
                system.hold(actor, taken);
            });
            let told = || format!("{} reads {step}, but the answer is lost", name(actor));
            self.chance(found, told, |system| drop(claim(system)));
        }
    }

    fn recover(&self, actor: Consumer, found: &mut Vec<Successor>) {
        for (step, messages) in &self.store.streams {
            for message in messages {
                let Some(holder) = message.holder else { continue };
                let (job, epoch) = (message.job, message.epoch);
                let claim = |system: &mut Self| {
                    system.store.lapse(*step, job, epoch);
                    let (_, taken) = system.store.recover(system.rules(), *step, actor, 1, true);
                    system.hold(actor, taken);
                };
                let is_alive = holder != NOBODY;
                let told = format!("{} recovers {step} of job {job} from {}", name(actor), name(holder));
                match is_alive {
                    true => self.chance(found, || told + ", who stalls", claim),
                    false => self.progress(found, told, claim),
                }
            }
        }
    }

    fn take_a_check(&self, found: &mut Vec<Successor>) {
        // The only poller is idle, so whatever it had taken is a dead one's and falls due by itself.
        for job in self.store.checks.keys() {
            let take = |system: &mut Self| {
                system.store.checks.insert(*job, true);
                let (_, taken) = system.store.take(system.rules(), Source::Checks, 1, true);
                taken
            };
            self.progress(found, format!("the poller takes the check of job {job}"), |system| {
                let taken = take(system);
                system.hold(POLLER, taken);
            });
            let told = || format!("the poller takes the check of job {job}, but the answer is lost");
            self.chance(found, told, |system| drop(take(system)));
        }
    }

    fn take_a_delivery(&self, actor: Consumer, found: &mut Vec<Successor>) {
        for job in self.store.deliveries.keys() {
            let holder = self.actors.iter().position(|phase| phase.claims(*job, Source::Deliveries));
            let is_left = self.store.records.get(job).is_some_and(|record| record.header.deliveries > 0);
            if is_left && !self.rules().has(Rule::OthersRecover) {
                continue;
            }
            let take = |system: &mut Self| {
                system.store.deliveries.insert(*job, true);
                let (_, taken) = system.store.take(system.rules(), Source::Deliveries, 1, true);
                taken
            };
            let hold = |system: &mut Self| {
                let taken = take(system);
                system.hold(actor, taken);
            };
            let told = format!("{} takes the delivery of job {job}", name(actor));
            match holder {
                None => {
                    self.progress(found, told.clone(), hold);
                    self.chance(found, || told + ", but the answer is lost", |system| drop(take(system)));
                }
                Some(_) => self.chance(found, || told + " from one who stalls", hold),
            }
        }
    }

    /// What a step's handler makes of its job.
    fn handle(&self, actor: Consumer, taken: Taken, found: &mut Vec<Successor>) {
        let Taken { job, record, source } = taken;
        let state = record.header.state;
        let who = name(actor);
        let mut settle = |told: &str, next: Option<(State, Next)>| {
            let (state, next) = next.unwrap_or((state, resumed(state)));
            let mut verdict = verdict_of(&taken, state, next);
            if state == State::Queued && next == Next::Now(Step::Submit) {
                verdict.record.remote = 0;
            }
            self.progress(found, format!("{who} decides: {told}"), |system| {
                system.actors[usize::from(actor)] = Phase::Settling(verdict);
            });
        };
        let step = match source {
            Source::Stream(step, _) => step,
            Source::Deliveries => Step::Deliver,
            Source::Checks | Source::Outside | Source::Keep => Step::Check,
        };
        if record.header.deliveries > MAX_DELIVERIES && !state.is_terminal() {
            return settle("poison", Some((after(state, Event::Failed), Next::Nothing)));
        }
        match (step, state) {
            (Step::Abandon, _) => settle("told to stop", Some((state, Next::Nothing))),
            (Step::Submit | Step::Reconcile, State::Submitting)
                if self.rules().has(Rule::OpenIntentIsUncertain) =>
            {
                settle("lost", Some((after(state, Event::AnswerLost), Next::Now(Step::Reconcile))));
            }
            (Step::Submit, State::Queued | State::Submitting) => {
                let mut taken = taken;
                taken.record.header.state = State::Submitting;
                taken.record.attempts += 1;
                let phase = match self.rules().has(Rule::IntentBeforeCall) {
                    true => Phase::Saving(taken),
                    false => Phase::Calling(taken),
                };
                self.progress(found, format!("{who} begins to submit job {job}"), |system| {
                    system.actors[usize::from(actor)] = phase;
                });
            }
            (Step::Reconcile, State::Uncertain) => {
                let may = self.setting.on_unknown == OnUnknown::Resubmit && record.attempts < MAX_ATTEMPTS;
                match may {
                    true => {
                        settle("resubmit", Some((after(state, Event::Disproved), Next::Now(Step::Submit))))
                    }
                    false => settle("unknown outcome", Some((after(state, Event::Failed), Next::Nothing))),
                }
            }
            (Step::Check, State::Awaiting) => {
                settle("ready", Some((after(state, Event::Ready), Next::Now(Step::Deliver))));
                settle("timeout", Some((after(state, Event::Failed), Next::Now(Step::Abandon))));
                let verdict = verdict_of(&taken, state, Next::Later(Step::Check));
                self.spend(
                    found,
                    |setting| &mut setting.checks,
                    "still working",
                    |system| {
                        system.actors[usize::from(actor)] = Phase::Settling(verdict);
                    },
                );
            }
            (Step::Deliver, State::Delivering) => {
                settle("stored", Some((after(state, Event::Stored), Next::Nothing)));
                let verdict = verdict_of(&taken, state, Next::Later(Step::Deliver));
                self.spend(
                    found,
                    |setting| &mut setting.refusals,
                    "the store is away",
                    |system| {
                        system.actors[usize::from(actor)] = Phase::Settling(verdict);
                    },
                );
            }
            _ => settle("resume", None),
        }
    }

    /// The paid call and all that may come of it.
    fn call(&self, actor: Consumer, taken: Taken, found: &mut Vec<Successor>) {
        let (who, job) = (name(actor), usize::from(taken.job));
        let state = taken.record.header.state;
        let pay = |system: &mut Self| system.ledgers[job].paid += 1;
        let end = |system: &mut Self, event: Event, next: Next| {
            let mut verdict = verdict_of(&taken, after(state, event), next);
            verdict.record.remote = if event == Event::Accepted { system.ledgers[job].paid } else { 0 };
            system.actors[usize::from(actor)] = Phase::Settling(verdict);
        };
        self.progress(found, format!("{who} pays and is given an id"), |system| {
            pay(system);
            end(system, Event::Accepted, Next::Later(Step::Check));
        });
        self.progress(found, format!("{who} pays and is given the bytes"), |system| {
            pay(system);
            end(system, Event::BytesReceived, Next::Now(Step::Deliver));
        });
        self.chance(
            found,
            || format!("{who} pays, but the answer is lost"),
            |system| {
                pay(system);
                end(system, Event::AnswerLost, Next::Now(Step::Reconcile));
            },
        );
        self.chance(
            found,
            || format!("{who} calls, but the request is lost"),
            |system| {
                end(system, Event::AnswerLost, Next::Now(Step::Reconcile));
            },
        );
        self.spend(
            found,
            |setting| &mut setting.refusals,
            "the call is refused for now",
            |system| {
                end(system, Event::RetryLater, Next::Later(Step::Submit));
            },
        );
    }

    /// The poller's clock moves what is due.
    fn clock(&self, found: &mut Vec<Successor>) {
        if !self.moving.is_empty() {
            self.progress(found, "the clock fills the streams".to_owned(), |system| {
                for (step, job) in std::mem::take(&mut system.moving) {
                    let epoch = system.store.records.get(&job).map_or(0, |record| record.header.epoch);
                    system.store.enqueue(Next::Now(step), job, epoch);
                }
            });
        }
        for (step, job) in self.store.delayed.keys().copied() {
            self.progress(found, format!("the clock moves {step} of job {job}"), |system| {
                if system.rules().has(Rule::StreamBeforeDueSet) {
                    system.store.delayed.insert((step, job), true);
                    system.store.promote();
                } else {
                    system.store.delayed.remove(&(step, job));
                    system.moving.push((step, job));
                }
            });
        }
    }

    /// The caller cancels: looks at the job, then writes over what it saw.
    fn caller(&self, found: &mut Vec<Successor>) {
        if let Some(verdict) = self.cancel {
            self.progress(found, "the cancel is written".to_owned(), |system| {
                system.cancel = None;
                if let Written::Stale(Some(present)) = system.write(&verdict) {
                    system.cancel = system.cancel_of(verdict.job, &present);
                }
            });
        } else if self.setting.cancels > 0 {
            for (job, record) in &self.store.records {
                let Some(verdict) = self.cancel_of(*job, record) else { continue };
                self.spend(
                    found,
                    |setting| &mut setting.cancels,
                    "the caller cancels",
                    |system| {
                        system.cancel = Some(verdict);
                    },
                );
            }
        }
    }

    fn cancel_of(&self, job: JobNumber, record: &Record) -> Option<Verdict> {
        let state = record.header.state;
        if state.is_terminal() && self.rules().has(Rule::EndedJobsStay) {
            return None;
        }
        let runs_at_provider = state == State::Awaiting && record.remote != 0;
        let next = if runs_at_provider { Next::Now(Step::Abandon) } else { Next::Nothing };
        let taken = Taken { job, source: Source::Outside, record: *record };
        Some(verdict_of(&taken, State::Cancelled, next))
    }

    /// A write by `actor`: it is done and answered, or done and its answer is lost.
    fn written(
        &self,
        actor: Consumer,
        what: &str,
        verdict: &Verdict,
        found: &mut Vec<Successor>,
        then: impl Fn(&mut Self, Written),
    ) {
        let told = format!("{} {what}: job {} is {}", name(actor), verdict.job, verdict.record.header.state);
        self.progress(found, told.clone(), |system| {
            let written = system.write(verdict);
            then(system, written);
        });
        self.chance(
            found,
            || told + ", but the answer is lost",
            |system| {
                system.write(verdict);
            },
        );
    }

    fn write(&mut self, verdict: &Verdict) -> Written {
        let before = self.store.records.get(&verdict.job).map(|record| record.header.state);
        let intents = self.store.records.get(&verdict.job).map(|record| record.attempts);
        let written = self.store.settle(self.rules(), verdict);
        if written == Written::Yes {
            let ledger = &mut self.ledgers[usize::from(verdict.job)];
            let is_new = intents.is_some_and(|intents| verdict.record.attempts > intents);
            ledger.intents += u8::from(verdict.source == Source::Keep && is_new);
            let is_queued = verdict.record.header.state == State::Queued;
            ledger.disproved += u8::from(before == Some(State::Uncertain) && is_queued);
        }
        written
    }

    fn hold(&mut self, actor: Consumer, taken: Vec<Taken>) {
        if let Some(taken) = taken.first() {
            self.actors[usize::from(actor)] = Phase::Holding(*taken);
        }
    }

    fn rules(&self) -> Rules {
        self.setting.rules
    }

    fn progress(&self, found: &mut Vec<Successor>, name: String, change: impl FnOnce(&mut Self)) {
        let mut system = self.clone();
        change(&mut system);
        system.forget();
        if system != *self {
            found.push(Successor { name, cause: Cause::Progress, system });
        }
    }

    fn chance(
        &self,
        found: &mut Vec<Successor>,
        name: impl FnOnce() -> String,
        change: impl FnOnce(&mut Self),
    ) {
        if self.setting.faults > 0 {
            let first = found.len();
            self.progress(found, name(), |system| {
                system.setting.faults -= 1;
                change(system);
            });
            found[first..].iter_mut().for_each(|successor| successor.cause = Cause::Chance);
        }
    }

    /// Something that may happen a counted number of times, without being a fault.
    fn spend(
        &self,
        found: &mut Vec<Successor>,
        budget: impl Fn(&mut Setting) -> &mut u8,
        name: &str,
        change: impl FnOnce(&mut Self),
    ) {
        let mut setting = self.setting;
        if *budget(&mut setting) > 0 {
            *budget(&mut setting) -= 1;
            let first = found.len();
            self.progress(found, name.to_owned(), |system| {
                system.setting = setting;
                change(system);
            });
            found[first..].iter_mut().for_each(|successor| successor.cause = Cause::Chance);
        }
    }

    /// Forgets what makes no difference: times, and who held what is held no more.
    fn forget(&mut self) {
        self.store.checks.values_mut().for_each(|is_due| *is_due = false);
        self.store.deliveries.values_mut().for_each(|is_due| *is_due = false);
        self.store.delayed.values_mut().for_each(|is_due| *is_due = false);
        for (step, messages) in &mut self.store.streams {
            for message in messages {
                let source = Source::Stream(*step, message.epoch);
                let is_claimed = |holder: Consumer| {
                    let actor = self.actors.get(usize::from(holder));
                    actor.is_some_and(|phase| phase.claims(message.job, source))
                };
                message.is_lapsed = false;
                message.holder = message.holder.map(|by| if is_claimed(by) { by } else { NOBODY });
            }
        }
        self.store.streams.retain(|_, messages| !messages.is_empty());
    }
}

impl Phase {
    /// Whether this is a claim on that message.
    fn claims(&self, job: JobNumber, source: Source) -> bool {
        match self {
            Self::Idle | Self::Noting(..) | Self::NotingAs(_) => false,
            Self::Holding(taken) | Self::Saving(taken) | Self::Calling(taken) => {
                taken.job == job && taken.source == source
            }
            Self::Settling(verdict) | Self::Acknowledged(verdict) => {
                verdict.job == job && verdict.source == source
            }
        }
    }
}

fn name(actor: Consumer) -> &'static str {
    ["worker 0", "worker 1", "the poller", "a dead one"][usize::from(actor)]
}

/// The state table's word on it.
fn after(state: State, event: Event) -> State {
    state.after(event).unwrap_or_else(|reason| panic!("{reason}"))
}

/// What shall look at a job next, by its state alone.
pub fn resumed(state: State) -> Next {
    match state {
        State::Queued => Next::Now(Step::Submit),
        State::Submitting | State::Uncertain => Next::Now(Step::Reconcile),
        State::Awaiting => Next::Now(Step::Check),
        State::Delivering => Next::Now(Step::Deliver),
        State::Succeeded | State::Failed | State::Cancelled => Next::Nothing,
    }
}

fn verdict_of(taken: &Taken, state: State, next: Next) -> Verdict {
    let expected = taken.record.header.epoch;
    let mut record = taken.record;
    record.header.state = state;
    record.header.epoch = expected + 1;
    record.header.deliveries = 0;
    Verdict { job: taken.job, expected, source: taken.source, record, next }
}

fn save_of(taken: &Taken) -> Verdict {
    let expected = taken.record.header.epoch;
    Verdict { job: taken.job, expected, source: Source::Keep, record: taken.record, next: Next::Nothing }
}

/// What an id that came late makes of a job.
fn note(job: JobNumber, present: &Record, remote: u8) -> Option<Verdict> {
    let mut taken = Taken { job, source: Source::Outside, record: *present };
    if present.remote == remote {
        return None;
    }
    taken.record.remote = remote;
    match present.header.state {
        State::Uncertain => {
            Some(verdict_of(&taken, after(State::Uncertain, Event::Adopted), Next::Now(Step::Check)))
        }
        state if state.is_terminal() && present.remote == 0 => {
            Some(verdict_of(&taken, state, Next::Now(Step::Abandon)))
        }
        _ => None,
    }
}
