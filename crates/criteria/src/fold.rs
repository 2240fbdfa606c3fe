//! Text without case: each character through Unicode's simple folding, nothing else.

/// The folded characters of a text, made as they are read.
pub(crate) fn fold(text: &str) -> impl DoubleEndedIterator<Item = char> + Clone {
    text.chars().map(folded)
}

/// A character without case: always one.
pub(crate) fn folded(character: char) -> char {
    if character.is_ascii() {
        return character.to_ascii_lowercase();
    }
    unicode_case_mapping::case_folded(character).and_then(|to| char::from_u32(to.get())).unwrap_or(character)
}

/// Whether the text, folded, starts with a prefix that is folded already.
pub(crate) fn starts_with(text: &str, prefix: &str) -> bool {
    let mut seen = fold(text);
    prefix.chars().all(|wanted| seen.next() == Some(wanted))
}

/// Whether the text, folded, ends with a suffix that is folded already.
pub(crate) fn ends_with(text: &str, suffix: &str) -> bool {
    let mut seen = fold(text).rev();
    suffix.chars().rev().all(|wanted| seen.next() == Some(wanted))
}

/// A folded text to look for in others. Knuth-Morris-Pratt: each character of the other text is read once and nothing
/// is allocated.
#[derive(Debug)]
pub(crate) struct Pattern {
    wanted: Box<[char]>,
    /// For each length matched so far minus one, the longest shorter start of the pattern that is also its end.
    fallback: Box<[usize]>,
}

impl Pattern {
    pub(crate) fn new(text: &str) -> Pattern {
        let wanted: Box<[char]> = fold(text).collect();
        let mut fallback = vec![0; wanted.len()];
        let mut length = 0;
        for at in 1..wanted.len() {
            while length > 0 && wanted[at] != wanted[length] {
                length = fallback[length - 1];
            }
            if wanted[at] == wanted[length] {
                length += 1;
            }
            fallback[at] = length;
        }
        Pattern { wanted, fallback: fallback.into() }
    }

    /// What is looked for, folded.
    pub(crate) fn text(&self) -> String {
        self.wanted.iter().collect()
    }

    pub(crate) fn occurs_in(&self, text: &str) -> bool {
        let mut length = 0;
        for seen in fold(text) {
            while length > 0 && self.wanted.get(length) != Some(&seen) {
                length = self.fallback[length - 1];
            }
            if self.wanted.get(length) == Some(&seen) {
                length += 1;
            }
            if length == self.wanted.len() {
                return true;
            }
        }
        self.wanted.is_empty()
    }
}
