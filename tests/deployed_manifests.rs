//! The manifests under `deploy` are accepted and mean what they say.

#![allow(clippy::unwrap_used)]

use std::path::Path;

use gaoler::config::import::iptables;
use gaoler::config::{Enforce, Hit, LimitPenalty, Loaded, Source, load};
use gaoler::engine::LayoutSpec;

fn loaded(path: &str) -> Loaded {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy").join(path);
    let loaded = load(&[path], None);
    let problems: Vec<String> = loaded.all_problems().map(ToString::to_string).collect();
    assert!(problems.is_empty(), "{}", problems.join("\n"));
    assert!(loaded.objects.iter().all(|object| object.accepted));
    loaded
}

#[test]
fn each_directory_is_accepted_as_a_whole_without_a_warning() {
    for directory in ["standalone", "examples", "james", "james-article", "james-http"] {
        assert!(!loaded(directory).config.jails.is_empty(), "{directory}");
    }
}

#[test]
fn the_directory_for_james_holds_the_jails_for_a_house_with_people_and_no_other() {
    let names = |path: &str| {
        let loaded = loaded(path);
        loaded.config.jails.iter().map(|jail| jail.name().as_str().to_owned()).collect::<Vec<_>>()
    };
    let all = names("james");
    assert_eq!(all, names("james/jails.yaml"));
    assert!(loaded("james").config.jails.iter().all(|jail| jail.spec.max_retry >= 6), "{all:?}");
    let article = loaded("james-article").config.jails;
    let [article] = article.as_slice() else { panic!("one jail: {article:?}") };
    assert_eq!((article.spec.max_retry, article.spec.find_time.as_secs()), (2, 20 * 60));
    assert_eq!(article.spec.sentence.ban_time.map(|time| time.as_secs()), Some(120 * 60));
}

#[test]
fn every_sample_names_the_same_log_of_james() {
    for path in ["standalone", "examples", "james", "james-article"] {
        for jail in loaded(path).config.jails {
            let Source::Files(files) = &jail.source else { continue };
            assert_eq!(files, &[Path::new("/opt/james/log/james.log")], "{path}: {:?}", jail.name());
        }
    }
}

#[test]
fn the_missions_jails_are_those_of_its_fail2ban_configuration() {
    let loaded = loaded("examples/mission.yaml");
    let [james, sshd] = loaded.config.jails.as_slice() else {
        panic!("two jails: {:?}", loaded.config.jails)
    };
    let seconds = |d: std::time::Duration| d.as_secs();
    assert_eq!((james.spec.max_retry, seconds(james.spec.find_time)), (2, 20 * 60));
    assert_eq!(james.spec.sentence.ban_time.map(seconds), Some(120 * 60));
    assert_eq!(james.source, Source::Files(vec!["/opt/james/log/james.log".into()]));
    assert_eq!(
        james.enforce,
        Enforce { ports: vec![25, 110, 143, 465, 587, 993, 995], ..Enforce::default() }
    );
    assert_eq!((sshd.spec.max_retry, seconds(sshd.spec.find_time)), (2, 60 * 60));
    assert_eq!(sshd.spec.sentence.ban_time.map(seconds), Some(120 * 60));
    assert_eq!(sshd.source, Source::Journal(vec!["ssh.service".into()]));
    assert_eq!(sshd.enforce.ports, [22]);
    assert_eq!(sshd.layout, LayoutSpec::Text);
}

#[test]
fn the_missions_rate_limits_are_those_of_its_firewall() {
    let sample = loaded("examples/mission-ratelimits.yaml").config.rate_limits;
    let imported = iptables::import(include_str!("data/iptables-mission.txt"));
    assert_eq!(imported.left, []);
    let text: Vec<String> = imported.manifests.iter().map(|m| m.to_yaml().unwrap()).collect();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("imported.yaml");
    std::fs::write(&path, text.join("---\n")).unwrap();
    assert_eq!(load(&[path], None).config.rate_limits, sample);
}

#[test]
fn the_mail_servers_rate_limits_leave_room_for_clients_and_other_servers() {
    let limits = loaded("standalone/ratelimits.yaml").config.rate_limits;
    // Connections a minute (pings: in 5 s) that one address may open without losing any.
    let enough = |hit: &Hit| match hit {
        Hit::Tcp(ports) if ports.contains(&143) => 200,
        Hit::Tcp(ports) if ports.contains(&4190) => 20,
        Hit::Tcp(_) => 50,
        Hit::Udp(_) => panic!("no mail over UDP"),
        Hit::Ping => 10,
    };
    let mut ports: Vec<u16> = Vec::new();
    for limit in &limits {
        assert!(limit.hits > enough(&limit.hit), "{limit:?}");
        assert_eq!(limit.penalty, LimitPenalty::Excess, "a stranger must not be shut out by forged packets");
        if let Hit::Tcp(of) = &limit.hit {
            ports.extend(of);
        }
    }
    ports.sort_unstable();
    assert_eq!(ports, [25, 110, 143, 465, 587, 993, 995, 4190]);
    assert!(limits.iter().any(|limit| limit.hit == Hit::Ping));
}
