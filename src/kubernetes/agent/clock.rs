//! How far this node's clock is from the API server's, by the `Date` of its answers.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime};

use http::Request;
use kube::client::Body;
use tokio::time::{MissedTickBehavior, interval, timeout};

use super::station::Station;
use crate::agent::report::{Condition, ConditionType};

/// How often it is asked.
const INTERVAL: Duration = Duration::from_secs(60);
/// How long an answer may take; a slow one says little.
const PATIENCE: Duration = Duration::from_secs(5);
/// Beyond this a person is told.
const TOLERATED_MILLIS: i64 = 5000;
/// Under which name it says what is wrong.
const NAME: &str = "clock";

/// Measures for ever; `ahead` holds the last result in milliseconds.
pub async fn run(station: Station, ahead: Arc<AtomicI64>) {
    let mut ticks = interval(INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        // When it does not answer, what it said last holds.
        let Some(millis) = measure(&station).await else { continue };
        ahead.store(millis, Ordering::Relaxed);
        let conditions = if millis.abs() > TOLERATED_MILLIS { vec![skewed(millis)] } else { Vec::new() };
        station.concerns.say(NAME, conditions);
    }
}

async fn measure(station: &Station) -> Option<i64> {
    let request = Request::get("/version").body(Body::empty()).ok()?;
    let sent = millis(SystemTime::now())?;
    let answer = timeout(PATIENCE, station.client.send(request)).await.ok()?.ok()?;
    let received = millis(SystemTime::now())?;
    let date = answer.headers().get(http::header::DATE)?.to_str().ok()?;
    let there = jiff::fmt::rfc2822::parse(date).ok()?.timestamp().as_millisecond();
    Some(ahead(sent, there, received))
}

fn millis(time: SystemTime) -> Option<i64> {
    i64::try_from(time.duration_since(SystemTime::UNIX_EPOCH).ok()?.as_millis()).ok()
}

/// How far we are ahead, in milliseconds: nothing where the answer leaves that open, else the middle of what is
/// possible, in whole seconds. The server's date is cut to seconds and was written between `sent` and `received`.
fn ahead(sent: i64, there: i64, received: i64) -> i64 {
    let (least, most) = (sent - (there + 1000), received - there);
    if least <= 0 && most >= 0 {
        return 0;
    }
    let middle = i64::midpoint(least, most);
    (middle as f64 / 1000.0).round() as i64 * 1000
}

fn skewed(millis: i64) -> Condition {
    let seconds = millis.abs() / 1000;
    let how = if millis > 0 { "ahead of" } else { "behind" };
    Condition {
        kind: ConditionType::ClockSkew,
        status: true,
        reason: "ClockSkew".into(),
        message: format!("this node's clock is {seconds} s {how} the API server's: set it, e.g. with chrony"),
    }
}

#[cfg(test)]
mod tests {
    use super::ahead;

    #[test]
    fn what_an_answer_leaves_open_is_no_skew() {
        // Cut to seconds, an honest answer is up to a second late.
        assert_eq!(ahead(10_999, 10_000, 11_010), 0);
        assert_eq!(ahead(10_000, 10_000, 10_001), 0);
        assert_eq!(ahead(9_999, 10_000, 10_002), 0);
    }

    #[test]
    fn a_clock_that_is_off_is_off_by_whole_seconds() {
        assert_eq!(ahead(130_000, 10_000, 130_020), 120_000);
        assert_eq!(ahead(10_000, 130_000, 10_020), -120_000);
        assert_eq!(ahead(17_500, 10_000, 17_510), 7_000);
    }
}
