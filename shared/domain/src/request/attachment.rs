//! Files that came with a request.

use crate::asset::MediaFacts;
use crate::job::{Input, StagedInput};

/// A file that came with a request. When it is read here its bytes have been looked at, but are not kept yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attachment {
    /// `input`, or the option's path such as `config.mask`; what `attachment:NAME` refers to.
    pub name: String,
    /// Where its bytes will be kept.
    pub staged: StagedInput,
    /// What its bytes tell.
    pub facts: MediaFacts,
}

impl Attachment {
    /// What a field says that means an attachment.
    pub const SCHEME: &'static str = "attachment:";

    /// The field that its problems are told of.
    pub(super) fn field(&self) -> String {
        if self.name == "input" { "input_url".to_owned() } else { self.name.clone() }
    }

    /// As the job's input.
    pub(super) fn input(&self) -> Input {
        Input::Staged(self.staged.clone())
    }
}

/// The attachment that a field's text means, if it means one: `Err` with its name when there is none.
pub(super) fn referred<'a>(
    text: &'a str,
    attachments: &'a [Attachment],
) -> Option<Result<&'a Attachment, &'a str>> {
    let name = text.strip_prefix(Attachment::SCHEME)?;
    Some(attachments.iter().find(|attachment| attachment.name == name).ok_or(name))
}
