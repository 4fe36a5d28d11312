//! How large a regex can become when it is compiled, without compiling it.

use regex_syntax::hir::{Class, Hir, HirKind};
use regex_syntax::utf8::Utf8Sequences;

/// Bytes of one state of the automaton, with its place in the lists that lead to it.
const STATE: usize = 40;
/// Bytes of what is around every automaton.
const AROUND: usize = 1024;
/// Bytes of one more way out of a state.
const WAY: usize = 8;

/// Bytes that the automaton of `hir` takes at most.
pub(super) fn at_most(hir: &Hir) -> usize {
    // Around the whole: the beginning that skips text, the match, the implicit group.
    of(hir).saturating_add(AROUND)
}

fn of(hir: &Hir) -> usize {
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => STATE,
        HirKind::Literal(literal) => literal.0.len().saturating_mul(STATE + WAY),
        HirKind::Class(class) => of_class(class),
        HirKind::Capture(capture) => of(&capture.sub).saturating_add(2 * STATE),
        HirKind::Concat(parts) => {
            parts.iter().fold(STATE, |sum, part| sum.saturating_add(of(part)).saturating_add(STATE))
        }
        HirKind::Alternation(branches) => branches
            .iter()
            .fold(2 * STATE, |sum, branch| sum.saturating_add(of(branch)).saturating_add(STATE + WAY)),
        HirKind::Repetition(repetition) => {
            // `x{2,}` is two copies and one that repeats; every copy may be left.
            let copies = repetition.max.unwrap_or(repetition.min.saturating_add(1)).max(1);
            let copies = usize::try_from(copies).unwrap_or(usize::MAX);
            let one = of(&repetition.sub).saturating_add(2 * (STATE + WAY));
            one.saturating_mul(copies).saturating_add(2 * STATE)
        }
    }
}

/// A state per byte of every sequence of bytes that the class stands for; the compiler shares some of them.
fn of_class(class: &Class) -> usize {
    let bytes: usize = match class {
        Class::Bytes(class) => class.ranges().len(),
        Class::Unicode(class) => {
            let sequences = class.iter().flat_map(|range| Utf8Sequences::new(range.start(), range.end()));
            sequences.map(|sequence| sequence.len()).sum()
        }
    };
    bytes.saturating_mul(STATE + WAY).saturating_add(2 * STATE)
}

#[cfg(test)]
mod tests {
    use regex_automata::nfa::thompson::{self, WhichCaptures};

    use super::*;

    #[test]
    fn no_regex_is_larger_than_it_is_said_to_be_at_most() {
        for regex in [
            "",
            "a",
            "a|b|cd|.*x",
            r"\w+\s\d{3,}",
            r"\S{1,255} \W* .{1,512}$",
            r"(?i)straße|übung|ſ",
            r"(?:a?b*c+){10,20}",
            r"[^\x00-\x{7f}]{7}",
            r"\pL{50}\PL{0,50}",
            r"(((a{10}){10}){10})?",
            r"(?s:.)*@(?P<ip4>(?:\d{1,3}\.){3}\d{1,3})|(?P<ip6>[0-9a-f:]{2,39})",
            r"^\b(?:x|[a-z]{2,7}|\p{Greek}+)\b$",
        ] {
            let hir = regex_syntax::parse(regex).unwrap();
            let most = at_most(&hir);
            // The automaton that reads backwards shares less of a class.
            for reverse in [false, true] {
                let captures = if reverse { WhichCaptures::None } else { WhichCaptures::All };
                let config = thompson::Config::new().reverse(reverse).which_captures(captures);
                let nfa = thompson::Compiler::new().configure(config.clone()).build_from_hir(&hir).unwrap();
                let used = nfa.memory_usage();
                assert!(most >= used, "{regex}: {most} < {used}, reverse: {reverse}");
                // The compiler itself, which counts what it has not thrown away yet, keeps to it as well.
                let limited = config.nfa_size_limit(Some(most));
                let built = thompson::Compiler::new().configure(limited).build_from_hir(&hir);
                assert!(built.is_ok(), "{regex}, reverse: {reverse}");
            }
        }
    }
}
