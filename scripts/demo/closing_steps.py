"""Not written yet."""
from scripts.demo.state import Demo
def start_fleet(demo: Demo) -> None: ...
roll_out_and_compare = stop_bad_versions = survive_kills = ask_endpoint = report = start_fleet
