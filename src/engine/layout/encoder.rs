//! The JSON layouts: which key of the object is which field.

use std::borrow::Cow;

use crate::engine::dates::iso_time;
use crate::engine::{Context, Event, ReadClock, Timestamp};

use super::json::{self, Cursor, Value};

/// Who wrote the object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Encoder {
    /// logback's `JsonEncoder`.
    Logback,
    /// logback-contrib's `JsonLayout`.
    Contrib,
    /// logstash-logback-encoder; context keys stand beside the fields.
    Logstash,
}

/// What a key holds.
enum Role {
    Time,
    Level,
    Logger,
    Message,
    /// logback's message before its `{}` were filled in.
    Template,
    Arguments,
    Mdc,
    /// A context key beside the fields.
    Context,
    Unneeded,
}

impl Encoder {
    fn role(self, key: &str) -> Role {
        use Encoder::{Contrib, Logback, Logstash};
        match (self, key) {
            (Logback | Contrib, "timestamp") | (Logstash, "@timestamp") => Role::Time,
            (_, "level") => Role::Level,
            (Logback, "loggerName") | (Contrib, "logger") | (Logstash, "logger_name") => Role::Logger,
            (Logback, "formattedMessage") | (Contrib | Logstash, "message") => Role::Message,
            (Logback, "message") => Role::Template,
            (Logback, "arguments") => Role::Arguments,
            (_, "mdc") => Role::Mdc,
            (Logstash, "@version" | "thread_name" | "level_value" | "stack_trace" | "tags") => Role::Unneeded,
            (Logstash, _) => Role::Context,
            _ => Role::Unneeded,
        }
    }

    /// Takes a line apart. Of a key that is there twice the first counts: the encoders write their own fields before
    /// anything else. `None` without a logger or a message, or when the JSON is broken.
    pub(crate) fn event<'a>(self, line: &'a str, clock: ReadClock<'_>) -> Option<Event<'a>> {
        let mut fields = Fields::default();
        json::fields(line, |key, at| fields.add(self.role(&key), key, at, clock))?;
        let message = match (fields.message, fields.template) {
            (Some(message), _) => message,
            (None, Some(template)) => fill_in(template, fields.arguments),
            (None, None) => return None,
        };
        Some(Event {
            time: fields.time,
            level: fields.level.unwrap_or(""),
            logger: fields.logger?,
            message,
            context: fields.context,
        })
    }
}

#[derive(Default)]
struct Fields<'a> {
    time: Option<Timestamp>,
    level: Option<&'a str>,
    logger: Option<Cow<'a, str>>,
    message: Option<Cow<'a, str>>,
    template: Option<Cow<'a, str>>,
    arguments: Option<&'a str>,
    mdc: bool,
    context: Context<'a>,
}

impl<'a> Fields<'a> {
    fn add(
        &mut self,
        role: Role,
        key: Cow<'a, str>,
        at: &mut Cursor<'a>,
        clock: ReadClock<'_>,
    ) -> Option<()> {
        if matches!(role, Role::Mdc) && !self.mdc && at.is_nested() {
            self.mdc = true;
            return at.inner(|key, at| {
                if let Value::Text(value) = at.value()? {
                    self.context.push(key, value);
                }
                Some(())
            });
        }
        match (role, at.value()?) {
            (Role::Time, value) if self.time.is_none() => self.time = time(&value, clock),
            (Role::Level, Value::Text(Cow::Borrowed(level))) if self.level.is_none() => {
                self.level = Some(level);
            }
            (Role::Logger, Value::Text(text)) if self.logger.is_none() => self.logger = Some(text),
            (Role::Message, Value::Text(text)) if self.message.is_none() => self.message = Some(text),
            (Role::Template, Value::Text(text)) if self.template.is_none() => self.template = Some(text),
            (Role::Arguments, Value::Nested(text)) if self.arguments.is_none() => self.arguments = Some(text),
            (Role::Context, Value::Text(text)) => self.context.push(key, text),
            _ => {}
        }
        Some(())
    }
}

/// Milliseconds since the epoch, as a number or as text, or ISO 8601.
fn time(value: &Value<'_>, clock: ReadClock<'_>) -> Option<Timestamp> {
    let text = match value {
        Value::Bare(text) => text,
        Value::Text(text) => text.as_ref(),
        Value::Nested(_) => return None,
    };
    if text.bytes().all(|b| b.is_ascii_digit()) {
        return text.parse::<i64>().ok()?.checked_mul(1000).map(Timestamp::from_micros);
    }
    iso_time(text, clock)
}

/// `{}` by `{}` the arguments, as slf4j does; each argument is put in once and not looked into.
fn fill_in<'a>(template: Cow<'a, str>, arguments: Option<&str>) -> Cow<'a, str> {
    let Some(arguments) = arguments.and_then(json::items).filter(|_| template.contains("{}")) else {
        return template;
    };
    let mut filled = String::with_capacity(template.len() + 64);
    let mut rest = template.as_ref();
    for argument in arguments {
        let Some((before, after)) = rest.split_once("{}") else { break };
        filled.push_str(before);
        filled.push_str(&argument);
        rest = after;
    }
    filled.push_str(rest);
    Cow::Owned(filled)
}
