//! What configuration asks the engine: can this be compiled?

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
    let filter = Filter::compile(spec)
        .map_err(|e| Fault { field: e.field, message: e.message, fix: e.fix })?;
    let slow = filter.bounded().into_iter().map(|field| Fault {
        field,
        message: "look-around and back-references take the slow path: they run in a backtracking engine with a \
                  step limit, on lines that pass a linear test first"
            .into(),
        fix: "nothing has to be done; without them the regex would run at full speed".into(),
    });
    let alone = filter.incomplete().into_iter().map(|field| Fault {
        field,
        message: "the regex says who it was only together with other lines (`<F-MLFID>`): it does not count yet".into(),
        fix: "put `<HOST>` where the address stands in the line, if it does".into(),
    });
    let warnings = slow.chain(alone).collect();
    Ok((filter, warnings))
}

/// Compiles a layout that is not `Auto`; the message says what is wrong with its pattern.
pub(super) fn layout(spec: &LayoutSpec) -> Result<(), (String, String)> {
    match Layout::new(spec) {
        Ok(_) => Ok(()),
        Err(error) => {
            let cause = std::error::Error::source(&error).map_or_else(|| error.to_string(), ToString::to_string);
            Err((
                format!("the pattern cannot be read: {cause}"),
                "copy it from the `<pattern>` of logback.xml or log4j2.xml as it stands, in single quotes".into(),
            ))
        }
    }
}
