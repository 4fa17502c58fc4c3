//! What must hold whatever fails, as names that tests and the audit use.

/// The promises of the system. Each test that proves one names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Invariant {
    /// No paid call without a stored intent.
    IntentBeforeCall = 1,
    /// The remote id is stored before the message is acknowledged.
    RemoteIdBeforeAck = 2,
    /// Terminal states never change.
    TerminalIsFinal = 3,
    /// Every non-terminal job has a due time, so something will look at it again.
    EveryJobIsDue = 4,
    /// The same job and index give the same object key.
    StableObjectKey = 5,
    /// Waiting uses no attempt.
    WaitingIsFree = 6,
    /// Secrets reach no queue, record (unsealed), log, span or error.
    SecretsStaySealed = 7,
    /// No foreign URL is fetched unchecked.
    ForeignUrlsChecked = 8,
    /// A stale epoch has no effect.
    StaleEpochHasNoEffect = 9,
    /// Every wait has a deadline.
    EveryWaitEnds = 10,
    /// What the api accepted survives any single crash.
    AcceptedIsKept = 11,
}

impl Invariant {
    /// All of them, by number.
    pub const ALL: &'static [Self] = &[
        Self::IntentBeforeCall,
        Self::RemoteIdBeforeAck,
        Self::TerminalIsFinal,
        Self::EveryJobIsDue,
        Self::StableObjectKey,
        Self::WaitingIsFree,
        Self::SecretsStaySealed,
        Self::ForeignUrlsChecked,
        Self::StaleEpochHasNoEffect,
        Self::EveryWaitEnds,
        Self::AcceptedIsKept,
    ];

    /// Its number in the documentation.
    pub const fn number(self) -> u8 {
        self as u8
    }

    /// The promise in words.
    pub const fn promise(self) -> &'static str {
        match self {
            Self::IntentBeforeCall => "no paid call without a stored intent",
            Self::RemoteIdBeforeAck => "the remote id is stored before the message is acknowledged",
            Self::TerminalIsFinal => "terminal states never change",
            Self::EveryJobIsDue => "every job that has not ended is due at some time",
            Self::StableObjectKey => "the same job and index give the same object key",
            Self::WaitingIsFree => "waiting uses no attempt",
            Self::SecretsStaySealed => "secrets reach no queue, record, log, span or error",
            Self::ForeignUrlsChecked => "no foreign URL is fetched unchecked",
            Self::StaleEpochHasNoEffect => "a stale epoch has no effect",
            Self::EveryWaitEnds => "every wait has a deadline",
            Self::AcceptedIsKept => "what the api accepted survives any single crash",
        }
    }
}
