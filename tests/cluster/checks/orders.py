"""What people order by hand, and lists that people write: `kubectl gaoler ban`, `unban` and `check` on a real API server."""

import contextlib
import json
import subprocess
import time

from harness.daemon import wait_until
from plugin import LISTS, PARDONS, PluginCase, ban


class Orders(PluginCase):
    def test_a_ban_by_hand_is_an_entry_that_the_server_took(self):
        told = self.gaoler("ban", "203.0.113.0/24", "--for", "2h", "--reason", "asked by abuse@")
        self.assertIn("203.0.113.0/24 is banned (all ports) until", told)
        self.gaoler("ban", "45.129.14.30", "--jail", "james")
        entries = {e["prefix"]: e for e in self.plane.api.get(f"{LISTS}/by-hand")["spec"]["entries"]}
        self.assertEqual(entries["45.129.14.30"], {"prefix": "45.129.14.30", "scope": "mail/james"})
        self.assertEqual(entries["203.0.113.0/24"]["reason"], "asked by abuse@")
        self.assertEqual({b["origin"] for b in self.items("bans")}, {"list by-hand"})
        # Once more is later, not twice.
        self.assertIn("was banned already", self.gaoler("ban", "203.0.113.0/24", "--for", "4h"))
        self.assertEqual(len(self.plane.api.get(f"{LISTS}/by-hand")["spec"]["entries"]), 2)

    def test_who_may_not_be_banned_is_refused_before_the_server_is_asked_to(self):
        self.write("houses", "cluster", {"members": [{"prefix": "192.0.2.11", "role": "Node", "name": "n1"}]})
        self.write("allowlists", "office", {"entries": [{"prefix": "203.0.113.77"}]})
        for who, why in (
            ("192.0.2.0/24", "part of the cluster (node n1)"),
            ("203.0.113.0/24", "on the allow list office"),
            ("127.0.0.1", "loopback"),
            ("0.0.0.0/0", "is everybody"),
            ("64.0.0.0/7", "at least /8"),
        ):
            with self.subTest(who=who):
                self.assertIn(why, self.gaoler("ban", who, expect=2))
        self.assertIn("there is no jail pop3", self.gaoler("ban", "45.129.14.30", "--jail", "pop3", expect=2))
        self.assertEqual(self.plane.api.get(LISTS)["items"], [])

    def test_people_who_ban_at_the_same_time_lose_nothing(self):
        environment = self.environment()
        with contextlib.ExitStack() as running:
            people = [
                running.enter_context(
                    self.plane.net.popen("kubectl", "gaoler", "ban", f"45.129.15.{n}", env=environment, stdout=subprocess.PIPE)
                )
                for n in range(1, 7)
            ]
            self.assertEqual({p.wait(60) for p in people}, {0})
        entries = self.plane.api.get(f"{LISTS}/by-hand")["spec"]["entries"]
        self.assertEqual({e["prefix"] for e in entries}, {f"45.129.15.{n}" for n in range(1, 7)})

    def test_an_unban_is_a_pardon_and_names_what_still_holds(self):
        self.slice("n1", ban("45.129.14.30"), ban("45.129.14.31"), ban("2001:db8:bad:1::/64"))
        self.write("banlists", "feed", {"entries": [{"prefix": "45.129.14.31", "reason": "spam"}]})
        self.gaoler("ban", "45.129.14.30")
        self.assertEqual(self.gaoler("unban", "45.129.14.30", "--reason", "a mistake").count("may connect again"), 2)
        self.assertEqual(self.plane.api.get(f"{LISTS}/by-hand")["spec"]["entries"], [])
        [pardon] = self.plane.api.get(PARDONS)["items"]
        self.assertEqual(pardon["spec"], {"prefix": "45.129.14.30", "reason": "a mistake"})
        self.gaoler("why", "45.129.14.30", expect=1)
        self.assertIn("stays banned: list feed: spam", self.gaoler("unban", "45.129.14.31", expect=1))
        # An address means the prefix that is counted.
        self.assertIn("2001:db8:bad:1::/64 may connect again (jail mail/james)", self.gaoler("unban", "2001:db8:bad:1::77"))
        self.assertIn("nobody was banned", self.gaoler("unban", "45.129.14.30", expect=1))
        self.assertEqual([b["origin"] for b in self.items("bans")], ["list feed"])

    TRIAL = {"apiVersion": "gaoler.dev/v1alpha1", "kind": "Pardon", "metadata": {"generateName": "trial-"}, "spec": {"prefix": "::/0"}}

    def test_of_an_unban_whose_second_pardon_is_refused_nothing_stays(self):
        before = self.banned_twice()
        self.refuse("no-ipv6", "pardons", "CREATE", "no pardon for IPv6", "object.spec.prefix != '::/0'")
        self.wait_refused(self.TRIAL, "create")
        self.assertIn("no pardon for IPv6", self.gaoler("unban", "--all", expect=2))
        self.assert_all_is_as(before)

    def test_of_an_unban_whose_entries_are_not_taken_off_the_list_nothing_stays(self):
        before = self.banned_twice()
        self.refuse("no-lists", "banlists", "UPDATE", "lists stay", "false")
        held = self.plane.api.get(f"{LISTS}/by-hand")
        self.wait_refused({**held, "spec": {"entries": []}}, "replace")
        self.assertIn("lists stay", self.gaoler("unban", "--all", expect=2))
        self.assert_all_is_as(before)

    def banned_twice(self):
        """Somebody by a jail, somebody else by hand; who is banned."""
        self.slice("n1", ban("45.129.14.30"))
        self.gaoler("ban", "45.129.14.31")
        return sorted(b["subject"] for b in self.items("bans"))

    def assert_all_is_as(self, before):
        self.assertEqual([it["spec"]["prefix"] for it in self.plane.api.get(PARDONS)["items"]], [])
        self.assertEqual(sorted(b["subject"] for b in self.items("bans")), before)

    def refuse(self, name, plural, operation, words, unless):
        """From now on the API server refuses such a write, where `unless` does not hold."""
        policy = {
            "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicy", "metadata": {"name": name},
            "spec": {
                "matchConstraints": {"resourceRules": [
                    {"apiGroups": ["gaoler.dev"], "apiVersions": ["*"], "operations": [operation], "resources": [plural]},
                ]},
                "validations": [{"expression": unless, "message": words}],
            },
        }  # fmt: skip
        binding = {
            "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicyBinding", "metadata": {"name": name},
            "spec": {"policyName": name, "validationActions": ["Deny"]},
        }  # fmt: skip
        for kind, body in (("policies", policy), ("policybindings", binding)):
            path = f"/apis/admissionregistration.k8s.io/v1/validatingadmission{kind}"
            self.plane.api.create(path, body)
            self.addCleanup(self.plane.api.delete, f"{path}/{name}")

    def wait_refused(self, body, verb):
        """A policy takes a moment to be in force; nothing is written meanwhile."""
        said = lambda: self.plane.kubectl(verb, "--dry-run=server", "-f", "-", input=json.dumps(body), check=False)  # noqa: E731
        wait_until(lambda: said().returncode != 0, 60)

    def test_an_entry_of_a_list_is_banned_since_it_was_written_and_where_nobody_knows_no_moment_is_made_up(self):
        self.write("banlists", "feed", {"entries": [{"prefix": "203.0.113.7"}]})
        made = self.plane.api.get(f"{LISTS}/feed")["metadata"]["creationTimestamp"]
        time.sleep(1.1)
        since = lambda: [b.get("since") for b in self.items("bans")]  # noqa: E731
        self.assertEqual(since(), [made])
        shown = made.replace("T", " ").removesuffix("Z")
        self.assertIn(shown, self.gaoler("bans"))
        self.plane.api.patch(f"{LISTS}/feed", {"spec": {"entries": [{"prefix": "203.0.113.7", "reason": "more"}]}})
        self.assertEqual(since(), [None])
        row = self.gaoler("bans").splitlines()[1]
        self.assertRegex(row, r"^203\.0\.113\.7 +\(all ports\) +1 +- +for ever +list feed: more$")
        self.assertNotIn("since", self.gaoler("why", "203.0.113.7"))

    def test_an_entry_that_an_allow_list_spares_is_named_with_the_one_that_spares_it(self):
        self.write("allowlists", "office", {"entries": [{"prefix": "203.0.113.77"}]})
        self.write("banlists", "feed", {"entries": [{"prefix": "45.129.14.30"}, {"prefix": "203.0.113.0/24"}]})
        told = self.gaoler("check")
        self.assertIn("BanList feed: spec.entries[1].prefix", told)
        self.assertIn("`203.0.113.0/24` is not banned: `203.0.113.77` is on the AllowList `office`", told)
        self.assertNotIn("45.129.14.30", told)
        self.gaoler("check", "--strict", expect=1)
