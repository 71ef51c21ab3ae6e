#!/usr/bin/python3
"""Tests of apps/deeppcr_files.py: what may be replaced, and how a file takes its name."""
import os
import socket
import stat
import struct
import tempfile
import unittest
import zlib
from pathlib import Path

import h5py
from run_script import APPS  # noqa: F401  (puts apps/ into the path)
from deeppcr_files import PICTURE, TABLE, WEIGHTS, Refused, check_output, kind_of, replacing


def png(software):
    """A picture of one pixel, with a text before that of interest."""
    def chunk(name, data):
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0))
            + chunk(b"tEXt", b"Comment\0deeppcr") + (chunk(b"tEXt", b"Software\0" + software) if software else b"")
            + chunk(b"IDAT", zlib.compress(b"\0\0")) + chunk(b"IEND", b""))


class Files(unittest.TestCase):
    def setUp(self):
        self.folder = Path(self.enterContext(tempfile.TemporaryDirectory()))

    def path(self, name, data=None):
        path = self.folder / name
        if data is not None:
            path.write_bytes(data)
        return path

    def hdf5(self, name, its_format=None):
        with h5py.File(self.folder / name, "w") as file:
            if its_format:
                file.attrs["format"] = its_format
        return self.folder / name

    def refuse(self, path, *phrases, kind=WEIGHTS, **options):
        with self.assertRaises(Refused) as caught:
            check_output(path, kind, **options)
        for phrase in phrases:
            self.assertIn(phrase, str(caught.exception))

    def write(self, path, kind=WEIGHTS, data=b"new", **options):
        with replacing(path, kind, **options) as temporary:
            self.assertEqual(temporary.parent, Path(os.path.realpath(path)).parent)
            temporary.write_bytes(data)

    def test_files_are_known_by_their_marks(self):
        for name, data, kind in (
                ("a.png", png(b"deeppcr-plot"), PICTURE), ("b.png", png(b"Matplotlib"), None), ("d.png", png(b"deeppcr 1.2"), None), ("c.png", png(b""), None),
                ("cut.png", png(b"deeppcr-plot")[:60], None), ("a.pdf", b"%PDF-1.4\n/Creator (deeppcr-plot)", PICTURE),
                ("b.pdf", b"%PDF-1.4\n/Creator (TeX)", None), ("a.svg", b"<svg><dc:title>deeppcr</dc:title></svg>", None),
                ("a.csv", b"# deeppcr 1.2\nsuite\n", TABLE), ("b.csv", b"suite\n", None), ("net.pt", b"PK\x03\x04", None)):
            with self.subTest(name):
                self.assertEqual(kind_of(self.path(name, data))[0], kind)
        weights = self.hdf5("w.h5", "deeppcr-weights")
        self.assertEqual(kind_of(weights)[0], WEIGHTS)
        with h5py.File(weights, "a") as file:
            file["inputs"] = [1.0]
        self.assertEqual(kind_of(weights), (None, "weights of deeppcr to which somebody has added /inputs"))
        self.assertEqual(kind_of(self.hdf5("w.h5", "deeppcr-weights"))[0], WEIGHTS)
        self.assertEqual(kind_of(self.hdf5("t.h5", "deeppcr-trace"))[0], "trace")
        self.assertEqual(kind_of(self.hdf5("f.h5"))[0], None)

    def test_only_its_own_kind_is_replaced(self):
        for path in (self.path("new.h5"), self.path("empty", b""), self.hdf5("w.h5", "deeppcr-weights")):
            self.write(path)
            self.assertEqual(path.read_bytes(), b"new")
        self.write(self.path("a.png", png(b"deeppcr-plot")), PICTURE)
        self.refuse(self.hdf5("t.h5", "deeppcr-trace"), "t.h5' exists and is no weights file of deeppcr (it is HDF5 with "
                    "the format 'deeppcr-trace'); it is left as it is: choose another name, remove it or give --force")
        self.refuse(self.hdf5("f.h5"), "HDF5 of another program")
        self.refuse(self.path("b.png", png(b"Matplotlib")), "no picture of deeppcr (it is a PNG", kind=PICTURE)
        self.refuse(self.hdf5("w2.h5", "deeppcr-weights"), "no picture of deeppcr", kind=PICTURE)
        self.refuse(self.path("thesis.txt", b"all of it"), "it is text")
        self.write(self.path("thesis.txt"), force=True)
        self.assertEqual(self.path("thesis.txt").read_bytes(), b"new")

    def test_nothing_that_the_run_reads_is_replaced(self):
        source = self.path("net.pt", b"parameters")
        os.link(source, self.path("hard.h5"))
        self.path("soft.h5").symlink_to("net.pt")
        for name in ("net.pt", "hard.h5", "soft.h5", "../" + self.folder.name + "/net.pt"):
            for force in (False, True):
                self.refuse(self.folder / name, "is read by this run", reads=["no file", source], force=force)

    def test_special_files_and_folders_are_left_alone(self):
        os.mkfifo(self.path("pipe"))
        self.path("to pipe").symlink_to("pipe")
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(str(self.path("socket")))
            for name, word in (("pipe", "FIFO"), ("to pipe", "FIFO"), ("socket", "socket"), (".", "directory")):
                self.refuse(self.folder / name, word, force=True)
        if os.geteuid() == 0:
            os.mknod(self.path("node"), stat.S_IFCHR | 0o600, os.makedev(1, 3))
            self.refuse(self.path("node"), "device", force=True)
        self.refuse(self.path("no") / "w.h5", "there is no folder")
        self.path("loop").symlink_to("loop")
        self.refuse(self.path("loop"), "loop")
        self.refuse(self.path("n" * 300), "too long")

    def test_links_stay_and_their_targets_are_replaced(self):
        (self.folder / "scratch").mkdir()
        target = self.hdf5("scratch/w.h5", "deeppcr-weights")
        target.chmod(0o640)
        self.path("link.h5").symlink_to("scratch/w.h5")
        self.path("ahead.h5").symlink_to("scratch/later.h5")
        for name, led_to in (("link.h5", target), ("ahead.h5", self.folder / "scratch/later.h5")):
            self.write(self.path(name))
            self.assertTrue(self.path(name).is_symlink())
            self.assertEqual(led_to.read_bytes(), b"new")
        self.assertEqual(stat.S_IMODE(target.stat().st_mode), 0o640)
        self.assertEqual(sorted(os.listdir(self.folder / "scratch")), ["later.h5", "w.h5"])

    def test_a_failure_leaves_what_was_there(self):
        path = self.hdf5("w.h5", "deeppcr-weights")
        before = path.read_bytes()
        for error, raised in ((OSError(28, "No space left on device"), Refused), (ValueError("other"), ValueError)):
            with self.assertRaises(raised), replacing(path, WEIGHTS) as temporary:
                temporary.write_bytes(b"half")
                raise error
        with self.assertRaisesRegex(Refused, "exists and is no weights file"), replacing(path, WEIGHTS) as temporary:
            path.write_bytes(b"something else took the name meanwhile")
        self.assertEqual(path.read_bytes(), b"something else took the name meanwhile")
        path.write_bytes(before)
        self.assertEqual(os.listdir(self.folder), ["w.h5"])


if __name__ == "__main__":
    unittest.main()
