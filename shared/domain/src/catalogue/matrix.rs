//! The capability matrix of the README: provider by operation, each cell with its models.

use std::fmt::Write as _;

use super::{Catalogue, IdForm};
use crate::operation::{Operation, Provider};

impl Catalogue {
    /// The matrix as a table in Markdown. The default model of a cell comes first and is bold, a retired one is struck
    /// through; a cell with further models that are not listed says which.
    pub fn capability_matrix(&self) -> String {
        let mut table = "| provider | operation | models |\n|---|---|---|\n".to_owned();
        for provider in Provider::ALL {
            for operation in Operation::ALL {
                let cell = self.cell(*provider, *operation);
                if !cell.is_empty() {
                    // Writing to a string cannot fail.
                    let _ = writeln!(table, "| {provider} | `{operation}` | {} |", cell.join(", "));
                }
            }
        }
        table
    }

    fn cell(&self, provider: Provider, operation: Operation) -> Vec<String> {
        let mut models: Vec<_> = self
            .models()
            .filter(|model| model.provider == provider && model.operations.contains(&operation))
            .collect();
        models.sort_by_key(|model| !model.default_for.contains(&operation));
        let mut cell: Vec<String> = models
            .into_iter()
            .map(|model| match (&model.retired_on, model.default_for.contains(&operation)) {
                (Some(date), _) => format!("~~{}~~ (retired {date})", model.id),
                (None, true) => format!("**{}**", model.id),
                (None, false) => model.id.clone(),
            })
            .collect();
        let open = self.open.iter().filter(|open| {
            open.is_allowed && open.like.provider == provider && open.like.operations.contains(&operation)
        });
        cell.extend(open.map(|open| match open.id_form {
            IdForm::Word => "any other by name".to_owned(),
            IdForm::Path => "any other by its path".to_owned(),
            IdForm::Version => "any other by version or name".to_owned(),
        }));
        cell
    }
}
