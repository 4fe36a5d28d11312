//! The date forms that are looked for when a filter names none: those fail2ban knows, in its order of preference.

use std::sync::{Arc, LazyLock};

use super::DateError;
use super::directive::{Directive, EPOCH, LONG_EPOCH, TAI64N};
use super::pattern::{Bounds, Expression, WORD_BOUND, translate};
use super::template::{First, Template};
use super::time_of_day;

/// Where a form may stand.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Anywhere, better at the start of the line.
    Anywhere,
    /// At the start of the line only.
    Start,
}

/// A date form: its pattern, how it begins, where it may stand.
struct Form(&'static str, First, Place);

/// The numeric day with one separator throughout, then the time.
const ISO: &str = r"(?:%ExY-%m-%d|%ExY/%m/%d|%ExY\.%m\.%d)(?:T|  ?)%H:%M:%S(?:[.,]%f)?(?:\s*%z)?";

const TIME_OF_DAY: &str = "{^LN-BEG}%H:%M:%S";

const FORMS: [Form; 13] = [
    // 2005-01-23T21:59:59.981746Z, 2005/01/23 21:59:59
    Form(ISO, First::Digit, Place::Anywhere),
    // Sun Jan 23 21:59:59.011 2005, Jan  3 21:59:59
    Form(r"(?:%a )?%b %d %k:%M:%S(?:\.%f)?(?: %ExY)?", First::Letter, Place::Anywhere),
    // Sun Jan 23 2005 21:59:59.011
    Form(r"(?:%a )?%b %d %ExY %k:%M:%S(?:\.%f)?", First::Letter, Place::Anywhere),
    // 23/01/2005 21:59:59, 17-07-08 17:23:25
    Form("(?:%d/%m/(?:%ExY|%Exy)|%d-%m-(?:%ExY|%Exy)) %k:%M:%S", First::Digit, Place::Anywhere),
    // 31/Oct/2006:09:22:55 -0000, 26-Jul-2007 15:20:52.252
    Form(r"(?:%d/%b/%ExY|%d-%b-%ExY)[ :]?%H:%M:%S(?:\.%f)?(?: %z)?", First::Digit, Place::Anywhere),
    // 05/20/2008:01:57:39
    Form("%m/%d/%ExY:%H:%M:%S", First::Digit, Place::Anywhere),
    // 01-27-2012 16:22:44.252
    Form(r"%m-%d-%ExY %k:%M:%S(?:\.%f)?", First::Digit, Place::Anywhere),
    // 21:59:59, [21:59:59]; the epoch stands before it, see `templates`
    Form(TIME_OF_DAY, First::Digit, Place::Start),
    // <09/16/08@05:03:30>
    Form("^<%m/%d/%Exy@%H:%M:%S>", First::Digit, Place::Start),
    // 130322 11:46:11
    Form("%Exy%Exm%Exd  ?%H:%M:%S", First::Digit, Place::Anywhere),
    // Apr 27, 2013 02:33:06 PM
    Form("%b %d, %ExY %I:%M:%S %p", First::Letter, Place::Anywhere),
    // Apr-27-13 02:33:06
    Form("^%b-%d-%Exy %k:%M:%S", First::Letter, Place::Start),
    // 20050123T215959,123 +0200
    Form(r"%ExY%Exm%Exd(?:T|  ?)%ExH%ExM%ExS(?:[.,]%f)?(?:\s*%z)?", First::Digit, Place::Anywhere),
];

/// PDT Apr 16 21:05:29 and +00:00 Jan 23 21:59:59.011 2005
const ZONE_FIRST: [&str; 2] = [
    r"(?:%Z )?(?:%a )?%b %d %k:%M:%S(?:\.%f)?(?: %ExY)?",
    r"(?:%z )?(?:%a )?%b %d %k:%M:%S(?:\.%f)?(?: %ExY)?",
];

/// After this many forms comes the epoch.
const BEFORE_EPOCH: usize = 7;

/// The first of [`templates`]: ISO 8601 at the start of a line, for which there is a parser by hand.
pub(crate) const ISO_AT_START: usize = 0;

/// The second: `Nov 22 16:59:59`, for which there is one, too.
pub(crate) const SYSLOG_AT_START: usize = 1;

/// All templates, those at the start of the line first. They are the same for every filter.
pub(crate) fn templates() -> Arc<[Template]> {
    static ALL: LazyLock<Arc<[Template]>> = LazyLock::new(|| build(false).into());
    Arc::clone(&ALL)
}

/// Those that are bound to the start of the line.
pub(crate) fn templates_at_start() -> Arc<[Template]> {
    static BOUND: LazyLock<Arc<[Template]>> = LazyLock::new(|| build(true).into());
    Arc::clone(&BOUND)
}

pub(crate) fn build(at_start: bool) -> Vec<Template> {
    let mut list = List { at_start, bound: Vec::new(), free: Vec::new() };
    for (index, form) in FORMS.iter().enumerate() {
        if index == BEFORE_EPOCH {
            list.bound.push(epoch_at_start());
            list.add(epoch());
        }
        list.add_form(form);
    }
    for pattern in ZONE_FIRST {
        list.add_form(&Form(pattern, First::Either, Place::Anywhere));
    }
    list.bound.push(tai64n(true));
    list.add(tai64n(false));
    list.bound.append(&mut list.free);
    list.bound
}

struct List {
    at_start: bool,
    bound: Vec<Template>,
    free: Vec<Template>,
}

impl List {
    /// A form that could not be translated would only not be found; a test sees to it that all can.
    fn add_form(&mut self, Form(pattern, first, place): &Form) {
        let later = |name: &str, bounds| {
            translate(pattern, bounds).map(|expression| Template::later(name, expression).beginning(*first))
        };
        if *place == Place::Anywhere {
            self.bound.extend(later(&format!("{{^LN-BEG}}{pattern}"), Bounds::LineStart));
        }
        if let Ok(template) = later(pattern, Bounds::Words) {
            self.add(if *pattern == TIME_OF_DAY {
                template.by_hand(time_of_day::at_start)
            } else {
                template
            });
        }
    }

    fn add(&mut self, template: Template) {
        if !self.at_start || template.anchored {
            self.free.push(template);
        }
    }
}

/// The templates of a pattern that holds `{DATE}`: every form in its place. Numbers without any form, as the epoch,
/// are dates only where the pattern has nothing else.
pub(crate) fn in_place_of_date(pattern: &str) -> Result<Vec<Template>, DateError> {
    let forms = FORMS.iter().map(|Form(form, ..)| *form).chain(ZONE_FIRST);
    let at_start = match pattern.to_ascii_uppercase().as_str() {
        "{DATE}" => Some(false),
        "^{DATE}" | "{^LN-BEG}{DATE}" => Some(true),
        _ => None,
    };
    let mut found = Vec::new();
    for (index, form) in forms.enumerate() {
        if index == BEFORE_EPOCH
            && let Some(at_start) = at_start
        {
            found.push(if at_start { epoch_at_start() } else { epoch() });
        }
        let form = form.strip_prefix("{^LN-BEG}").unwrap_or(form);
        found.push(Template::new(&replace_date(pattern, form))?);
    }
    if let Some(at_start) = at_start {
        found.push(tai64n(at_start));
    }
    Ok(found)
}

fn replace_date(pattern: &str, form: &str) -> String {
    let mut rest = pattern;
    let mut replaced = String::new();
    while let Some(at) = rest.find('{') {
        let (plain, tail) = rest.split_at(at);
        replaced.push_str(plain);
        match tail.get(..6) {
            Some(tag) if tag.eq_ignore_ascii_case("{DATE}") && !plain.ends_with('\\') => {
                replaced.push_str(form);
                rest = tail.get(6..).unwrap_or("");
            }
            _ => {
                replaced.push('{');
                rest = tail.get(1..).unwrap_or("");
            }
        }
    }
    replaced.push_str(rest);
    replaced
}

/// Seconds since the epoch at the start of a line, or `[1138049999` there, or `audit(1138049999.123` anywhere.
pub(crate) fn epoch() -> Template {
    anywhere("Epoch", EPOCH, Directive::Epoch)
}

/// The same at the start of a line only.
pub(crate) fn epoch_at_start() -> Template {
    at_start("{^LN-BEG}Epoch", EPOCH, Directive::Epoch)
}

/// Milliseconds or microseconds are told from seconds by their digits.
pub(crate) fn long_epoch(bound: bool) -> Template {
    if bound {
        at_start("{^LN-BEG}LEPOCH", LONG_EPOCH, Directive::LongEpoch)
    } else {
        anywhere("LEPOCH", LONG_EPOCH, Directive::LongEpoch)
    }
}

/// TAI64N labels as multilog writes them.
pub(crate) fn tai64n(bound: bool) -> Template {
    if bound {
        return at_start("{^LN-BEG}TAI64N", TAI64N, Directive::Tai64n);
    }
    let regex = format!("(?P<d0>{TAI64N}){WORD_BOUND}");
    let expression = Expression { regex, anchored: false, copies: 1, directives: vec![Directive::Tai64n] };
    Template::later("TAI64N", expression)
}

fn anywhere(name: &str, number: &str, directive: Directive) -> Template {
    let group = |name: &str| format!("(?P<{name}>{number})");
    let [first, second, third] = ["d0", "d1", "d2"].map(group);
    let regex = format!(r"(?:^{first}|^\[{second}|\baudit\({third}){WORD_BOUND}");
    // Each alternative is a copy of the text to cut.
    Template::later(name, Expression { regex, anchored: false, copies: 3, directives: vec![directive; 3] })
}

fn at_start(name: &str, number: &str, directive: Directive) -> Template {
    let regex = format!(r"^\W{{0,2}}(?P<d0>{number}){WORD_BOUND}");
    let expression = Expression { regex, anchored: true, copies: 1, directives: vec![directive] };
    Template::later(name, expression).beginning(First::Digit)
}
