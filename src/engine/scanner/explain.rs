//! The decisions about one line, with their reasons.

use std::fmt;
use std::net::IpAddr;

use serde::Serialize;

use super::report::{Report, Said};
use super::state::ScanState;
use super::{Envelope, MOST_BYTES, ScanStats, Scanner, Work};
use crate::engine::cri::{self, Stream};
use crate::engine::dates::FoundDate;
use crate::engine::filter::Miss;
use crate::engine::layout::detect;
use crate::engine::{Event, FilterName, LayoutSpec, Match, Outcome, ReadClock, Timestamp};

/// How one line was judged.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Explanation {
    /// The container's envelope, if the source has one and the line too.
    pub envelope: Option<EnvelopeAccount>,
    /// The layout the line was read with; `None`: none is known.
    pub layout: Option<String>,
    /// The layout the line shows, when it is another one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shows: Option<String>,
    /// The event; `None`: the line is not of the layout.
    pub event: Option<EventAccount>,
    /// Why no filter was asked at all.
    pub skipped: Option<String>,
    /// Each filter in order.
    pub filters: Vec<FilterAccount>,
}

/// The envelope of a container's line.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct EnvelopeAccount {
    /// When the runtime read the line.
    pub time: String,
    /// `stdout` or `stderr`.
    pub stream: &'static str,
    /// Whether the line goes on in the next record.
    pub partial: bool,
}

/// The fields of an event.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct EventAccount {
    /// Its own time.
    pub time: Option<String>,
    /// `INFO`, …
    pub level: String,
    /// The logger as printed.
    pub logger: String,
    /// The message.
    pub message: String,
    /// The context, in the order of the line.
    pub context: Vec<(String, String)>,
}

/// What one filter made of the line.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FilterAccount {
    /// The filter.
    pub filter: FilterName,
    /// The date its regexes found, if it has regexes.
    pub date: Option<String>,
    /// The text its regexes saw.
    pub text: Option<String>,
    /// The rules asked, in order, up to the one that held. A rule of `None` is about all regexes together.
    pub rules: Vec<RuleAccount>,
    /// The match, if there is one.
    #[serde(skip)]
    pub matched: Option<Match>,
}

/// What one rule said.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RuleAccount {
    /// Its field: `rules[0]`, `failRegex[2]`; `None`: all of the filter's rules or regexes.
    pub field: Option<String>,
    /// What it said.
    pub reason: Reason,
}

