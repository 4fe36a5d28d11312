"""The systemd unit: well-formed, and as narrow as the program allows."""

import os
import re
import subprocess
import tempfile
import unittest
from pathlib import Path

UNIT = Path(__file__).resolve().parents[2] / "deploy/systemd/gaoler.service"
# What is left is what the work needs: netlink, the host's own network, two capabilities.
EXPOSURE = 2.0


class SystemdUnit(unittest.TestCase):
    def analyze(self, *arguments, text=None):
        """systemd-analyze on the unit with the built binary in place of the installed one."""
        text = (text or UNIT.read_text()).replace("/usr/local/bin/gaoler", os.environ["GAOLER_BINARY"])
        with tempfile.TemporaryDirectory() as directory:
            unit = Path(directory) / UNIT.name
            unit.write_text(text)
            done = subprocess.run(["systemd-analyze", *arguments, str(unit)], capture_output=True, text=True)
        return done.returncode, done.stdout + done.stderr

    def test_systemd_finds_nothing_wrong_with_the_unit(self):
        code, said = self.analyze("--man=no", "verify")
        self.assertEqual((code, said.strip()), (0, ""))

    def test_a_misspelt_setting_would_be_noticed(self):
        _, said = self.analyze("--man=no", "verify", text=UNIT.read_text().replace("ProtectSystem", "ProtectSistem"))
        self.assertIn("ProtectSistem", said)

    def test_exposure_stays_below_the_threshold(self):
        code, said = self.analyze("security", "--offline=yes", f"--threshold={EXPOSURE * 10:.0f}", "--no-pager")
        self.assertEqual(code, 0, said)
        overall = float(re.search(r"exposure level for gaoler.service: ([\d.]+)", said)[1])
        self.assertLessEqual(overall, EXPOSURE)

    def test_it_has_two_capabilities_and_no_more(self):
        settings = dict(line.split("=", 1) for line in UNIT.read_text().splitlines() if "=" in line and line[0] != "#")
        for key in ("CapabilityBoundingSet", "AmbientCapabilities"):
            self.assertEqual(settings[key].split(), ["CAP_NET_ADMIN", "CAP_DAC_READ_SEARCH"])
        self.assertEqual(settings["NoNewPrivileges"], "yes")

    def test_where_the_kernels_files_are_hidden_the_manager_tells_which_boot_this_is(self):
        lines = UNIT.read_text().splitlines()
        self.assertTrue("ProcSubset=pid" not in lines or "Environment=GAOLER_BOOT_ID=%b" in lines)


if __name__ == "__main__":
    unittest.main()
