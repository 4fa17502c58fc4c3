//! What Redis holds of the jobs, and what each script makes of it.

use std::collections::{BTreeMap, BTreeSet};

use atelier_domain::operation::Step;
use atelier_domain::state::State;

pub type JobNumber = u8;
pub type Consumer = u8;

/// The part of a record that scripts read and write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Header {
    pub state: State,
    pub epoch: u32,
    pub deliveries: u16,
}

/// A record: its header, and what the promises need of its body.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Record {
    pub header: Header,
    /// Paid calls that were intended.
    pub attempts: u8,
    /// Number of the provider's operation, 0 without one.
    pub remote: u8,
}

/// A message of a ready stream. Its job and epoch tell it from all others of its stream: whatever enqueues raises the
/// epoch first.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Message {
    pub job: JobNumber,
    pub epoch: u32,
    /// Who has read it.
    pub holder: Option<Consumer>,
    /// Whether its holder gave no sign for a lease.
    pub is_lapsed: bool,
}

/// Everything.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Store {
    pub records: BTreeMap<JobNumber, Record>,
    /// In the order of their arrival.
    pub streams: BTreeMap<Step, Vec<Message>>,
    /// Whether a check is due; one that is not waits for its time or for the end of a lease.
    pub checks: BTreeMap<JobNumber, bool>,
    /// The same for deliveries.
    pub deliveries: BTreeMap<JobNumber, bool>,
    /// The same for all other steps.
    pub delayed: BTreeMap<(Step, JobNumber), bool>,
    pub hastened: BTreeSet<JobNumber>,
}

/// Where the message of a claim is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Source {
    /// The message of this epoch.
    Stream(Step, u32),
    Checks,
    Deliveries,
    Outside,
    /// The claim is kept.
    Keep,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Next {
    Nothing,
    Now(Step),
    Later(Step),
}

/// One write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Verdict {
    pub job: JobNumber,
    pub expected: u32,
    pub source: Source,
    pub record: Record,
    pub next: Next,
}

/// A claimed step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Taken {
    pub job: JobNumber,
    pub source: Source,
    pub record: Record,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Written {
    Yes,
    /// The record as it is.
    Stale(Option<Record>),
}

/// The rules that can be left out, to see that a promise notices.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Rule {
    /// A verdict is written only over the epoch that it expects.
    VerdictsCompareEpochs,
    /// Each claim raises the epoch.
    ClaimsRaiseEpochs,
    /// The record is written before, or with, the acknowledgement.
    StateBeforeAck,
    /// A due step is in its stream before it leaves the due set.
    StreamBeforeDueSet,
    /// The intent is stored before the paid call.
    IntentBeforeCall,
    /// An open intent makes the job uncertain.
    OpenIntentIsUncertain,
    /// Others take over what a dead process held.
    OthersRecover,
    /// An ended job is no more written.
    EndedJobsStay,
}

/// The rules in force.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Rules {
    pub without: Option<Rule>,
}

impl Rules {
    pub fn without(rule: Rule) -> Self {
        Self { without: Some(rule) }
    }

    pub fn has(self, rule: Rule) -> bool {
        self.without != Some(rule)
    }
}

impl Store {
    /// `admit.lua` for a job that nobody knows yet.
    pub fn admit(&mut self, job: JobNumber, next: Next) {
        if self.records.contains_key(&job) {
            return;
        }
        let header = Header { state: State::Queued, epoch: 0, deliveries: 0 };
        self.records.insert(job, Record { header, attempts: 0, remote: 0 });
        self.enqueue(next, job, 0);
    }

    /// `claim.lua` in the mode `read`, and in the mode `given` for what a blocking read has brought.
    pub fn read(&mut self, rules: Rules, step: Step, consumer: Consumer, count: usize) -> Vec<Taken> {
        let mut read = Vec::new();
        for message in self.streams.entry(step).or_default().iter_mut() {
            if message.holder.is_none() && read.len() < count {
                message.holder = Some(consumer);
                message.is_lapsed = false;
                read.push((message.job, message.epoch));
            }
        }
        read.into_iter().filter_map(|(job, epoch)| self.claim(rules, step, job, epoch)).collect()
    }

