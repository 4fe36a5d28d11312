//! Lines made from a rule, where no example is at hand.

use serde_json::json;

use crate::engine::LayoutSpec;
use crate::engine::filter::Filter;

/// Lines that a rule may match and that accuse `address`, each with its layout.
pub(super) fn lines(filter: &Filter, rule: usize, address: &str) -> Vec<(LayoutSpec, String)> {
    let samples = filter.samples(rule, address).into_iter();
    if rule >= filter.structured_rules() {
        return samples.map(|sample| (LayoutSpec::Text, sample.text)).collect();
    }
    let event = |sample: crate::engine::filter::Sample<'_>| {
        let logger = sample.logger.unwrap_or("org.apache.james.Server");
        if sample.context.is_empty() {
            let line = format!("16:45:41.985 [INFO ] {logger} - {}", sample.text);
            return (LayoutSpec::JamesDefault, line);
        }
        let context: serde_json::Map<_, _> =
            sample.context.iter().map(|(key, value)| (key.clone(), json!(value))).collect();
        let line = json!({
            "timestamp": "2026-11-22T16:45:41.985Z",
            "level": "INFO",
            "logger": logger,
            "mdc": context,
            "message": sample.text,
        });
        (LayoutSpec::JsonLayout, line.to_string())
    };
    samples.map(event).collect()
}
