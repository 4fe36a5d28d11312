"""`kubectl gaoler`: the binary as kubectl's plugin, run by a real kubectl against a real API server.

What nodes write is written here, as nodes write it: how nodes come to it is the matter of other checks.
"""

import datetime
import json
import os
import re
import subprocess
import tarfile
from pathlib import Path

from cluster.case import BINARY, REPOSITORY, ClusterCase
from cluster.clock import shifted
from cluster.manifests import definitions, documents
from cluster.rules import jail

SLICES, PARDONS, LISTS = (f"/apis/gaoler.dev/v1alpha1/{plural}" for plural in ("banslices", "pardons", "banlists"))


def moment(seconds):
    """So many seconds from now, as RFC 3339."""
    then = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=seconds)
    return then.isoformat(timespec="microseconds").replace("+00:00", "Z")


def ban(prefix, since=-60, until=540, **more):
    rules = [{"rule": "james-smtp-auth/rules[0]", "times": 5}]
    return {"jail": "mail/james", "prefix": prefix, "nth": 1, "since": moment(since), "until": moment(until), "weight": 5, "rules": rules, **more}


class PluginCase(ClusterCase):
    """A cluster that knows Gaoler's kinds, a jail, and kubectl with the plugin."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.plane.kubectl("apply", "--server-side", "-f", str(definitions()["jails.yaml"].parent))
        cls.plane.kubectl("wait", "--for=condition=Established", "--timeout=60s", "crd", "--all")
        for name in ("mail", "other"):
            cls.plane.namespace(name)
        cls.bin = cls.root / "bin"
        cls.bin.mkdir()
        for name in ("kubectl-gaoler", "kubectl_complete-gaoler"):
            (cls.bin / name).symlink_to(BINARY)
        cls.objects = 0

    def setUp(self):
        super().setUp()
        self.made = []
        self.jail("mail", "james")
        self.addCleanup(self.tidy)

    def tidy(self):
        """Nothing of ours stays for the next test."""
        for plural in ("banslices", "pardons", "banlists", "allowlists", "houses", "nodeagents", "sightinglists"):
            self.plane.api.delete(f"/apis/gaoler.dev/v1alpha1/{plural}")
        for namespace in ("mail", "other"):
            self.plane.api.delete(f"/apis/gaoler.dev/v1alpha1/namespaces/{namespace}/jails")

    # What others write.

    def write(self, plural, name, spec, namespace=None, status=None):
        kind = {"jails": "Jail", "banslices": "BanSlice", "banlists": "BanList", "allowlists": "AllowList", "houses": "House",
                "nodeagents": "NodeAgent", "sightinglists": "SightingList"}[plural]  # fmt: skip
        within = f"namespaces/{namespace}/" if namespace else ""
        path = f"/apis/gaoler.dev/v1alpha1/{within}{plural}"
        body = {"apiVersion": "gaoler.dev/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": spec}
        self.plane.api.create(path, body)
        if status:
            self.plane.api.patch(f"{path}/{name}/status", {"status": status})

    def jail(self, namespace, name, status=None, **change):
        self.write("jails", name, jail(**change), namespace, status)

    def slice(self, node, *bans):
        type(self).objects += 1
        self.write("banslices", f"{node}-{self.objects}", {"node": node, "bans": list(bans)})

    # What a person does.

    def environment(self, kubeconfig=None):
        path = f"{self.bin}:{Path(self.plane.programs['kubectl']).parent}:{os.environ['PATH']}"
        return {**os.environ, "PATH": path, "KUBECONFIG": str(kubeconfig or self.plane.admin), "HOME": str(self.directory), "TZ": "UTC"}

    def gaoler(self, *arguments, expect=0, kubeconfig=None, **options):
        """`kubectl gaoler …`; what it says on both streams."""
        command = ["kubectl", "gaoler", *arguments]
        options.setdefault("env", self.environment(kubeconfig))
        done = self.plane.net.run(*command, check=False, **options)
        said = done.stdout + done.stderr
        self.assertEqual(done.returncode, expect, f"{' '.join(command)}\n{said}")
        return said

    def items(self, *arguments):
        return [json.loads(line) for line in self.gaoler(*arguments, "-o", "json").splitlines()]


class Plugin(PluginCase):
    def test_a_machine_whose_clock_is_wrong_sees_and_orders_by_the_servers(self):
        self.slice("n1", ban("45.129.14.30"), ban("45.129.14.31", since=-900, until=-300))
        for hours in (2, -2):
            clock = {"env": {**self.environment(), **shifted(hours * 3600)}}
            told = self.gaoler("bans", **clock)
            self.assertIn("45.129.14.30", told)
            self.assertNotIn("45.129.14.31", told)
            self.assertRegex(told, r"\s[5-8]m")
            self.assertIn("until", self.gaoler("why", "45.129.14.30", **clock))
            self.assertIn("1 kept out", self.gaoler("status", expect=1, **clock))
            self.gaoler("ban", "198.51.100.9", "--for", "10m", **clock)
            (entry,) = self.plane.api.get(f"{LISTS}/by-hand")["spec"]["entries"]
            until = datetime.datetime.fromisoformat(entry["until"].replace("Z", "+00:00")).timestamp()
            self.assertAlmostEqual(until, datetime.datetime.now().timestamp() + 600, delta=20)
            self.gaoler("unban", "198.51.100.9", **clock)

    def test_bans_of_all_nodes_are_listed_once_with_who_saw_them(self):
        self.assertEqual(self.gaoler("bans").strip(), "nobody is banned")
        self.slice("n1", ban("45.129.14.30"), ban("45.129.14.31", since=-900, until=-300))
        self.slice("n2", ban("45.129.14.30", until=900, **{"with": ["n3"]}), ban("2001:db8:bad:1::/64"))
        found = {b["subject"]: b for b in self.items("bans")}
        self.assertEqual(set(found), {"45.129.14.30", "2001:db8:bad:1::/64"})
        self.assertEqual(found["45.129.14.30"]["nodes"], ["n1", "n2", "n3"])
        self.assertTrue(found["45.129.14.30"]["enforced"])
        table = self.gaoler("bans", "-o", "wide").splitlines()
        self.assertEqual(table[0].split(), ["ADDRESS", "JAIL", "N", "SINCE", "LEFT", "WHY", "RULES", "NODES"])
        self.assertIn("n1,n2,n3", table[2])
        self.assertIn("james-smtp-auth/rules[0] x5", table[2])
        yaml = self.gaoler("bans", "-o", "yaml", "-n", "mail")
        self.assertEqual(yaml.count("---\n"), 2)
        self.assertIn("subject: 45.129.14.30\n", yaml)

    def test_namespace_and_jail_narrow_the_list(self):
        self.jail("other", "james")
        self.slice("n1", ban("45.129.14.30"), ban("45.129.14.31", jail="other/james"))
        self.gaoler("ban", "45.129.14.32")
        subjects = lambda *how: sorted(b["subject"] for b in self.items("bans", *how))  # noqa: E731
        self.assertEqual(subjects(), ["45.129.14.30", "45.129.14.31", "45.129.14.32"])
        self.assertEqual(subjects("-A"), subjects())
        self.assertEqual(subjects("-n", "other"), ["45.129.14.31"])
        self.assertEqual(subjects("--jail", "mail/james"), ["45.129.14.30"])
        self.assertEqual(subjects("--jail", "james", "-n", "other"), ["45.129.14.31"])
        told = self.gaoler("bans", "--jail", "james", expect=2)
        self.assertIn("jails of that name are mail/james, other/james", told)

    def test_why_tells_who_what_and_until_when(self):
        self.write("allowlists", "office", {"entries": [{"prefix": "203.0.113.0/24"}]})
        self.slice("n1", ban("45.129.14.30", first=moment(-300), **{"with": ["n2"]}))
        told = self.gaoler("why", "45.129.14.30")
        for part in ("is banned", "jail mail/james, ban number 1", "5 failures, node n1", "5 × james-smtp-auth/rules[0]", "first failure", "n1, n2"):
            self.assertIn(part, told)
        self.assertIn("never banned: on the allow list office", self.gaoler("why", "203.0.113.7", expect=1))
        seen = {"node": "n1", "jails": [{"jail": "mail/james", "subjects": [{"prefix": "45.129.14.99", "failures": [{"at": moment(-30), "weight": 3}]}]}]}
        self.write("sightinglists", "n1", seen)
        self.assertIn("jail mail/james counts 3 of 5 failures", self.gaoler("why", "45.129.14.99", expect=1))
        self.assertEqual(json.loads(self.gaoler("why", "45.129.14.30", "-o", "json"))["saw"][0]["nodes"], ["n1", "n2"])

    def test_status_names_what_needs_a_look(self):
        self.assertIn("nobody guards anything", self.gaoler("status", expect=1))
        condition = {"reason": "Because", "message": "a sentence", "lastTransitionTime": moment(0)}
        ready = {"type": "Ready", "status": "True", **condition}
        self.write("nodeagents", "n1", {}, status={"version": "0.1.0", "reported": moment(0), "pods": 2, "conditions": [ready]})
        self.slice("n1", ban("45.129.14.30"))
        told = self.gaoler("status", "-o", "wide")
        self.assertIn("mail/james  Enforce  1", told)
        self.assertRegex(told, r"n1 +yes +2 ")
        lost = {"type": "SourceAddressLost", "status": "True", **condition}
        self.jail("other", "imap", status={"conditions": [lost]})
        self.assertIn("Jail other/imap: SourceAddressLost: a sentence", self.gaoler("status", expect=1))
        self.assertNotIn("other/imap", self.gaoler("status", "-n", "mail"))
        troubles = json.loads(self.gaoler("status", "-o", "json", expect=1))["troubles"]
        self.assertEqual([t["who"] for t in troubles], ["Jail other/imap"])

    def test_a_watch_tells_bans_and_ends_as_they_happen(self):
        self.slice("n1", ban("45.129.14.30"))
        environment = self.environment()
        watch = self.plane.net.popen("kubectl", "gaoler", "bans", "--watch", "-o", "json", env=environment, stdout=subprocess.PIPE, text=True)
        self.addCleanup(watch.stdout.close)
        self.addCleanup(watch.wait)
        self.addCleanup(watch.kill)
        heard = lambda: json.loads(watch.stdout.readline())  # noqa: E731
        self.assertEqual(heard()["subject"], "45.129.14.30")
        self.slice("n2", ban("45.129.14.31", until=3600))
        told = heard()
        self.assertEqual((told["event"], told["subject"]), ("ban", "45.129.14.31"))
        self.gaoler("unban", "45.129.14.30")
        told = heard()
        self.assertEqual((told["event"], told["subject"]), ("unban", "45.129.14.30"))
        self.gaoler("ban", "45.129.14.32", "--for", "3s")
        events = [heard(), heard()]
        self.assertEqual([(e["event"], e["subject"]) for e in events], [("ban", "45.129.14.32"), ("expire", "45.129.14.32")])

    def test_jails_and_filters_of_the_cluster_are_tried_on_lines(self):
        line = "16:45:34.154 [INFO ] o.a.j.p.s.AUTHENTICATION - AUTH method PLAIN failed from Username{x}@45.129.14.30"
        told = self.gaoler("explain", "--jail", "james", "-n", "mail", line)
        self.assertIn("failure of 45.129.14.30", told)
        told = self.gaoler("replay", "--jail", "james", "-", input=f"{line}\n" * 5)
        self.assertIn("jail mail/james would have banned 1 subject", told)
        self.assertIn("james-smtp-auth", self.gaoler("filters"))
        self.assertIn("ok: 1 jail accepted", self.gaoler("check"))
        self.jail("other", "broken", filters=["nonsense"])
        self.assertIn("there is no filter `nonsense`", self.gaoler("check", expect=1))
        self.assertIn("ok", self.gaoler("check", "-n", "mail"))

    def test_the_roles_for_people_let_operators_ban_and_owners_of_a_namespace_try_their_jails(self):
        for text in documents(REPOSITORY / "deploy" / "kubernetes" / "people-rbac.yaml"):
            self.plane.apply(text)
        operator, owner = self.plane.user("olga"), self.plane.user("tom")
        self.plane.kubectl("create", "clusterrolebinding", "olga", "--clusterrole=gaoler-operator", "--user=olga")
        self.plane.kubectl("create", "rolebinding", "tom", "-n", "mail", "--clusterrole=gaoler-view", "--user=tom")
        self.gaoler("ban", "45.129.14.30", kubeconfig=operator)
        self.gaoler("why", "45.129.14.30", kubeconfig=operator)
        self.gaoler("unban", "45.129.14.30", kubeconfig=operator)
        self.assertIn("mail/james", self.gaoler("status", expect=1, kubeconfig=operator))
        self.assertIn("ok: 1 jail accepted", self.gaoler("check", "-n", "mail", kubeconfig=owner))
        self.assertIn("does not let you list", self.gaoler("check", expect=2, kubeconfig=owner))
        self.assertIn("does not let you list", self.gaoler("ban", "45.129.14.30", expect=2, kubeconfig=owner))
        self.assertEqual(self.items("bans"), [])

    def test_a_server_that_is_away_is_exit_code_3_and_a_no_is_2(self):
        stranger = self.plane.user("stranger")
        self.assertIn("does not let you list resource", self.gaoler("bans", expect=2, kubeconfig=stranger))
        gone = json.loads(Path(self.plane.admin).read_text())
        gone["clusters"][0]["cluster"]["server"] = "https://127.0.0.1:9"
        path = self.directory / "gone.kubeconfig"
        path.write_text(json.dumps(gone))
        for verb in (("bans",), ("status",), ("why", "45.129.14.30"), ("ban", "45.129.14.30"), ("unban", "--all")):
            self.assertIn("the API server does not answer", self.gaoler(*verb, expect=3, kubeconfig=path))

    def bundle(self, *arguments, **more):
        """What `support` wrote: name of the file to text."""
        path = self.directory / "bundle.tar.gz"
        self.assertIn(str(path), self.gaoler("support", "--to", str(path), *arguments, **more))
        self.assertEqual(path.stat().st_mode & 0o077, 0)
        with tarfile.open(path) as archive:
            return {Path(it.name).name: archive.extractfile(it).read().decode() for it in archive}

    def test_a_bundle_for_whoever_helps_holds_objects_and_events_and_no_address_log_line_or_secret(self):
        condition = {"type": "SourceAddressLost", "status": "True", "reason": "Because", "message": "45.129.14.77 is a node", "lastTransitionTime": moment(0)}
        self.write("nodeagents", "n1", {}, status={"version": "0.1.0", "reported": moment(0), "pods": 2, "lagBytes": 7, "conditions": [condition]})
        self.write("houses", "cluster", {"members": [{"prefix": "192.0.2.11", "role": "Node", "name": "n1"}]})
        self.slice("n1", ban("45.129.14.30"), ban("2001:db8:bad:1::/64"))
        line = "a line of the log from 45.129.14.30 with a passw0rd"
        spec = {"failRegex": ["a line of the log from <HOST>"], "examples": [{"line": line, "match": True, "address": "45.129.14.30"}]}
        where = "/apis/gaoler.dev/v1alpha1/namespaces/mail/filters"
        noted = {"kubectl.kubernetes.io/last-applied-configuration": line}
        body = {"apiVersion": "gaoler.dev/v1alpha1", "kind": "Filter", "metadata": {"name": "mine", "annotations": noted}, "spec": spec}
        self.plane.api.create(where, body)
        self.addCleanup(self.plane.api.delete, f"{where}/mine")
        environment = [{"name": "TOKEN", "value": "passw0rd"}]
        pod = {"metadata": {"name": "gaoler-agent-x", "labels": {"app.kubernetes.io/name": "gaoler"}}, "spec": {"containers": [{"name": "agent", "image": "gaoler:0.1.0", "env": environment}]}}
        self.plane.api.create("/api/v1/namespaces/other/pods", pod)
        self.addCleanup(self.plane.api.delete, "/api/v1/namespaces/other/pods/gaoler-agent-x", gracePeriodSeconds=0)
        about = {"apiVersion": "gaoler.dev/v1alpha1", "kind": "Jail", "namespace": "mail", "name": "james"}
        for name, regarding in (("ours", about), ("theirs", {"apiVersion": "v1", "kind": "Pod", "namespace": "mail", "name": "secretary"})):
            event = {
                "metadata": {"name": name}, "eventTime": moment(0), "reportingController": "test", "reportingInstance": "test", "action": "Ban",
                "reason": "Banned", "type": "Normal", "note": "Banned 45.129.14.30 for 1h", "regarding": regarding,
            }  # fmt: skip
            self.plane.api.create("/apis/events.k8s.io/v1/namespaces/mail/events", event)

        files = self.bundle()
        kinds = ("jails", "filters", "ratelimits", "banlists", "allowlists", "pardons", "houses", "nodeagents", "banslices", "sightinglists")
        self.assertEqual(set(files), {"README.txt", *(f"{name}.yaml" for name in (*kinds, "versions", "numbers", "status", "pods", "events"))})
        whole = "\n".join(files.values())
        for secret in ("45.129", "192.0.2", "2001:db8", "passw0rd", "secretary"):
            self.assertNotIn(secret, whole)
        self.assertNotIn("Left out", files["README.txt"])
        self.assertIn("kubernetes: v1.", files["versions.yaml"])
        self.assertRegex(files["nodeagents.yaml"], r"message: ipv4-[0-9a-f]{8} is a node")
        self.assertIn("SourceAddressLost", files["status.yaml"])
        self.assertIn("lagBytes: 7", files["numbers.yaml"])
        self.assertIn("gaoler-agent-x", files["pods.yaml"])
        self.assertIn("<HOST>", files["filters.yaml"])
        # One name for one address.
        [name] = {it for it in re.findall(r"Banned (\S+) for 1h", files["events.yaml"])}
        self.assertIn(f"prefix: {name}", files["banslices.yaml"])

        plain = self.bundle("--addresses")
        self.assertIn("Banned 45.129.14.30 for 1h", plain["events.yaml"])
        self.assertNotIn("passw0rd", "\n".join(plain.values()))

        # Who may read little gets what he may read, and is told the rest.
        for text in documents(REPOSITORY / "deploy" / "kubernetes" / "people-rbac.yaml"):
            self.plane.apply(text)
        owner = self.plane.user("tina")
        self.plane.kubectl("create", "rolebinding", "tina", "-n", "mail", "--clusterrole=gaoler-view", "--user=tina")
        little = self.bundle("-n", "mail", kubeconfig=owner)
        self.assertIn("jails.yaml", little)
        self.assertNotIn("banslices.yaml", little)
        self.assertIn("Left out: banslices: the API server does not let you list", little["README.txt"])

    def test_kubectl_completes_verbs_jails_and_banned_addresses(self):
        self.slice("n1", ban("45.129.14.30"))

        def proposed(*words):
            done = self.plane.net.run("kubectl", "__complete", "gaoler", *words, env=self.environment())
            return [line.split("\t")[0] for line in done.stdout.splitlines()]

        self.assertEqual(proposed("ba"), ["ban", "bans", ":4"])
        self.assertEqual(proposed("unban", ""), ["45.129.14.30", ":4"])
        self.assertEqual(proposed("bans", "--jail", ""), ["mail/james", ":4"])