    /// `claim.lua` in the mode `recover`. Says also how many suspects were left.
    pub fn recover(
        &mut self,
        rules: Rules,
        step: Step,
        consumer: Consumer,
        count: usize,
        may_take_suspect: bool,
    ) -> (usize, Vec<Taken>) {
        let (mut may_take_suspect, mut suspects_left, mut claimed) = (may_take_suspect, 0, Vec::new());
        let idle: Vec<(JobNumber, u32)> = self
            .streams
            .entry(step)
            .or_default()
            .iter()
            .filter(|message| message.holder.is_some() && message.is_lapsed)
            .map(|message| (message.job, message.epoch))
            .collect();
        let mut left = count;
        for (job, epoch) in idle {
            if left == 0 {
                break;
            }
            let is_suspect = self.records.get(&job).is_some_and(|record| record.header.deliveries >= 2);
            if is_suspect && !may_take_suspect {
                suspects_left += 1;
                continue;
            }
            if let Some(message) = self.message(step, job, epoch) {
                message.holder = Some(consumer);
                message.is_lapsed = false;
            }
            claimed.extend(self.claim(rules, step, job, epoch));
            left -= 1;
            may_take_suspect &= !is_suspect;
        }
        (suspects_left, claimed)
    }

    /// `take.lua` on the due set that is the source.
    pub fn take(
        &mut self,
        rules: Rules,
        source: Source,
        count: usize,
        may_take_suspect: bool,
    ) -> (usize, Vec<Taken>) {
        let (mut may_take_suspect, mut suspects_left, mut taken) = (may_take_suspect, 0, Vec::new());
        let (set, state) = match source {
            Source::Deliveries => (&mut self.deliveries, State::Delivering),
            Source::Checks | Source::Stream(..) | Source::Outside | Source::Keep => {
                (&mut self.checks, State::Awaiting)
            }
        };
        let due: Vec<JobNumber> =
            set.iter().filter(|(_, is_due)| **is_due).map(|(job, _)| *job).take(count).collect();
        for job in due {
            let Some(record) = self.records.get_mut(&job).filter(|record| record.header.state == state)
            else {
                set.remove(&job);
                continue;
            };
            let is_suspect = record.header.deliveries >= 2;
            if is_suspect && !may_take_suspect {
                suspects_left += 1;
                set.insert(job, false);
                continue;
            }
            may_take_suspect &= !is_suspect;
            raise(rules, record);
            taken.push(Taken { job, source, record: *record });
            set.insert(job, false);
        }
        (suspects_left, taken)
    }

    /// `settle.lua` for one item.
    pub fn settle(&mut self, rules: Rules, verdict: &Verdict) -> Written {
        let Some(present) = self.records.get_mut(&verdict.job) else { return Written::Stale(None) };
        if present.header == verdict.record.header && verdict.source != Source::Keep {
            return Written::Yes;
        }
        let is_fresh = present.header.epoch == verdict.expected;
        if !is_fresh && rules.has(Rule::VerdictsCompareEpochs) {
            return Written::Stale(Some(*present));
        }
        *present = verdict.record;
        self.acknowledge(verdict);
        self.enqueue(verdict.next, verdict.job, verdict.record.header.epoch);
        Written::Yes
    }

    /// The part of `settle.lua` that takes the message away.
    pub fn acknowledge(&mut self, verdict: &Verdict) {
        let job = verdict.job;
        match verdict.source {
            Source::Checks if !matches!(verdict.next, Next::Now(Step::Check) | Next::Later(Step::Check)) => {
                self.checks.remove(&job);
            }
            Source::Deliveries => {
                self.deliveries.remove(&job);
            }
            Source::Outside => {
                self.checks.remove(&job);
                self.deliveries.remove(&job);
                // Deliveries go when they fall due: their names have the end of their links in them.
                let stays = |step: Step| matches!(step, Step::Abandon | Step::Deliver);
                self.delayed.retain(|(step, other), _| *other != job || stays(*step));
            }
            Source::Stream(step, epoch) => self.drop_message(step, job, epoch),
            Source::Checks | Source::Keep => {}
        }
    }

    /// `renew.lua` for one claim. `false`: the claim is somebody else's.
    pub fn renew(&mut self, consumer: Consumer, claim: &Taken) -> bool {
        let epoch = claim.record.header.epoch;
        if self.records.get(&claim.job).is_none_or(|record| record.header.epoch != epoch) {
            return false;
        }
        match claim.source {
            Source::Checks => {
                self.checks.entry(claim.job).and_modify(|is_due| *is_due = false);
            }
            Source::Deliveries => {
                self.deliveries.entry(claim.job).and_modify(|is_due| *is_due = false);
            }
            Source::Stream(step, epoch) => {
                // XCLAIM leaves alone what nobody has read.
                if let Some(message) =
                    self.message(step, claim.job, epoch).filter(|message| message.holder.is_some())
                {
                    message.holder = Some(consumer);
                    message.is_lapsed = false;
                }
            }
            Source::Outside | Source::Keep => {}
        }
        true
    }

