//! The conversion words of logback and log4j2.

/// What a word prints.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Meaning {
    /// The date.
    Date,
    /// `INFO` and so on.
    Level,
    /// The logger, or the class that called it: what rules match as the logger.
    Logger,
    /// The message.
    Message,
    /// One context key, or all of them without an option.
    Context,
    /// Text of no interest that the program alone decides: thread, method, line, host.
    Text,
    /// A line break.
    NewLine,
    /// A stack trace: further lines, or the end of this one.
    Exception,
    /// Nothing.
    Nothing,
    /// What is in parentheses, in colour or padded.
    Group,
    /// What is in the first braces, log4j2's way.
    Braces,
}

const WORDS: &[(&[&str], Meaning)] = &[
    (&["d", "date"], Meaning::Date),
    (&["p", "le", "level"], Meaning::Level),
    (&["c", "lo", "logger", "C", "class", "fqcn"], Meaning::Logger),
    (&["m", "msg", "message"], Meaning::Message),
    (&["X", "mdc", "MDC"], Meaning::Context),
    (
        &[
            "t",
            "tn",
            "thread",
            "threadName",
            "tid",
            "T",
            "threadId",
            "tp",
            "threadPriority",
            "M",
            "method",
            "L",
            "line",
            "F",
            "file",
            "l",
            "location",
            "caller",
            "r",
            "relative",
            "cn",
            "contextName",
            "property",
            "marker",
            "markerSimpleName",
            "sn",
            "sequenceNumber",
            "lsn",
            "localsequencenumber",
            "pid",
            "processId",
            "N",
            "nano",
            "ms",
            "micros",
            "u",
            "uuid",
            "K",
            "map",
            "MAP",
            "x",
            "NDC",
            "kvp",
        ],
        Meaning::Text,
    ),
    (&["n"], Meaning::NewLine),
    (
        &[
            "ex",
            "exception",
            "throwable",
            "xEx",
            "xException",
            "xThrowable",
            "rEx",
            "rootException",
            "rThrowable",
            "wEx",
            "wex",
        ],
        Meaning::Exception,
    ),
    (&["nopex", "nopexception", "endOfBatch"], Meaning::Nothing),
    (
        &[
            "",
            "highlight",
            "clr",
            "black",
            "red",
            "green",
            "yellow",
            "blue",
            "magenta",
            "cyan",
            "white",
            "gray",
            "boldRed",
            "boldGreen",
            "boldYellow",
            "boldBlue",
            "boldMagenta",
            "boldCyan",
            "boldWhite",
            "highlightex",
            "prefix",
            "replace",
        ],
        Meaning::Group,
    ),
    (&["highlight", "style", "replace", "enc", "encode", "maxLen", "maxLength"], Meaning::Braces),
];

/// What `word` prints, when followed by parentheses or not.
pub(crate) fn meaning(word: &str, in_parentheses: bool) -> Option<Meaning> {
    let group = |meaning: Meaning| (meaning == Meaning::Group) == in_parentheses;
    WORDS
        .iter()
        .find(|(names, meaning)| group(*meaning) && names.contains(&word))
        .map(|(_, meaning)| *meaning)
}

/// The word that `word` was probably meant to be: a known one it begins with (text stuck to it), or one that differs
/// in a letter, in case or in the order of letters.
pub(crate) fn hint(word: &str) -> Option<&'static str> {
    let all = || WORDS.iter().flat_map(|(names, _)| names.iter().copied()).filter(|name| !name.is_empty());
    all()
        .find(|name| name.eq_ignore_ascii_case(word))
        .or_else(|| all().filter(|name| name.len() > 2).find(|name| distance_is_one(name, word)))
        .or_else(|| all().filter(|name| name.len() > 2).find(|name| same_letters(name, word)))
        .or_else(|| all().filter(|name| word.starts_with(name)).max_by_key(|name| name.len()))
}

/// Whether one letter was put in, left out or changed.
fn distance_is_one(a: &str, b: &str) -> bool {
    let (short, long) = if a.len() <= b.len() { (a, b) } else { (b, a) };
    if long.len() - short.len() > 1 {
        return false;
    }
    let same = short.bytes().zip(long.bytes()).take_while(|(x, y)| x == y).count();
    let skip = usize::from(long.len() == short.len());
    short.as_bytes().get(same + skip..) == long.as_bytes().get(same + 1..)
}

/// Whether letters changed places only.
fn same_letters(a: &str, b: &str) -> bool {
    let sorted = |text: &str| {
        let mut letters = text.as_bytes().to_vec();
        letters.sort_unstable();
        letters
    };
    a.len() == b.len() && sorted(a) == sorted(b)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_word_is_recognised() {
        assert_eq!(hint("levle"), Some("level"));
        assert_eq!(hint("leve"), Some("level"));
        assert_eq!(hint("Level"), Some("level"));
        assert_eq!(hint("messages"), Some("message"));
        assert_eq!(hint("msgx"), Some("msg"));
        assert_eq!(hint("qqq"), None);
    }

    #[test]
    fn a_colour_needs_its_parentheses() {
        assert_eq!(meaning("red", true), Some(Meaning::Group));
        assert_eq!(meaning("red", false), None);
        assert_eq!(meaning("highlight", false), Some(Meaning::Braces));
        assert_eq!(meaning("level", true), None);
    }
}
