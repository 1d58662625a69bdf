"""Where a model runs and with how many bits, chosen from what the machine has."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Self

from airflow_provider_autoglm.exceptions import UnavailableDeviceError
from airflow_provider_autoglm.settings.label import LabelSettings

Device = Literal["cpu", "cuda", "mps"]
Precision = Literal["fp32", "bf16", "int8"]

# torch tells this of x86 only, under names that are its own.
_PROBES_OF_BF16 = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
_PROBES_OF_INT8 = ("_is_vnni_supported",)


@dataclass(frozen=True)
class Hardware:
    """What torch can use here.

    :param gpus: kinds of GPU, the preferred one first.
    :param bf16: devices that multiply bf16 themselves, instead of emulating it many times slower.
    :param int8: whether this CPU multiplies 8-bit numbers itself (AVX512-VNNI): without, it is slow and may overflow.
    """

    gpus: tuple[Device, ...]
    bf16: frozenset[Device]
    int8: bool

    @classmethod
    def found(cls) -> Self:
        """Ask torch."""
        import torch

        has_cuda, has_mps = torch.cuda.is_available(), torch.backends.mps.is_available()
        gpus: dict[Device, bool] = {"cuda": has_cuda, "mps": has_mps}
        bf16: dict[Device, bool] = {
            "cpu": _cpu_has(_PROBES_OF_BF16),
            "cuda": has_cuda and torch.cuda.is_bf16_supported(including_emulation=False),
            "mps": has_mps and torch.backends.mps.is_macos_or_newer(14, 0),
        }
        return cls(
            gpus=tuple(device for device, is_there in gpus.items() if is_there),
            bf16=frozenset(device for device, has_it in bf16.items() if has_it),
            int8=_cpu_has(_PROBES_OF_INT8),
        )


@dataclass(frozen=True)
class Placement:
    """The device and precision of a loaded model."""

    device: Device = "cpu"
    precision: Precision = "fp32"


def place(settings: LabelSettings, hardware: Hardware) -> Placement:
    """Choose for ``auto``: a GPU if there is one, bf16 on a GPU that has it, else fp32; ``int8`` runs on the CPU.

    :raises UnavailableDeviceError: if the device or precision that is asked for is not there.
    """
    device = _device(settings, hardware)
    asked = settings.precision
    has_bf16 = device in hardware.bf16
    if asked == "auto":
        return Placement(device, "bf16" if has_bf16 and device != "cpu" else "fp32")
    if asked == "bf16" and not has_bf16:
        raise UnavailableDeviceError(
            "precision", asked, f"this {device} would emulate it, several times slower than fp32", "auto or fp32"
        )
    if asked == "int8" and device != "cpu":
        raise UnavailableDeviceError("precision", asked, f"8-bit weights run on the CPU, not on {device}", "auto")
    if asked == "int8" and not hardware.int8:
        raise UnavailableDeviceError(
            "precision", asked, "this CPU has no AVX512-VNNI to multiply 8-bit numbers", "auto"
        )
    return Placement(device, asked)


def _device(settings: LabelSettings, hardware: Hardware) -> Device:
    asked = settings.device
    if asked == "auto":
        return "cpu" if settings.precision == "int8" or not hardware.gpus else hardware.gpus[0]
    if asked != "cpu" and asked not in hardware.gpus:
        raise UnavailableDeviceError("device", asked, "torch finds none on this machine", "auto or cpu")
    return asked


def _cpu_has(probes: tuple[str, ...]) -> bool:
    import torch

    return any(getattr(torch.cpu, probe, bool)() for probe in probes)
