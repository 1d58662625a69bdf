from __future__ import annotations

import pytest
import torch

from airflow_provider_autoglm.exceptions import UnavailableDeviceError
from airflow_provider_autoglm.labeling.network.device import Hardware, Placement, place
from tests.labeling.conftest import settings_with

OLD_CPU = Hardware(gpus=(), bf16=frozenset(), int8=False)
NEW_CPU = Hardware(gpus=(), bf16=frozenset({"cpu"}), int8=True)
OLD_GPU = Hardware(gpus=("cuda",), bf16=frozenset({"cpu"}), int8=True)
NEW_GPU = Hardware(gpus=("cuda",), bf16=frozenset({"cuda"}), int8=True)
MAC = Hardware(gpus=("mps",), bf16=frozenset({"mps"}), int8=False)


@pytest.mark.parametrize(
    ("hardware", "chosen"),
    [
        (OLD_CPU, Placement("cpu", "fp32")),
        (NEW_CPU, Placement("cpu", "fp32")),
        (OLD_GPU, Placement("cuda", "fp32")),
        (NEW_GPU, Placement("cuda", "bf16")),
        (MAC, Placement("mps", "bf16")),
    ],
)
def test_a_gpu_is_taken_if_there_is_one_and_bf16_only_on_a_gpu_that_has_it(
    hardware: Hardware, chosen: Placement
) -> None:
    assert place(settings_with(), hardware) == chosen


@pytest.mark.parametrize("hardware", [OLD_CPU, OLD_GPU])
def test_bf16_that_would_be_emulated_is_refused_with_what_to_set(hardware: Hardware) -> None:
    with pytest.raises(UnavailableDeviceError, match=r"precision is bf16, but .* set it to auto or fp32"):
        place(settings_with(precision="bf16"), hardware)


def test_bf16_is_used_where_the_cpu_has_it_and_it_is_asked_for() -> None:
    assert place(settings_with(precision="bf16"), NEW_CPU) == Placement("cpu", "bf16")


@pytest.mark.parametrize("hardware", [NEW_CPU, NEW_GPU])
def test_eight_bits_run_on_the_cpu_even_beside_a_gpu(hardware: Hardware) -> None:
    assert place(settings_with(precision="int8"), hardware) == Placement("cpu", "int8")


def test_eight_bits_are_refused_on_a_gpu_and_on_a_cpu_without_the_instructions() -> None:
    with pytest.raises(UnavailableDeviceError, match="run on the CPU, not on cuda"):
        place(settings_with(precision="int8", device="cuda"), NEW_GPU)
    with pytest.raises(UnavailableDeviceError, match="AVX512-VNNI"):
        place(settings_with(precision="int8"), OLD_CPU)


@pytest.mark.parametrize(("device", "hardware"), [("cuda", NEW_CPU), ("mps", NEW_GPU), ("cuda", MAC)])
def test_a_device_that_is_not_there_is_refused(device: str, hardware: Hardware) -> None:
    with pytest.raises(UnavailableDeviceError, match=f"label.device is {device}, but torch finds none") as caught:
        place(settings_with(device=device), hardware)
    assert (caught.value.setting, caught.value.asked) == ("device", device)


def test_the_cpu_is_taken_beside_a_gpu_if_it_is_asked_for() -> None:
    assert place(settings_with(device="cpu", precision="fp32"), NEW_GPU) == Placement("cpu", "fp32")


def test_what_is_found_here_is_what_torch_can_compute_with() -> None:
    hardware = Hardware.found()
    assert ("cuda" in hardware.gpus) == torch.cuda.is_available()
    assert ("mps" in hardware.gpus) == torch.backends.mps.is_available()
    assert hardware.bf16 <= {"cpu", *hardware.gpus}
    assert place(settings_with(device="cpu"), hardware) == Placement()
