//! The mission's rules by the real `recent`, and ours, with the same packets.

use std::env;
use std::thread;
use std::time::{Duration, Instant};

use gaoler::firewall::{Counted, Limit};

use crate::limits::{V4, V6, address, counts, knock, limit, limits};
use crate::netns::{self, Forge, Knock, Net, Witness};
use crate::wishes;

/// The five rules of the mission: name, what it counts, hits, seconds.
const MISSION: [(&str, Knock, u32, u64); 5] = [
    ("DDOS-PING", Knock::Ping, 6, 5),
    ("DDOS-SSH", Knock::Tcp(22), 6, 60),
    ("DDOS-SMTP", Knock::Tcp(25), 4, 60),
    ("DDOS-POP", Knock::Tcp(110), 4, 60),
    ("DDOS-IMAP", Knock::Tcp(143), 4, 60),
];

fn mission() -> Vec<Limit> {
    let counted = |at| match at {
        Knock::Tcp(port) => Counted::tcp(&[port]),
        Knock::Udp(port) => Counted::udp(&[port]),
        Knock::Ping => Counted::Echo,
    };
    let names = ["ping", "ssh", "smtp", "pop", "imap"];
    MISSION
        .iter()
        .zip(names)
        .map(|((_, at, hits, window), name)| limit(name, counted(*at), *hits, *window))
        .collect()
}

/// Whether to compare. Nothing is left out in silence: where there is no `recent`, who runs the tests says that the
/// comparison is not wanted.
fn is_wanted() -> bool {
    const WITHOUT: &str = "GAOLER_WITHOUT_RECENT";
    if env::var_os(WITHOUT).is_none() {
        return true;
    }
    eprintln!("NOT MEASURED: {WITHOUT} is set, so nothing is compared with the real xt_recent");
    false
}

/// The two rules of one limit, for both families. Pings are told from all else that ICMPv6 does.
fn recent(net: &Net, name: &str, at: Knock, hits: u32, window: u64) {
    let (hits, window) = (hits.to_string(), window.to_string());
    for program in ["iptables", "ip6tables"] {
        let port;
        let mut of = match at {
            Knock::Tcp(number) => {
                port = number.to_string();
                vec!["-p", "tcp", "--dport", &port, "-m", "state", "--state", "NEW"]
            }
            Knock::Udp(_) => unreachable!("the mission limits no UDP"),
            Knock::Ping if program == "iptables" => vec!["-p", "icmp"],
            Knock::Ping => vec!["-p", "icmpv6", "--icmpv6-type", "echo-request"],
        };
        of.extend(["-m", "recent"]);
        let append = [&[program, "-A", "INPUT"][..], &of].concat();
        let update = ["--update", "--seconds", &window, "--hitcount", &hits, "--name", name, "-j", "DROP"];
        for rest in [&["--set", "--name", name][..], &update] {
            let rule = [&append[..], rest].concat();
            let output = net.host.command(rule[0]).args(&rule[1..]).output();
            let output =
                output.unwrap_or_else(|error| panic!("{program}: {error}; scripts/setup.sh installs it"));
            assert!(
                output.status.success(),
                "{}\nno comparison without xt_recent in the kernel and {program}; GAOLER_WITHOUT_RECENT=1 leaves it out",
                String::from_utf8_lossy(&output.stderr)
            );
        }
    }
}

#[test]
fn the_missions_rules_drop_first_where_iptables_recent_does() {
    let mut theirs = Vec::new();
    if is_wanted() {
        netns::on_the_host(|net| {
            let (_witness, forge) = (Witness::new(&net.host), Forge::new(&net.internet));
            for (name, at, hits, window) in MISSION {
                recent(net, name, at, hits, window);
                theirs.extend([V4, V6].map(|from| knock(net, &forge, from, at, 9)));
            }
        });
    }
    netns::on_the_host(|net| {
        let (_witness, forge) = (Witness::new(&net.host), Forge::new(&net.internet));
        let mut firewall = wishes::firewall(&limits(&mission()));
        let mut theirs = theirs.iter();
        for (name, at, hits, _) in MISSION {
            let passing = hits as usize - 1;
            let wanted = "p".repeat(passing) + &"d".repeat(9 - passing);
            for from in [V4, V6] {
                let ours = knock(net, &forge, from, at, 9);
                let theirs = theirs.next();
                eprintln!("{name:10} {from:16} ours {ours}  recent {}", theirs.map_or("-", |t| t));
                assert_eq!(ours, wanted, "{name} {from}");
                assert!(theirs.is_none_or(|theirs| *theirs == ours), "{name} {from} {theirs:?}");
            }
        }
        let smtp = counts(&mut firewall, "smtp");
        assert_eq!((smtp.over.packets, smtp.offenders, smtp.uncounted.packets), (12, 2, 0));
    });
}

