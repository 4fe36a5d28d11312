use std::path::Path;

use crate::config::{Surroundings, files, load::assemble};

/// What `gaoler check` says of a filter.
fn told(spec: &str) -> Vec<String> {
    let manifest =
        format!("apiVersion: gaoler.dev/v1alpha1\nkind: Filter\nmetadata: {{name: f}}\nspec:\n{spec}");
    let mut manifests = files::Manifests::default();
    files::text_into(&Path::new("f.yaml").into(), manifest.into_bytes(), &mut manifests);
    let loaded = assemble(manifests, None, &Surroundings { lint: true, ..Surroundings::default() });
    assert_eq!(loaded.errors(), 0, "{loaded:?}");
    loaded.all_problems().map(ToString::to_string).collect()
}

/// The same of a filter without examples, but for the warning that it has none.
fn told_without_examples(spec: &str) -> Vec<String> {
    let all = told(spec);
    assert!(all.iter().any(|text| text.contains("no example shows")), "{all:?}");
    all.into_iter().filter(|text| !text.contains("no example shows")).collect()
}

/// The line that a warning shows.
fn shown(told: &str) -> &str {
    told.split_once("this line shows it:\n").map(|(_, line)| line.trim()).unwrap_or_default()
}

fn warnings(fail_regex: &str, line: &str) -> Vec<String> {
    told(&format!(
        "  failRegex:\n  - '{fail_regex}'\n  examples:\n  - line: '{line}'\n    match: true\n    address: \
         203.0.113.7\n"
    ))
}

#[test]
fn a_regex_without_an_end_believes_the_client() {
    let told =
        warnings("^login failed for .* from <HOST>", "login failed for bob from 203.0.113.7 (password)");
    assert!(told.len() == 1 && told[0].contains("from 192.0.2.66"), "{told:?}");
}

#[test]
fn a_regex_without_a_beginning_believes_the_client() {
    let told = warnings("from <HOST>: login failed", "user bob from 203.0.113.7: login failed");
    assert_eq!(told.len(), 1, "{told:?}");
}

#[test]
fn what_james_lets_clients_write_leads_loose_regexes_astray() {
    for (regex, line) in [
        // A recipient may be called `x from 192.0.2.66`.
        (
            "Rejected message. Unknown user.* from <HOST>",
            " - AbstractValidRcptHandler - Rejected message. Unknown user: bob@example.test from 203.0.113.7 (smtp)",
        ),
        // A greeting stands before the address.
        (
            r"ip=<HOST>\b.*Rejected message",
            " - greeting client.example ip=203.0.113.7 - Rejected message. Unknown user",
        ),
        // A name in front of the address James adds.
        (
            "AUTH method .* failed from .*?@<HOST>",
            " - AUTHENTICATION - AUTH method LOGIN failed from Username{localPart=bob, domainPart=x}@203.0.113.7",
        ),
        (
            "Bad credential supplied for .*? with remote address <HOST>",
            " - PassCmdHandler - Bad credential supplied for bob with remote address 203.0.113.7",
        ),
    ] {
        let told = warnings(regex, line);
        assert!(told.len() == 1 && told[0].contains("192.0.2.66"), "{regex}: {told:?}");
    }
    // The regexes of the article on fail2ban, as they are.
    for (regex, line) in [
        (
            r"^.-.org.apache.james.protocols.smtp.core.fastfail.AbstractValidRcptHandler.\[ip=<HOST>\].-.Rejected message. Unknown user.*$",
            " - org.apache.james.protocols.smtp.core.fastfail.AbstractValidRcptHandler [ip=203.0.113.7] - Rejected message. Unknown user: bob@example.test",
        ),
        (
            r"^.-.org.apache.james.protocols.smtp.core.esmtp.AuthCmdHandler.\[ip=\].-.AUTH method LOGIN failed from Username.*\@<HOST>$",
            " - org.apache.james.protocols.smtp.core.esmtp.AuthCmdHandler [ip=] - AUTH method LOGIN failed from Username{localPart=bob, domainPart=x}@203.0.113.7",
        ),
    ] {
        let told = warnings(regex, line);
        assert!(told.is_empty(), "{regex}: {told:?}");
    }
}

#[test]
fn a_regex_that_takes_the_last_address_believes_nobody() {
    let fine = warnings("^login failed for .* from <HOST>$", "login failed for bob from 203.0.113.7");
    assert!(fine.is_empty(), "{fine:?}");
    let first = warnings("^<HOST> - .* 401$", "203.0.113.7 - bob 401");
    assert!(first.is_empty(), "{first:?}");
}

