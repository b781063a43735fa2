import subprocess

from tests.running import ROOT, clean_environment


def test_the_short_chaos_run_holds() -> None:
    result = subprocess.run(
        ["scripts/chaos.py", "--short"], cwd=ROOT, env=clean_environment(), capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stdout + result.stderr
    assert result.stdout.rstrip().endswith("all held")
