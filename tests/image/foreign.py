#!/usr/bin/env python3
"""The image for arm64, on a machine of another kind: what is in it, and that gaoler runs and says what the one for this
machine says.

    foreign.py ARCHIVE OWN        what scripts/image.sh --platform=linux/arm64 and scripts/image.sh wrote

qemu runs single programs of arm64 here, with libraries from the unpacked image alone. It has no netlink to netfilter: of
nft can be tried that all its libraries are found, and of what an agent does in the kernel nothing.
"""

import re
import shutil
import struct
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

from run import TESTS, Image

SEED = TESTS / "seed"
EXAMPLES = TESTS.parent / "deploy" / "examples"
EM_AARCH64 = 183


class Foreign(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        work = tempfile.TemporaryDirectory(prefix="gaoler-image-")
        cls.addClassCleanup(work.cleanup)
        cls.images = {}
        for name, archive in (("foreign", FOREIGN), ("own", OWN)):
            (Path(work.name) / name).mkdir()
            cls.images[name] = Image(archive, Path(work.name) / name)
        cls.qemu = subprocess.run([TESTS.parent / "scripts" / "qemu.sh"], stdout=subprocess.PIPE, text=True, check=True).stdout.strip()
        for image in cls.images.values():
            # What the programs are to read, at the same path for both; and qemu, which is linked statically.
            shutil.copytree(SEED, image.root / "seed")
            shutil.copytree(EXAMPLES, image.root / "examples")
            shutil.copy(cls.qemu, image.root / "qemu")

    def runs(self, name, program, *arguments):
        image = self.images[name]
        emulated = ["/qemu"] if name == "foreign" else []
        done = subprocess.run(["chroot", image.root, *emulated, program, *arguments], capture_output=True, text=True, timeout=300)
        return done.returncode, re.sub(r"processed in [\d.]+", "processed in", done.stdout + done.stderr)

    def test_every_program_and_library_is_for_arm64(self):
        image, kinds = self.images["foreign"], {}
        self.assertEqual(image.config["architecture"], "arm64")
        for entry in image.entries:
            if entry.isfile():
                head = (image.root / entry.name).read_bytes()[:20]
                if head[:4] == b"\x7fELF":
                    kinds[entry.name] = struct.unpack_from("<H", head, 18)[0]
        self.assertTrue({"usr/local/bin/gaoler", "usr/sbin/nft", "lib/ld-linux-aarch64.so.1"} <= set(kinds), kinds)
        self.assertEqual(set(kinds.values()), {EM_AARCH64}, kinds)

    def test_both_images_have_the_same_parts(self):
        def names(image):
            triplet = re.compile(r"(x86_64|aarch64)-linux-gnu|ld-linux-(x86-64|aarch64)\.so\.\d|lib64")
            return {triplet.sub("*", entry.name) for entry in image.entries if not entry.isdir()}

        self.assertEqual(*({n for n in names(image) if not n.endswith("*")} for image in self.images.values()))

    def test_both_programs_find_all_their_libraries(self):
        for program in ("/usr/local/bin/gaoler", "/usr/sbin/nft"):
            code, said = self.runs("foreign", "/lib/ld-linux-aarch64.so.1", "--list", program)
            self.assertEqual(code, 0, said)
            self.assertIn("libc.so.6 => /lib/aarch64-linux-gnu/libc.so.6", said)
            self.assertNotIn("not found", said)

    def test_gaoler_runs_and_says_the_same(self):
        for program, *arguments in (
            ["/usr/local/bin/gaoler", "--version"],
            ["/usr/local/bin/gaoler", "regex", "/seed/james.log", "/seed/filter.d/james.conf"],
            ["/usr/local/bin/gaoler", "check", "/examples/mission.yaml"],
            ["/usr/local/bin/gaoler", "replay", "/seed/james.log", "--config", "/examples/mission.yaml", "--jail", "james"],
            ["/usr/local/bin/gaoler", "crds"],
        ):
            with self.subTest(program=program, arguments=arguments):
                code, said = self.runs("foreign", program, *arguments)
                self.assertEqual((code, said), self.runs("own", program, *arguments))
                self.assertEqual(code, 0, said)
                if "regex" in arguments:
                    self.assertIn("Lines: 8 lines, 0 ignored, 8 matched, 0 missed", said)


if __name__ == "__main__":
    FOREIGN, OWN = sys.argv[1:]
    result = unittest.TextTestRunner(stream=sys.stdout, verbosity=2).run(unittest.defaultTestLoader.loadTestsFromTestCase(Foreign))
    sys.exit(0 if result.testsRun and result.wasSuccessful() and not result.skipped else 1)
