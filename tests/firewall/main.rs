//! The firewall against a real kernel, with real packets.

#[path = "../netns/mod.rs"]
mod netns;

mod asked;
mod doctor;
mod drops;
mod endurance;
mod escalation;
mod host;
mod limits;
mod offenders;
mod promotion;
mod recent;
mod wishes;

#[test]
fn the_private_network_carries_packets_of_any_attacker() {
    netns::with(|net| {
        let listener = net.listen(25);
        for address in ["198.51.100.7", "2001:db8:bad::7"] {
            let attacker = net.attacker(address);
            assert!(net.reaches(attacker, 25), "{address}");
            assert!(matches!(net.probe(attacker, 26, netns::PATIENCE), netns::Probe::Refused(_)));
        }
        assert_eq!(listener.accepted(), 2);
    });
}
