//! Measures this node's clock by the `Date` of the API server's answers.

use std::time::{Duration, Instant};

use http::Request;
use kube::client::Body;
use tokio::time::{sleep, timeout};

use super::cluster_time::{Ahead, Reading};
use super::station::Station;
use crate::agent::report::{Condition, ConditionType};
use crate::engine::Timestamp;

/// How often it is asked.
const INTERVAL: Duration = Duration::from_secs(60);
/// How often, before the first answer.
const AT_START: Duration = Duration::from_secs(1);
/// How often to look whether somebody has set the clock: then it is measured at once.
const LOOK: Duration = Duration::from_secs(2);
/// A clock that moved by more than this against the monotonic one was set.
const STEP: Duration = Duration::from_secs(1);
/// How long an answer may take; a slow one says little.
const PATIENCE: Duration = Duration::from_secs(5);
/// So much may stay open of a clock that is corrected for.
const FINE: Duration = Duration::from_millis(20);
/// Answers that are asked for to be so exact, at most.
const MOST: u32 = 10;
/// Under which name it says what is wrong.
const NAME: &str = "clock";

/// What was measured, and when by the monotonic clock.
type Known = (Ahead, Instant);

/// Measures for ever.
pub async fn run(station: Station) {
    let mut known: Option<Known> = None;
    loop {
        // When it does not answer, what it said last holds.
        if let Some(now) = measure(&station, known).await {
            known = Some(now);
        }
        let pause = if known.is_some() { INTERVAL } else { AT_START };
        wait(pause).await;
    }
}

/// Waits so long, or until the clock is set.
async fn wait(pause: Duration) {
    let (began, wall) = (Instant::now(), now());
    while began.elapsed() < pause {
        sleep(LOOK.min(pause)).await;
        if now().distance(wall + began.elapsed()) > STEP {
            return;
        }
    }
}

/// Asks once. Where the clock turns out to be wrong, asks on until it is known exactly by how much.
async fn measure(station: &Station, before: Option<Known>) -> Option<Known> {
    let answer = ask(station).await?;
    let Some(answer) = answer else {
        tracing::warn!("the API server's answers bear no date: this node's clock is taken for right");
        station.clock.note(Reading::default());
        return None;
    };
    let mut known = join(before, answer);
    say(station, known.0);
    for _ in 0..MOST {
        if !station.clock.reading().is_skewed() || known.0.width() <= FINE {
            break;
        }
        sleep(known.0.telling_moment(now())).await;
        let Some(Some(answer)) = ask(station).await else { break };
        known = join(Some(known), answer);
    }
    say(station, known.0);
    Some(known)
}

/// What both tell, or the later one alone where they contradict each other.
fn join(before: Option<Known>, answer: Ahead) -> Known {
    let both = before.and_then(|(known, at)| known.after(at.elapsed()).and(answer));
    (both.unwrap_or(answer), Instant::now())
}

fn say(station: &Station, ahead: Ahead) {
    let reading = station.clock.reading().next(ahead);
    station.clock.note(reading);
    station.concerns.say(NAME, if reading.is_skewed() { vec![skewed(reading)] } else { Vec::new() });
}

/// What an answer tells of the clock, if it has a date; `None`: there is no answer.
async fn ask(station: &Station) -> Option<Option<Ahead>> {
    let request = Request::get("/version").body(Body::empty()).ok()?;
    let sent = now();
    let answer = timeout(PATIENCE, station.client.send(request)).await.ok()?.ok()?;
    let received = now();
    let date = answer.headers().get(http::header::DATE).and_then(|date| date.to_str().ok());
    let there = date.and_then(|date| jiff::fmt::rfc2822::parse(date).ok());
    Some(there.map(|there| Ahead::of(sent, there.timestamp().into(), received)))
}

fn now() -> Timestamp {
    jiff::Timestamp::now().into()
}

fn skewed(reading: Reading) -> Condition {
    let seconds = reading.seconds.abs();
    let how = if reading.seconds > 0 { "ahead of" } else { "behind" };
    Condition {
        kind: ConditionType::ClockSkew,
        status: true,
        reason: "ClockSkew".into(),
        message: format!(
            "this node's clock is {seconds} s {how} the API server's, which is corrected for: set it, e.g. with chrony"
        ),
    }
}
