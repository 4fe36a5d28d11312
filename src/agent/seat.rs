//! One jail at work: its windows, its brake, who it never bans, what it counted.

use std::sync::Arc;

use super::efficacy::Efficacy;
use super::plan::scope_of;
use super::report::Tallies;
use super::spared::Spared;
use crate::bans::Brake;
use crate::config::{JailConfig, Mode};
use crate::engine::house::NeverBan;
use crate::engine::jail::{Jail, JailSnapshot};
use crate::engine::{FilterSpec, JailName, RuleRef, Shift};
use crate::firewall::ScopeName;

/// One jail at work. Rules of matches are numbered as in its own list of filters.
#[derive(Debug)]
pub(super) struct Seat {
    pub(super) config: Arc<JailConfig>,
    pub(super) jail: Jail,
    pub(super) brake: Brake,
    pub(super) never: NeverBan,
    pub(super) scope: ScopeName,
    pub(super) tallies: Tallies,
    pub(super) efficacy: Efficacy,
    pub(super) spared: Spared,
    /// Why part of it cannot be used.
    pub(super) unusable: Vec<String>,
    rules: Vec<Vec<Arc<str>>>,
}

impl Seat {
    pub(super) fn new(config: &Arc<JailConfig>, snapshot: Option<&JailSnapshot>) -> Self {
        let spec = || config.spec.clone();
        let jail = match snapshot.map(|snapshot| Jail::restore(spec(), snapshot)) {
            Some(Ok(jail)) => jail,
            None => Jail::new(spec()),
            Some(Err(error)) => {
                tracing::error!(jail = %config.name(), %error, "the windows of a jail cannot be restored");
                Jail::new(spec())
            }
        };
        Self {
            config: Arc::clone(config),
            jail,
            brake: Brake::new(config.bans_per_minute),
            never: NeverBan::default(),
            scope: scope_of(Some(config.name())),
            tallies: Tallies::default(),
            efficacy: Efficacy::default(),
            spared: Spared::default(),
            unusable: Vec::new(),
            rules: rule_names(config),
        }
    }

    /// Takes another declaration of the same jail and keeps what it has counted.
    pub(super) fn reconfigure(&mut self, config: &Arc<JailConfig>) {
        let (old, new) = (&self.config.filters, &config.filters);
        if names(old).ne(names(new)) {
            self.jail.renumber(|rule| {
                let name = &old.get(usize::from(rule.filter))?.name;
                let place = new.iter().position(|filter| &filter.name == name)?;
                Some(RuleRef { filter: u16::try_from(place).ok()?, ..rule })
            });
        }
        self.jail.reconfigure(config.spec.clone());
        self.brake.reconfigure(config.bans_per_minute);
        self.rules = rule_names(config);
        self.config = Arc::clone(config);
        self.unusable.clear();
    }

    /// Who this jail never bans: the house, and private addresses unless it asks for them. Its own `ignore` is the
    /// engine's.
    pub(super) fn furnish(&mut self, house: &NeverBan) {
        let house = house.prefixes().map(|(net, why)| (net, why.clone()));
        self.never = if self.config.ban_private {
            NeverBan::new(house)
        } else {
            NeverBan::new(house.chain(NeverBan::private()))
        };
    }

    /// The clock was set: what was counted here is moved along.
    pub(super) fn shift(&mut self, shift: Shift) {
        self.jail.shift(shift);
        self.brake.shift(shift);
        self.efficacy.shift(shift);
        self.spared.shift(shift);
    }

    pub(super) fn name(&self) -> &JailName {
        self.config.name()
    }

    /// Whether its bans reach the kernel.
    pub(super) fn enforces(&self, observe: bool) -> bool {
        !observe && self.config.mode == Mode::Enforce
    }

    /// `filter/rules[0]`
    pub(super) fn rule_name(&self, rule: RuleRef) -> Arc<str> {
        let filter = self.rules.get(usize::from(rule.filter));
        match filter.and_then(|rules| rules.get(usize::from(rule.rule))) {
            Some(name) => Arc::clone(name),
            None => "a rule that is gone".into(),
        }
    }

    /// The rule of this name, as [`Seat::rule_name`] gives it; [`RuleRef::GONE`] when there is none here.
    pub(super) fn rule_called(&self, name: &str) -> RuleRef {
        for (filter, rules) in (0_u16..).zip(&self.rules) {
            if let Some(rule) = rules.iter().position(|known| &**known == name) {
                return RuleRef { filter, rule: u16::try_from(rule).unwrap_or(u16::MAX) };
            }
        }
        RuleRef::GONE
    }
}

fn names(filters: &[Arc<FilterSpec>]) -> impl Iterator<Item = &str> {
    filters.iter().map(|filter| filter.name.as_str())
}

/// Names by filter and rule, numbered as [`RuleRef`] says.
fn rule_names(config: &JailConfig) -> Vec<Vec<Arc<str>>> {
    let of = |filter: &Arc<FilterSpec>| {
        let texts = filter.text.as_ref().map_or(0, |text| text.fail_regex.len());
        let kinds =
            [("rules", filter.rules.len()), ("successes", filter.successes.len()), ("failRegex", texts)];
        let name = |kind: &str, n: usize| Arc::from(format!("{}/{kind}[{n}]", filter.name));
        kinds.iter().flat_map(|(kind, count)| (0..*count).map(move |n| name(kind, n))).collect()
    };
    config.filters.iter().map(of).collect()
}
