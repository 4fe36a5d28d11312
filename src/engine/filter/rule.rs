//! Structured rules: conditions on an event, and where in it the address is.

use std::net::IpAddr;

use super::FilterError;
use super::needle::{self, Origin, Required};
use super::pattern::{Pattern, Search};
use crate::engine::address::parse_address;
use crate::engine::layout::logger_matches;
use crate::engine::{AddressSource, Event, Outcome, RuleSpec};

/// A compiled structured rule.
#[derive(Debug)]
pub(crate) struct Rule {
    pub(crate) outcome: Outcome,
    pub(crate) weight: u32,
    logger: Option<String>,
    /// The last part of `logger`, which every form of it ends in.
    logger_end: String,
    /// `logger` as `%logger{15}` prints it: `o.a.j.u.AuditTrail`.
    logger_short: String,
    message: Option<Pattern>,
    context: Vec<(String, String)>,
    address: Vec<AddressSource>,
    required: Option<Required>,
}

/// Where the address was, as written.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Accused<'e> {
    /// The context key; `None`: the message.
    pub(crate) key: Option<&'e str>,
    pub(crate) text: &'e str,
    pub(crate) address: Option<IpAddr>,
}

/// Why a rule does not speak about an event.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Miss<'e> {
    Logger(&'e str),
    Context(&'e str, &'e str),
    Message,
    /// All conditions hold, but the event has none of the address sources.
    NoAddress,
    GaveUp,
}

impl Rule {
    pub(crate) fn compile(spec: &RuleSpec, outcome: Outcome, field: &str) -> Result<Self, FilterError> {
        let error = |part: &str, message: &str, fix: &str| {
            Err(FilterError::new(format!("{field}{part}"), message, fix))
        };
        if spec.logger.is_none() && spec.message.is_none() && spec.context.is_empty() {
            return error(
                "",
                "rule without a condition matches every line",
                "give it a logger, a message or a context",
            );
        }
        if spec.logger.as_deref().is_some_and(|logger| logger.trim().is_empty()) {
            return error(".logger", "empty logger", "remove it or name one");
        }
        // No logger is called so, and none would match it: not even one that is printed the same.
        if spec.logger.as_deref().is_some_and(|logger| logger.split('.').any(str::is_empty)) {
            return error(
                ".logger",
                "a part of the logger's name is empty",
                "write a name between all dots, and none at either end",
            );
        }
        if spec.address.is_empty() {
            return error(
                ".address",
                "rule without an address",
                "add e.g. address: [proxy.source, remoteIP, ip] or [message]",
            );
        }
        if spec.weight == 0 {
            return error(".weight", "weight 0 never counts", "use 1 or more");
        }
        let message = match &spec.message {
            None => None,
            Some(source) => {
                let pattern = Pattern::compile(source, Origin::Field, false)
                    .map_err(|e| e.field(format!("{field}.message")))?;
                if pattern.bounded() {
                    return error(
                        ".message",
                        "look-around and back-references do not run in linear time",
                        "use logger, context or a second rule; fail2ban's own regexes may stand in failRegex",
                    );
                }
                Some(pattern)
            }
        };
        if spec.address.contains(&AddressSource::Message)
            && !message.as_ref().is_some_and(|p| p.groups().identify())
        {
            return error(
                ".address",
                "the address is taken from the message, but the message regex has no <HOST> or <ADDR>",
                "mark the address in the message regex with <ADDR>",
            );
        }
        let required = required(spec, message.as_ref());
        Ok(Self {
            outcome,
            weight: spec.weight,
            logger_end: spec.logger.as_deref().and_then(last_part).unwrap_or_default().to_owned(),
            logger_short: spec.logger.as_deref().map(shortened).unwrap_or_default(),
            logger: spec.logger.clone(),
            message,
            context: spec.context.clone(),
            address: spec.address.clone(),
            required,
        })
    }

    /// Its conditions, for a person.
    pub(crate) fn describe(&self) -> String {
        let logger = self.logger.iter().map(|logger| format!("logger {logger}"));
        let context = self.context.iter().map(|(key, value)| format!("{key}={value}"));
        let message = self.message.iter().map(|message| message.source().to_owned());
        logger.chain(context).chain(message).collect::<Vec<_>>().join(", ")
    }

    #[cfg(test)]
    pub(super) fn message(&self) -> Option<&Pattern> {
        self.message.as_ref()
    }

    /// The regex of the message, if the rule may take the address from it.
    pub(super) fn marked_message(&self) -> Option<&Pattern> {
        self.message.as_ref().filter(|_| self.address.contains(&AddressSource::Message))
    }

