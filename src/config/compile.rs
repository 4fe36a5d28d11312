//! What configuration asks the engine: can this be compiled?

use crate::engine::dates::DateFinder;
use crate::engine::filter::Filter;
use crate::engine::layout::Layout;
use crate::engine::{FilterSpec, LayoutSpec};

/// A field the engine refuses or has something to say about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    /// Relative to `spec`, e.g. `rules[0].message`.
    pub(super) field: String,
    pub(super) message: String,
    pub(super) fix: String,
}

/// Compiles a filter. What comes with it are warnings.
pub(super) fn filter(spec: &FilterSpec) -> Result<(Filter, Vec<Fault>), Fault> {
    let filter = Filter::compile(spec).map_err(|e| fault(e.field, &e.message, &e.fix))?;
    let slow = filter.bounded().into_iter().map(|field| Fault {
        field,
        message:
            "look-around and back-references take the slow path: they run in a backtracking engine with a \
                  step limit, on lines that pass a linear test first"
                .into(),
        fix: "nothing has to be done; without them the regex would run at full speed".into(),
    });
    let alone = filter.incomplete().into_iter().map(|field| Fault {
        field,
        message:
            "the regex says who it was only together with other lines (`<F-MLFID>`): it does not count yet"
                .into(),
        fix: "put `<HOST>` where the address stands in the line, if it does".into(),
    });
    let warnings = slow.chain(alone).collect();
    Ok((filter, warnings))
}

/// A fault whose advice may stand in the message, behind a semicolon.
fn fault(field: String, message: &str, fix: &str) -> Fault {
    let (message, fix) = match message.split_once("; ") {
        Some((message, advice)) if fix.is_empty() => (message, advice),
        _ => (message, fix),
    };
    Fault { field, message: message.into(), fix: fix.into() }
}

/// Compiles a layout that is not `Auto`; the message says what is wrong with its pattern.
pub(super) fn layout(spec: &LayoutSpec) -> Result<(), (String, String)> {
    let Err(error) = Layout::new(spec) else { return Ok(()) };
    let cause = std::error::Error::source(&error).map_or_else(|| error.to_string(), ToString::to_string);
    let fault = fault(String::new(), &cause, "");
    let copied = "copy it from the `<pattern>` of logback.xml or log4j2.xml as it stands, in single quotes";
    let fix = if fault.fix.is_empty() { copied.to_owned() } else { fault.fix };
    Err((format!("the pattern cannot be read: {}", fault.message), fix))
}

/// Compiles one date pattern.
pub(super) fn date(pattern: &str) -> Result<(), (String, String)> {
    DateFinder::new(&[pattern.to_owned()]).map(drop).map_err(|error| {
        let fault = fault(String::new(), &error.to_string(), "");
        (fault.message, fault.fix)
    })
}
