//! What came of an order.

use super::why;
use crate::agent::report::{Banned, Durability, Unbanned};
use crate::cli::{Context, ExitStatus, when};

/// Prints what came of a ban by hand.
///
/// # Errors
/// When stdout cannot be written.
pub(in crate::cli) fn banned(banned: &Banned, context: &Context) -> anyhow::Result<ExitStatus> {
    if context.data() {
        context.print_data(banned)?;
    } else {
        let ban = &banned.ban;
        let what = ban.jail.as_ref().map_or_else(|| "all ports".into(), |jail| format!("jail {jail}"));
        let until =
            ban.until.map_or_else(|| "until unbanned".into(), |u| format!("until {}", when::relative(u)));
        // One that was banned for a shorter time is banned for longer now.
        let (word, now) = if banned.known { ("was banned already", ", now") } else { ("is banned", "") };
        let only = if ban.enforced { "" } else { ", observed only: nothing is dropped" };
        context.say(format!("{} {word} ({what}){now} {until}{only}", context.bold(ban.subject)))?;
    }
    Ok(saved(&banned.saved, context))
}

/// Prints what came of an unban.
///
/// # Errors
/// When stdout cannot be written.
pub(in crate::cli) fn unbanned(unbanned: &Unbanned, context: &Context) -> anyhow::Result<ExitStatus> {
    let ended = !(unbanned.ended.is_empty() && unbanned.released.is_empty() && unbanned.forgotten.is_empty());
    if context.data() {
        context.print_data(unbanned)?;
    } else {
        for ban in &unbanned.ended {
            let what = ban.jail.as_ref().map_or_else(|| "all ports".into(), |jail| format!("jail {jail}"));
            let free =
                if unbanned.unanswered.is_some() { "is no longer banned" } else { "may connect again" };
            context.say(format!("{} {free} ({what})", context.bold(ban.subject)))?;
        }
        for ban in &unbanned.remaining {
            let until = ban.until.map_or_else(|| "for ever".into(), when::relative);
            context.say(format!("{} stays banned: {}, {until}", context.bold(ban.subject), why(ban)))?;
        }
        for limit in &unbanned.released {
            context.say(format!("the penalty of rate limit {limit} has ended"))?;
        }
        for limit in &unbanned.forgotten {
            context.say(format!("rate limit {limit} has forgotten what was over it and counts anew"))?;
        }
        if let Some(why) = &unbanned.unanswered {
            let late = context.yellow("penalties of rate limits may still hold; ask again");
            context.say(format!("{why}: {late}"))?;
        }
        if !ended && unbanned.remaining.is_empty() {
            let nobody =
                if unbanned.unanswered.is_some() { "no ban was in force" } else { "nobody was banned" };
            context.say(format!("{nobody}; failures so far are forgotten"))?;
        }
    }
    let positive = ended && unbanned.remaining.is_empty();
    Ok(match saved(&unbanned.saved, context) {
        ExitStatus::Success if unbanned.unanswered.is_some() => ExitStatus::Failure,
        ExitStatus::Success => ExitStatus::from_answer(positive),
        failed => failed,
    })
}

/// Says so when the order is not on disk.
fn saved(durability: &Durability, context: &Context) -> ExitStatus {
    match durability {
        Durability::Saved | Durability::NotKept => ExitStatus::Success,
        Durability::Failed(problem) => {
            let word = context.yellow("warning");
            eprintln!("{word}: in force, but not saved ({problem}): a crash now would forget it");
            ExitStatus::Negative
        }
    }
}
