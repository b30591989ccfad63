"""A process that has medanchor imported and forks a child for each command: a kill then costs no start of Python.

Reads one job a line from stdin (JSON), writes one answer a line: how the child ended and, of a tracer, what it said.
It has one thread and opens nothing, so its children are what a fresh `python -m medanchor` is after its imports.
"""

import ctypes
import json
import os
import subprocess
import sys
import time
import traceback

import cryptography.hazmat.primitives.asymmetric.ed25519  # noqa: F401 - imported once, here, and so are those below
import pbk  # noqa: F401
import typer

import medanchor.chain.blocks
import medanchor.chain.embedded
import medanchor.cli.verify_vault
import medanchor.notary.anchor
import medanchor.notary.audit
import medanchor.notary.export
import medanchor.notary.stamp
import medanchor.notary.vaults  # noqa: F401
from medanchor.cli.main import main

PR_SET_PTRACER = 0x59616D61
PR_SET_PTRACER_ANY = ctypes.c_ulong(-1)


def serve():
    for line in sys.stdin:
        sys.stdout.write(json.dumps(run(json.loads(line))) + "\n")
        sys.stdout.flush()


def run(job):
    gate, release = os.pipe()
    pid = os.fork()
    if not pid:
        os.close(release)
        child(job, gate)
    os.close(gate)
    tracer = attach(job["tracer"], pid) if job["tracer"] else None
    os.write(release, b".")
    os.close(release)
    if job["kill_after"] is not None:
        time.sleep(job["kill_after"])
        os.kill(pid, 9)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    if tracer:
        tracer.stderr.close()
        tracer.wait()
    return {"code": code}


def attach(command, pid):
    tracer = subprocess.Popen([*command, "-p", str(pid)], stderr=subprocess.PIPE, text=True)
    told = tracer.stderr.readline()
    if "attached" not in told:
        raise RuntimeError(f"expected strace to attach, found {told!r}")
    return tracer


def child(job, gate):
    """Run the command line as `main` does and leave without unwinding into the server."""
    code = 1
    try:
        ctypes.CDLL(None).prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY, 0, 0, 0)  # where Yama lets only a parent attach
        for descriptor, path, flags in (
            (0, "/dev/null", os.O_RDONLY),
            (1, job["stdout"], None),
            (2, job["stderr"], None),
        ):
            opened = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC if flags is None else flags, 0o600)
            os.dup2(opened, descriptor)
            os.close(opened)
        sys.stdout, sys.stderr = os.fdopen(1, "w", closefd=False), os.fdopen(2, "w", closefd=False)
        os.environ.update(job["environment"])
        sys.argv = ["medanchor", *job["arguments"]]
        os.read(gate, 1)
        os.close(gate)
        main()
        code = 0
    except SystemExit as leaving:
        code = leaving.code or 0
    except typer.Exit as leaving:
        code = leaving.exit_code
    except BaseException:  # noqa: BLE001 - as Python itself tells it
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    serve()
