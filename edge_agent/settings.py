"""The agent's settings: type, default, unit and meaning in one place; `config.json` in the agent's folder."""

import difflib
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from contract.codec import shorten
from contract.errors import ContractError
from contract.files import read_bounded
from contract.maintenance import WindowTexts, check_windows

CONFIG_FILE = "config.json"
CONFIG_MAX_BYTES = 256 * 1024


class SettingsError(Exception):
    """`config.json` is wrong; the message names the key and what was expected."""


class Settings(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """What the owner of a device may set."""

    http_port: Annotated[int, msgspec.Meta(ge=0, le=65535, description="TCP port of the endpoint; 0 takes a free one")] = 8480
    http_host: Annotated[
        str, msgspec.Meta(max_length=80, description="address of the endpoint; beyond loopback it needs http_token_file and TLS")
    ] = "127.0.0.1"
    http_token_file: Annotated[
        str, msgspec.Meta(max_length=1000, description="file of the bearer token, in the agent's folder; made where it is missing")
    ] = ""
    tls_cert: Annotated[str, msgspec.Meta(max_length=1000, description="PEM file of the endpoint's certificate with its chain")] = ""
    tls_key: Annotated[str, msgspec.Meta(max_length=1000, description="PEM file of the certificate's key")] = ""
    http_deadline_s: Annotated[float, msgspec.Meta(gt=0, le=3600, description="seconds a request may wait for its answer")] = 30.0
    http_load_unload: Annotated[
        bool, msgspec.Meta(description="let HTTP clients load and unload versions that are installed here; off: fleet and install only")
    ] = False
    threads: Annotated[int, msgspec.Meta(ge=1, le=64, description="threads of one inference")] = 1
    accelerator: Annotated[
        Literal["auto", "cpu", "cuda", "tensorrt"],
        msgspec.Meta(description="graphics processors to try beside the CPU; the fastest that answers rightly is taken"),
    ] = "auto"
    hardware_class: Annotated[str, msgspec.Meta(max_length=80, description="group of like devices; empty: found out")] = ""
    outbox_max_bytes: Annotated[int, msgspec.Meta(ge=65536, description="bytes that may wait for the server")] = 16 << 20
    inference_deadline_ms: Annotated[
        float,
        msgspec.Meta(
            ge=0, le=600_000, description="a worker that stands still for so long is replaced; 0: ten inferences, at least 120 ms"
        ),
    ] = 0.0
    capture_samples: Annotated[bool, msgspec.Meta(description="let applications keep samples of what they see, on this device")] = False
    capture_max_bytes: Annotated[int, msgspec.Meta(ge=0, description="bytes of kept samples per slot; the oldest goes first")] = 64 << 20
    capture_per_hour: Annotated[int, msgspec.Meta(ge=0, le=36000, description="samples kept within an hour; flash wears out")] = 120
    redaction_hook: Annotated[str, msgspec.Meta(max_length=200, description="module:function that sees a sample before it is kept")] = ""
    callbacks: Annotated[dict[str, str], msgspec.Meta(max_length=64, description="name: module:function, for the sink callback")] = {}
    worker_user: Annotated[
        str,
        msgspec.Meta(max_length=32, description="user of workers and self-tests; empty: eyelet-worker if it can be, else the agent's"),
    ] = ""
    usb_folder: Annotated[
        str, msgspec.Meta(max_length=1000, description="folder that is watched for *.eyelet-bundle files, e.g. where USB sticks appear")
    ] = ""
    disk_reserve_bytes: Annotated[int, msgspec.Meta(ge=0, description="bytes an update must leave free")] = 64 << 20
    keepalive_s: Annotated[int, msgspec.Meta(ge=5, le=3600, description="MQTT keep-alive in seconds")] = 30
    download_patience_s: Annotated[float, msgspec.Meta(gt=0, description="give a download up after so long without a byte")] = 3600.0
    repository_patience_s: Annotated[float, msgspec.Meta(gt=0, description="give an update up when the repository is away so long")] = (
        3600.0
    )
    download_windows: Annotated[
        WindowTexts, msgspec.Meta(description="when updates may be downloaded; overrules the operator's windows")
    ] = ()
    activation_windows: Annotated[
        WindowTexts, msgspec.Meta(description="when a version may be activated; overrules the operator's windows")
    ] = ()
    update_max_temperature_c: Annotated[
        float, msgspec.Meta(ge=0, le=150, description="updates wait while it is hotter; 0: 85, or 10 below the critical point")
    ] = 0.0
    update_heat_patience_s: Annotated[float, msgspec.Meta(ge=0, le=86400, description="fail an update when it is too hot for so long")] = (
        3600.0
    )

    def __post_init__(self) -> None:
        """Raises ValueError for a window that is none."""
        check_windows((*self.download_windows, *self.activation_windows))


def load_settings(folder: Path) -> Settings:
    """Settings of the agent in `folder`; the defaults where there is no `config.json`.

    Raises:
        SettingsError: a key is unknown or a value is wrong, or it can not be read.
    """
    path = folder / CONFIG_FILE
    try:
        return msgspec.json.decode(read_bounded(path, CONFIG_MAX_BYTES), type=Settings)
    except FileNotFoundError as error:
        if path.is_symlink():
            raise SettingsError(f"{path} is a link to {path.readlink()}, which is not there") from error
        return Settings()
    except msgspec.ValidationError as error:
        raise SettingsError(f"{path}: {shorten(error)}{_suggest(str(error))}") from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, ContractError, OSError) as error:
        raise SettingsError(f"{path} can not be read: {error}") from error


def _suggest(message: str) -> str:
    """`; did you mean …?` where an unknown key is close to a known one."""
    unknown = message.partition("unknown field `")[2].partition("`")[0]
    close = difflib.get_close_matches(unknown, Settings.__struct_fields__, n=1)
    if close:
        return f"; did you mean {close[0]!r}?"
    return f"; known are {', '.join(Settings.__struct_fields__)}" if unknown else ""
