"""A Slurm cluster of several nodes on this one machine, for tests: munge, slurmctld and a slurmd for each node, without systemd.

    with Cluster(folder, nodes=2) as cluster:
        cluster.run("sinfo")
"""
import os
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "scontrol")
CONFIGURATION = """\
ClusterName=deeppcr
SlurmctldHost={host}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CryptoType=crypto/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool.%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.%n.log
SlurmctldPort={port}
TmpFS={folder}/tmp.%n
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
SlurmdParameters=config_overrides
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
MpiDefault=pmix
ReturnToService=2
SlurmdTimeout=15
KillWait=5
MinJobAge=300
SchedulerParameters=sched_interval=1,batch_sched_delay=0
NodeName=n[1-{nodes}] NodeHostname={host} NodeAddr=127.0.0.1 Port=[{first}-{last}] CPUs=2 State=UNKNOWN
PartitionName=all Nodes=ALL Default=YES State=UP MaxTime=UNLIMITED
"""


class Unavailable(Exception):
    """Why no Slurm can be started here."""


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Cluster:
    def __init__(self, folder, nodes):
        self.folder, self.nodes = Path(folder), nodes
        self.processes = {}
        self.environment = {**os.environ, "SLURM_CONF": str(self.folder / "slurm.conf")}

    def __enter__(self):
        search = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
        missing = [name for name in PROGRAMS if not shutil.which(name, path=search)]
        if missing:
            raise Unavailable(f"not installed: {', '.join(missing)} (Debian: slurm-wlm, munge)")
        if os.geteuid() != 0:
            raise Unavailable("slurmd of several nodes on one machine needs root")
        self.environment["PATH"] = search
        try:
            self.start()
        except (OSError, subprocess.SubprocessError, Unavailable) as error:
            self.stop()
            raise Unavailable(f"it did not start: {error}; {self.last_words()}") from error
        return self

    def __exit__(self, *_):
        self.stop()

    def start(self):
        for name in ("state", *(f"{kind}.n{i}" for kind in ("spool", "tmp")
                                for i in range(1, self.nodes + 1))):
            (self.folder / name).mkdir()
        self.folder.chmod(0o755)
        first = self.consecutive_ports()
        (self.folder / "slurm.conf").write_text(CONFIGURATION.format(
            host=socket.gethostname(), user="root", folder=self.folder, port=free_port(),
            nodes=self.nodes, first=first, last=first + self.nodes - 1))
        key = self.folder / "munge.key"
        key.write_bytes(os.urandom(128))
        key.chmod(0o400)
        self.launch("munged", "--foreground", "--force", f"--socket={self.folder}/munge.socket",
                    f"--key-file={key}", f"--pid-file={self.folder}/munge.pid",
                    f"--log-file={self.folder}/munge.log", f"--seed-file={self.folder}/munge.seed")
        self.wait(lambda: (self.folder / "munge.socket").exists(), "munged", 10)
        self.launch("slurmctld", "-D")
        for i in range(1, self.nodes + 1):
            self.start_node(f"n{i}")
        self.wait(lambda: self.idle() == self.nodes, "idle nodes", 60)

    def consecutive_ports(self):
        for _ in range(50):
            first = free_port()
            try:
                for port in range(first, first + self.nodes):
                    with socket.socket() as probe:
                        probe.bind(("127.0.0.1", port))
                return first
            except OSError:
                continue
        raise Unavailable("no free ports in a row")

    def launch(self, *words, name=None):
        with open(self.folder / f"{name or words[0]}.out", "ab") as output:
            self.processes[name or words[0]] = subprocess.Popen(
                words, stdout=output, stderr=output, env=self.environment, start_new_session=True)

    def start_node(self, name):
        self.launch("slurmd", "-D", "-N", name, name=name)

    def kill_node(self, name):
        """Ends a node as a power cut does: its slurmd, and all that this one has started."""
        spool = str(self.folder / f"spool.{name}")
        daemon = self.processes.pop(name)
        victims = [daemon.pid]
        for process in Path("/proc").glob("[0-9]*"):
            try:
                words = (process / "cmdline").read_bytes().split(b"\0")
                environment = (process / "environ").read_bytes()
            except OSError:
                continue
            step = words[0].startswith(b"slurmstepd") and spool.encode() in environment
            if step or f"SLURMD_NODENAME={name}\0".encode() in environment:
                victims.append(int(process.name))
        for victim in victims:
            try:
                os.kill(victim, signal.SIGKILL)
            except ProcessLookupError:
                pass
        daemon.wait()

    def idle(self):
        done = self.run("sinfo", "--noheader", "--Node", "--format=%T", check=False)
        return done.stdout.split().count("idle")

    def run(self, *words, check=True, timeout=60, **settings):
        return subprocess.run(list(map(str, words)), env={**self.environment, **settings.pop("env", {})},
                              check=check, timeout=timeout, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, **settings)

    def state(self, job):
        """(state, times restarted) of a job."""
        text = self.run("scontrol", "show", "job", "--oneliner", job).stdout
        values = dict(word.split("=", 1) for word in text.split() if "=" in word)
        return values.get("JobState", "?"), int(values.get("Restarts", 0))

    @staticmethod
    def wait(condition, what, seconds):
        limit = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > limit:
                raise Unavailable(f"waited {seconds} s for {what}")
            time.sleep(0.2)

    def last_words(self):
        lines = []
        for log in sorted(self.folder.glob("*.log")) + sorted(self.folder.glob("*.out")):
            lines += [f"{log.name}: {line}" for line in log.read_text(errors="replace").splitlines()
                      if "error" in line.lower() or "fatal" in line.lower()][-2:]
        return "; ".join(lines)

    def stop(self):
        for process in reversed(list(self.processes.values())):
            process.terminate()
        for process in self.processes.values():
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self.processes.clear()
