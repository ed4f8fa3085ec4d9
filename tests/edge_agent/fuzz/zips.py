"""Archives with a trick in them, each of which an unpacker somewhere fell for."""

import io
import stat
import struct
import warnings
import zipfile
from collections.abc import Callable


def tricky_zips() -> list[bytes]:
    """One archive per trick."""
    return [_zip(trick) for trick in TRICKS]


def _zip(write: Callable[[zipfile.ZipFile], None]) -> bytes:
    file = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(file, "w") as zipped:
        warnings.simplefilter("ignore")  # about names that come twice
        write(zipped)
    return file.getvalue()


def climbing(zipped: zipfile.ZipFile) -> None:
    zipped.writestr("../outside.txt", "x")


def absolute(zipped: zipfile.ZipFile) -> None:
    zipped.writestr("/tmp/outside.txt", "x")


def windows_path(zipped: zipfile.ZipFile) -> None:
    zipped.writestr("c:\\outside.txt", "x")


def link(zipped: zipfile.ZipFile) -> None:
    info = zipfile.ZipInfo("manifest.json")
    info.create_system, info.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
    zipped.writestr(info, "/etc/passwd")


def twice(zipped: zipfile.ZipFile) -> None:
    zipped.writestr("manifest.json", "{}")
    zipped.writestr("manifest.json", '{"other":1}')


def twice_by_case(zipped: zipfile.ZipFile) -> None:
    zipped.writestr("manifest.json", "{}")
    zipped.writestr("Manifest.json", "{}")


def bomb(zipped: zipfile.ZipFile) -> None:
    zipped.writestr("manifest.json", bytes(4 << 20), zipfile.ZIP_DEFLATED, 9)


def many(zipped: zipfile.ZipFile) -> None:
    for index in range(2000):
        zipped.writestr(f"f{index}", b"")


def folder_of_a_files_name(zipped: zipfile.ZipFile) -> None:
    zipped.writestr("a", b"x")
    zipped.writestr("a/b", b"x")


def null_in_a_name(zipped: zipfile.ZipFile) -> None:
    zipped.writestr(zipfile.ZipInfo("manifest.json"), b"{}")
    zipped.filelist[0].filename = "manifest.json\0.txt"


def claims_to_be_huge(zipped: zipfile.ZipFile) -> None:
    zipped.writestr("manifest.json", b"{}")
    zipped.filelist[0].file_size = zipped.filelist[0].compress_size = 0x7FFFFFFF


def extra_that_lies(zipped: zipfile.ZipFile) -> None:
    info = zipfile.ZipInfo("manifest.json")
    info.extra = struct.pack("<HHQ", 0x0001, 8, 1 << 62)
    zipped.writestr(info, b"{}")


TRICKS = (
    climbing,
    absolute,
    windows_path,
    link,
    twice,
    twice_by_case,
    bomb,
    many,
    folder_of_a_files_name,
    null_in_a_name,
    claims_to_be_huge,
    extra_that_lies,
)