/// What a rule said about a line. Displayed, it is half a sentence for a person.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "reason", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Reason {
    /// Another logger is wanted.
    Logger {
        /// The rule's logger.
        wanted: String,
    },
    /// A context key has another value.
    Context {
        /// The key.
        key: String,
        /// The rule's value.
        wanted: String,
    },
    /// The message regex does not match.
    Message,
    /// Everything holds, but the event has none of the keys that could name an address.
    NoAddress,
    /// The regex engine for look-around reached its step limit; nobody is accused then.
    GaveUp,
    /// Everything holds, but a colour code stands inside the text the rule is found by.
    Hidden,
    /// No layout is known yet, so there is no event.
    NoLayout,
    /// The line is not of the source's layout.
    OtherLayout,
    /// `prefRegex` does not match.
    NoPrefix,
    /// No `failRegex` matches.
    NoRegex,
    /// An `ignoreRegex` vetoes.
    Ignored {
        /// Its index.
        ignore: usize,
    },
    /// A helper line (`<F-NOFAIL>`).
    NoFailure,
    /// The regex names a session but nobody; sessions are not put together.
    Session,
    /// What stands where the address should be is none: a host name, or nothing valid.
    NotAnAddress {
        /// The context key; `None`: the text.
        key: Option<String>,
        /// What stands there.
        text: String,
    },
    /// The address can be nobody outside: loopback, link-local, multicast, unspecified.
    NeverASubject {
        /// The address.
        address: IpAddr,
    },
    /// Another line of the same event was counted.
    Repeated {
        /// The address.
        address: IpAddr,
    },
    /// It matches.
    Matched {
        /// The context key the address was in; `None`: the text.
        key: Option<String>,
        /// The address as written.
        text: String,
        /// The address that is meant.
        address: IpAddr,
        /// Failure or success.
        success: bool,
        /// The date in the line.
        found: Option<String>,
        /// The time that counts.
        time: String,
        /// The same, as a number.
        #[serde(skip)]
        at: Timestamp,
        /// How much it counts.
        weight: u32,
    },
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place =
            |key: &Option<String>| key.as_ref().map_or("the text".to_owned(), |key| format!("context {key}"));
        match self {
            Self::Logger { wanted } => write!(f, "another logger: wants {wanted}"),
            Self::Context { key, wanted } => write!(f, "context {key} is not {wanted}"),
            Self::Message => write!(f, "the message does not match"),
            Self::NoAddress => write!(f, "matches, but none of its address sources is in the line"),
            Self::GaveUp => write!(f, "the look-around engine reached its step limit"),
            Self::Hidden => write!(f, "matches, but a colour code stands inside its fixed text"),
            Self::NoLayout => write!(f, "no layout is known yet, so there is no event"),
            Self::OtherLayout => write!(f, "the line is not of the layout"),
            Self::NoPrefix => write!(f, "prefRegex does not match"),
            Self::NoRegex => write!(f, "no failRegex matches"),
            Self::Ignored { ignore } => write!(f, "matches, but ignoreRegex[{ignore}] vetoes"),
            Self::NoFailure => write!(f, "matches, but is a helper line (<F-NOFAIL>)"),
            Self::Session => write!(f, "matches, but names only a session (<F-MLFID>)"),
            Self::NotAnAddress { key, text } if text.is_empty() => {
                write!(f, "matches, but {} holds no address", place(key))
            }
            Self::NotAnAddress { key, text } => {
                write!(f, "matches, but {} holds no address: {}", place(key), text.escape_debug())
            }
            Self::NeverASubject { address } => write!(f, "matches, but {address} can be nobody outside"),
            Self::Repeated { address } => {
                write!(f, "matches, but this event of {address} was counted already")
            }
            Self::Matched { key, address, success, time, weight, .. } => {
                let what = if *success { "success" } else { "failure" };
                write!(f, "{what} of {address} from {} at {time}, weight {weight}", place(key))
            }
        }
    }
}

impl Scanner {
    /// Judges one line, with or without its newline, as [`Scanner::scan`] would, and says why.
    #[must_use]
    pub fn explain(&self, state: &mut ScanState, line: &[u8], clock: ReadClock<'_>) -> Explanation {
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        self.reconsider(state, &[line, b"\n"].concat());
        let mut report = Explainer::new(self);
        let mut work = Work { clock, report: &mut report, sink: &mut |_| {}, stats: ScanStats::default() };
        if line.len() > MOST_BYTES {
            self.too_long(state, line, &mut work);
        } else {
            self.line(state, line, self.gate.line(line), &mut work);
        }
        let stats = work.stats;
        let mut account = report.account;
        if self.envelope == Envelope::Cri {
            account.envelope = cri::parse(line).map(|record| EnvelopeAccount {
                time: record.time.to_string(),
                stream: if record.stream == Stream::Stdout { "stdout" } else { "stderr" },
                partial: record.partial,
            });
        }
        let layout = self.layout.as_ref().map_or(state.layout(), |layout| Some(layout.spec()));
        account.layout = account.layout.or_else(|| layout.map(layout_name));
        if account.event.is_none()
            && let Some(known) = layout
            && let Some(shown) = self.text(line, 0, line.len()).and_then(|text| detect(&text))
            && shown != *known
        {
            account.shows = Some(layout_name(&shown));
        }
        account.skipped = match (&account.envelope, self.envelope) {
            _ if stats.too_long > 0 => Some(format!("longer than {MOST_BYTES} bytes")),
            (None, Envelope::Cri) => Some("not a container's log record".to_owned()),
            (Some(envelope), _) if envelope.partial => Some("a piece; the line goes on".to_owned()),
            _ => None,
        };
        account
    }
}

