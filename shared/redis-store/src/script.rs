//! The Lua scripts, each with the shared prelude before it.

use std::sync::LazyLock;

use redis::Script;

macro_rules! script {
    ($(#[$doc:meta])* $name:ident, $file:literal) => {
        $(#[$doc])*
        pub(crate) static $name: LazyLock<Script> =
            LazyLock::new(|| Script::new(concat!(include_str!("scripts/common.lua"), include_str!($file))));
    };
}

script!(
    /// Keeps and queues a job.
    ADMIT,
    "scripts/admit.lua"
);
script!(
    /// Claims messages of a ready stream.
    CLAIM,
    "scripts/claim.lua"
);
script!(
    /// Claims due checks.
    TAKE,
    "scripts/take.lua"
);
script!(
    /// Writes verdicts.
    SETTLE,
    "scripts/settle.lua"
);
script!(
    /// Prolongs leases.
    RENEW,
    "scripts/renew.lua"
);
script!(
    /// Moves due steps to their streams.
    PROMOTE,
    "scripts/promote.lua"
);
script!(
    /// Removes consumers of dead processes.
    SWEEP,
    "scripts/sweep.lua"
);
script!(
    /// Removes expired ids from an index.
    REPAIR,
    "scripts/repair.lua"
);
script!(
    /// Writes the costs of a day into its month.
    FOLD,
    "scripts/fold.lua"
);
script!(
    /// Forgets a job that has ended.
    FORGET,
    "scripts/forget.lua"
);
script!(
    /// Keeps and lists assets.
    KEEP_ASSETS,
    "scripts/keep_assets.lua"
);
script!(
    /// Forgets assets.
    FORGET_ASSETS,
    "scripts/forget_assets.lua"
);
script!(
    /// Moves deliveries from the stream of an earlier version.
    ADOPT,
    "scripts/adopt.lua"
);
script!(
    /// Queues what a pause has held back.
    RESUME,
    "scripts/resume.lua"
);
script!(
    /// Takes or prolongs the lease of the leader.
    LEAD,
    "scripts/lead.lua"
);
script!(
    /// Gives back the lease of the leader.
    RESIGN,
    "scripts/resign.lua"
);
script!(
    /// Marks workspaces as listened to.
    LISTEN,
    "scripts/listen.lua"
);
script!(
    /// Makes a check due at once.
    HASTEN,
    "scripts/hasten.lua"
);
script!(
    /// Keeps a new document.
    DOCUMENT_CREATE,
    "scripts/document_create.lua"
);
script!(
    /// Writes new content of a document.
    DOCUMENT_REPLACE,
    "scripts/document_replace.lua"
);
script!(
    /// Gives a label to a document.
    DOCUMENT_LABEL,
    "scripts/document_label.lua"
);
script!(
    /// Notes when a document was used.
    DOCUMENT_TOUCH,
    "scripts/document_touch.lua"
);
script!(
    /// Removes a document.
    DOCUMENT_REMOVE,
    "scripts/document_remove.lua"
);