#[test]
fn no_built_in_filter_believes_a_client() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("filters");
    let loaded =
        assemble(files::read(&[directory]), None, &Surroundings { lint: true, ..Surroundings::default() });
    let told: Vec<String> = loaded.all_problems().map(ToString::to_string).collect();
    assert!(told.is_empty(), "{}", told.join("\n"));
}

#[test]
fn a_filter_without_examples_is_tried_on_lines_made_from_its_regexes() {
    for regex in [
        "login failed for .* from <HOST>",
        "login failed from <HOST>$",
        "login failed from <ADDR>$",
        "^.*login failed from <ADDR>$",
        "^login failed for .* from <HOST>",
        r"authentication failure; rhost=<HOST>(?:\s+user=.*)?$",
        "^login failed (?:of|for) \\S+ from <HOST>.*$",
    ] {
        let told = told_without_examples(&format!("  failRegex:\n  - '{regex}'\n"));
        assert!(told.len() == 1 && told[0].contains("failRegex[0]"), "{regex}: {told:?}");
        assert!(shown(&told[0]).contains("192.0.2.66"), "{regex}: {told:?}");
    }
    for regex in [
        "^login failed for .* from <HOST>$",
        "^login failed from <ADDR>$",
        "^<HOST> - .* 401$",
        "^login failed from <ADDR>: ",
    ] {
        let told = told_without_examples(&format!("  failRegex:\n  - '{regex}'\n"));
        assert!(told.is_empty(), "{regex}: {told:?}");
    }
}

#[test]
fn structured_rules_without_examples_are_tried_too() {
    for (rule, guilty) in [
        ("{message: 'login failed from <ADDR>$'}", true),
        ("{logger: o.a.j.X, message: '^login failed for .* from <ADDR>'}", true),
        ("{message: 'login failed from <ADDR>', context: {protocol: SMTP}}", true),
        ("{logger: o.a.j.X, message: '^login failed for .* from <ADDR>$'}", false),
        ("{message: '^login failed from <ADDR>$', context: {protocol: SMTP}}", false),
        ("{message: 'login failed', address: [proxy.source, remoteIP, ip]}", false),
    ] {
        let told = told_without_examples(&format!("  rules:\n  - {rule}\n"));
        assert_eq!(told.len(), usize::from(guilty), "{rule}: {told:?}");
    }
}

#[test]
fn a_regex_that_is_anchored_at_its_end_only_believes_the_end_of_any_line() {
    for (regex, line) in [
        ("login failed from <ADDR>$", "login failed from 203.0.113.7"),
        ("login failed from <HOST>$", "2023-06-17 11:11:50 +0000 login failed from 203.0.113.7"),
        ("login failed for .* from <HOST>", "login failed for bob from 203.0.113.7"),
        (r"\bfrom <HOST>$", "user bob: login failed from 203.0.113.7"),
    ] {
        let told = warnings(regex, line);
        assert!(told.len() == 1 && shown(&told[0]).contains("192.0.2.66"), "{regex}: {told:?}");
    }
}

#[test]
fn an_example_that_names_two_addresses_is_tried_like_any_other() {
    // The address that is put in by the attack, in a rule that believes nobody.
    for line in
        ["login failed for 192.0.2.66 from 203.0.113.7", "login failed for bob@192.0.2.66 from 203.0.113.7"]
    {
        let told = warnings("^login failed for .* from <HOST>$", line);
        assert!(told.is_empty(), "{told:?}");
    }
    let told = warnings("^login failed for .* from <HOST>", "login failed for 192.0.2.66 from 203.0.113.7");
    assert!(told.len() == 1 && told[0].contains("accuses 198.51.100.66"), "{told:?}");
    // The accused address once more, behind the one that counts.
    let line = "client bob ip=203.0.113.7 refused: 203.0.113.7";
    let told = warnings(r"^client .*? ip=<HOST> refused: \S+$", line);
    assert!(told.len() == 1 && shown(&told[0]).contains("ip=192.0.2.66"), "{told:?}");
}

#[test]
fn a_rule_for_ipv6_alone_is_tried_too() {
    for (regex, guilty) in [("login failed from <IP6>$", true), ("^login failed for .* from <IP6>$", false)] {
        let told = told_without_examples(&format!("  failRegex:\n  - '{regex}'\n"));
        assert_eq!(told.len(), usize::from(guilty), "{regex}: {told:?}");
        assert!(told.iter().all(|text| text.contains("accuses 2001:db8:66::1")), "{told:?}");
    }
}

