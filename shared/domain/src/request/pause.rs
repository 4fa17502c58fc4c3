//! Bodies of requests about pauses.

use serde_json::Value;

use super::fields::Fields;
use super::operator::object_of;
use super::problem::{FieldError, Problems};
use crate::ids::WorkspaceId;
use crate::operation::{Operation, Provider};
use crate::pause::PauseScope;

/// Longest reason, in characters.
const REASON_LIMIT: usize = 500;

/// Who asks, and what that one may do.
#[derive(Debug, Clone, Copy)]
pub struct Asker<'a> {
    /// The workspace of the key.
    pub workspace: &'a WorkspaceId,
    /// Whether pauses of other workspaces are this one's business.
    pub is_operator: bool,
}

/// Reads `{"provider": ..., "operation": ..., "workspace": ..., "reason": ...}`, all of them optional. Without
/// `workspace` the asker's own is meant; `*` and other names are for operators.
pub fn parse_pause(body: &Value, asker: Asker<'_>) -> Result<(PauseScope, Option<String>), Vec<FieldError>> {
    let mut problems = Problems::default();
    let object = object_of(body, &mut problems, "a JSON object; `{}` means all jobs of your workspace")?;
    let mut fields = Fields::new(object, &mut problems);
    fields.refuse_unknown(&["workspace", "provider", "operation", "reason"]);
    let provider = fields.word("provider", str::parse::<Provider>, Provider::expected);
    let operation = fields.word("operation", Operation::parse, Operation::expected);
    let workspace = read_workspace(&mut fields, asker);
    let reason = fields.text("reason").map(str::trim).filter(|reason| !reason.is_empty());
    if reason.is_some_and(|reason| reason.chars().count() > REASON_LIMIT) {
        fields.push("reason", "is too long", format!("at most {REASON_LIMIT} characters"));
    }
    let reason = reason.map(str::to_owned);
    match problems.is_empty() {
        true => Ok((PauseScope { workspace, provider, operation }, reason)),
        false => Err(problems.into_vec()),
    }
}

fn read_workspace(fields: &mut Fields<'_, '_>, asker: Asker<'_>) -> Option<WorkspaceId> {
    let own = Some(asker.workspace.clone());
    match fields.text("workspace") {
        None => own,
        Some(name) if name == asker.workspace.as_str() => own,
        Some(_) if !asker.is_operator => {
            let expected = format!("`{}`, or a key of one of `api.operators`", asker.workspace);
            fields.push("workspace", "is not yours", expected);
            own
        }
        Some("*") => None,
        Some(name) => match name.parse() {
            Ok(workspace) => Some(workspace),
            Err(problem) => {
                fields.push("workspace", problem, "the name of a workspace, or `*` for all");
                own
            }
        },
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn parse(body: &Value, is_operator: bool) -> Result<String, Vec<String>> {
        let workspace = "acme".parse().unwrap();
        let parsed = parse_pause(body, Asker { workspace: &workspace, is_operator });
        parsed
            .map(|(scope, _)| scope.to_string())
            .map_err(|problems| problems.into_iter().map(|problem| problem.field).collect())
    }

    #[test]
    fn what_is_not_named_is_not_narrowed_but_the_workspace_is_the_askers() {
        for (body, scope) in [
            (json!({}), "acme/*/*"),
            (json!({"provider": "fal", "operation": "video_from_img"}), "acme/fal/video_from_image"),
            (json!({"workspace": "acme", "reason": "budget"}), "acme/*/*"),
        ] {
            assert_eq!(parse(&body, false).as_deref(), Ok(scope));
        }
        assert_eq!(parse(&json!({"workspace": "*", "provider": "luma"}), true).as_deref(), Ok("*/luma/*"));
        assert_eq!(parse(&json!({"workspace": "beta"}), true).as_deref(), Ok("beta/*/*"));
    }

    #[test]
    fn what_cannot_be_meant_is_named() {
        for (body, is_operator, field) in [
            (json!([]), false, "body"),
            (json!({"workspace": "beta"}), false, "workspace"),
            (json!({"workspace": "*"}), false, "workspace"),
            (json!({"workspace": "A B"}), true, "workspace"),
            (json!({"provider": "acme"}), false, "provider"),
            (json!({"operation": 3}), false, "operation"),
            (json!({"reason": "x".repeat(501)}), false, "reason"),
            (json!({"until": "noon"}), false, "until"),
        ] {
            assert_eq!(parse(&body, is_operator), Err(vec![field.to_owned()]), "{body}");
        }
    }
}
