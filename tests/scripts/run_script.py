"""What the tests of the scripts in apps/ share."""
import subprocess
import sys
from pathlib import Path

APPS = Path(__file__).resolve().parents[2] / "apps"


def run(script, *words):
    """Runs apps/SCRIPT with this Python; returns the finished process."""
    return subprocess.run([sys.executable, str(APPS / script), *map(str, words)],
                          capture_output=True, text=True, check=False)


def assert_refused(test, process, *phrases):
    """Exit code 1 and one line on stderr that contains all phrases."""
    test.assertEqual(process.returncode, 1, process.stderr)
    test.assertEqual(process.stderr.count("\n"), 1, process.stderr)
    for phrase in phrases:
        test.assertIn(phrase, process.stderr)
