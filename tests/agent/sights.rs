//! What is said of sources that show no client, or a client behind a proxy.

use gaoler::agent::report::ConditionType;

use crate::world::{World, until};

const LOGINS: &str = "
apiVersion: gaoler.dev/v1alpha1
kind: Jail
metadata: {name: james}
spec:
  filters: [james-imap-auth, james-smtp-auth]
  source: {files: [$LOG]}
  maxRetry: 5
  findTime: 20m
  banTime: 2h
  enforce: {ports: [25, 143]}
";

fn imap(context: &str) -> String {
    let now = jiff::Timestamp::now();
    format!(
        "{{\"timestamp\":\"{now:.3}\",\"level\":\"INFO\",\"mdc\":{{\"protocol\":\"IMAP\"{context}}},\"logger\":\"org.apache.james.util.AuditTrail\",\"message\":\"IMAP Authentication failed because of bad credentials.\"}}"
    )
}

#[test]
fn a_layout_that_shows_nobody_is_a_condition_until_it_is_mended() {
    let world = World::guarded(LOGINS);
    world.log(&vec![imap(""); 9]);
    world.log(&[imap(r#","ip":"203.0.113.1""#)]);
    world.heard("james", 1);
    assert!(world.condition("james", ConditionType::NoClientAddress).is_none(), "nine may be strays");
    world.log(&vec![imap(""); 30]);
    let blind = until(|| world.condition("james", ConditionType::NoClientAddress));
    assert!(blind.status && blind.message.contains("james-imap-auth"), "{blind:?}");
    assert!(!blind.message.contains("james-smtp-auth"), "{blind:?}");
    world.log(&(0..200).map(|n| imap(&format!(r#","ip":"203.0.114.{n}""#))).collect::<Vec<_>>());
    until(|| world.condition("james", ConditionType::NoClientAddress).is_none().then_some(()));
}

#[test]
fn lines_of_another_layout_than_the_one_in_use_are_a_condition_that_names_the_remedy() {
    let text = LOGINS.replace("[$LOG]}", "[$LOG], layout: {type: JamesDefault}}");
    let world = World::guarded(&text);
    world.log(&vec![imap(r#","ip":"203.0.113.1""#); 30]);
    let other = until(|| world.condition("james", ConditionType::Degraded));
    assert_eq!(other.reason, "OtherLayout");
    assert!(
        other.message.contains("30 for james-imap-auth") && other.message.contains("mend `source.layout`"),
        "{other:?}"
    );
}

#[test]
fn a_client_behind_a_proxy_is_accused_and_where_to_stop_it_is_said() {
    let world = World::guarded(LOGINS);
    world.log(&vec![imap(r#","ip":"203.0.113.60","proxy.source":"/203.0.113.99:43210""#); 5]);
    world.keeps_out(&["j_james 203.0.113.99"]);
    let proxy = world.condition("james", ConditionType::EnforceAtProxy).unwrap();
    assert!(proxy.status && proxy.message.contains("james-imap-auth"), "{proxy:?}");
}
