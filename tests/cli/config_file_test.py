"""--config: command line over file over defaults; the configuration in a trace is such a file."""
import subprocess

import h5py

from program import MPIRUN, PROGRAM, TIMEOUT, ProgramTest, Run, main


class ConfigFile(ProgramTest):
    def write(self, text):
        (self.folder / "run.ini").write_text(text)

    def sizes(self, *words):
        report = self.solved(*words, "--config", "run.ini")
        return [report[key] for key in ("model", "steps", "width", "batch")]

    def test_precedence(self):
        self.write("# comment\nbatch = 3\n[solve]\nsteps = 10\nwidth = 4\nverify = true\n"
                   "[gradient]\nsteps = 12\n[check]\nwidth = 5\n")
        self.assertEqual(self.sizes("solve"), ["resnet", 10, 4, 3])
        self.assertEqual(self.sizes("solve", "--width", 6), ["resnet", 10, 6, 3])
        self.assertEqual(self.sizes("gradient", "--width", 2), ["resnet", 12, 2, 3])
        self.assertIn("max_error", self.solved("solve", "--config", "run.ini"))

    def test_mistakes_are_named(self):
        for text, phrases in [
            ("[solve]\nstps = 3\n", ["'stps'", "[solve]", "steps"]),
            ("[slove]\nsteps = 3\n", ["[slove]", "solve"]),
            ("[gradient]\nstps = 3\n", ["'stps'", "[gradient]"]),
            ("[solve]\nsteps = -3\n", ["run.ini", "--steps -3"]),
            ("[solve]\nsteps\n", ["run.ini", "steps"]),
            ("[solve]\nverify = perhaps\n", ["run.ini", "verify"]),
            ("[bench]\nsuite = newton\n", ["[bench]", "solve"]),
            ("[solve]\nmodel = reznet\n", ["run.ini", "did you mean resnet?"]),
            ("[solve]\nsteps = 3\nwidth = 4\nsteps = 5\n",
             ["run.ini", "'steps'", "twice", "lines 2 and 4"]),
            ("config = other.ini\n", ["run.ini", "'config'", "command line"]),
        ]:
            with self.subTest(text=text):
                self.write(text)
                self.assert_refused(self.run_here("solve", "--config", "run.ini"), *phrases)

    def test_bytes_of_editors(self):
        """What editors put around the text, and comments of both kinds."""
        text = ("; first\n[solve]\n  ; second\nsteps = 10  # behind a value\nwidth=4\n"
                "trace = run#1;a.h5\nbatch = 3\n#end")
        for coded in (text.encode(), b"\xef\xbb\xbf" + text.encode(),
                      text.replace("\n", "\r\n").encode()):
            (self.folder / "run.ini").write_bytes(coded)
            self.assertEqual(self.sizes("solve"), ["resnet", 10, 4, 3])
            self.assertTrue((self.folder / "run#1;a.h5").exists())
        for coding in ("utf-16", "utf-16-le", "utf-16-be", "utf-32-le"):
            (self.folder / "run.ini").write_bytes(text.encode(coding))
            self.assert_refused(self.run_here("solve", "--config", "run.ini"), "run.ini", "UTF-8")
        self.write("steps = 9\n")
        self.assert_refused(
            self.run_here("solve", "--config", "run.ini", "--config", "run.ini"), "--config")

    def test_only_rank_0_needs_the_file(self):
        """Two ranks in folders of their own stand for two computers."""
        (self.folder / "with").mkdir()
        (self.folder / "without").mkdir()
        (self.folder / "with" / "run.ini").write_text("steps = 9\n")
        words = [PROGRAM, "solve", "--json", "--config", "run.ini"]
        for first, second in (("with", "without"), ("without", "with")):
            with self.subTest(first=first):
                ended = subprocess.run(
                    [*MPIRUN, "1", "-wdir", str(self.folder / first), *words, ":",
                     "-n", "1", "-wdir", str(self.folder / second), *words],
                    capture_output=True, text=True, timeout=TIMEOUT, check=False)
                done = Run(ended.returncode, ended.stdout, ended.stderr)
                if first == "with":
                    self.assertEqual(done.code, 0, done.err)
                    self.assertEqual((done.report["steps"], done.report["ranks"]), (9, 2))
                else:
                    self.assert_refused(done, "--config run.ini", "no such file")

    def test_a_trace_holds_its_configuration(self):
        first = self.solved("solve", "--steps", 11, "--width", 3, "--residual-scale", "1/L",
                            "--rtol", "1e-7", "--trace", "t.h5", "--no-bias")
        with h5py.File(self.folder / "t.h5", "r") as file:
            text = file.attrs["configuration"]
        self.write(text if isinstance(text, str) else text.decode())
        again = self.solved("solve", "--config", "run.ini")
        for key in ("steps", "width", "iterations", "residual", "tolerance"):
            self.assertEqual(first[key], again[key], key)


if __name__ == "__main__":
    main()