    /// `promote.lua`, without a limit.
    pub fn promote(&mut self) -> usize {
        let mut due: Vec<(Step, JobNumber)> =
            self.delayed.iter().filter(|(_, is_due)| **is_due).map(|(member, _)| *member).collect();
        // The set is in the order of its members' text when they fall due together.
        due.sort_by_key(|(step, job)| (step.as_str(), *job));
        for (step, job) in &due {
            self.delayed.remove(&(*step, *job));
            if let Some(record) = self.records.get(job)
                && (*step == Step::Abandon || !record.header.state.is_terminal())
            {
                self.enqueue(Next::Now(*step), *job, record.header.epoch);
            }
        }
        due.len()
    }

    /// `hasten.lua`.
    pub fn hasten(&mut self, job: JobNumber) -> bool {
        let waits = self
            .records
            .get(&job)
            .is_some_and(|record| record.header.state == State::Awaiting && record.header.deliveries == 0);
        if !waits || !self.checks.contains_key(&job) || !self.hastened.insert(job) {
            return false;
        }
        self.checks.insert(job, true);
        true
    }

    /// The record expires.
    pub fn expire(&mut self, job: JobNumber) {
        self.records.remove(&job);
    }

    /// Time passes for one message: its holder gave no sign for a lease.
    pub fn lapse(&mut self, step: Step, job: JobNumber, epoch: u32) {
        if let Some(message) = self.message(step, job, epoch).filter(|message| message.holder.is_some()) {
            message.is_lapsed = true;
        }
    }

    /// The lease of a delivery passes.
    pub fn lapse_delivery(&mut self, job: JobNumber) {
        self.deliveries.entry(job).and_modify(|is_due| *is_due = true);
    }

    /// Time passes for one member of a due set: it is due.
    pub fn make_due(&mut self, step: Step, job: JobNumber) {
        match step {
            Step::Check => self.checks.get_mut(&job),
            step => self.delayed.get_mut(&(step, job)),
        }
        .into_iter()
        .for_each(|is_due| *is_due = true);
    }

    /// Whether something will look at the job: a message that fits, a check, or a delayed step.
    pub fn is_reachable(&self, rules: Rules, job: JobNumber) -> bool {
        let Some(record) = self.records.get(&job) else { return false };
        let fits = |message: &Message| message.job == job && is_fitting(rules, record, message.epoch);
        let has_message =
            self.streams.iter().any(|(step, messages)| *step != Step::Abandon && messages.iter().any(fits));
        let is_delayed = self.delayed.keys().any(|(step, other)| *other == job && *step != Step::Abandon);
        let has_check = record.header.state == State::Awaiting && self.checks.contains_key(&job);
        let has_delivery = record.header.state == State::Delivering && self.deliveries.contains_key(&job);
        has_message || is_delayed || has_check || has_delivery
    }

    fn claim(&mut self, rules: Rules, step: Step, job: JobNumber, epoch: u32) -> Option<Taken> {
        let fits = |record: &Record| {
            is_fitting(rules, record, epoch) && (step == Step::Abandon || !record.header.state.is_terminal())
        };
        let Some(record) = self.records.get_mut(&job).filter(|record| fits(record)) else {
            self.drop_message(step, job, epoch);
            return None;
        };
        raise(rules, record);
        Some(Taken { job, source: Source::Stream(step, epoch), record: *record })
    }

    /// The function `enqueue` that scripts share.
    pub fn enqueue(&mut self, next: Next, job: JobNumber, epoch: u32) {
        match next {
            Next::Nothing => {}
            Next::Now(Step::Check) => {
                self.checks.insert(job, true);
            }
            Next::Later(Step::Check) => {
                self.checks.insert(job, false);
            }
            Next::Now(Step::Deliver) => {
                self.deliveries.insert(job, true);
            }
            Next::Now(step) => {
                let message = Message { job, epoch, holder: None, is_lapsed: false };
                self.streams.entry(step).or_default().push(message);
            }
            Next::Later(step) => {
                self.delayed.insert((step, job), false);
            }
        }
    }

    fn message(&mut self, step: Step, job: JobNumber, epoch: u32) -> Option<&mut Message> {
        let messages = self.streams.get_mut(&step)?;
        messages.iter_mut().find(|message| message.job == job && message.epoch == epoch)
    }

    fn drop_message(&mut self, step: Step, job: JobNumber, epoch: u32) {
        if let Some(messages) = self.streams.get_mut(&step) {
            messages.retain(|message| message.job != job || message.epoch != epoch);
        }
    }
}

fn is_fitting(rules: Rules, record: &Record, epoch: u32) -> bool {
    let claims = if rules.has(Rule::ClaimsRaiseEpochs) { record.header.deliveries } else { 0 };
    record.header.epoch == epoch + u32::from(claims)
}

fn raise(rules: Rules, record: &mut Record) {
    if rules.has(Rule::ClaimsRaiseEpochs) {
        record.header.epoch += 1;
    }
    record.header.deliveries += 1;
}