#[test]
fn a_client_is_not_taken_to_write_line_breaks() {
    for (regex, guilty) in [
        (r"^conn \S+: open from <HOST>$<SKIPLINES>^conn \S+: login failed$", false),
        (r"^user \S+ connects from <HOST>$<SKIPLINES>^login of \S+ failed$", false),
        (r"^user .* connects$<SKIPLINES>^login failed from <HOST>$", false),
        (r"^user .* connects from <HOST>.*<SKIPLINES>^login of \S+ failed$", true),
        (r"user .* connects from <HOST>$<SKIPLINES>^login of \S+ failed$", true),
        ("login failed from <HOST>$", true),
    ] {
        let told = told_without_examples(&format!("  maxLines: 3\n  failRegex:\n  - '{regex}'\n"));
        assert_eq!(told.len(), usize::from(guilty), "{regex}: {told:?}");
    }
}

#[test]
fn an_address_that_the_client_itself_wrote_is_warned_of() {
    for (address, guilty) in [
        ("[ehlo]", true),
        ("[proxy.source, remoteIP, ip, user]", true),
        ("[real-ip]", true),
        ("[proxy.source, remoteIP, ip]", false),
        ("[client]", false),
    ] {
        let told =
            told_without_examples(&format!("  rules: [{{message: '^login failed$', address: {address}}}]\n"));
        assert_eq!(told.len(), usize::from(guilty), "{address}: {told:?}");
        assert!(told.iter().all(|text| text.contains("spec.rules[0].address[")), "{told:?}");
    }
}

#[test]
fn an_example_in_json_is_tried_within_what_a_client_may_have_written() {
    let event = |message: &str| {
        format!(
            r#"{{"timestamp":"2026-11-22T16:45:41.985Z","level":"INFO","thread":"x","mdc":{{"ip":"198.51.100.4"}},"logger":"o.a.j.X","message":"{message}","context":"default"}}"#
        )
    };
    let example = |message: &str| {
        format!("  examples:\n  - {{line: '{}', match: true, address: 203.0.113.7}}\n", event(message))
    };
    for (spec, message, guilty) in [
        (
            "rules: [{message: '^login failed for .* from <ADDR>'}]",
            "login failed for bob from 203.0.113.7 (smtp)",
            true,
        ),
        ("rules: [{message: 'login failed from <ADDR>$'}]", "login failed from 203.0.113.7", true),
        (
            "rules: [{message: '^login failed for .* from <ADDR>$'}]",
            "login failed for bob from 203.0.113.7",
            false,
        ),
        (r#"failRegex: ['login failed from <HOST>"']"#, "login failed from 203.0.113.7", true),
        (r#"failRegex: ['"message":"login failed from <HOST>"']"#, "login failed from 203.0.113.7", false),
    ] {
        let told = told(&format!("  {spec}\n{}", example(message)));
        assert_eq!(told.len(), usize::from(guilty), "{spec}: {told:?}");
        if guilty {
            let line = shown(&told[0]);
            assert!(serde_json::from_str::<serde_json::Value>(line).is_ok(), "{line}");
        }
    }
}

#[test]
fn every_line_that_is_shown_satisfies_the_rule() {
    use std::sync::Arc;

    use crate::config::examples::scan;
    use crate::engine::filter::Filter;
    use crate::engine::scanner::{Envelope, Scanner};
    use crate::engine::{AddressPolicy, FilterName, FilterSpec, LayoutSpec, TextSpec};

    for regex in ["login failed from <HOST>$", "from <ADDR>", "^failed for .* by \\[<HOST>\\] \\(.*\\)$"] {
        let told = told_without_examples(&format!("  failRegex:\n  - '{regex}'\n"));
        assert_eq!(told.len(), 1, "{regex}: {told:?}");
        let text = TextSpec { fail_regex: vec![regex.into()], max_lines: 1, ..TextSpec::default() };
        let spec = FilterSpec {
            name: FilterName::new("f"),
            rules: Vec::new(),
            successes: Vec::new(),
            text: Some(text),
            one_per: None,
        };
        let filters = [Arc::new(Filter::compile(&spec).unwrap())];
        let scanner =
            Scanner::new(&filters, &LayoutSpec::Text, Envelope::None, &AddressPolicy::default()).unwrap();
        let found = scan(&scanner, shown(&told[0]));
        assert!(found.iter().any(|m| m.address.to_string() == "192.0.2.66"), "{regex}: {told:?}");
    }
}