    pub(super) fn logger(&self) -> Option<&str> {
        self.logger.as_deref()
    }

    pub(super) fn context(&self) -> &[(String, String)] {
        &self.context
    }

    pub(crate) fn required(&self) -> Option<&Required> {
        self.required.as_ref()
    }

    /// Whether it says nothing at all about an event without a context: a success of nobody is not even counted.
    pub(crate) fn needs_context(&self) -> bool {
        self.outcome == Outcome::Success && !self.address.contains(&AddressSource::Message)
    }

    /// The address this rule accuses in `event`.
    pub(crate) fn judge<'e>(&'e self, event: &'e Event<'_>) -> Result<Accused<'e>, Miss<'e>> {
        if let Some(logger) = &self.logger
            && !self.is_of(logger, &event.logger)
        {
            return Err(Miss::Logger(logger));
        }
        for (key, value) in &self.context {
            if event.context.get(key).unwrap_or_default() != value {
                return Err(Miss::Context(key, value));
            }
        }
        let mut found = None;
        if let Some(pattern) = &self.message {
            let message = event.message.as_ref();
            match pattern.search(message, message.is_ascii()) {
                Search::Miss => return Err(Miss::Message),
                Search::GaveUp => return Err(Miss::GaveUp),
                Search::Hit(hit) => found = Some(hit),
            }
        }
        for source in &self.address {
            match source {
                AddressSource::Context(key) => {
                    if let Some(text) = event.context.get(key)
                        && !event.context.is_claimed()
                    {
                        return Ok(Accused { key: Some(key), text, address: parse_address(text) });
                    }
                }
                AddressSource::Message => {
                    if let Some(found) = found
                        && let Some((text, address)) = found.accused()
                    {
                        return Ok(Accused { key: None, text, address });
                    }
                }
            }
        }
        Err(Miss::NoAddress)
    }
}

impl Rule {
    /// Whether the rule's `logger` is the one `printed` in a line. The usual forms are seen at once.
    fn is_of(&self, logger: &str, printed: &str) -> bool {
        printed == self.logger_short
            || printed == logger
            || (printed.ends_with(&self.logger_end) && logger_matches(logger, printed))
    }
}

/// What all forms of a logger's name end in.
fn last_part(logger: &str) -> Option<&str> {
    logger.rsplit('.').next()
}

/// A logger's name with its packages cut to one letter each.
fn shortened(logger: &str) -> String {
    let Some((packages, last)) = logger.rsplit_once('.') else { return logger.to_owned() };
    let cut = |package: &str| package.chars().take(1).chain(['.']).collect::<String>();
    packages.split('.').map(cut).collect::<String>() + last
}

/// The rarest text that every line of the rule holds.
fn required(spec: &RuleSpec, message: Option<&Pattern>) -> Option<Required> {
    let of_message = message.and_then(|pattern| pattern.required().cloned());
    let of_logger = spec.logger.as_deref().and_then(|logger| needle::of_text(last_part(logger)?));
    let of_context = spec.context.iter().map(|(_, value)| needle::of_text(value)).fold(None, needle::rarer);
    needle::rarer(needle::rarer(of_message, of_logger), of_context)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_logger(logger: &str) -> Result<Rule, FilterError> {
        let spec = RuleSpec {
            logger: Some(logger.into()),
            message: None,
            context: Vec::new(),
            address: vec![AddressSource::Context("ip".into())],
            weight: 1,
        };
        Rule::compile(&spec, Outcome::Failure, "rules[0]")
    }

    #[test]
    fn a_logger_with_an_empty_part_is_refused_as_none_is_called_so() {
        for logger in ["org..AuditTrail", ".AuditTrail", "org.apache.", ".", "o..u.AuditTrail"] {
            let refused = of_logger(logger).expect_err(logger);
            assert_eq!(refused.field, "rules[0].logger", "{logger}");
        }
    }

    #[test]
    fn a_rule_knows_its_logger_in_every_form_and_no_other() {
        let rule = of_logger("org.apache.james.util.AuditTrail").unwrap();
        let is_of = |printed: &str| rule.is_of("org.apache.james.util.AuditTrail", printed);
        for printed in [
            "org.apache.james.util.AuditTrail",
            "o.a.j.u.AuditTrail",
            "o.a.james.util.AuditTrail",
            "AuditTrail",
        ] {
            assert!(is_of(printed), "{printed}");
        }
        for printed in ["", "o..j.u.AuditTrail", ".AuditTrail", "..AuditTrail", "o.a.j.u.AuditTrails"] {
            assert!(!is_of(printed), "{printed}");
        }
    }
}
