//! Visits every state that a system can reach, nearest first, so that the first counterexample is a shortest one.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};

use super::system::{Broken, Cause, Setting, System};

/// What was found.
#[derive(Debug)]
pub struct Exploration {
    pub states: usize,
    pub transitions: usize,
    /// Most steps from the beginning to a state.
    pub depth: usize,
    pub counterexample: Option<Counterexample>,
}

/// A broken promise and the steps that lead there.
#[derive(Debug)]
pub struct Counterexample {
    pub broken: Broken,
    pub steps: Vec<String>,
}

impl fmt::Display for Counterexample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:?} after {} steps:", self.broken, self.steps.len())?;
        self.steps.iter().enumerate().try_for_each(|(at, step)| writeln!(f, "{:3}  {step}", at + 1))
    }
}

/// How a state was reached first: from which, and by which of its successors.
struct Visit {
    from: u32,
    by: u16,
    depth: u16,
    /// Where it goes when nothing goes wrong.
    progress: Vec<u32>,
    is_at_rest: bool,
}

/// States are kept as fingerprints of 128 bits: two of a few million are never alike.
type Fingerprint = (u64, u64);

/// Explores all states of the system; stops at the first that breaks one of `promises`. More than `limit` states are a
/// panic: a model that grows without end promises nothing.
pub fn explore(setting: Setting, promises: &[Broken], limit: usize) -> Exploration {
    let start = System::new(setting);
    let mut known = HashMap::from([(fingerprint(&start), 0)]);
    let mut visits =
        vec![Visit { from: 0, by: 0, depth: 0, progress: Vec::new(), is_at_rest: start.is_at_rest() }];
    let mut frontier = VecDeque::from([(0u32, start)]);
    let mut transitions = 0;
    while let Some((at, system)) = frontier.pop_front() {
        for (by, successor) in system.successors().into_iter().enumerate() {
            transitions += 1;
            let next = successor.system;
            let broken = system.broken_by(&next).into_iter().find(|broken| promises.contains(broken));
            let new = u32::try_from(visits.len()).unwrap_or(u32::MAX);
            let to = *known.entry(fingerprint(&next)).or_insert(new);
            if to == new {
                let depth = visits[at as usize].depth + 1;
                let by = u16::try_from(by).unwrap_or(u16::MAX);
                let is_at_rest = next.is_at_rest();
                visits.push(Visit { from: at, by, depth, progress: Vec::new(), is_at_rest });
            }
            if let Some(broken) = broken {
                let mut steps = way_to(setting, &visits, at);
                steps.push(successor.name);
                return found(&visits, transitions, Some(Counterexample { broken, steps }));
            }
            if to == new {
                frontier.push_back((to, next));
            }
            if successor.cause == Cause::Progress {
                visits[at as usize].progress.push(to);
            }
        }
        assert!(visits.len() <= limit, "more than {limit} states");
    }
    let is_asked = promises.contains(&Broken::DoesNotEnd);
    let endless = is_asked.then(|| endless(&visits)).flatten();
    let endless =
        endless.map(|at| Counterexample { broken: Broken::DoesNotEnd, steps: way_to(setting, &visits, at) });
    found(&visits, transitions, endless)
}

fn found(visits: &[Visit], transitions: usize, counterexample: Option<Counterexample>) -> Exploration {
    let depth = visits.iter().map(|visit| visit.depth).max().unwrap_or(0);
    Exploration { states: visits.len(), transitions, depth: usize::from(depth), counterexample }
}

/// A state from which not every way without faults comes to rest: one where nothing goes on although not all is done,
/// or one on a circle. States from which every way comes to rest are found backwards from those at rest.
fn endless(visits: &[Visit]) -> Option<u32> {
    let mut from = vec![Vec::new(); visits.len()];
    let mut open: Vec<usize> = visits.iter().map(|visit| visit.progress.len()).collect();
    for (at, visit) in visits.iter().enumerate() {
        visit.progress.iter().for_each(|to| from[*to as usize].push(at));
    }
    let mut at_rest: Vec<usize> =
        (0..visits.len()).filter(|at| open[*at] == 0 && visits[*at].is_at_rest).collect();
    let mut ends = vec![false; visits.len()];
    while let Some(at) = at_rest.pop() {
        ends[at] = true;
        for before in &from[at] {
            open[*before] -= 1;
            if open[*before] == 0 {
                at_rest.push(*before);
            }
        }
    }
    ends.iter().position(|ends| !ends).and_then(|at| u32::try_from(at).ok())
}

/// The steps to a state, by doing them again.
fn way_to(setting: Setting, visits: &[Visit], mut at: u32) -> Vec<String> {
    let mut way = Vec::new();
    while at != 0 {
        let visit = &visits[at as usize];
        way.push(visit.by);
        at = visit.from;
    }
    let mut system = System::new(setting);
    let mut steps = Vec::new();
    for by in way.into_iter().rev() {
        let successor = system.successors().swap_remove(usize::from(by));
        steps.push(successor.name);
        system = successor.system;
    }
    steps
}

fn fingerprint(system: &System) -> Fingerprint {
    let system = system.canonical();
    let hasher = BuildHasherDefault::<DefaultHasher>::default();
    (hasher.hash_one((1u8, &system)), hasher.hash_one((2u8, &system)))
}
