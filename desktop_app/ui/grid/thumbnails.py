"""Thumbnails by digest: decoded in worker threads, newest wish first, kept in a cache bounded in bytes."""

from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path

import shiboken6
from PySide6.QtCore import QObject, QRunnable, QSize, Qt, QThreadPool, Signal
from PySide6.QtGui import QImage, QImageReader, QPixmap

THREADS = 2
CACHE_BYTES = 96 << 20
WISHES_MAX = 400
DECODED_MAX_MIB = 512
TINY_SIDE = 24  # images this small are shown pixel by pixel

Key = tuple[str, int]


def read_scaled(path: Path, side: int) -> QImage:
    """The image at `path`, at most `side` pixels wide and high, upright; a null image where it can not be read."""
    reader = QImageReader(str(path))
    reader.setDecideFormatFromContent(True)
    reader.setAutoTransform(True)
    size = reader.size()
    if size.isValid() and max(size.width(), size.height()) > side:
        reader.setScaledSize(size.scaled(QSize(side, side), Qt.AspectRatioMode.KeepAspectRatio))
    image = reader.read()
    return enlarged(image, side) if not image.isNull() else image


def enlarged(image: QImage, side: int) -> QImage:
    """The image as large as `side` allows: tiny ones with hard pixels, others smooth."""
    is_tiny = max(image.width(), image.height()) <= TINY_SIDE
    mode = Qt.TransformationMode.FastTransformation if is_tiny else Qt.TransformationMode.SmoothTransformation
    return image.scaled(QSize(side, side), Qt.AspectRatioMode.KeepAspectRatio, mode)


class _Decode(QRunnable):
    def __init__(self, key: Key, path: Path, tell: Callable[[Key, QImage], None]) -> None:
        super().__init__()
        self._key, self._path, self._tell = key, path, tell

    def run(self) -> None:
        self._tell(self._key, read_scaled(self._path, self._key[1]))


class Thumbnails(QObject):
    """The cache; `find` answers at once or starts decoding, `ready` tells the digest that came."""

    ready = Signal(str)
    _decoded = Signal(object, object)

    def __init__(self, locate: Callable[[str], Path | None]) -> None:
        super().__init__()
        QImageReader.setAllocationLimit(DECODED_MAX_MIB)
        self._locate = locate
        self._cache: OrderedDict[Key, QPixmap] = OrderedDict()
        self._bytes = 0
        self._wishes: OrderedDict[Key, None] = OrderedDict()
        self._busy: set[Key] = set()
        self._pool = QThreadPool(self)
        self._pool.setMaxThreadCount(THREADS)
        self._decoded.connect(self._take)

    def find(self, sha256: str, side: int) -> QPixmap | None:
        """The thumbnail, or None while it is being decoded; a null pixmap where the file is no image."""
        key = (sha256, side)
        if key in self._cache:
            self._cache.move_to_end(key)
            return self._cache[key]
        if key not in self._busy:
            self._wishes[key] = None
            self._wishes.move_to_end(key)
            while len(self._wishes) > WISHES_MAX:
                self._wishes.popitem(last=False)
            self._decode_next()
        return None

    def clear(self) -> None:
        """Forget everything, as another project is open."""
        self._wishes.clear()
        self._pool.waitForDone(2000)
        self._cache.clear()
        self._bytes = 0

    @property
    def size_bytes(self) -> int:
        """Bytes of all cached pixmaps."""
        return self._bytes

    @property
    def is_idle(self) -> bool:
        """Whether nothing is wished for or being decoded."""
        return not self._wishes and not self._busy

    def _decode_next(self) -> None:
        while self._wishes and len(self._busy) < THREADS:
            key, _ = self._wishes.popitem(last=True)
            path = self._locate(key[0])
            if path is None:
                continue
            self._busy.add(key)
            self._pool.start(_Decode(key, path, self._tell))

    def _tell(self, key: Key, image: QImage) -> None:
        if shiboken6.isValid(self):
            self._decoded.emit(key, image)

    def _take(self, key: Key, image: QImage) -> None:
        self._busy.discard(key)
        pixmap = QPixmap.fromImage(image)
        self._cache[key] = pixmap
        self._bytes += _weight(pixmap)
        while self._bytes > CACHE_BYTES and len(self._cache) > 1:
            _, oldest = self._cache.popitem(last=False)
            self._bytes -= _weight(oldest)
        self.ready.emit(key[0])
        self._decode_next()


def _weight(pixmap: QPixmap) -> int:
    return pixmap.width() * pixmap.height() * 4
