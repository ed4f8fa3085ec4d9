"""Numbers with their noun, for sentences that people read."""


def counted(number: int, noun: str) -> str:
    """`1 device`, `2 devices`, `0 devices`."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def part_of(part: int, whole: int, noun: str) -> str:
    """`1 of 1 device is`, `1 of 3 devices are`: the subject of a sentence, with its verb."""
    return f"{part} of {counted(whole, noun)} {'is' if whole == 1 else 'are'}"
