"""The custom resource definitions in crds/, on a real API server."""

import json
import subprocess

from cluster.api import Refused
from cluster.case import BINARY, ClusterCase
from cluster.manifests import as_json, definitions, rules, samples
from cluster.rules import BROKEN, CHANGES, KEPT, STATUS
from harness.daemon import wait_until

ONLY_PLAIN = "in Kubernetes a jail reads `pods`; `files` and `journal` exist only on a plain host"
# Kinds that people write; the others are written by Gaoler alone.
KINDS_FOR_PEOPLE = {"Filter", "Jail", "RateLimit", "BanList", "AllowList", "Pardon"}
# What the API server puts before a rule's message.
BY_RULE = "Invalid value: "
# What it adds where it could not try the rules.
UNTRIED = "some validation rules were not checked because the object was invalid"


class Definitions(ClusterCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        # The program and the directory must say the same: what is applied first is the directory's.
        done = cls.plane.kubectl("apply", "--server-side", "-f", str(definitions()["jails.yaml"].parent), check=False)
        cls.said = done.stdout + done.stderr
        if done.returncode != 0:
            raise AssertionError(f"the API server refuses a definition:\n{cls.said}")
        cls.plane.kubectl("wait", "--for=condition=Established", "--timeout=60s", "crd", "--all")
        cls.kinds = {crd["spec"]["names"]["kind"]: crd for crd in cls.plane.json("get", "crd")["items"]}
        cls.plane.kubectl("create", "namespace", "mail")

    def where(self, kind):
        """The collection of a kind in the API."""
        spec = self.kinds[kind]["spec"]
        namespace = "namespaces/mail/" if spec["scope"] == "Namespaced" else ""
        return f"/apis/{spec['group']}/{spec['versions'][0]['name']}/{namespace}{spec['names']['plural']}"

    def version(self, kind):
        return self.kinds[kind]["spec"]["versions"][0]

    def create(self, kind, spec, name="sample", dry=True):
        body = {"apiVersion": "gaoler.dev/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": spec}
        return self.plane.api.create(self.where(kind) + "?fieldValidation=Strict" + ("&dryRun=All" if dry else ""), body)

    def refusal(self, order):
        """Why the API server refuses: the messages of its causes."""
        try:
            stored = order()
        except Refused as why:
            self.assertEqual(why.status, 422, why)
            causes = [cause["message"].removeprefix(BY_RULE) for cause in why.answer["details"]["causes"]]
            return [cause for cause in causes if UNTRIED not in cause]
        self.fail(f"was accepted: {json.dumps(stored)}")

    def test_every_definition_is_established_without_a_warning(self):
        self.assertNotIn("Warning", self.said)
        self.assertEqual(len(self.kinds), len(definitions()))
        for kind, crd in self.kinds.items():
            conditions = {c["type"]: c["status"] for c in crd["status"]["conditions"]}
            self.assertEqual(conditions, {"NamesAccepted": "True", "Established": "True"}, kind)

    def test_the_program_prints_the_same_definitions(self):
        printed = subprocess.run([BINARY, "crds"], capture_output=True, text=True, check=True).stdout
        self.plane.apply(printed)
        for kind, crd in self.kinds.items():
            now = self.plane.json("get", "crd", crd["metadata"]["name"])
            self.assertEqual(now["metadata"]["generation"], crd["metadata"]["generation"], kind)
        self.assertEqual(printed.count("\nkind: CustomResourceDefinition\n"), len(self.kinds))

    def test_every_rule_has_cases_that_keep_it_and_cases_that_break_it(self):
        for kind, crd in self.kinds.items():
            self.assertTrue(KEPT.get(kind), f"{kind}: no accepted spec in rules.py")
            schema = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
            there = {message for _, message in rules(schema)}
            tried = {*BROKEN.get(kind, {}), *CHANGES.get(kind, {})}
            self.assertEqual(there, tried, f"{kind}: rules in the definition, rules that are tried")

    def test_specs_that_keep_the_rules_are_accepted(self):
        for kind, specs in KEPT.items():
            for number, spec in enumerate(specs):
                with self.subTest(kind=kind, number=number):
                    self.create(kind, spec)

    def test_specs_that_break_a_rule_are_refused_with_its_message_and_no_other(self):
        for kind, messages in BROKEN.items():
            for message, specs in messages.items():
                for number, spec in enumerate(specs):
                    with self.subTest(kind=kind, message=message, number=number):
                        why = self.refusal(lambda k=kind, s=spec: self.create(k, s))
                        self.assertEqual(why, [message])

    def test_changes_that_break_a_rule_are_refused_with_its_message(self):
        for kind, messages in CHANGES.items():
            for message, pairs in messages.items():
                for number, (before, after) in enumerate(pairs):
                    with self.subTest(kind=kind, message=message, number=number):
                        name = f"change-{number}"
                        stored = self.create(kind, before, name, dry=False)
                        self.addCleanup(self.plane.api.delete, f"{self.where(kind)}/{name}")
                        changed = {**stored, "spec": after}
                        why = self.refusal(lambda: self.plane.api.request("PUT", f"{self.where(kind)}/{name}", changed))
                        self.assertEqual(why, [message])
                        # Labels and the like may change.
                        self.plane.api.patch(f"{self.where(kind)}/{name}", {"metadata": {"labels": {"a": "b"}}})

    def test_unknown_fields_and_unknown_words_are_refused(self):
        for kind, specs in KEPT.items():
            with self.subTest(kind=kind):
                with self.assertRaises(Refused) as caught:
                    self.create(kind, {**specs[0], "unheardOf": 1})
                self.assertIn('unknown field "spec.unheardOf"', caught.exception.message)
        why = self.refusal(lambda: self.create("Jail", {**KEPT["Jail"][0], "mode": "Sometimes"}))
        self.assertEqual(why, ['Unsupported value: "Sometimes": supported values: "Enforce", "Observe", "Disabled"'])

    def test_every_sample_is_accepted_strictly_and_read_back(self):
        seen = set()
        plugin = self.directory / "kubectl-gaoler"
        plugin.symlink_to(BINARY)
        for number, (path, text) in enumerate(samples()):
            read = as_json(self.plane, text)
            with self.subTest(path=path, name=read["metadata"]["name"]):
                spec = read["spec"]
                plain = read["kind"] == "Jail" and spec["source"].keys() & {"files", "journal"}
                done = self.plane.kubectl(
                    "create", "--dry-run=server", "--validate=strict", "-n", "mail", "-o", "json", "-f", "-", input=text, check=not plain
                )
                if plain:
                    # Jails of one host read files; of these everything else must be right.
                    self.assertEqual(done.stderr.count(BY_RULE), 1, done.stderr)
                    self.assertIn(ONLY_PLAIN, done.stderr)
                    source = {k: v for k, v in spec["source"].items() if k not in ("files", "journal")}
                    pods = {"selector": {"matchLabels": {"app": "james"}}}
                    stored = self.create("Jail", {**spec, "source": {**source, "pods": pods}}, read["metadata"]["name"])
                    stored["spec"]["source"].pop("pods")
                    stored["spec"]["source"] |= spec["source"]
                else:
                    stored = json.loads(done.stdout)
                # What the server makes of it, defaults and bookkeeping and all, Gaoler reads as the same.
                back = self.directory / f"{number}.json"
                back.write_text(json.dumps(stored))
                # What names Services is for a cluster: there the plugin judges it.
                program = plugin if "services" in spec else BINARY
                told = subprocess.run([program, "check", back], capture_output=True, text=True)
                self.assertEqual(told.returncode, 0, told.stdout + told.stderr)
                seen.add(read["kind"])
        # Nobody applies a Pardon from a file that lies around.
        self.assertEqual(seen | {"Pardon"}, KINDS_FOR_PEOPLE)

    def test_kubectl_explains_every_field(self):
        def walk(schema, path):
            for name, field in schema.get("properties", {}).items():
                yield f"{path}.{name}", field
                inner = field.get("items") if isinstance(field.get("items"), dict) else field
                yield from walk(inner, f"{path}.{name}")

        def plain(text):
            return "".join(text.split())

        for kind, crd in self.kinds.items():
            plural = crd["spec"]["names"]["plural"]

            def explain(*what, name=plural):
                return self.plane.kubectl("explain", *what, "--api-version=gaoler.dev/v1alpha1", check=False).stdout

            # The server publishes what it knows a moment after a definition is established.
            wait_until(lambda: "FIELDS" in explain(f"{plural}.spec"), 60)
            everything = explain(plural, "--recursive")
            schema = self.version(kind)["schema"]["openAPIV3Schema"]
            parents = {""}
            for path, field in walk({"properties": {"spec": schema["properties"]["spec"]}}, ""):
                self.assertIn(path.rpartition(".")[2], everything)
                if field.get("properties") or (isinstance(field.get("items"), dict) and field["items"].get("properties")):
                    parents.add(path)
            for parent in sorted(parents - {""}):
                told = plain(explain(plural + parent))
                for path, field in walk({"properties": {"spec": schema["properties"]["spec"]}}, ""):
                    if path.rpartition(".")[0] == parent:
                        with self.subTest(field=f"{kind}{path}"):
                            self.assertIn(plain(field["description"]), told)

    def test_kubectl_get_answers_in_columns_by_short_name_and_by_category(self):
        for kind, crd in self.kinds.items():
            path = f"{self.where(kind)}/seen"
            self.create(kind, KEPT[kind][-1], "seen", dry=False)
            self.addCleanup(self.plane.api.delete, path)
            conditions = [
                {"type": t, "status": "True", "reason": "AsDeclared", "message": "", "lastTransitionTime": "2026-11-22T20:00:00Z"}
                for t in ("Accepted", "Ready")
            ]
            if "status" in self.version(kind)["schema"]["openAPIV3Schema"]["properties"]:
                self.plane.api.patch(f"{path}/status", {"status": {"conditions": conditions, **STATUS.get(kind, {})}})
            columns = self.version(kind).get("additionalPrinterColumns", [])
            for wide in (False, True):
                names = [c["name"].upper() for c in columns if wide or not c.get("priority")]
                for short in crd["spec"]["names"].get("shortNames", [crd["spec"]["names"]["singular"]]):
                    with self.subTest(kind=kind, short=short, wide=wide):
                        told = self.plane.kubectl("get", short, "-n", "mail", *(["-o", "wide"] if wide else [])).stdout.splitlines()
                        self.assertEqual(told[0].split(), ["NAME", *names])
                        self.assertEqual(told[1].split()[0], "seen")
                        self.assertNotIn("<none>", told[1])
            if {"Ready", "Accepted"} & {c["name"] for c in columns}:
                self.assertIn("True", told[1])
        everything = self.plane.kubectl("get", "gaoler", "-n", "mail", "-o", "name").stdout.split()
        singular = {crd["spec"]["names"]["singular"] for crd in self.kinds.values()}
        self.assertEqual({name for name in everything if name.endswith("/seen")}, {f"{s}.gaoler.dev/seen" for s in singular})

    def test_spec_and_status_are_written_apart(self):
        self.create("Jail", KEPT["Jail"][0], "apart", dry=False)
        path = f"{self.where('Jail')}/apart"
        self.addCleanup(self.plane.api.delete, path)
        self.plane.api.patch(path, {"status": {"observedGeneration": 7}})
        self.assertNotIn("status", self.plane.api.get(path))
        after = self.plane.api.patch(f"{path}/status", {"spec": {"maxRetry": 9}, "status": {"observedGeneration": 7}})
        self.assertEqual((after["spec"]["maxRetry"], after["status"]["observedGeneration"]), (5, 7))
        self.assertEqual(after["metadata"]["generation"], 1)

    def test_defaults_are_filled_in_by_the_server(self):
        spec = self.create("Jail", KEPT["Jail"][0])["spec"]
        self.assertEqual(
            (spec["mode"], spec["maxRetry"], spec["findTime"], spec["banTime"], spec["count"]), ("Enforce", 5, "10m", "10m", "Cluster")
        )
