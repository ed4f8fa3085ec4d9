"""The handwritten digits that scikit-learn ships, written as a folder of pictures such as a user might have."""

import shutil
from pathlib import Path

SIDE = 32


def write_digits(folder: Path) -> int:
    """Write the 1,797 scans as `<folder>/<digit>/<number>.png` (32 x 32, grey) and plant two faults.

    The scans are 8 x 8 with 17 grey levels (Alpaydin and Kaynak, 1998, UCI); they are enlarged four
    times so that a person can see them. Planted: a text file that calls itself PNG, and a copy of
    a scan under another name.

    Returns:
        How many scans were written.
    """
    import numpy as np
    from PIL import Image
    from sklearn.datasets import load_digits

    digits = load_digits()
    shutil.rmtree(folder, ignore_errors=True)
    for number, (scan, label) in enumerate(zip(digits.images, digits.target, strict=True)):
        target = folder / str(label)
        target.mkdir(parents=True, exist_ok=True)
        grey = Image.fromarray(np.round(scan * (255 / 16)).astype(np.uint8))
        grey.resize((SIDE, SIDE), Image.Resampling.BICUBIC).save(target / f"{number:04d}.png")
    (folder / "3" / "holiday.png").write_text("This is a text file that calls itself a picture.\n")
    shutil.copy(folder / "7" / min(path.name for path in (folder / "7").iterdir()), folder / "7" / "copy-of-a-seven.png")
    return len(digits.images)
