//! Stored credentials as jobs use them.

#![cfg(test)]

#[expect(dead_code, reason = "what it keeps is looked at by the tests of the api")]
#[path = "../../../api/tests/memory_documents.rs"]
mod memory_documents;
mod resealing;
mod stored;
