"""Bans shared by all nodes, and pardons, on real API servers, by real packets."""

import json
import time
from datetime import datetime, timezone

from cluster.api import Refused
from cluster.case import BINARY
from cluster.installed import GROUP, NAMESPACE, InstalledCase, moment, sliced
from cluster.services import endpoint_slices, service
from harness.daemon import wait_until
from harness.jameslog import failure

JAIL = {
    "filters": ["james-smtp-auth"],
    "source": {"pods": {"selector": {"matchLabels": {"app": "james"}}}},
    "maxRetry": 5,
    "findTime": "10m",
    "banTime": "2h",
    "enforce": {"services": ["james-smtp"]},
}


def milliseconds():
    return time.time_ns() // 1_000_000


class SharedCase(InstalledCase):
    """James on several nodes behind one Service, each node guarded by an agent with the rights that are shipped."""

    def guarded(self, count=3):
        """Nodes 1 to `count`, with a James and an agent each that guards it."""
        self.service = service(self.plane, "james-smtp", {25: 25}, namespace="mail", kind="NodePort")
        self.addCleanup(self.forget, "/api/v1/namespaces/mail/services/james-smtp")
        self.make("jails", "james", JAIL, namespace="mail")
        for number in range(1, count + 1):
            self.house(number)
        self.lead()
        for node in self.nodes.values():
            self.agent_on(node)
        for node in self.nodes.values():
            self.wait_guarding(node)

    def house(self, number):
        """A node with a James on it."""
        node = self.node(number)
        node.ACCOUNT_NAMESPACE = NAMESPACE
        node.james = node.pod(f"james-{number}", namespace="mail", ports=[{"containerPort": 25}])
        node.server = node.james.listen([25])
        return node

    def lead(self):
        endpoint_slices(self.plane, self.service, [node.james for node in self.nodes.values()])

    def agent_on(self, node):
        return node.start_agent(BINARY, environment={"NO_COLOR": "1", "RUST_LOG": "info,gaoler=debug"})

    def wait_guarding(self, node):
        """Until packets to its James pass by the guard of the jail."""
        node.agent.wait(lambda: node.james.ip in node.kernel(), 60)

    def attack(self, node, address, times=5):
        """James on that node says that this address failed to log in, so often."""
        for _ in range(times):
            node.james.log.write(failure(address, milliseconds(), "default"))

    def is_dropped(self, node, address):
        """Whether packets of that address to that node's James are dropped, and James on it does not hear of them."""
        return node.client(address, node.james.ip).reaches([25], timeout=0.5) == []

    def wait_dropped(self, address, nodes=None, timeout=60.0):
        for node in nodes or self.nodes.values():
            node.agent.wait(lambda n=node: address in n.agent.kernel_bans(), timeout)
            self.assertTrue(self.is_dropped(node, address), f"{address} at {node.name}")

    def wait_free(self, address, nodes=None, timeout=60.0):
        for node in nodes or self.nodes.values():
            wait_until(lambda n=node: not self.is_dropped(n, address), timeout, node.agent.told)

    def published(self):
        """What all BanSlices hold: (node, prefix, nth), each as often as it is there."""
        slices = self.plane.api.get(f"{GROUP}/banslices")["items"]
        return sorted((s["spec"]["node"], ban["prefix"], ban["nth"]) for s in slices for ban in s["spec"]["bans"])

    def pardon(self, prefix, name="sorry"):
        return self.make("pardons", name, {"prefix": prefix, "reason": "a test"})

    def tearDown(self):
        for node in self.nodes.values():
            if node.agent:
                node.agent.kill()
        for name in [s["metadata"]["name"] for s in self.plane.api.get(f"{GROUP}/banslices")["items"]]:
            self.forget(f"{GROUP}/banslices/{name}")


