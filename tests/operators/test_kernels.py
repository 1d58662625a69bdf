from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

_ROUND = """
import numpy as np
from airflow_provider_autoglm.operators.kernels import keep_kernels
keep_kernels()
from airflow_provider_autoglm.labeling.network.rounding import round_tokens
steps, middles = np.empty((2, 1, 1), np.float32)
round_tokens(np.ones((1, 4), np.float32), np.empty((1, 1, 4), np.int8), steps, middles)
"""


def test_kernels_are_kept_in_the_folder_that_airflow_is_configured_with(airflow_home: Path, tmp_path: Path) -> None:
    environment = {**os.environ, "AIRFLOW__AUTOGLM__CACHE_DIR": str(tmp_path / "kernels")}
    subprocess.run([sys.executable, "-c", _ROUND], check=True, env=environment)
    assert {path.name.partition(".")[0] for path in (tmp_path / "kernels").rglob("*.nbi")} == {"rounding"}
