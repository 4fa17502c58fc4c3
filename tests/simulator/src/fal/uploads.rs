//! Files that callers uploaded to Fal, so that later requests can name them.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;

/// How many are kept; the oldest are forgotten first.
const MOST_FILES: usize = 1_000;
/// How many bytes are kept in all.
const MOST_BYTES: usize = 256 << 20;

/// One file, announced or there.
#[derive(Debug, Clone)]
pub(crate) struct Upload {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) content_type: String,
    /// `None` until it was sent.
    pub(crate) bytes: Option<Bytes>,
}

/// The files that are kept.
#[derive(Debug, Default)]
pub(crate) struct Uploads {
    files: Mutex<VecDeque<Upload>>,
}

impl Uploads {
    /// Keeps a file in the place of the one with its id.
    pub(crate) fn keep(&self, upload: Upload) {
        let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        files.retain(|known| known.id != upload.id);
        files.push_back(upload);
        let size = |file: &Upload| file.bytes.as_ref().map_or(0, Bytes::len);
        let mut total: usize = files.iter().map(size).sum();
        while files.len() > MOST_FILES || (total > MOST_BYTES && files.len() > 1) {
            total -= files.pop_front().as_ref().map_or(0, size);
        }
    }

    /// The file with this id.
    pub(crate) fn get(&self, id: &str) -> Option<Upload> {
        let files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        files.iter().find(|file| file.id == id).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_files_make_room() {
        let uploads = Uploads::default();
        let file = |number: usize| Upload {
            id: number.to_string(),
            name: "a".to_owned(),
            content_type: "image/png".to_owned(),
            bytes: Some(Bytes::from(vec![0; MOST_BYTES / 4])),
        };
        (0..5).for_each(|number| uploads.keep(file(number)));
        assert!(uploads.get("0").is_none());
        assert!((1..5).all(|number| uploads.get(&number.to_string()).is_some()));
        uploads.keep(file(1));
        assert!(uploads.get("2").is_some(), "a file takes the place of its own announcement");
    }
}