class Bans(SharedCase):
    takes = 55

    def test_a_ban_closes_every_node_to_real_packets_and_others_pass(self):
        self.guarded()
        for node in self.nodes.values():
            self.assertFalse(self.is_dropped(node, "45.129.14.30"), node.name)
        self.attack(self.nodes[1], "45.129.14.30")
        self.wait_dropped("45.129.14.30")
        for node in self.nodes.values():
            self.assertFalse(self.is_dropped(node, "45.129.14.31"), node.name)
        self.assertEqual(self.published(), [("n1", "45.129.14.30", 1)])

    def test_a_pardon_opens_every_node_and_counts_from_zero(self):
        self.guarded()
        # Of the first not enough is counted for a ban.
        self.attack(self.nodes[2], "45.129.14.29", times=4)
        self.attack(self.nodes[2], "45.129.14.30")
        self.wait_dropped("45.129.14.30")
        self.pardon("45.129.14.24/29")
        self.wait_free("45.129.14.30")
        # Whatever the nodes had counted is forgotten too; the second after the pardon is still the pardon's.
        time.sleep(1.1)
        pardoned = ("45.129.14.29", "45.129.14.30")
        for address in pardoned:
            self.attack(self.nodes[2], address, times=4)
        self.attack(self.nodes[2], "45.129.14.32", times=5)
        self.wait_dropped("45.129.14.32")
        for address in pardoned:
            self.assertFalse(self.is_dropped(self.nodes[2], address), address)
            self.attack(self.nodes[2], address, times=1)
            self.wait_dropped(address)

    def test_who_was_pardoned_while_nodes_were_away_stays_free_when_they_return(self):
        self.guarded()
        one, two, three = self.nodes.values()
        self.attack(one, "45.129.14.30")
        self.wait_dropped("45.129.14.30")
        # The node that decided is off; another sees no API server.
        one.agent.kill()
        with two.cut_off():
            self.pardon("45.129.14.30")
            self.wait_free("45.129.14.30", [three])
            self.assertTrue(self.is_dropped(one, "45.129.14.30"))
            self.assertTrue(self.is_dropped(two, "45.129.14.30"))
        one.agent.start()
        self.wait_free("45.129.14.30", timeout=180)
        # A sign that all have heard of each other since.
        self.attack(two, "45.129.14.33")
        self.wait_dropped("45.129.14.33", timeout=180)
        for node in (one, two, three):
            self.assertFalse(self.is_dropped(node, "45.129.14.30"), node.name)

    def test_a_slice_deleted_by_hand_lifts_nothing_and_is_written_again(self):
        self.guarded(2)
        self.attack(self.nodes[1], "45.129.14.30")
        self.wait_dropped("45.129.14.30")
        for name in [s["metadata"]["name"] for s in self.plane.api.get(f"{GROUP}/banslices")["items"]]:
            self.plane.api.delete(f"{GROUP}/banslices/{name}")
        wait_until(lambda: self.published() == [("n1", "45.129.14.30", 1)], 60, self.nodes[1].agent.told)
        for node in self.nodes.values():
            self.assertTrue(self.is_dropped(node, "45.129.14.30"), node.name)

    def test_a_killed_agent_leaves_its_bans_and_a_new_node_learns_all(self):
        self.guarded(2)
        one, two = self.nodes.values()
        self.attack(one, "45.129.14.30")
        self.attack(two, "45.129.14.31")
        for address in ("45.129.14.30", "45.129.14.31"):
            self.wait_dropped(address)
        one.agent.kill()
        self.assertTrue(self.is_dropped(one, "45.129.14.30"))
        # Meanwhile on another node.
        self.attack(two, "45.129.14.32")
        self.wait_dropped("45.129.14.32", [two])
        one.agent.start()
        three = self.house(3)
        self.lead()
        self.agent_on(three)
        self.wait_guarding(three)
        for address in ("45.129.14.30", "45.129.14.31", "45.129.14.32"):
            self.wait_dropped(address)
        self.assertEqual(len(self.published()), 3, "nothing is published twice")

    def test_a_node_that_lost_its_state_knows_its_own_bans_again(self):
        self.guarded(1)
        one = self.nodes[1]
        self.attack(one, "45.129.14.30")
        self.wait_dropped("45.129.14.30")
        wait_until(lambda: self.published(), 60, one.agent.told)
        one.agent.kill()
        for kept in one.directory.glob("state*"):
            kept.unlink()
        one.net.run("nft", "delete", "table", "inet", "gaoler")
        one.agent.start()
        self.wait_guarding(one)
        self.wait_dropped("45.129.14.30")

    def test_a_hostile_slice_harms_nobody(self):
        self.guarded(1)
        one = self.nodes[1]
        since = datetime.now(timezone.utc).isoformat()
        ban = {"jail": "mail/james", "nth": 1, "since": since, "until": "2999-01-01T00:00:00Z"}
        odd = [
            {**ban, "prefix": "0.0.0.0/0"}, {**ban, "prefix": "45.0.0.0/7"}, {**ban, "prefix": "::/0"},
            {**ban, "prefix": one.wan4}, {**ban, "prefix": one.fabric.API4}, {**ban, "prefix": "127.0.0.1"},
            {**ban, "prefix": "45.129.14.40", "until": "2020-01-01T00:00:00Z"},
            {**ban, "prefix": "45.129.14.41", "since": "2500-01-01T00:00:00Z"},
            {**ban, "prefix": "999.1.1.1"}, {**ban, "prefix": "45.129.14.42", "jail": "mail/none"},
        ]  # fmt: skip
        epoch = {"gaoler.dev/epoch": str(int(time.time()) // 600)}
        self.make("banslices", "n9-hostile", {"node": "n9", "bans": [*odd, {**ban, "prefix": "45.129.14.43"}]}, labels=epoch)
        self.wait_dropped("45.129.14.43")
        self.assertEqual({b for b in one.agent.kernel_bans() if not b.startswith("45.129.14.43")}, set())
        self.assertFalse(self.is_dropped(one, "45.129.14.44"))


class RefusedBans(SharedCase):
    POLICIES = "/apis/admissionregistration.k8s.io/v1"

    def refuse(self, prefix, reason):
        """From now on the API server takes no BanSlice with a ban that begins so."""
        rule = {"apiGroups": ["gaoler.dev"], "apiVersions": ["*"], "operations": ["CREATE"], "resources": ["banslices"]}
        words = {"expression": f"!object.spec.bans.exists(ban, ban.prefix.startsWith('{prefix}'))", "message": "not this one", "reason": reason}
        spec = {"failurePolicy": "Fail", "matchConstraints": {"resourceRules": [rule]}, "validations": [words]}
        self.plane.api.create(f"{self.POLICIES}/validatingadmissionpolicies", {"metadata": {"name": "spare"}, "spec": spec})
        self.addCleanup(self.forget, f"{self.POLICIES}/validatingadmissionpolicies/spare")
        binding = {"metadata": {"name": "spare"}, "spec": {"policyName": "spare", "validationActions": ["Deny"]}}
        self.plane.api.create(f"{self.POLICIES}/validatingadmissionpolicybindings", binding)
        self.addCleanup(self.forget, f"{self.POLICIES}/validatingadmissionpolicybindings/spare")
        probe = {"node": "n9", "bans": [sliced(f"{prefix}99", moment())]}
        wait_until(lambda: self.is_refused(probe), 60)

    def is_refused(self, probe):
        try:
            self.plane.api.create(f"{GROUP}/banslices", self.object("banslices", "n9-probe", probe))
        except Refused as why:
            return "not this one" in why.message
        self.plane.api.delete(f"{GROUP}/banslices/n9-probe")
        return False

    def test_bans_that_are_invalid_to_somebody_hold_back_no_others_and_are_shared_when_they_are_taken(self):
        self.refused_and_taken("Invalid")

    def test_bans_that_somebody_forbids_hold_back_no_others_and_are_shared_when_they_are_taken(self):
        self.refused_and_taken("Forbidden")

    def refused_and_taken(self, reason):
        self.guarded(2)
        one, two = self.nodes.values()
        self.refuse("45.129.66.", reason)
        bad, good = ([f"45.129.{net}.{i}" for i in range(1, 21)] for net in (66, 14))
        one.james.log.write(*(failure(a, milliseconds(), "default") for pair in zip(bad, good, strict=True) for a in pair for _ in range(5)))
        one.agent.wait(lambda: {*bad, *good} <= one.agent.kernel_bans())
        two.agent.wait(lambda: set(good) <= two.agent.kernel_bans())
        self.assertEqual(sorted(p for _, p, _ in self.published()), sorted(good))
        one.agent.wait(lambda: one.agent.metric("gaoler_unshared_bans") == len(bad))
        one.agent.wait(lambda: "BansRefused" in self.reasons("n1"))
        self.attack(one, "45.129.15.1")
        self.wait_dropped("45.129.15.1")
        self.forget(f"{self.POLICIES}/validatingadmissionpolicybindings/spare")
        two.agent.wait(lambda: set(bad) <= two.agent.kernel_bans(), 120)
        one.agent.wait(lambda: one.agent.metric("gaoler_unshared_bans") == 0)
        one.agent.wait(lambda: "BansRefused" not in self.reasons("n1"))

    def reasons(self, node):
        status = self.plane.api.get(f"{GROUP}/nodeagents/{node}").get("status", {})
        return {condition["reason"] for condition in status.get("conditions", []) if condition["status"] == "True"}


class FullJail(SharedCase):
    takes = 260

    def test_bans_for_which_a_full_jail_had_no_room_are_delivered_when_there_is_some(self):
        self.guarded(1)
        one = self.nodes[1]
        since, until = moment(60), moment(-7200)
        most, late = 200_000, "45.129.14.30"
        addresses = [f"11.{i >> 16}.{i >> 8 & 255}.{i & 255}" for i in range(most)]
        for first in range(0, most, 256):
            self.slice(f"n9-{first:08}", [sliced(address, since, until) for address in addresses[first : first + 256]])
        one.agent.wait(lambda: one.agent.metric("gaoler_active_bans") == most, 240)
        self.slice("n9-late", [sliced(late, since, until)])
        one.agent.wait(lambda: one.agent.metric("gaoler_refused_bans_total") == 1)
        self.assertFalse(self.is_dropped(one, late))
        self.pardon("11.0.0.0/20")
        one.agent.wait(lambda: one.agent.metric("gaoler_active_bans") == most - (1 << 12) + 1, 400)
        one.agent.wait(lambda: self.is_dropped(one, late))

    def slice(self, name, bans):
        epoch = {"gaoler.dev/epoch": str(int(time.time()) // 600)}
        self.plane.api.create(f"{GROUP}/banslices", self.object("banslices", name, {"node": "n9", "bans": bans}, epoch))


class Outages(SharedCase):
    takes = 160

    def test_bans_fall_while_the_api_server_is_away_and_all_nodes_agree_afterwards(self):
        self.guarded()
        addresses = {node: [f"45.130.{node.number}.{i}" for i in range(1, 11)] for node in self.nodes.values()}
        with self.plane.down():
            gone = time.monotonic()
            for node, own in addresses.items():
                for address in own:
                    self.attack(node, address)
            for node, own in addresses.items():
                for address in own:
                    self.wait_dropped(address, [node])
            self.assertNotIn(addresses[self.nodes[1]][0], self.nodes[2].agent.kernel_bans())
            time.sleep(max(0, 60 - (time.monotonic() - gone)))
        everybody = {address for own in addresses.values() for address in own}
        for node in self.nodes.values():
            node.agent.wait(lambda n=node: everybody <= n.agent.kernel_bans(), 120)
        wait_until(lambda: len(set(self.published())) == len(everybody), 60)

    def test_an_emptied_storage_lifts_no_ban_and_is_filled_again(self):
        self.guarded()
        for node in self.nodes.values():
            self.attack(node, f"45.131.0.{node.number}")
        everybody = {f"45.131.0.{node.number}" for node in self.nodes.values()}
        for address in everybody:
            self.wait_dropped(address)
        wait_until(lambda: len(self.published()) == 3, 60)
        self.plane.empty()
        for node in self.nodes.values():
            self.assertLessEqual(everybody, node.agent.kernel_bans(), node.name)
        self.install()
        for node in self.nodes.values():
            node.register_again()
            node.kubeconfig()
        wait_until(lambda: {prefix for _, prefix, _ in self.published()} == everybody, 180, lambda: json.dumps(self.published()))
        for node in self.nodes.values():
            self.assertLessEqual(everybody, node.agent.kernel_bans(), node.name)

    def test_agents_that_begin_anew_on_an_emptied_storage_lift_no_ban_and_publish_theirs_again(self):
        self.guarded(2)
        everybody = {f"45.131.1.{number}" for number in self.nodes}
        for number, node in self.nodes.items():
            self.attack(node, f"45.131.1.{number}")
        for address in everybody:
            self.wait_dropped(address)
        # What they know of the cluster is on disk with whose it is.
        storage = self.plane.api.get("/api/v1/namespaces/kube-system")["metadata"]["uid"]
        for node in self.nodes.values():
            kept = node.agent.state.with_name(f"{node.agent.state.name}-cluster")
            node.agent.wait(lambda kept=kept: f'"Jail":"{storage}"' in kept.read_text(errors="replace"))
            node.agent.kill()
        self.plane.empty()
        self.install()
        for node in self.nodes.values():
            node.register_again()
            node.kubeconfig()
            node.agent.messages.unlink()
            node.agent.start()
        for node in self.nodes.values():
            node.agent.wait(lambda node=node: "the API server told everything" in node.agent.messages.read_text(errors="replace"), 120)
        wait_until(lambda: {prefix for _, prefix, _ in self.published()} == everybody, 180, lambda: json.dumps(self.published()))
        for address in everybody:
            for node in self.nodes.values():
                self.assertTrue(self.is_dropped(node, address), f"{address} at {node.name}\n{node.agent.told()}")
        # The jail goes on too, and is taken back only by who says so.
        self.attack(self.nodes[1], "45.131.1.9")
        self.wait_dropped("45.131.1.9", timeout=120)
        self.make("jails", "james", {**JAIL, "maxRetry": 3}, namespace="mail")
        self.plane.api.delete(f"{GROUP}/namespaces/mail/jails/james")
        for node in self.nodes.values():
            node.agent.wait(lambda node=node: not self.is_dropped(node, "45.131.1.9"))