/// Theirs at this port, ours at the other: each packet to the one has its like to the other.
const THEIRS: Knock = Knock::Tcp(25);
const OURS: Knock = Knock::Tcp(143);

/// Who retries how often within how many windows of the real sixty seconds, and what came of it.
struct Retries {
    from: [&'static str; 2],
    every: Duration,
    theirs: String,
    ours: String,
}

/// The door under retries; `None` when this machine was too busy to keep the times.
fn door(net: &Net, window: u64) -> Option<[Retries; 2]> {
    // Less than half of what decides: 50 or 70 of 60 seconds.
    let lateness = Duration::from_secs(window) / 15;
    let (_witness, forge) = (Witness::new(&net.host), Forge::new(&net.internet));
    recent(net, "DOOR", THEIRS, 4, window);
    let _firewall = wishes::firewall(&limits(&[limit("door", Counted::tcp(&[143]), 4, window)]));
    let retries = |from, seconds: u32| Retries {
        from,
        every: Duration::from_secs(window) * seconds / 60,
        theirs: String::new(),
        ours: String::new(),
    };
    let mut all = [
        retries(["198.51.100.25", "2001:db8:bad:25::1"], 25),
        retries(["198.51.100.35", "2001:db8:bad:35::1"], 35),
    ];
    let began = Instant::now();
    for from in all.iter().flat_map(|of| of.from) {
        for at in [THEIRS, OURS] {
            assert_eq!(knock(net, &forge, from, at, 5), "pppdd", "{from} {at:?}");
        }
    }
    let mut plan: Vec<(Duration, usize)> = (0..2)
        .flat_map(|who| (1..=4).map(move |n| (n, who)))
        .map(|(n, who)| (all[who].every * n, who))
        .collect();
    plan.sort();
    if began.elapsed() > lateness {
        return None;
    }
    for (at, who) in plan {
        thread::sleep((began + at).saturating_duration_since(Instant::now()));
        let of = &mut all[who];
        for from in of.from {
            of.theirs += &knock(net, &forge, from, THEIRS, 1);
            of.ours += &knock(net, &forge, from, OURS, 1);
        }
        if began.elapsed() > at + lateness {
            return None;
        }
    }
    Some(all)
}

#[test]
fn a_retry_every_25_s_never_gets_in_and_every_35_s_gets_past_recent_but_not_past_ours() {
    if !is_wanted() {
        return;
    }
    // The sixty seconds of the mission are shorter here, and so are the 25 and 35; longer where time is not kept.
    let mut measured = None;
    for window in [12, 24, 60] {
        netns::on_the_host(|net| measured = door(net, window));
        if measured.is_some() {
            break;
        }
    }
    let [impatient, patient] = measured.expect("a machine that keeps time within two seconds");
    // Each twice, for two families. The first retry of the patient still meets the stamps of the beginning.
    assert_eq!((impatient.theirs.as_str(), impatient.ours.as_str()), ("dddddddd", "dddddddd"));
    assert_eq!((patient.theirs.as_str(), patient.ours.as_str()), ("ddpppppp", "dddddddd"));
}

#[test]
fn a_hundred_and_twenty_others_make_recent_forget_the_attacker_and_not_us() {
    if !is_wanted() {
        return;
    }
    netns::on_the_host(|net| {
        let (_witness, forge) = (Witness::new(&net.host), Forge::new(&net.internet));
        recent(net, "MANY", THEIRS, 4, 600);
        let mut firewall = wishes::firewall(&limits(&[limit("many", Counted::tcp(&[143]), 4, 600)]));
        for from in [V4, V6] {
            for at in [THEIRS, OURS] {
                assert_eq!(knock(net, &forge, from, at, 5), "pppdd", "{from} {at:?}");
            }
        }
        for n in 1..=120 {
            for from in [format!("203.0.113.{n}"), format!("2001:db8:9:{n:x}::1")].map(|from| address(&from))
            {
                for at in [THEIRS, OURS] {
                    forge.send(from, net.host_address(from), at, 1);
                }
            }
        }
        for from in [V4, V6] {
            assert_eq!(knock(net, &forge, from, OURS, 3), "ddd", "{from}");
            assert_eq!(knock(net, &forge, from, THEIRS, 3), "ppp", "{from}: forgotten");
        }
        assert_eq!(counts(&mut firewall, "many").uncounted.packets, 0);
    });
}
