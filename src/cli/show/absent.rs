//! What goes on although its declaration is broken or gone.

use crate::agent::report::{Absence, AbsentJail, KeptList};

/// Why the list goes on as it was. `places`: where what is wrong stands.
pub(in crate::cli) fn kept_list(list: &KeptList, places: &[String]) -> String {
    let at = if places.is_empty() { String::new() } else { format!(" ({})", places.join(", ")) };
    let why = match list.refused {
        true => format!("its manifest is refused{at}"),
        false => format!("what may declare it cannot be read{at}"),
    };
    let entries =
        if list.entries == 1 { "its entry of before goes on" } else { "its entries of before go on" };
    format!("AllowList {}: {why}; {entries} until that is mended ({})", list.name, list.entries)
}

/// Why it is not in force, and what of its bans. `places`: where what is wrong stands.
pub(in crate::cli) fn absent_jail(jail: &AbsentJail, places: &[String]) -> String {
    let at = if places.is_empty() { String::new() } else { format!(" ({})", places.join(", ")) };
    let why = match jail.why {
        Absence::Refused => format!("its manifest is refused{at}, it counts nothing until that is mended"),
        Absence::Unread => {
            format!("what may declare it cannot be read{at}, it counts nothing until that is mended")
        }
        Absence::Disabled => "it is Disabled".into(),
        Absence::Gone => "it is not declared any more".into(),
    };
    format!("jail {} is not in force: {why}; {}", jail.name, bans(jail))
}

fn bans(jail: &AbsentJail) -> String {
    let bans = match jail.banned {
        0 => return "no ban of it is left".into(),
        1 => "1 ban of before".into(),
        n => format!("{n} bans of before"),
    };
    let one = jail.banned == 1;
    let (goes, ends, drops) =
        if one { ("goes on", "it ends", "drops") } else { ("go on", "they end", "drop") };
    if !jail.enforced {
        return format!("{bans} {drops} nothing");
    }
    let ports: Vec<String> = jail.ports.iter().map(ToString::to_string).collect();
    let on = match (jail.all_ports, ports.len()) {
        (true, _) => "every port".into(),
        (false, 1) => format!("port {}", ports.join(", ")),
        (false, _) => format!("ports {}", ports.join(", ")),
    };
    format!("{bans} {goes} until {ends}, on {on}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(why: Absence, banned: usize, ports: &[u16], places: &[&str]) -> String {
        let jail = AbsentJail {
            name: "james".into(),
            why,
            banned,
            enforced: !ports.is_empty(),
            ports: ports.to_vec(),
            all_ports: false,
        };
        absent_jail(&jail, &places.iter().map(ToString::to_string).collect::<Vec<_>>())
    }

    #[test]
    fn bans_of_a_jail_whose_manifest_is_refused_are_told_to_go_on_and_where() {
        assert_eq!(
            told(Absence::Refused, 2, &[25, 143], &["/etc/gaoler/jails.yaml:5"]),
            "jail james is not in force: its manifest is refused (/etc/gaoler/jails.yaml:5), it counts nothing until that \
             is mended; 2 bans of before go on until they end, on ports 25, 143"
        );
        assert!(
            told(Absence::Unread, 1, &[25], &[])
                .ends_with("; 1 ban of before goes on until it ends, on port 25")
        );
    }

    #[test]
    fn bans_of_a_jail_that_is_gone_are_told_to_drop_nothing() {
        assert_eq!(
            told(Absence::Gone, 1, &[], &[]),
            "jail james is not in force: it is not declared any more; 1 ban of before drops nothing"
        );
    }
}
