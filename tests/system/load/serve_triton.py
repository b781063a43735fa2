"""Triton with the same simulated network, to compare with (``scripts/install-peers``).

The server that nvidia-pytriton carries, with its Python backend and three models as in Triton's tutorials: ``classify``
is an ensemble of ``preprocess``, an instance for each core, and ``network``, one instance with dynamic batches of up to
16 that wait at most 1 ms. Settled in its favour: requests carry the JPEG as a binary tensor; pixels travel between the
two as bytes, a quarter of floats; ``preprocess`` batches too (4 were faster than 1), since only such a model can have a
queue that refuses: here each does beyond 128 requests and after 5 s. Linux on x86-64, Python 3.11 and 3.12.

python -m tests.system.load.serve_triton FIXED_MS PER_IMAGE_MS PORT
"""

import io
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torchvision.transforms import functional

from tests.system.load.simulated import SimulatedNetwork

CONFIGURATIONS = {
    "preprocess": """
        backend: "python"
        max_batch_size: 4
        input [{ name: "jpeg", data_type: TYPE_STRING, dims: [1] }]
        output [{ name: "pixels", data_type: TYPE_UINT8, dims: [224, 224, 3] }]
        instance_group [{ kind: KIND_CPU, count: %(cores)d }]
        dynamic_batching { default_queue_policy { %(limits)s } }
    """,
    "network": """
        backend: "python"
        max_batch_size: 16
        input [{ name: "pixels", data_type: TYPE_UINT8, dims: [224, 224, 3] }]
        output [{ name: "class_index", data_type: TYPE_INT64, dims: [1] }]
        instance_group [{ kind: KIND_CPU, count: 1 }]
        dynamic_batching { max_queue_delay_microseconds: 1000, default_queue_policy { %(limits)s } }
    """,
    "classify": """
        platform: "ensemble"
        max_batch_size: 1
        input [{ name: "jpeg", data_type: TYPE_STRING, dims: [1] }]
        output [{ name: "class_index", data_type: TYPE_INT64, dims: [1] }]
        ensemble_scheduling { step [
            { model_name: "preprocess", model_version: -1,
              input_map { key: "jpeg", value: "jpeg" }, output_map { key: "pixels", value: "pixels" } },
            { model_name: "network", model_version: -1,
              input_map { key: "pixels", value: "pixels" }, output_map { key: "class_index", value: "class_index" } }
        ] }
    """,
}
LIMITS = "max_queue_size: 128, timeout_action: REJECT, default_timeout_microseconds: 5000000"
PYTHON = "{}.{}".format(*sys.version_info)
TIMES = "SIMULATED_TIMES_MS"  # the variable by which the network's process is told them


class Preprocess:
    def initialize(self, args: dict[str, str]) -> None:
        torch.set_num_threads(1)

    def execute(self, requests: list[Any]) -> list[Any]:
        import triton_python_backend_utils as pb_utils

        responses = []
        for request in requests:
            jpeg = pb_utils.get_input_tensor_by_name(request, "jpeg").as_numpy()[0, 0]
            picture = Image.open(io.BytesIO(jpeg)).convert("RGB")
            cropped = functional.center_crop(functional.resize(picture, [256]), [224])
            functional.normalize(functional.to_tensor(cropped), [0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
            responses.append(pb_utils.InferenceResponse([pb_utils.Tensor("pixels", np.asarray(cropped)[None])]))
        return responses


class Network:
    def initialize(self, args: dict[str, str]) -> None:
        fixed_ms, per_image_ms = os.environ[TIMES].split()
        self._network = SimulatedNetwork(float(fixed_ms), float(per_image_ms))

    def execute(self, requests: list[Any]) -> list[Any]:
        import triton_python_backend_utils as pb_utils

        pixels = [pb_utils.get_input_tensor_by_name(request, "pixels").as_numpy() for request in requests]
        indices, _ = self._network.top_k(np.concatenate(pixels), 5)
        return [pb_utils.InferenceResponse([pb_utils.Tensor("class_index", index[None, :1])]) for index in indices]


def write_models(folder: Path) -> None:
    """A model repository whose models are the classes above."""
    for name, configuration in CONFIGURATIONS.items():
        (folder / name / "1").mkdir(parents=True)
        text = configuration % {"cores": os.cpu_count(), "limits": LIMITS} if "%" in configuration else configuration
        (folder / name / "config.pbtxt").write_text(text)
        if "python" in configuration:
            line = f"from {__spec__.name} import {name.capitalize()} as TritonPythonModel\n"
            (folder / name / "1" / "model.py").write_text(line)


def copy_backend(triton: Path, folder: Path) -> None:
    """The Python backend, with the program that runs models in this version of Python beside it, where it looks."""
    shutil.copytree(triton / "backends" / "python", folder / "python")
    shutil.copy(triton / "python_backend_stubs" / PYTHON / "triton_python_backend_stub", folder / "python")


def serve(fixed_ms: str, per_image_ms: str, port: str) -> int:
    """Until told to stop; returns Triton's exit status."""
    spec = find_spec("pytriton")
    assert spec is not None
    assert spec.origin is not None
    package = Path(spec.origin).parent
    triton = package / "tritonserver"
    environment = os.environ | {
        "LD_LIBRARY_PATH": f"{package.parent / 'nvidia_pytriton.libs'}:{sys.base_prefix}/lib",
        "PATH": f"{sys.prefix}/bin:{os.environ['PATH']}",  # where the backend finds its Python, and so its packages
        "PYTHONPATH": os.getcwd(),
        TIMES: f"{fixed_ms} {per_image_ms}",
    }
    with tempfile.TemporaryDirectory() as name:
        models, backends = Path(name, "models"), Path(name, "backends")
        write_models(models)
        copy_backend(triton, backends)
        options = {"model-repository": models, "backend-directory": backends, "log-info": "false"}
        options |= {"log-warning": "false", "pinned-memory-pool-byte-size": 0}
        options |= {"http-address": "127.0.0.1", "http-port": port, "allow-grpc": "false", "allow-metrics": "false"}
        command = [str(triton / "bin" / "tritonserver"), "--disable-auto-complete-config"]
        command += [f"--{option}={value}" for option, value in options.items()]
        server = subprocess.Popen(command, env=environment)
        signal.signal(signal.SIGTERM, lambda *_: server.terminate())
        return server.wait()


if __name__ == "__main__":
    sys.exit(serve(*sys.argv[1:]))