/// A layout's name as in a manifest.
#[must_use]
pub fn layout_name(layout: &LayoutSpec) -> String {
    match layout {
        LayoutSpec::Pattern(pattern) => format!("Pattern {pattern}"),
        other => format!("{other:?}"),
    }
}

struct Explainer<'s> {
    scanner: &'s Scanner,
    account: Explanation,
    cut: (Option<String>, Option<String>),
}

impl<'s> Explainer<'s> {
    fn new(scanner: &'s Scanner) -> Self {
        let filters = scanner.filters.iter().map(|filter| FilterAccount {
            filter: filter.name().clone(),
            date: None,
            text: None,
            rules: Vec::new(),
            matched: None,
        });
        let account = Explanation {
            envelope: None,
            layout: None,
            shows: None,
            event: None,
            skipped: None,
            filters: filters.collect(),
        };
        Self { scanner, account, cut: (None, None) }
    }
}

impl Report for Explainer<'_> {
    const ALL: bool = true;

    fn event(&mut self, layout: Option<&LayoutSpec>, event: Option<&Event<'_>>) {
        self.account.layout = layout.map(layout_name);
        self.account.event = event.map(|event| EventAccount {
            time: event.time.map(|time| time.to_string()),
            level: event.level.to_owned(),
            logger: event.logger.to_string(),
            message: event.message.to_string(),
            context: event.context.iter().map(|(k, v)| (k.to_owned(), v.to_owned())).collect(),
        });
    }

    fn cut(&mut self, found: Option<&FoundDate>, left: &str) {
        self.cut = (found.map(|found| found.time.to_string()), Some(left.to_owned()));
    }

    fn said(&mut self, filter: usize, rule: Option<usize>, said: Said<'_>) {
        let Some(account) = self.account.filters.get_mut(filter) else { return };
        if let (date, Some(text)) = std::mem::take(&mut self.cut) {
            account.date = date;
            account.text = Some(text);
        }
        let field = |rule: usize| {
            let filter = self.scanner.filters.get(filter)?;
            Some(filter.field(u16::try_from(rule).unwrap_or(u16::MAX)))
        };
        if let Said::Matched(_, _, matched, _) = said {
            account.matched = Some(matched);
        }
        account.rules.push(RuleAccount { field: rule.and_then(field), reason: reason(said) });
    }
}

fn reason(said: Said<'_>) -> Reason {
    let key = |key: Option<&str>| key.map(ToOwned::to_owned);
    match said {
        Said::Miss(Miss::Logger(wanted)) => Reason::Logger { wanted: wanted.to_owned() },
        Said::Miss(Miss::Context(key, wanted)) => {
            Reason::Context { key: key.to_owned(), wanted: wanted.to_owned() }
        }
        Said::Miss(Miss::Message) => Reason::Message,
        Said::Miss(Miss::NoAddress) => Reason::NoAddress,
        Said::Miss(Miss::GaveUp) => Reason::GaveUp,
        Said::Hidden => Reason::Hidden,
        Said::NoLayout => Reason::NoLayout,
        Said::OtherLayout => Reason::OtherLayout,
        Said::NoPrefix => Reason::NoPrefix,
        Said::NoRegex => Reason::NoRegex,
        Said::Ignored(ignore) => Reason::Ignored { ignore },
        Said::NoFailure => Reason::NoFailure,
        Said::Session => Reason::Session,
        Said::NotAnAddress(from, text) => Reason::NotAnAddress { key: key(from), text: text.to_owned() },
        Said::NeverASubject(address) => Reason::NeverASubject { address },
        Said::Repeated(address) => Reason::Repeated { address },
        Said::Matched(from, text, matched, found) => Reason::Matched {
            key: key(from),
            text: text.to_owned(),
            address: matched.address,
            success: matched.outcome == Outcome::Success,
            found: found.map(|time: Timestamp| time.to_string()),
            time: matched.time.to_string(),
            at: matched.time,
            weight: matched.weight,
        },
    }
}
