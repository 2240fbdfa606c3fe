//! The words by which people find records: upper and lower case and accents aside.

use unicode_normalization::UnicodeNormalization as _;
use unicode_normalization::char::is_combining_mark;

/// No word is longer: what comes after is not told apart.
const LONGEST: usize = 64;
/// A telephone number is found without its first digits: a country code has three at most, of which one can be typed
/// by those who leave out a zero.
const CODE_DIGITS: usize = 3;
/// With fewer digits left, it is no number any more.
const LEAST_DIGITS: usize = 6;
/// So many words of a name count as such.
const MOST_NAMES: usize = 12;

/// The words of a text, in its order: letters and digits, without accents, in lower case.
pub fn words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut length = 0;
    // Twice: making letters small can bring accents out (`İ`), and taking compatible letters apart large ones (`℡`).
    for c in text.nfkd().collect::<String>().to_lowercase().nfkd().filter(|c| !is_combining_mark(*c)) {
        if !c.is_alphanumeric() {
            if !word.is_empty() {
                words.push(std::mem::take(&mut word));
            }
            length = 0;
        } else if length < LONGEST {
            length += 1;
            match c {
                'ß' => word.push_str("ss"),
                'æ' => word.push_str("ae"),
                'œ' => word.push_str("oe"),
                'þ' => word.push_str("th"),
                'ø' => word.push('o'),
                'ð' | 'đ' => word.push('d'),
                'ł' => word.push('l'),
                'ħ' => word.push('h'),
                'ı' => word.push('i'),
                'ς' => word.push('σ'),
                c => word.push(c),
            }
        }
    }
    if !word.is_empty() {
        words.push(word);
    }
    words
}

/// The words of a telephone number: its groups of digits, and the number without its spaces, with its country code and
/// without.
pub fn phone_words(phone: &str) -> Vec<String> {
    let mut all = words(phone);
    let digits: String = phone.chars().filter(char::is_ascii_digit).collect();
    let numbers = (0..=CODE_DIGITS).filter_map(|from| digits.get(from..)).take_while(|d| d.len() >= LEAST_DIGITS);
    all.extend(numbers.map(str::to_owned));
    all
}

/// What a search finds a record by, as it is stored: the distinct words of its names, `|`, its other distinct words.
#[derive(Clone, Debug, Default)]
pub struct SearchText {
    names: Vec<String>,
    others: Vec<String>,
}

impl SearchText {
    /// A record of this name, and other names that count as much.
    pub fn named<'a>(names: impl IntoIterator<Item = &'a str>) -> Self {
        let mut text = Self::default();
        for word in names.into_iter().flat_map(words) {
            if !text.names.contains(&word) {
                text.names.push(word);
            }
        }
        text.others = text.names.split_off(text.names.len().min(MOST_NAMES));
        text
    }

    /// Adds texts by which it is found as well.
    #[must_use]
    pub fn texts<'a>(self, texts: impl IntoIterator<Item = &'a str>) -> Self {
        texts.into_iter().flat_map(words).fold(self, Self::with)
    }

    /// Adds telephone numbers by which it is found as well.
    #[must_use]
    pub fn phones<'a>(self, phones: impl IntoIterator<Item = &'a str>) -> Self {
        phones.into_iter().flat_map(phone_words).fold(self, Self::with)
    }

    fn with(mut self, word: String) -> Self {
        if !self.others.contains(&word) {
            self.others.push(word);
        }
        self
    }
}

impl std::fmt::Display for SearchText {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}|{}", self.names.join(" "), self.others.join(" "))
    }
}

/// What somebody types to find a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Query {
    /// As the names of a record would be stored that has just this name.
    pub names: String,
    /// Its distinct words, all of which must be found; those that others begin with are found with these.
    pub words: Vec<String>,
    /// If it looks like a telephone number: its digits, without the zeros that only say that a code follows. Finding
    /// these is as good as finding the words.
    pub digits: Option<String>,
}

impl Query {
    /// Reads a query; `None` when it has no word at all, so that nothing fits it.
    pub fn parse(text: &str) -> Option<Self> {
        let names = SearchText::named([text]).names.join(" ");
        let all = words(text);
        let mut distinct: Vec<String> = Vec::new();
        for (at, word) in all.iter().enumerate() {
            let implied = |(i, other): (usize, &String)| other.starts_with(word) && (other != word || i < at);
            if !all.iter().enumerate().any(implied) {
                distinct.push(word.clone());
            }
        }
        if distinct.is_empty() {
            return None;
        }
        let is_phone = text.chars().all(|c| c.is_ascii_digit() || " +()./-".contains(c));
        let digits: String = text.chars().filter(char::is_ascii_digit).collect();
        let digits = digits.trim_start_matches('0');
        // Fewer digits are no number that a word would not find.
        let digits = (is_phone && digits.len() > 2).then(|| digits.to_owned());
        Some(Self { names, digits: digits.filter(|d| distinct != [d.as_str()]), words: distinct })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_have_no_case_and_no_accents() {
        assert_eq!(words("  Ångström-Müller & Søn  "), ["angstrom", "muller", "son"]);
        assert_eq!(words("Weiß, ŁÓDŹ; İstanbul ΣΟΦΟΣ ﬁne"), ["weiss", "lodz", "istanbul", "σοφοσ", "fine"]);
        assert_eq!(words("Ann.Lee42@example.com"), ["ann", "lee42", "example", "com"]);
        assert_eq!(words("山田 太郎"), ["山田", "太郎"]);
        assert_eq!(words("!? |"), Vec::<String>::new());
    }

    #[test]
    fn long_words_are_cut() {
        assert_eq!(words(&"x".repeat(1000)), ["x".repeat(64)]);
    }

    #[test]
    fn a_phone_is_found_with_and_without_its_codes() {
        let words = phone_words("+49 (30) 1234567");
        for part in ["49", "30", "1234567", "49301234567", "301234567", "01234567"] {
            assert!(words.iter().any(|w| w == part), "{part}");
        }
        assert!(!words.iter().any(|w| w == "234567"));
        assert_eq!(phone_words("112"), ["112"]);
    }

    #[test]
    fn names_stand_before_other_words_and_nothing_stands_twice_among_either() {
        let text = SearchText::named(["Ann Lee", "ann"]).texts(["lee@example.com", "ann"]).phones(["112"]);
        assert_eq!(text.to_string(), "ann lee|lee example com ann 112");
        assert_eq!(SearchText::named(["!"]).to_string(), "|");
    }

    #[test]
    fn queries_are_words_and_sometimes_a_phone() {
        let words = |q: &str| Query::parse(q).map(|q| q.words.join(" "));
        assert_eq!(words("Lee  ann LEE"), Some("lee ann".into()));
        assert_eq!(words("ann anna an"), Some("anna".into()));
        assert_eq!(words(" - "), None);
        assert_eq!(Query::parse("Lee, Ann LEE").map(|q| q.names), Some("lee ann".into()));
        let digits = |q: &str| Query::parse(q).and_then(|q| q.digits);
        assert_eq!(digits("030 1234567"), Some("301234567".into()));
        assert_eq!(digits("0049 30 12"), Some("493012".into()));
        assert_eq!(digits("1234567"), None);
        assert_eq!(digits("ann 30"), None);
    }
}
