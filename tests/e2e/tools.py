"""What a run stands on: programs and images, built or fetched once into the cache."""

import io
import json
import pickle
import shutil
import subprocess
import sys
import tarfile
import time
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
JAMES = "3.8.1"


@dataclass(frozen=True)
class Image:
    """An archive that nodes import. `base`: the name of an image in an OCI archive, whose own names are not taken."""

    archive: Path
    base: str = ""
    # For nodes with mail servers only.
    mail: bool = False

    def __iter__(self):
        return iter((self.archive, self.base))


class Tools:
    """Made before world.enter(), as from the private network nothing can be fetched; kept() finds it again there."""

    def __init__(self, root, programs, archive):
        from cluster.programs import programs as kubernetes

        sys.path.append(str(REPOSITORY / "tests" / "james"))
        import server

        self.repository = REPOSITORY
        self.seconds = {}
        self.programs = self._timed("kubernetes", kubernetes, *programs)
        self.helm = self._timed("helm", self._script, "helm.sh")[0]
        self.jars = self._timed("jars", server.fetch, JAMES)
        # Another checkout may build another image meanwhile: this one is the run's own.
        self.archive = root / "gaoler.oci.tar"
        shutil.copy(archive, self.archive)
        pause, james = self._timed("test images", self._script, "test-images.sh", self.jars)
        self.size = self.archive.stat().st_size
        self.images = [Image(pause), Image(self.archive, "docker.io/library/gaoler"), Image(james, mail=True)]
        self.directory = root / "bin"
        self._install()

    def keep(self):
        """Writes down what was found."""
        (self.directory.parent / "tools.pickle").write_bytes(pickle.dumps(self))

    @staticmethod
    def kept(root):
        """What keep() wrote."""
        return pickle.loads((root / "tools.pickle").read_bytes())

    def _timed(self, what, make, *arguments):
        began = time.monotonic()
        made = make(*arguments)
        self.seconds[what] = time.monotonic() - began
        return made

    @staticmethod
    def _script(name, *arguments):
        done = subprocess.run([REPOSITORY / "scripts" / name, *arguments], stdout=subprocess.PIPE, text=True)
        if done.returncode != 0:
            raise SystemExit(f"scripts/{name} failed: see above")
        return done.stdout.split("\n")[:-1]

    def _install(self):
        """The commands an administrator has; the plugin is the image's own program."""
        self.directory.mkdir()
        for name, path in (("kubectl", self.programs["kubectl"]), ("helm", self.helm)):
            (self.directory / name).symlink_to(path)
        gaoler = self.directory / "gaoler"
        gaoler.write_bytes(self._from_image("usr/local/bin/gaoler"))
        gaoler.chmod(0o755)
        for name in ("kubectl-gaoler", "kubectl_complete-gaoler"):
            (self.directory / name).symlink_to("gaoler")

    def _from_image(self, path):
        with tarfile.open(self.archive) as outer:

            def blob(digest):
                return outer.extractfile("blobs/" + digest.replace(":", "/")).read()

            index = json.load(outer.extractfile("index.json"))
            manifest = json.loads(blob(index["manifests"][0]["digest"]))
            for layer in reversed(manifest["layers"]):
                with tarfile.open(fileobj=io.BytesIO(blob(layer["digest"]))) as inner:
                    if path in inner.getnames():
                        return inner.extractfile(path).read()
        raise SystemExit(f"{path} is not in the image")
