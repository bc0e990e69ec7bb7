"""A real Slurm on this machine's loopback, for the time of a test: one controller, two nodes, no system services.

Wants Debian's ``slurm-wlm`` (slurmctld, slurmd, sbatch). Everything it writes lies in one folder, and every cluster
has its own: job ids begin anew with it. What the settings mean is in docs/slurm.md, whose example this is.
"""

from __future__ import annotations

import getpass
import os
import shutil
import socket
import subprocess
import time
from pathlib import Path

NEEDED = ("slurmctld", "slurmd", "sbatch", "srun", "squeue", "scancel", "scontrol")

_CONFIGURATION = """\
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/none
CredType=cred/none
MpiDefault=none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=1
SchedulerParameters=sched_interval=1,sched_min_interval=0,batch_sched_delay=0,requeue_setup_env_fail
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
JobRequeue=1
ReturnToService=2
KillWait=2
MinJobAge=300
InactiveLimit=0
SlurmctldPidFile={folder}/slurmctld.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdPidFile={folder}/slurmd.%n.pid
SlurmdLogFile={folder}/slurmd.%n.log
SlurmdSpoolDir={folder}/spool.%n
StateSaveLocation={folder}/state
NodeName=n[1-2] NodeHostname={host} NodeAddr=127.0.0.1 Port=[{first}-{last}] CPUs={cpus} State=UNKNOWN
PartitionName=low Nodes=ALL Default=YES PriorityTier=1 PreemptMode=REQUEUE OverSubscribe=NO
PartitionName=high Nodes=ALL PriorityTier=10 PreemptMode=OFF OverSubscribe=NO
"""


def missing() -> str:
    """Why there can be no cluster here; empty if there can."""
    absent = [name for name in NEEDED if shutil.which(name) is None]
    if absent:
        return f"no {', '.join(absent)} here; apt-get install slurm-wlm brings them"
    return "" if os.geteuid() == 0 else "slurmd starts jobs for others, which takes root"


class SlurmCluster:
    """Started at construction; `stop` ends it and all its jobs.

    Attributes:
        variables: what a process needs in its environment to use it.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "state").mkdir(parents=True)
        for node in ("n1", "n2"):
            (folder / f"spool.{node}").mkdir()
        controller, first = _free_ports()
        self.path = folder / "slurm.conf"
        self.path.write_text(
            _CONFIGURATION.format(
                host=socket.gethostname().partition(".")[0],
                user=getpass.getuser(),
                folder=folder,
                controller=controller,
                first=first,
                last=first + 1,
                cpus=os.cpu_count(),
            )
        )
        self.variables = {"SLURM_CONF": str(self.path)}
        self._processes = [self._start("slurmctld", "-D", "-i")]
        self._processes += [self._start("slurmd", "-D", "-N", node) for node in ("n1", "n2")]
        try:
            self._wait_for_nodes()
        except BaseException:
            self.stop()
            raise

    def command(self, *words: str) -> str:
        """Standard output of one of Slurm's commands."""
        environment = {**os.environ, **self.variables}
        return subprocess.run(
            words, env=environment, capture_output=True, text=True, timeout=60, check=False, stdin=subprocess.DEVNULL
        ).stdout

    def stop(self) -> None:
        """End all jobs, then the daemons."""
        self.command("scancel", "--partition=low")
        self.command("scancel", "--partition=high")
        until = time.monotonic() + 15
        while self.command("squeue", "--noheader").strip() and time.monotonic() < until:
            time.sleep(0.2)
        for process in reversed(self._processes):
            process.terminate()
        for process in self._processes:
            try:
                process.wait(timeout=15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def _start(self, *words: str) -> subprocess.Popen[bytes]:
        with open(self.folder / f"{words[0]}-{words[-1]}.out", "ab") as output:
            return subprocess.Popen(
                [*words, "-f", str(self.path)],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
                env={**os.environ, **self.variables},
            )

    def _wait_for_nodes(self) -> None:
        until = time.monotonic() + 60
        while self.command("sinfo", "--noheader", "--Node", "--partition=low", "--format=%T").split() != [
            "idle",
            "idle",
        ]:
            if time.monotonic() > until or any(process.poll() is not None for process in self._processes):
                logs = "\n".join(path.read_text()[-2000:] for path in sorted(self.folder.glob("*.log")))
                said = self.command("sinfo", "--Node", "--long")
                raise RuntimeError(f"the cluster does not start\n{said}\n{logs}")
            time.sleep(0.2)


def _free_ports() -> tuple[int, int]:
    """One port for the controller, and the first of two neighbours for the nodes."""
    with socket.socket() as controller:
        controller.bind(("127.0.0.1", 0))
        port = controller.getsockname()[1]
        for first in range(port + 2, 65000, 2):
            with socket.socket() as one, socket.socket() as two:
                try:
                    one.bind(("127.0.0.1", first))
                    two.bind(("127.0.0.1", first + 1))
                except OSError:
                    continue
                return port, first
    raise RuntimeError("no free ports")
