"""The Slurm scripts under a real Slurm, see cluster.py: jobs that complete, that are signalled and requeued to their end, and
that lose a node.

Arguments: the program, the repository.
"""
import json
import sys
import tempfile
import time
import unittest
from pathlib import Path

import h5py
from cluster import Cluster, Unavailable

PROGRAM, REPOSITORY = sys.argv[1], Path(sys.argv[2])
NETWORKS = Path(PROGRAM).parent.parent / "share/deeppcr/fashion_mnist.h5"  # of deeppcr generate
SKIPPED = 77
SIZE = ["--nodes=2", "--ntasks-per-node=1", "--time=10"]
NETWORK = ["--data", "random", "--samples", 640, "--test-samples", 64, "--batch", 16, "--width", 8,
           "--steps", 64]


class Jobs(unittest.TestCase):
    cluster = None

    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="deeppcr-jobs-")
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        (self.folder / "job_scripts").symlink_to(REPOSITORY / "job_scripts")

    def submit(self, script, *words, options=()):
        """The number of a new job."""
        # several slurmd on one host collide in shared memory
        environment = {"DEEPPCR": PROGRAM, "OMPI_MCA_btl": "self,tcp", "OMPI_MCA_btl_tcp_if_include": "lo",
                       "OMPI_MCA_mpi_yield_when_idle": "1"}
        done = self.cluster.run("sbatch", "--parsable", *SIZE, *options, f"job_scripts/{script}", *words,
                                cwd=self.folder, env=environment)
        return done.stdout.strip()

    def wait_for(self, job, states, seconds=120):
        """Waits for one of the states; what the job has said is part of the failure."""
        limit, advanced = time.monotonic() + seconds, 0
        while True:
            state, restarts = self.cluster.state(job)
            if state in states:
                return restarts
            if time.monotonic() > limit or state in ("FAILED", "CANCELLED", "TIMEOUT"):
                said = "".join(path.read_text() for path in [*self.folder.glob("*.out"),
                                                             *self.folder.glob("runs/*/report.json")])
                self.fail(f"job {job} is {state} after {restarts} restarts, not in {states}: {said}")
            if state == "PENDING" and restarts > advanced:
                # A requeued job waits for two minutes. Within the second of the requeue its
                # credential is refused as revoked.
                advanced = restarts
                self.cluster.run("scontrol", "update", f"JobId={job}", "StartTime=now+3", check=False)
            time.sleep(0.3)

    def updates(self, results):
        """Updates in the job's checkpoint; -1 where there is none."""
        try:
            with h5py.File(results / "checkpoint.h5", "r") as file:
                return int(file["progress"].attrs["iteration"])
        except (OSError, KeyError):
            return -1

    def wait_for_updates(self, results, more_than):
        limit = time.monotonic() + 120
        while self.updates(results) <= more_than:
            self.assertLess(time.monotonic(), limit, "no checkpoint")
            time.sleep(0.1)

    def report(self, results):
        return json.loads((results / "report.json").read_text().splitlines()[-1])

    def test_train_completes(self):
        job = self.submit("train_resnet.sbatch", *NETWORK)
        self.wait_for(job, ["COMPLETED"])
        results = self.folder / f"runs/train-{job}"
        report = self.report(results)
        self.assertEqual((report["status"], report["ranks"], report["updates"]), ("converged", 2, 40))
        self.assertTrue((results / "run.h5").exists())
        environment = (results / "environment.txt").read_text()
        for word in ("PETSc", f"JobId={job}", "SLURM_JOB_NUM_NODES=2"):
            self.assertIn(word, environment)

    def test_other_scripts_complete(self):
        solve = self.submit("solve.sbatch", "--steps", 64, "--width", 4)
        array = self.submit("train_depths.sbatch", *NETWORK[:-2], "--max-steps", 5,
                            options=["--array=0-1", "--ntasks-per-node=1"])
        self.wait_for(solve, ["COMPLETED"])
        self.assertEqual(self.report(self.folder / f"runs/solve-{solve}")["status"], "converged")
        for task, steps in ((0, 64), (1, 256)):
            self.wait_for(f"{array}_{task}", ["COMPLETED"])
            report = self.report(self.folder / f"runs/depths-{array}/{steps}")
            self.assertEqual((report["steps"], report["updates"]), (steps, 5))

    def test_generate_completes(self):
        if not NETWORKS.exists():
            self.skipTest(f"{NETWORKS} is not built")
        job = self.submit("generate.sbatch", "--steps", 50, "--samples", 4)
        self.wait_for(job, ["COMPLETED"])
        self.assertEqual(self.report(self.folder / f"runs/generate-{job}")["status"], "converged")

    def test_signalled_and_requeued_to_the_end(self):
        """As at a time limit: the batch shell gets USR1, the run saves and ends with 85, the job comes again."""
        job = self.submit("train_resnet.sbatch", *NETWORK, "--epochs", 100, "--checkpoint-steps", 50,
                          "--evaluate-every", 0)
        results = self.folder / f"runs/train-{job}"
        seen = -1
        for time_limit in (1, 2):
            self.wait_for(job, ["RUNNING"])
            self.wait_for_updates(results, seen)
            self.cluster.run("scancel", "--batch", "--signal=USR1", job)
            limit = time.monotonic() + 60
            while self.cluster.state(job)[1] < time_limit:
                self.assertLess(time.monotonic(), limit, "not requeued")
                time.sleep(0.2)
            seen = self.updates(results)
        self.assertEqual(self.wait_for(job, ["COMPLETED"]), 2)
        report = self.report(results)
        self.assertEqual((report["status"], report["updates"]), ("converged", 4000))
        self.assertGreaterEqual(report["updates_before"], seen)
        with h5py.File(results / "run.h5", "r") as file:
            self.assertEqual(len(file["training/loss"]), 4000)

    def test_when_a_node_dies(self):
        """The job is over soon, leaves no process, and its checkpoint goes on."""
        job = self.submit("train_resnet.sbatch", *NETWORK, "--epochs", 10000, "--checkpoint-steps", 50,
                          options=["--no-requeue"])
        results = self.folder / f"runs/train-{job}"
        self.wait_for_updates(results, 0)
        self.cluster.kill_node("n2")
        try:
            self.wait_until_over(job)
            self.wait_for_no_process(results)
        finally:
            self.cluster.start_node("n2")
        self.cluster.run(PROGRAM, "inspect", results / "checkpoint.h5")
        seen = self.updates(results)
        self.cluster.run(PROGRAM, "train", *NETWORK, "--restart", results / "checkpoint.h5", "--max-steps",
                         seen + 5, "--epochs", 10000, "--quiet", cwd=self.folder)
        self.cluster.wait(lambda: self.cluster.idle() == 2, "the node's return", 60)

    def wait_until_over(self, job):
        limit = time.monotonic() + 180  # Slurm looks after its nodes at intervals
        while self.cluster.state(job)[0] not in ("FAILED", "NODE_FAIL", "CANCELLED"):
            self.assertLess(time.monotonic(), limit, f"still {self.cluster.state(job)}")
            time.sleep(0.3)

    def wait_for_no_process(self, results):
        """No process writes into the job's folder any more."""
        def working(process):
            try:
                return str(results).encode() in (process / "cmdline").read_bytes()
            except OSError:
                return False
        limit = time.monotonic() + 30
        while any(map(working, Path("/proc").glob("[0-9]*"))):
            self.assertLess(time.monotonic(), limit, "a process is left")
            time.sleep(0.3)


def main():
    with tempfile.TemporaryDirectory(prefix="deeppcr-slurm-") as folder:
        try:
            with Cluster(folder, nodes=2) as cluster:
                Jobs.cluster = cluster
                result = unittest.main(argv=[sys.argv[0], "-v", *sys.argv[3:]], exit=False).result
        except Unavailable as reason:
            print(f"skipped: Slurm cannot be started here: {reason}")
            sys.exit(SKIPPED)
    sys.exit(not result.wasSuccessful())


if __name__ == "__main__":
    main()
