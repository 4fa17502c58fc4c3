//! Text and JSON, checked to the last byte and in a few bytes of memory.

/// Deeper nesting than most parsers take, and the bound of what is remembered.
const MOST_LEVELS: usize = 128;

/// UTF-8 without NUL, with a character that is cut between two pieces kept for the next.
#[derive(Debug, Default)]
pub(crate) struct Text {
    cut: Vec<u8>,
}

impl Text {
    pub(super) fn feed(&mut self, mut bytes: &[u8]) -> Result<(), String> {
        if bytes.contains(&0) {
            return Err("the text holds a NUL".to_owned());
        }
        while !self.cut.is_empty()
            && let Some((first, rest)) = bytes.split_first()
        {
            self.cut.push(*first);
            bytes = rest;
            let left = left_over(&self.cut)?.len();
            self.cut.drain(..self.cut.len() - left);
        }
        // A character that is still cut has used up the bytes.
        self.cut.extend_from_slice(left_over(bytes)?);
        Ok(())
    }

    pub(super) fn finish(&self) -> Result<(), String> {
        if self.cut.is_empty() { Ok(()) } else { Err("the text ends within a character".to_owned()) }
    }
}

/// The beginning of a character at the end.
fn left_over(bytes: &[u8]) -> Result<&[u8], String> {
    match std::str::from_utf8(bytes) {
        Ok(_) => Ok(&[]),
        Err(error) if error.error_len().is_none() => Ok(bytes.get(error.valid_up_to()..).unwrap_or_default()),
        Err(_) => Err("it is not UTF-8 text".to_owned()),
    }
}

/// One JSON object or array. This is no parser, as a parser would hold the document. It promises that the text is UTF-8,
/// that every string and bracket is closed by its own kind, at most 128 deep, and that nothing else comes before or
/// behind: a document that was cut, doubled or followed by something does not pass. What stands between the brackets
/// is not judged.
#[derive(Debug, Default)]
pub(crate) struct Json {
    text: Text,
    /// The closing brackets that are to come.
    open: Vec<u8>,
    is_begun: bool,
    is_in_string: bool,
    is_escaped: bool,
}

impl Json {
    pub(super) fn feed(&mut self, bytes: &[u8]) -> Result<(), String> {
        self.text.feed(bytes)?;
        bytes.iter().try_for_each(|byte| self.take(*byte))
    }

    fn take(&mut self, byte: u8) -> Result<(), String> {
        match byte {
            _ if self.is_escaped => self.is_escaped = false,
            b'\\' if self.is_in_string => self.is_escaped = true,
            b'"' if !self.open.is_empty() => self.is_in_string = !self.is_in_string,
            _ if self.is_in_string => {}
            b'{' | b'[' if !self.is_begun || !self.open.is_empty() => {
                if self.open.len() == MOST_LEVELS {
                    return Err(format!("the JSON is more than {MOST_LEVELS} levels deep"));
                }
                self.is_begun = true;
                self.open.push(if byte == b'{' { b'}' } else { b']' });
            }
            b'}' | b']' if self.open.last() == Some(&byte) => {
                self.open.pop();
            }
            b'}' | b']' => return Err("the JSON closes a bracket that is not open".to_owned()),
            b' ' | b'\t' | b'\n' | b'\r' => {}
            _ if self.open.is_empty() => return Err("the JSON is not one object or array".to_owned()),
            _ => {}
        }
        Ok(())
    }

    pub(super) fn finish(&self) -> Result<(), String> {
        self.text.finish()?;
        if self.open.is_empty() && self.is_begun { Ok(()) } else { Err("the JSON is not closed".to_owned()) }
    }
}
