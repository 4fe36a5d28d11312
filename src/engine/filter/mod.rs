//! What in an event is a failure or a success, and which address it concerns.
//!
//! A filter holds structured rules, which look at the fields of an event, and fail2ban's regexes, which look at the
//! text of the line. No regex is trusted with the address: it only marks where one is.

mod class;
mod dialect;
mod engines;
mod error;
mod frame;
mod inspect;
mod lines;
mod needle;
mod pattern;
mod rarity;
mod rule;
mod sample;
mod size;
mod span;
mod tags;
mod text;

pub use error::FilterError;
pub use sample::Sample;

pub(crate) use needle::{Needle, Required};
pub(crate) use rule::{Accused, Miss, Rule};
pub(crate) use text::{TextRules, TextVerdict};

use super::{FilterName, FilterSpec, OnePer, Outcome};

/// Rules and regexes of one filter.
const MOST_RULES: usize = 256;

/// A compiled filter.
#[derive(Debug)]
pub struct Filter {
    name: FilterName,
    rules: Vec<Rule>,
    failures: usize,
    text: Option<TextRules>,
    one_per: Option<OnePer>,
}

impl Filter {
    /// Compiles what was declared.
    ///
    /// # Errors
    ///
    /// [`FilterError`] names the field, what is wrong with it and what to write instead.
    pub fn compile(spec: &FilterSpec) -> Result<Self, FilterError> {
        let text = spec.text.as_ref();
        let count = spec.rules.len()
            + spec.successes.len()
            + text.map_or(0, |t| t.fail_regex.len() + t.ignore_regex.len());
        if count > MOST_RULES {
            return Err(FilterError::new(
                "",
                format!("{count} rules and regexes, more than {MOST_RULES}"),
                "split the filter into several",
            ));
        }
        if spec.rules.is_empty() && spec.successes.is_empty() && text.is_none() {
            return Err(FilterError::new("", "a filter without rules", "add rules or failRegex"));
        }
        let mut rules = Vec::with_capacity(spec.rules.len() + spec.successes.len());
        for (i, rule) in spec.rules.iter().enumerate() {
            rules.push(Rule::compile(rule, Outcome::Failure, &format!("rules[{i}]"))?);
        }
        for (i, rule) in spec.successes.iter().enumerate() {
            rules.push(Rule::compile(rule, Outcome::Success, &format!("successes[{i}]"))?);
        }
        if let Some(one_per) = &spec.one_per
            && one_per.within.is_zero()
        {
            return Err(FilterError::new("onePer.within", "no time at all", "use e.g. 1s"));
        }
        Ok(Self {
            name: spec.name.clone(),
            failures: spec.rules.len(),
            rules,
            text: text.map(TextRules::compile).transpose()?,
            one_per: spec.one_per.clone(),
        })
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &FilterName {
        &self.name
    }

    /// How many rules it has: `rules`, `successes` and `failRegex` together.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rules.len() + self.text.as_ref().map_or(0, |text| text.fail().len())
    }

    /// Never true: a filter without rules is refused.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The field that rule `rule` of a [`super::RuleRef`] was declared in: `rules[0]`, `successes[1]`,
    /// `failRegex[2]`.
    #[must_use]
    pub fn field(&self, rule: u16) -> String {
        let rule = usize::from(rule);
        if rule < self.failures {
            format!("rules[{rule}]")
        } else if rule < self.rules.len() {
            format!("successes[{}]", rule - self.failures)
        } else {
            format!("failRegex[{}]", rule - self.rules.len())
        }
    }

    /// What rule `rule` looks for: its regex, or its conditions.
    #[must_use]
    pub fn describe(&self, rule: u16) -> String {
        let rule = usize::from(rule);
        match self.rules.get(rule) {
            Some(rule) => rule.describe(),
            None => {
                let regexes = self.text.as_ref().map_or(&[][..], TextRules::fail);
                let regex = rule.checked_sub(self.rules.len()).and_then(|i| regexes.get(i));
                regex.map_or_else(String::new, |regex| regex.source().to_owned())
            }
        }
    }

    /// How many rules look at events: `rules` and `successes`. They come before `failRegex` in the count of rules.
    #[must_use]
    pub fn structured_rules(&self) -> usize {
        self.rules.len()
    }

    /// `prefRegex`, as written.
    #[must_use]
    pub fn pref_regex(&self) -> Option<&str> {
        self.text.as_ref()?.pref().map(pattern::Pattern::source)
    }

    /// Each `ignoreRegex`, as written.
    pub fn ignore_regexes(&self) -> impl Iterator<Item = &str> {
        self.text.iter().flat_map(text::TextRules::ignore).map(pattern::Pattern::source)
    }

    /// Whether it knows successful logins, which trust is built on.
    #[must_use]
    pub fn has_successes(&self) -> bool {
        self.rules.len() > self.failures
    }

    /// Fields of the regexes that need look-around or back-references. They run in a backtracking engine with a
    /// step limit, only on lines that pass a linear test.
    #[must_use]
    pub fn bounded(&self) -> Vec<String> {
        let Some(text) = &self.text else { return Vec::new() };
        let pref = text.pref().filter(|p| p.bounded()).map(|_| "prefRegex".to_owned());
        let named = |patterns: &[pattern::Pattern], name: &str| {
            let bounded = patterns.iter().enumerate().filter(|(_, p)| p.bounded());
            bounded.map(|(i, _)| format!("{name}[{i}]")).collect::<Vec<_>>()
        };
        pref.into_iter()
            .chain(named(text.fail(), "failRegex"))
            .chain(named(text.ignore(), "ignoreRegex"))
            .collect()
    }

    /// Fields of the regexes that only together with other lines say who it was (`<F-MLFID>`), which is not yet
    /// put together.
    #[must_use]
    pub fn incomplete(&self) -> Vec<String> {
        let Some(text) = &self.text else { return Vec::new() };
        let pref = text.pref().is_some_and(|p| p.groups().identify());
        let alone = |p: &pattern::Pattern| pref || p.groups().identify();
        let incomplete = text.fail().iter().enumerate().filter(|(_, p)| !alone(p));
        incomplete.map(|(i, _)| format!("failRegex[{i}]")).collect()
    }

    /// Fields of the regexes that cannot run at full speed: those that may match anywhere in the text, need the bounded
    /// engine, are too large for the linear one, or give the search over a block no literal.
    #[cfg(test)]
    pub(crate) fn slow(&self) -> Vec<String> {
        let fast = |rule: usize| {
            let pattern = match self.rules.get(rule) {
                Some(rule) => rule.message()?,
                None => self.text.as_ref()?.fail().get(rule - self.rules.len())?,
            };
            let built = pattern.anchored() && !pattern.bounded() && pattern.builds();
            (built && self.required(rule).is_some()).then_some(())
        };
        let rules = (0..self.len()).filter(|rule| fast(*rule).is_none());
        rules.map(|rule| self.field(u16::try_from(rule).unwrap())).collect()
    }

    pub(crate) fn rules(&self) -> &[Rule] {
        &self.rules
    }

    pub(crate) fn text(&self) -> Option<&TextRules> {
        self.text.as_ref()
    }

    pub(crate) fn one_per(&self) -> Option<&OnePer> {
        self.one_per.as_ref()
    }

    /// Literals one of which stands in every line that rule `rule` speaks about.
    pub(crate) fn required(&self, rule: usize) -> Option<Required> {
        match self.rules.get(rule) {
            Some(rule) => rule.required().cloned(),
            None => self.text.as_ref()?.required(rule.checked_sub(self.rules.len())?),
        }
    }
}
