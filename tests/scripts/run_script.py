"""What the tests of the scripts in apps/ share."""
import contextlib
import io
import os
import runpy
import subprocess
import sys
from pathlib import Path

APPS = Path(__file__).resolve().parents[2] / "apps"
sys.path.insert(0, str(APPS))


def run(script, *words, environment=None, stdout=subprocess.PIPE, setup=None):
    """Runs apps/SCRIPT with this Python; returns the finished process."""
    return subprocess.run([sys.executable, str(APPS / script), *map(str, words)], text=True, check=False, stdout=stdout,
                          stderr=subprocess.PIPE, env={**os.environ, **(environment or {})}, preexec_fn=setup)


def run_here(script, *words):
    """As run(), inside this process: h5py, matplotlib and torch are loaded once only."""
    out, err, before = io.StringIO(), io.StringIO(), (sys.argv, list(sys.path))
    sys.argv = [script, *map(str, words)]
    code = 0
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            runpy.run_path(str(APPS / script), run_name="__main__")
    except SystemExit as end:
        code = end.code
        if isinstance(code, str):
            err.write(code + "\n")
            code = 1
    finally:
        sys.argv, sys.path[:] = before
    return subprocess.CompletedProcess(sys.argv, code or 0, out.getvalue(), err.getvalue())


def assert_refused(test, process, *phrases):
    """Exit code 1 and one line on stderr that contains all phrases."""
    test.assertEqual(process.returncode, 1, process.stderr)
    test.assertEqual(process.stderr.count("\n"), 1, process.stderr)
    for phrase in phrases:
        test.assertIn(phrase, process.stderr)
