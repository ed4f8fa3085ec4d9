"""A health message of an older agent has no sensors that came later; a newer one's are read by everyone who knows them."""

import msgspec

from contract.codec import decode, encode
from contract.messages import Health
from contract.states import HealthState

OLD = Health(1, "boot", "2026-01-01T00:00:00.000Z", HealthState.HEALTHY, (), 3.5, 8 << 30, 4 << 30, 90 << 20, 10 << 30, 3600.0, "0.1.0")


def test_sensors_that_are_absent_are_not_on_the_wire() -> None:
    assert not {"gpu_load_percent", "power_w", "memory_pressure_percent", "temperature_c"} & set(msgspec.json.decode(encode(OLD)))
    assert decode(encode(OLD), Health, "health") == OLD


def test_zero_is_a_reading_and_travels() -> None:
    idle = msgspec.structs.replace(OLD, gpu_load_percent=0.0, power_w=6.25, memory_pressure_percent=0.0)
    again = decode(encode(idle), Health, "health")
    assert (again.gpu_load_percent, again.power_w, again.memory_pressure_percent) == (0.0, 6.25, 0.0)
